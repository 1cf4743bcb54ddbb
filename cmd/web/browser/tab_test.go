package browser_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// openBrowser starts Chromium and returns the context from which tabs are opened.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium, which scripts/bootstrap --tests installs: %v", err)
	}
	return ctx
}

// tab is one tab with cookies of its own. It notes everything that the browser complains of, and what it asked the server.
type tab struct {
	t     *testing.T
	suite *suite
	ctx   context.Context
	base  string

	mu         sync.Mutex
	complaints []string
	expected   []int // statuses of failure that the move is meant to bring about
	sent       map[network.RequestID]*network.Request
	posted     int // requests that carried a form
	warnings   int // questions whether to leave a page
	document   document
}

func (s *suite) open(t *testing.T, base string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(s.chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, suite: s, ctx: ctx, base: base, sent: map[network.RequestID]*network.Request{}}
	b.view(desk, light)
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.call(func() error { _, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{}); return err })
	b.keepDownloads()
	return b
}

func (b *tab) call(f func() error) {
	b.t.Helper()
	if err := f(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	complain := func(format string, args ...any) { b.complaints = append(b.complaints, fmt.Sprintf(format, args...)) }
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork { // those are told below, with their status
			complain("console: %s %s", e.Entry.URL, e.Entry.Text)
		}
	case *page.EventJavascriptDialogOpening:
		if b.warnings++; e.Type != page.DialogTypeBeforeunload {
			complain("dialog: %s", e.Message)
		}
		go func() { // the browser waits for the answer, and whoever listens must not
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}) // it fails with the tab
		}()
	case *runtime.EventExceptionThrown:
		complain("exception: %s %s", e.ExceptionDetails.Text, e.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		if (e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning) && !slices.Contains(b.expected, unreachable) {
			complain("console.%s: %s", e.Type, e.Args[0].Value)
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			complain("content security policy: %s refuses %s", d.ViolatedDirective, d.BlockedURL)
		}
	case *network.EventRequestWillBeSent:
		if e.RedirectResponse != nil {
			b.heard(e.RequestID, e.RedirectResponse.Status)
		}
		b.sent[e.RequestID] = e.Request
		if e.Request.Method == http.MethodPost {
			b.posted++
		}
		if e.Type == network.ResourceTypeDocument {
			b.document = document{id: e.RequestID, method: e.Request.Method}
		}
	case *network.EventResponseReceived:
		status := int(e.Response.Status)
		if e.RequestID == b.document.id {
			b.document.status, b.document.headers = status, e.Response.Headers
		}
		b.heard(e.RequestID, e.Response.Status)
		if status >= http.StatusBadRequest && !slices.Contains(b.expected, status) {
			complain("network: %d for %s", status, e.Response.URL)
		}
	case *network.EventLoadingFinished:
		if e.RequestID == b.document.id {
			b.document.bytes = int(e.EncodedDataLength)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled && e.ErrorText != "net::ERR_ABORTED" && !slices.Contains(b.expected, unreachable) { // left behind by a navigation, or a download
			complain("network: %s for %s", e.ErrorText, b.sent[e.RequestID].URL)
		}
	}
}

// saved notes a file that the browser begins to save; such requests are made outside of the tab.
func (s *suite) saved(ev any) {
	if e, ok := ev.(*browser.EventDownloadWillBegin); ok {
		if u, err := url.Parse(e.URL); err == nil && u.Host != "" { // not of what a page put together by itself
			s.routes.answered(http.MethodGet, u.RequestURI(), http.StatusOK)
		}
	}
}

// heard notes that a route answered.
func (b *tab) heard(id network.RequestID, status int64) {
	if r := b.sent[id]; r != nil && strings.HasPrefix(r.URL, b.base) {
		b.suite.routes.answered(r.Method, strings.TrimPrefix(r.URL, b.base), int(status))
	}
}

// do carries out the steps of one move and fails on what the browser says of it.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for n, step := range steps {
		if err := chromedp.Do(ctx, patient(step)); err != nil {
			b.t.Fatalf("%s: step %d at %s: %v; the page says:\n%s", what, n+1, b.path(), err, b.text("body"))
		}
	}
	b.quiet(what)
}

// patient carries a step out once more when the page was given another element between the search for one and its use: nothing has been
// done with it then.
func patient(step chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (v chromedp.Void, err error) {
		for {
			var gone *cdproto.Error
			if v, err = step(ctx, target); ctx.Err() != nil || !errors.As(err, &gone) || gone.Message != "Could not find node with given id" && gone.Message != "Node is detached from document" {
				return v, err
			}
		}
	}
}

// quiet fails on what the browser has complained of since the last time.
func (b *tab) quiet(what string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("%s: %s", what, c)
	}
	b.complaints = nil
}

// unreachable is what to expect instead of a status where no server answers.
const unreachable = 0

// expect announces the status of a failure that the next change of page, or what comes before it, is meant to bring about.
func (b *tab) expect(status ...int) *tab {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = status
	return b
}

// posts counts the forms that the tab has sent.
func (b *tab) posts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posted
}

// visit opens a page by its address.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(path, chromedp.Navigate(b.base+path), chromedp.WaitReady("h1"))
	b.expect()
}

// leave does something that leads to another page, and waits for it.
func (b *tab) leave(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for n := range steps {
		steps[n] = patient(steps[n])
	}
	if _, err := chromedp.RunResponse(ctx, steps...); err != nil {
		b.t.Fatalf("%s at %s: %v; the page says:\n%s", what, b.path(), err, b.text("body"))
	}
	b.do(what, chromedp.WaitReady("h1"))
	b.expect()
}

// press activates the button or link whose text begins so, and waits for the page it leads to.
func (b *tab) press(selector, label string) {
	b.t.Helper()
	b.leave("press "+label, chromedp.Click(b.find(selector, label)))
}

// send presses a button of a form that htmx sends, and waits until the answer is in its place.
func (b *tab) send(selector, label string) {
	b.t.Helper()
	b.do("send "+label, chromedp.Evaluate[chromedp.Void](`addEventListener("htmx:after:swap", () => { document.body.dataset.swapped = "" }, { once: true })`),
		chromedp.Click(b.find(selector, label)), chromedp.WaitReady("[data-swapped]"), chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.swapped`))
	b.expect()
}

// warned reports whether the browser has asked whether to leave a page since the last time.
func (b *tab) warned() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.warnings > 0
	b.warnings = 0
	return asked
}

// held presses a button of a form that the browser does not send, because a field is not as it has to be.
func (b *tab) held(selector, label string) {
	b.t.Helper()
	posted := b.posts()
	b.do("press "+label, chromedp.Click(b.find(selector, label)))
	if !b.has(":user-invalid") || b.posts() != posted {
		b.t.Errorf("%s at %s was not held back", label, b.path())
	}
}

// find waits for a visible element whose text begins so. What it returns looks for the first such one whenever it is used, since the page may
// have been given a new one.
func (b *tab) find(selector, label string) chromedp.JSPath {
	b.t.Helper()
	first := `(() => {
		const said = (e) => e.innerText.trim() || e.getAttribute("aria-label") || "";
		return [...document.querySelectorAll(` + quote(selector) + `)].find((e) => said(e).startsWith(` + quote(label) + `) && e.checkVisibility()) ?? null;
	})()`
	eventually(b.t, fmt.Sprintf("a %s that begins with %q at %s", selector, label, b.path()), func() bool {
		return ask[bool](b, `document.readyState === "complete" && !!`+first)
	})
	return chromedp.JSPath(first)
}

// fill replaces the value of a field by typing.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.do("fill "+selector, chromedp.WaitVisible(selector),
		chromedp.Evaluate[chromedp.Void](`(() => { document.querySelector(`+quote(selector)+`).value = "" })()`), chromedp.SendKeys(selector, value))
}

// choose selects the option of a select, as a person does.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.do("choose "+selector, chromedp.Evaluate[chromedp.Void](`(() => { const s = document.querySelector(`+quote(selector)+`); s.value = `+quote(value)+`; s.dispatchEvent(new Event("change", {bubbles: true})); })()`))
}

// see waits until the page, which looks after itself, shows the text.
func (b *tab) see(selector, want string) {
	b.t.Helper()
	var got string
	timeout := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if got = b.text(selector); strings.Contains(got, want) {
			break
		}
		if time.Now().After(timeout) {
			b.t.Fatalf("%s: %s does not show %q but:\n%s", b.path(), selector, want, got)
		}
	}
	b.quiet(b.path())
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return ask[string](b, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

func (b *tab) has(selector string) bool {
	b.t.Helper()
	return ask[bool](b, `!!document.querySelector(`+quote(selector)+`)`)
}

// link is the local address of the first link that the selector finds on a page, after visiting it.
func (b *tab) link(page, selector string) string {
	b.t.Helper()
	b.visit(page)
	href := ask[string](b, `document.querySelector(`+quote(selector)+`)?.getAttribute("href") ?? ""`)
	if href == "" {
		b.t.Fatalf("%s has no %s:\n%s", page, selector, b.text("main"))
	}
	return href
}

// path is where the tab is, without the host.
func (b *tab) path() string {
	u, err := url.Parse(ask[string](b, `location.href`))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.RequestURI()
}

func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil && (strings.Contains(err.Error(), "context") || strings.Contains(err.Error(), "navigated")) && ctx.Err() == nil { // a navigation came between
		answer, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	}
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return answer
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// size is a size of window that the dashboard is made for.
type size struct {
	name          string
	width, height int64
}

var (
	desk   = size{"1440", 1440, 900}
	tablet = size{"900", 900, 900}
	phone  = size{"390", 390, 844}
)

type theme string

const (
	light theme = "light"
	dark  theme = "dark"
)

// view sets the size of the window and what the system prefers, without a reload.
func (b *tab) view(s size, th theme) {
	b.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: string(th)}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	b.call(func() error { return chromedp.Do(b.ctx, chromedp.EmulateViewport(s.width, s.height)) })
	b.call(func() error { _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); return err })
}

// keepDownloads lets the tab save files, which nobody reads.
func (b *tab) keepDownloads() {
	b.t.Helper()
	yes := true
	b.call(func() error {
		_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.suite.downloads, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, EventsEnabled: &yes,
		})
		return err
	})
}
