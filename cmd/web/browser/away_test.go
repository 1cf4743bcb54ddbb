package browser_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// loseRedis stops Redis under open pages, so that it takes connections and never answers, and lets it go on.
func loseRedis(t *testing.T, s *suite) {
	t.Helper()
	_, unasked := s.serveEmpty() // nobody looks at a page of it before Redis is away
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/queue")
	b.see("main", "Pause…")
	signal := func(sig syscall.Signal) {
		if err := syscall.Kill(s.stack.RedisPID(), sig); err != nil {
			t.Error(err)
		}
	}
	signal(syscall.SIGSTOP)
	t.Cleanup(func() { signal(syscall.SIGCONT) })
	b.see("main", "Redis does not answer") // by itself
	b.see(".stale", "as of ")
	b.check("queue, Redis away")
	b.visit("/queue/fresh")
	b.see("main", "Redis does not answer")
	b.check("tasks, Redis away")
	b.expect(http.StatusServiceUnavailable)
	b.visit("/queue/fresh/pause")
	b.see("h1", "Redis does not answer")
	b.check("queue cannot be changed")
	b.visit("/")
	b.see("main", "What is due waits in Postgres")
	b.check("overview, Redis away")

	fresh := s.signIn(t, unasked, firstEmail, firstPassword)
	fresh.visit("/queue")
	fresh.see("main", "of the queues nothing is known yet")
	fresh.check("queue, Redis never seen")

	signal(syscall.SIGCONT)
	b.visit("/queue")
	b.see("main", "Pause…")
	b.do("nothing is grey", chromedp.WaitNotPresent(".stale"))
}

// loseWorker ends the only worker of an installation; its web server, which has seen none, says so at once.
func loseWorker(t *testing.T, s *suite) {
	t.Helper()
	if err := s.emptyWorker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker has ended", func() bool { return s.emptyWorker.Process.Signal(syscall.Signal(0)) != nil })
	web, base := s.serveEmpty()
	b := s.signIn(t, base, firstEmail, firstPassword)
	b.visit("/queue")
	b.see("main", "No worker is running")
	b.see("main", "bin/web worker")
	b.check("queue, no worker")
	b.visit("/")
	b.see("main", "bin/web worker")
	b.check("overview, no worker")

	// Now the web server goes, too. A list that does not update itself says so to somebody who asks it for something.
	b.visit("/members")
	if err := web.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.expect(unreachable)
	b.do("type", chromedp.SendKeys("#q", "x"))
	b.see("#toasts", "The server does not answer")
	if !strings.Contains(b.text("#results"), firstEmail) {
		t.Errorf("the list is gone: %s", b.text("#results"))
	}
	b.check("members, server away")
}

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
	watching.see(".live", "Retrying, last updated")
	watching.check("deliveries, stale")
	if !strings.Contains(watching.text("#results"), "whd_") {
		t.Error("the stale list has lost its rows")
	}
	watching.choose("[name=status]", "failed")
	watching.see("#toasts", "The database does not answer")
	if !strings.Contains(watching.text("#results"), "whd_") {
		t.Error("a filter without a database has emptied the list")
	}
	watching.choose("[name=status]", "")
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
