package pages_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// serveExport sends 1,500 rows and waits to be told before it sends 500 more, or breaks off when JSON lines were asked for.
func serveExport(w http.ResponseWriter, r *http.Request, goOn <-chan struct{}) {
	w.Header().Set("Content-Disposition", `attachment; filename="deliveries.csv"`)
	if r.FormValue("format") == "" {
		_, _ = w.Write([]byte("id,status\n"))
	}
	_, _ = w.Write([]byte(strings.Repeat("whd_1,failed\n", 1500)))
	_ = http.NewResponseController(w).Flush()
	select {
	case <-goOn:
	case <-r.Context().Done():
		return
	}
	if r.FormValue("format") != "" {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write([]byte(strings.Repeat("whd_2,failed\n", 500)))
}

func TestExport_SaysHowFarItIsAndCanBeStopped(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	b.do("page", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(b.base+"/page/deliveries"),
		// What is saved is looked at here: files of a test would stay behind.
		chromedp.Evaluate[chromedp.Void](`void (() => {
			const was = Blob;
			self.Blob = class extends was { constructor(parts) { super(parts); self.lines = parts.reduce((n, p) => n + p.reduce((m, b) => m + (b === 10), 0), 0); } };
			HTMLAnchorElement.prototype.click = function () { document.title = this.download + " " + self.lines; };
		})()`))
	const said = `document.querySelector("#toasts .tone-info p, #toasts .tone-bad p")?.textContent`
	// press clicks as a person does: the page's own click is the one above.
	press := func(what, selector string) { b.do(what, chromedp.Click(selector)) }
	until := func(what, condition string) {
		t.Helper()
		got, err := chromedp.Run(b.ctx, chromedp.Poll[bool](condition))
		if err != nil || !got {
			t.Fatalf("%s: %v; not %s\n%s", what, err, condition, ask(b.ctx, t, chromedp.Evaluate[string](`document.querySelector("#toasts").outerHTML`)))
		}
	}
	press("export", `a[data-export][href$="/export"]`)
	until("progress", said+` === "1,500 rows so far" && document.querySelector("#toasts progress")?.value === 1500`)
	b.is("it is announced", `document.querySelector("#toasts").role === "status" || document.querySelector("#toasts").getAttribute("role") === "status"`)
	b.do("go on", chromedp.Evaluate[chromedp.Void](`void fetch("/deliveries/export/go-on")`))
	until("saved", `document.title === "deliveries.csv 2001"`)
	b.is("the limit is named", said+`?.startsWith("2,000 rows saved, which is the most in one file")`)
	press("dismiss", "#toasts .toast button")
	b.is("gone", `document.querySelector("#toasts").childElementCount === 0`)

	press("again", `a[data-export][href$="/export"]`)
	until("progress", said+` === "1,500 rows so far"`)
	press("stop", "#toasts .toast button")
	b.is("stopped", `document.querySelector("#toasts").childElementCount === 0`)

	press("one that breaks off", `a[data-export][href$="jsonl"]`)
	until("progress", said+` === "1,500 rows so far"`)
	b.do("break", chromedp.Evaluate[chromedp.Void](`void fetch("/deliveries/export/go-on")`))
	until("said so", said+`?.startsWith("The export broke off after 1,500 rows, and nothing was saved.")`)
}
