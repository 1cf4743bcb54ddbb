package browser_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// suite is what all moves share.
type suite struct {
	*stage
	chromium  context.Context
	downloads string // a directory that outlives the browser
	routes    *routes
	axe       string

	mu     sync.Mutex
	titles map[string]string // by title, the path of the page that has it
	files  map[string]int    // by path, what loading a file transferred
	// For the summary.
	states   int
	heaviest struct {
		bytes int
		what  string
	}
}

// TestBrowser is one test, because its parts share one program, one history and one browser, and because only the last
// knows whether the others have been everywhere.
func TestBrowser(t *testing.T) {
	axe, err := os.ReadFile(axePath)
	if err != nil {
		t.Fatalf("axe-core is not there; run make examples: %v", err)
	}
	s := &suite{downloads: t.TempDir(), stage: newStage(t), chromium: openBrowser(t), routes: readRoutes(t), axe: string(axe), titles: map[string]string{}, files: map[string]int{}}
	if err := chromedp.ListenBrowser(s.chromium, s.saved); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"first run", firstRun},
		{"pages", visitPages},
		{"endpoint", operateEndpoint},
		{"long names", stretchEndpoint},
		{"deliveries", operateDeliveries},
		{"many at once", operateMany},
		{"lists", operateLists},
		{"sessions, queue, help", operateRest},
		{"people", operatePeople},
		{"API keys", operateAPIKeys},
		{"settings", operateSettings},
		{"keyboard", operateKeyboard},
		{"rare states", meetRareStates},
		{"Redis away", loseRedis},
		{"worker away", loseWorker},
		{"database away", loseDatabase},
		{"routes", func(t *testing.T, s *suite) { t.Helper(); s.routes.complete(t); s.summary(t) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			began := time.Now()
			part.run(t, s)
			t.Logf("took %s", time.Since(began).Round(time.Second))
		})
	}
}

// titled notes the title of the page at the path, which no page at another path may have.
func (s *suite) titled(t *testing.T, path, title string) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimSuffix(path, "/overview") // the same page as without
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, taken := s.titles[title]; taken && other != path {
		t.Errorf("%s and %s have the same title, %q", other, path, title)
	}
	s.titles[title] = path
}

// signIn opens a tab in which the person is signed in.
func (s *suite) signIn(t *testing.T, base, email, password string) *tab {
	t.Helper()
	b := s.open(t, base)
	b.visit("/sign-in")
	b.fill("[name=email]", email)
	b.fill("[name=password]", password)
	b.leave("sign in", chromedp.Submit("[name=password]"))
	if b.path() != "/" {
		t.Fatalf("signing in leads to %s:\n%s", b.path(), b.text("body"))
	}
	return b
}
