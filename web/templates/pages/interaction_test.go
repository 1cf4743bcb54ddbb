package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// dialogSamples are what the server answers when scripting asks for a confirmation.
func dialogSamples() map[string]templ.Component {
	return map[string]templ.Component{
		"/endpoints/" + riskID + "/delete": ui.ConfirmDialog(ui.Confirm{
			ID: "delete", Title: "Delete Risk engine for good?", Icon: "trash", Danger: true, Action: "/endpoints/" + riskID + "/delete",
			Submit: "Delete endpoint", BackHref: "/endpoints/" + riskID + "/settings", Back: "Keep endpoint",
			Effects: []string{"501 waiting webhooks are dropped and cannot be sent later.", "Events, deliveries and the audit log stay readable."},
			Typed:   &ui.Field{Name: "confirm", Label: "Type “Risk engine” to confirm", Required: true, Autocomplete: "off", Exactly: "Risk (engine)"},
		}, token),
		"/help/keyboard": pages.KeyboardDialog(pages.Keyboard{
			Heading: ui.Heading{Title: "Keyboard shortcuts"}, Keys: []pages.Shortcut{{Keys: []string{"g", "d"}, Does: "Go to deliveries"}},
		}),
		"/deliveries/{id}/retry": ui.ConfirmDialog(ui.Confirm{ID: "retry", Title: "Retry it now?", Icon: "loop", Action: "/deliveries/x/retry", Submit: "Retry now", BackHref: "/deliveries", Back: "Not now"}, token),
	}
}

// is fails the test unless the expression is true in the page.
func (b *tab) is(what, expression string) {
	b.t.Helper()
	if !ask[bool](b.ctx, b.t, chromedp.Evaluate[bool](expression)) {
		b.t.Errorf("%s: not %s; the focus is on %s", what, expression, ask[string](b.ctx, b.t, chromedp.Evaluate[string](`document.activeElement.outerHTML.slice(0, 200)`)))
	}
}

// TestForms_TellOfAFault: htmx does not show what a fault is answered with, unless the form says where. What asks for itself stays silent;
// the note that it is stale tells of it.
func TestForms_TellOfAFault(t *testing.T) {
	t.Parallel()
	tag := regexp.MustCompile(`(?s)<\w+[^<]*\bhx-post=[^<]*?\n\t*>`)
	found := 0
	for _, pattern := range []string{"*.templ", "../ui/*.templ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range tag.FindAllString(string(source), -1) {
				found++
				if !strings.Contains(form, `hx-trigger="every`) && !strings.Contains(form, `hx-status:50x="swap:beforeend target:#toasts"`) {
					t.Errorf("%s: nobody hears of a fault of %s", name, form)
				}
			}
		}
	}
	if found < 6 {
		t.Errorf("%d forms are sent by htmx, want more", found)
	}
}

func TestDialog_TrapsAndReturnsTheFocus(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	const focused = `document.activeElement.closest("#dialog") !== null`
	link := `a[href$="/delete"]`
	open := func() {
		t.Helper()
		b.do("open", chromedp.Click(link), chromedp.WaitVisible("#dialog[open] form"))
	}
	b.do("settings", chromedp.Navigate(b.base+"/page/endpoint-settings"))
	open()
	b.is("the heading has the focus", `document.activeElement.id === "dialog-t"`)
	b.is("the dialog is named", `document.querySelector("#dialog").getAttribute("aria-labelledby") === "dialog-t"`)
	b.is("the page is still there", `location.pathname === "/page/endpoint-settings"`)
	for range 6 { // past the end of the dialog, the focus never reaches the page behind it
		b.do("tab", chromedp.KeyEvent(kb.Tab))
		b.is("trapped", focused+" || document.activeElement === document.body")
	}
	b.do("escape", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("#dialog[open]"), chromedp.WaitNotPresent("#dialog *"))
	b.is("the focus is back on the link", `document.activeElement.matches('`+link+`')`)

	open()
	b.do("the safe way", chromedp.Click("#dialog [data-back]"), chromedp.WaitNotPresent("#dialog[open]"), chromedp.WaitNotPresent("#dialog *"))
	b.is("the focus is back", `document.activeElement.matches('`+link+`')`)
	b.is("no other page", `location.pathname === "/page/endpoint-settings"`)

	// What the server would refuse is held back here, and what it would take goes out as the page's own form does.
	open()
	b.do("wrong name", chromedp.SendKeys("#dialog [name=confirm]", "Risk engine"), chromedp.Click("#dialog [type=submit]"))
	b.is("still asking", `document.querySelector("#dialog").open && !document.querySelector("#dialog form").checkValidity()`)
	b.do("right name", chromedp.SetValue("#dialog [name=confirm]", "Risk (engine)"))
	b.is("it may go", `document.querySelector("#dialog form").checkValidity() && document.querySelector("#dialog form").method === "post"`)

	b.do("members", chromedp.Navigate(b.base+"/page/members"), chromedp.Click(`a[href="/members/usr_2/remove"]`), chromedp.WaitVisible("section.confirm"))
	b.is("what cannot be had as a dialog is a page", `!document.querySelector("#dialog").open`)
}

func TestKeys_ActOutsideOfFieldsOnly(t *testing.T) {
	t.Parallel()
	b := openGallery(t)
	b.do("deliveries", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(b.base+"/page/deliveries"))
	row := func() string {
		return ask(b.ctx, t, chromedp.Evaluate[string](`document.activeElement.matches(".lead") ? document.activeElement.closest("tr").id : ""`))
	}
	rows := ask(b.ctx, t, chromedp.Evaluate[[]string](`[...document.querySelectorAll("#main tbody .lead")].map((l) => l.closest("tr").id)`))
	if len(rows) < 3 {
		t.Fatalf("the sample has %d rows", len(rows))
	}
	for _, step := range []struct{ key, want string }{{"j", rows[0]}, {"j", rows[1]}, {"k", rows[0]}, {"k", rows[0]}, {"j", rows[1]}} {
		b.do(step.key, chromedp.KeyEvent(step.key))
		if got := row(); got != step.want {
			t.Errorf("%s leads to %q, want %q", step.key, got, step.want)
		}
	}
	b.do("copy", chromedp.KeyEvent("c"), chromedp.WaitReady("#announce:not(:empty)"))
	b.do("retry", chromedp.KeyEvent("r"), chromedp.WaitVisible("#dialog[open] form"))
	b.do("keys of the page rest", chromedp.KeyEvent("j"), chromedp.KeyEvent("?"))
	b.is("the dialog stays", `document.querySelector("#dialog-t").textContent.includes("Retry it now?")`)
	b.do("escape", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("#dialog[open]"), chromedp.WaitNotPresent("#dialog *"))
	if got := row(); got != rows[1] {
		t.Errorf("after the dialog the focus is at %q, want %q", got, rows[1])
	}
	b.do("help", chromedp.KeyEvent("?"), chromedp.WaitVisible("#dialog[open] .keys"))
	b.do("close", chromedp.Click("#dialog [type=submit]"), chromedp.WaitNotPresent("#dialog[open]"), chromedp.WaitNotPresent("#dialog *"))

	b.do("search", chromedp.KeyEvent("/"))
	b.is("the search has the focus", `document.activeElement.matches("[data-find]")`)
	b.do("typing", chromedp.KeyEvent("jkrcgd?/"))
	b.is("all of it is text", `document.activeElement.value.endsWith("jkrcgd?/") && !document.querySelector("#dialog").open && location.pathname === "/page/deliveries"`)
	b.do("on a box", chromedp.Evaluate[chromedp.Void](`document.querySelector("tbody .check:not([disabled])").focus()`), chromedp.KeyEvent("r"))
	b.is("nothing happens", `!document.querySelector("#dialog").open`)

	b.do("events", chromedp.Navigate(b.base+"/page/events"), chromedp.KeyEvent("d"))
	b.is("d alone leads nowhere", `location.pathname === "/page/events"`)
	b.do("go", chromedp.KeyEvent("g"), chromedp.KeyEvent("d"), chromedp.WaitNotPresent("#main tbody"), chromedp.WaitVisible("h1"))
	b.is("at the deliveries", `location.pathname === "/page/deliveries-none"`)
}
