package dashboard

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page that panics is an error page, and the log says where; of what panicked it says nothing that a form may have held.
func TestServe_APanicIsAPageAndALineWithoutItsValue(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	var nobody *page
	for cause, f := range map[string]func(*page) error{
		"cause=panic": func(*page) error { panic("the private half") },
		"nil pointer": func(*page) error { return nobody.signIn() },
	} {
		var log strings.Builder
		s.handler.Log = slog.New(slog.NewTextHandler(&log, nil))
		w := httptest.NewRecorder()
		s.handler.serve(w, httptest.NewRequest(http.MethodGet, "/", nil), "GET /x", f)
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "<h1") {
			t.Errorf("%s: %d %s", cause, w.Code, w.Body)
		}
		for _, want := range []string{"page panicked", cause, "panic_test.go", `route="GET /x"`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: logged %s", cause, log.String())
			}
		}
		if strings.Contains(w.Body.String()+log.String(), "private half") {
			t.Errorf("it says what panicked: %s, logged %s", w.Body, log.String())
		}
	}
}
