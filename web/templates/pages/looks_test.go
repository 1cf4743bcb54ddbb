package pages_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestForm_IsBusyInFlight: a form that htmx sends shows that it is under way and keeps the focus, which a disabled button loses.
func TestForm_IsBusyInFlight(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	still := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, still); err != nil {
		t.Fatal(err)
	}
	b.do("change a role", chromedp.Navigate(b.base+"/page/members"), chromedp.Click("form[hx-post] [type=submit]"), chromedp.WaitVisible("form[aria-busy=true]"))
	b.is("it shows", `[...document.querySelectorAll("form[aria-busy=true] [type=submit]")].every((b) => getComputedStyle(b).opacity < 1 && document.activeElement === b)`)
	b.do("the answer comes", chromedp.Evaluate[chromedp.Void](`void fetch("/members/go-on")`), chromedp.WaitVisible("form[aria-busy=false]"))
}

// TestLists_OfPhonesAreShort: a row says what it is about without a heading over each value.
func TestLists_OfPhonesAreShort(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	for _, list := range []string{"deliveries", "events", "sessions"} {
		b.do(list, chromedp.EmulateViewport(390, 844), chromedp.Navigate(b.base+"/page/"+list))
		for _, tall := range ask(b.ctx, t, chromedp.Evaluate[[]string](`[...document.querySelectorAll("#results tbody tr")].filter((r) => r.offsetHeight > 190).map((r) => r.offsetHeight + " px: " + r.innerText)`)) {
			t.Errorf("%s: a row of %s", list, tall)
		}
		b.is(list+": the head of the page is one line and its title", `[...document.querySelectorAll(".head-row > .actions")].every((a) => a.offsetHeight < 40)`)
	}
}

// TestTables_KeepToTheirPanel also with the longest words there are.
func TestTables_KeepToTheirPanel(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	for _, width := range []int64{1440, 1200, 900, 390} {
		for _, list := range []string{"deliveries", "events", "sessions", "endpoints", "event"} {
			b.do(list, chromedp.EmulateViewport(width, 844), chromedp.Navigate(b.base+"/page/"+list))
			b.is(list+" keeps to its panel", `[...document.querySelectorAll("main .tablebox")].every((t) => t.scrollWidth <= t.clientWidth)`)
		}
	}
}

// TestTabs_AreAllInSight on a phone, the one that is open among them.
func TestTabs_AreAllInSight(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	b.do("the last tab", chromedp.EmulateViewport(390, 844), chromedp.Navigate(b.base+"/page/endpoint-activity"))
	b.is("seen", `[...document.querySelectorAll(".subnav a")].every((a) => a.getBoundingClientRect().right <= innerWidth)`)
}

// TestChosen_AreCounted: the bar says how many rows are chosen.
func TestChosen_AreCounted(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	b.do("choose two", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(b.base+"/page/deliveries"),
		chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("tbody .check:enabled")].slice(0, 2).forEach((c) => c.click())`), chromedp.WaitVisible(".bulk"))
	b.is("the bar counts them", `document.querySelector(".bulk").innerText.startsWith("2 chosen")`)
	b.do("and all", chromedp.Click("[data-all]"))
	b.is("the bar counts all", `document.querySelector(".bulk").innerText.startsWith(document.querySelectorAll("tbody .check:enabled").length + " chosen")`)
}
