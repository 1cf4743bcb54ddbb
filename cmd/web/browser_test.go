package main_test

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"kaylehooks/internal/badreceiver"
	"kaylehooks/receiver"
)

// browser is a real Chromium that fails the test on any complaint of its console.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, base: base}
	b.do("start", chromedp.EmulateViewport(1440, 1000))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.complaints = append(b.complaints, e.Entry.URL+": "+e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	}
}

// do carries out the steps of one move and fails on what the console says of it.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for n, step := range steps {
		done := make(chan error, 1)
		go func() { done <- chromedp.Do(b.ctx, step) }()
		select {
		case err := <-done:
			if err != nil {
				b.t.Fatalf("%s: step %d: %v", what, n+1, err)
			}
		case <-time.After(patience):
			b.t.Fatalf("%s: step %d did not end; the page says:\n%s", what, n+1, b.text("body"))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("%s: the console says %s", what, c)
	}
	b.complaints = nil
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(path, chromedp.Navigate(b.base+path), chromedp.WaitReady("h1"))
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	question := chromedp.Evaluate[string](`document.querySelector("` + selector + `")?.innerText ?? ""`)
	text, err := chromedp.Run(b.ctx, question)
	if err != nil { // a navigation came between
		text, err = chromedp.Run(b.ctx, question)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *browser) href(selector string) string {
	b.t.Helper()
	href, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("`+selector+`")?.getAttribute("href") ?? ""`))
	if err != nil {
		b.t.Fatal(err)
	}
	return href
}

// see waits until the page, which looks after itself, shows the text.
func (b *browser) see(selector, want string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%s shows %q", selector, want), func() string { return b.text(selector) },
		func(got string) bool { return strings.Contains(got, want) })
}

// The operator's first quarter of an hour, in a real browser against the real program.
func TestBrowser_FromSignInToARetriedDelivery(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	privatePath, _ := i.keyPair("browser-1")
	text, err := os.ReadFile(privatePath)
	if err != nil {
		t.Fatal(err)
	}
	private, err := receiver.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	far := badreceiver.New(badreceiver.Options{Options: receiver.Options{Keys: map[string]*rsa.PrivateKey{"browser-1": private}}})
	server := httptest.NewServer(far)
	t.Cleanup(server.Close)

	b := openBrowser(t, i.base)
	b.open("/sign-in")
	b.do("sign in", chromedp.SendKeys("[name=email]", i.email), chromedp.SendKeys("[name=password]", i.password), chromedp.Submit("[name=password]"), chromedp.WaitReady("[aria-current=page]"))

	b.open("/endpoints/new")
	b.do("create endpoint", chromedp.SendKeys("[name=name]", "Browser shop"), chromedp.SendKeys("[name=url]", server.URL+"/hook"), chromedp.Submit("[name=url]"), chromedp.WaitReady("h1"))
	var secret string
	eventually(t, "the secret is shown once", func() string { return b.text("main") }, func(page string) bool {
		for _, word := range strings.Fields(page) {
			if strings.HasPrefix(word, "whsec_") && len(word) == len("whsec_")+32 {
				secret = word
			}
		}
		return secret != ""
	})
	far.SetSecrets(secret)

	b.open("/endpoints")
	endpoint := b.href("#results a.lead")
	b.open(endpoint + "/keys")
	b.see("main", "blocked")
	public := filepath.Join(filepath.Dir(privatePath), "public.jwk.json")
	b.do("choose key", chromedp.SetUploadFiles("#keyfile", []string{public}))
	b.see("#check", "browser-1")
	b.do("add key", chromedp.Submit("#keytext"), chromedp.WaitReady("h1"))
	b.see("main", "Active key")

	session := i.openSession()
	i.call("POST", "/v1/sessions/"+session+"/cancel", nil, nil)
	b.open("/deliveries")
	b.see("#results", "Succeeded")

	far.SetBehaviour(badreceiver.Always(503))
	failing := i.openSession()
	i.call("POST", "/v1/sessions/"+failing+"/cancel", nil, nil)
	b.open("/deliveries")
	b.see("#results", "Retrying 2/8") // the second attempt follows five seconds later, and then there are five minutes to retry in
	b.do("open delivery", chromedp.Navigate(b.base+b.href("#results a[href^='/deliveries/whd_']")), chromedp.WaitReady("h1"))
	b.see("main", "503")
	far.SetBehaviour(nil)
	b.do("retry", chromedp.Click("form[action$='/retry'] button"), chromedp.WaitReady("h1"))
	b.see("main", "Delivered")
	if far.Requests() < 4 {
		t.Errorf("the receiver saw %d requests", far.Requests())
	}

	b.open("/monitor/")
}
