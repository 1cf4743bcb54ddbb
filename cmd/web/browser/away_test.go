package browser_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// loseDatabase takes PostgreSQL away under open pages, and brings it back.
func loseDatabase(t *testing.T, s *suite) {
	t.Helper()
	watching := s.signIn(t, s.base, s.email, s.password)
	watching.visit("/deliveries")
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/settings")
	watching.expect(http.StatusServiceUnavailable)
	b.expect(http.StatusServiceUnavailable)
	if err := syscall.Kill(s.stack.PostgresPID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	// The list keeps what it shows and says that it is old.
	watching.see(".live", "No answer since")
	watching.check("deliveries, stale")
	if !strings.Contains(watching.text("#results"), "whd_") {
		t.Error("the stale list has lost its rows")
	}
	b.expect(http.StatusServiceUnavailable).visit("/endpoints")
	b.see("h1", "The database does not answer")
	b.expect(http.StatusServiceUnavailable) // it tries again by itself
	b.check("database away")

	if err := s.stack.RestartPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.see("h1", "Endpoints") // by itself
	b.expect()
	b.check("endpoints, after the database came back")
	watching.see(".live", "Live, updated")
	watching.expect()
	watching.do("still there", chromedp.WaitVisible("#results"))
}
