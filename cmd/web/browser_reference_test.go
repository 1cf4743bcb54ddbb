package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"kaylehooks/internal/event"
)

// The reference is drawn by scripts from this server alone: whatever its policy forbids, or whatever is fetched from elsewhere, the
// console would complain of.
func TestBrowser_TheReferenceShowsEveryRouteAndPayload(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	b := openBrowser(t, i.base)
	b.do("/reference", chromedp.Navigate(i.base+"/reference"), chromedp.WaitReady(".opblock"))
	shown, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".opblock-summary")].map(o => o.querySelector(".opblock-summary-method").innerText + " " + o.querySelector(".opblock-summary-path").dataset.path)`))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, route := range shown {
		have[route] = true
	}
	routes := documented(t, i.base)
	for _, payload := range event.Types() {
		routes = append(routes, "POST "+string(payload)) // among the webhooks
	}
	for _, route := range routes {
		if !have[route] {
			t.Errorf("the reference does not show %s", route)
		}
	}
	b.do("one route", chromedp.Click(".opblock-summary-control"), chromedp.WaitReady(".opblock-body .responses-table"))
	elsewhere, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith(location.origin + "/") && !n.startsWith("data:"))`))
	if err != nil {
		t.Fatal(err)
	}
	if len(elsewhere) > 0 {
		t.Errorf("it loads %v", elsewhere)
	}
}
