package browser_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	firstEmail    = "ana@nordlicht.example"
	firstPassword = "a password for the first owner"
)

// firstRun sets up the empty installation, and looks at every list while there is nothing in it.
func firstRun(t *testing.T, s *suite) {
	t.Helper()
	b := s.open(t, s.emptyBase)
	b.visit("/")
	b.see("h1", "Set up")
	for _, rule := range []string{"Postgres", "Public address", "Redis", "Worker"} {
		b.see(".rules", rule)
	}
	b.check("set up, sent there from the overview")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=token]", "not the token")
	for field, value := range map[string]string{"organization": "Nordlicht", "environment": "staging", "name": "Ana Lindqvist", "email": firstEmail, "password": firstPassword} {
		b.fill("[name="+field+"]", value)
	}
	b.leave("set up with a wrong token", chromedp.Submit("[name=token]"))
	b.see("main", "not the token that the server printed")
	s.guess(b)
	eventually(t, "tokens are taken again", func() bool {
		b.expect(http.StatusTooManyRequests)
		b.fill("[name=token]", s.setupToken)
		b.fill("[name=password]", firstPassword)
		b.leave("set up", chromedp.Submit("[name=token]"))
		return b.path() != "/setup"
	})
	b.see("main", "Create an endpoint")
	b.see("#attention", "Nothing needs you right now.")
	b.check("overview, new organization")

	for _, page := range []struct{ path, says string }{
		{"/endpoints", "No endpoints yet"},
		{"/deliveries", "Nothing has been sent yet"},
		{"/events", "No event yet"},
		{"/sessions", "No session yet"},
		{"/jobs", "No bulk retry yet"},
		{"/jobs/new?status=failed", "No delivery of this scope can be sent again now."},
		{"/api-keys", "No API key yet"},
		{"/members", "Nobody is invited"},
		{"/audit", "member.joined"},
		{"/queue", "Nothing waits for a worker"},
		{"/help/receivers", "There is no endpoint yet"},
	} {
		b.visit(page.path)
		b.see("main", page.says)
		b.check("nothing yet: " + page.path)
	}

	b.expect(http.StatusForbidden)
	b.visit("/setup") // it is done, and cannot be done again
	if b.path() == "/setup" {
		t.Errorf("the set-up page is still there: %s", b.text("main"))
	}
}

// guess tries set-up tokens until no more are taken.
func (s *suite) guess(b *tab) {
	b.t.Helper()
	began := time.Now()
	for tries := 1; tries <= 11+int(time.Since(began)/(6*time.Second)); tries++ { // ten at once and one in six seconds are taken
		b.expect(http.StatusUnprocessableEntity, http.StatusTooManyRequests)
		b.fill("[name=token]", "a guess")
		b.leave("guess the token", chromedp.Submit("[name=token]"))
		if regexp.MustCompile(`Too many tries from this address\. Wait \d+ seconds?, then try again\.`).MatchString(b.text("main")) {
			b.check("set up, throttled")
			return
		}
	}
	b.t.Fatalf("tokens may be guessed for ever: %s", b.text("main"))
}
