package pages_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"kaylehooks/web/static"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// policy is the content security policy of the dashboard. The real one is set
// by the server; the pages have to live with it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// TestBrowser_PagesLiveWithThePolicy opens every page in Chromium and fails on
// any complaint, then tries the behaviours that only a browser can show.
func TestBrowser_PagesLiveWithThePolicy(t *testing.T) {
	b := openGallery(t)
	ctx, do := b.ctx, b.do
	for _, p := range allPages() {
		do(p.name, chromedp.Navigate(b.base+"/page/"+p.name))
		if ask[bool](ctx, t, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)) {
			t.Errorf("%s: scrolls sideways on a small screen", p.name)
		}
	}

	do("filter", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(b.base+"/page/deliveries"),
		chromedp.SendKeys("#q", "whd_abc"), chromedp.WaitVisible("#filtered"))
	found, address := ask(ctx, t, chromedp.Text("#filtered")), ask(ctx, t, chromedp.Location())
	if found != "results for whd_abc" || !strings.HasSuffix(address, "/deliveries?q=whd_abc&type=session&from=2026-03-06") {
		t.Errorf("filter: %q at %s", found, address)
	}
	do("poll", chromedp.Navigate(b.base+"/page/deliveries"), chromedp.WaitVisible("#row-polled"))

	do("private key", chromedp.Navigate(b.base+"/page/endpoint-keys-none"),
		chromedp.SendKeys("#keytext", "-----BEGIN PRIVATE KEY-----"), chromedp.WaitVisible("[data-key-stop]"))
	if pasted := ask(ctx, t, chromedp.Value("#keytext")); strings.Contains(pasted, "PRIVATE KEY") {
		t.Errorf("private key: the field still holds %q", pasted)
	}
	do("key check", chromedp.Navigate(b.base+"/page/endpoint-keys-none"), chromedp.SendKeys("#keytext", "harmless"), chromedp.WaitVisible("#checked"))
}

// tab is a page of the gallery in Chromium; do carries out steps and fails on any complaint of the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

func openGallery(t *testing.T) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	server := httptest.NewServer(galleryHandler(t))
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, done := context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(done)
	b := &tab{t: t, ctx: ctx, base: server.URL}
	b.do("start", chromedp.EmulateViewport(390, 800))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		// Chromium reports rejected forms and servers that are away, too, which are meant to be 422 and 503 here.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "422") && !strings.Contains(e.Entry.Text, "503") {
			b.complaints = append(b.complaints, e.Entry.URL+": "+e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text+" "+fmt.Sprint(e.ExceptionDetails.Exception))
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		if err := chromedp.Do(b.ctx, step); err != nil {
			b.t.Fatalf("%s: %v", what, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("%s: %s", what, c)
	}
	b.complaints = nil
}

func ask[T any](ctx context.Context, t *testing.T, question chromedp.Action[T]) T {
	t.Helper()
	answer, err := chromedp.Run(ctx, question)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// galleryHandler serves the gallery and the few fragments the test asks for.
func galleryHandler(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	waiting, goOn := make(chan struct{}, 1), make(chan struct{})
	mux.HandleFunc("POST /members/{id}/role", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /members/go-on", func(w http.ResponseWriter, _ *http.Request) {
		close(goOn)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /deliveries/export/go-on", func(w http.ResponseWriter, _ *http.Request) {
		waiting <- struct{}{}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("GET "+static.Prefix, static.Handler())
	mux.Handle("GET /favicon.ico", static.Favicon())
	for _, p := range allPages() {
		var buf bytes.Buffer
		if err := p.component.Render(t.Context(), &buf); err != nil {
			t.Fatal(err)
		}
		mux.HandleFunc("GET /page/"+p.name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy)
			_, _ = w.Write(buf.Bytes())
		})
	}
	mux.HandleFunc("GET /deliveries", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("HX-Request") != "true" {
			http.Redirect(w, r, "/page/deliveries-none", http.StatusSeeOther)
			return
		}
		templ.Handler(templ.Raw(`<div id="results"><p id="filtered">results for `+templ.EscapeString(r.FormValue("q"))+`</p></div>`)).ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /deliveries/{id}/row", func(w http.ResponseWriter, r *http.Request) {
		row := pages.DeliveryRow{ID: "polled", Short: "polled", Href: "/", Status: succeeded, Created: ago(0), Strip: ui.Strip{}}
		templ.Handler(pages.DeliveryTableRow(row, true, false)).ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /endpoints/{id}/keys/check", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 16); err != nil || r.FormValue("csrf_token") != token {
			http.Error(w, "bad form", http.StatusBadRequest)
			return
		}
		// 422 is how a rejected key is answered; the panel has to be swapped in.
		templ.Handler(templ.Raw(`<section id="check"><p id="checked">checked `+templ.EscapeString(r.FormValue("keytext"))+`</p></section>`), templ.WithStatus(http.StatusUnprocessableEntity)).ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /deliveries/export", func(w http.ResponseWriter, r *http.Request) { serveExport(w, r, waiting) })
	for path, content := range dialogSamples() {
		mux.Handle("GET "+path, templ.Handler(content))
	}
	mux.HandleFunc("GET /members/usr_2/remove", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("HX-Request") == "true" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/page/api-key-delete", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}
