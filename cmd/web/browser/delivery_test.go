package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kaylehooks/internal/badreceiver"
)

// hostile is an answer that wants to be more than text.
var hostile = badreceiver.Answer{
	Status: http.StatusBadGateway,
	Header: http.Header{
		"X-Note":       {`"><img src="/hostile" onerror="document.title='hostile'">`},
		"Retry-After":  {`"><img src="/hostile" onerror="document.title='hostile'">`},
		"Content-Type": {`text/html; x="><img src='/hostile' onerror='document.title=1'>"`},
	},
	Body: `</pre></code></td></table><script src="/hostile"></script><svg onload="document.title=1"></svg><style>*{display:none}</style><form action="/sign-out" method="post"><button autofocus>Retry now</button></form><meta http-equiv="refresh" content="0;url=/hostile"><a href="javascript:alert(1)">x</a>{{7*7}}<h1>hostile</h1>`,
}

// showHostile opens an attempt whose answer is hostile: it is shown to the letter, and is nothing but text.
func showHostile(t *testing.T, b *tab, s *suite, far *shop) {
	t.Helper()
	far.SetBehaviour(func(*http.Request, int) badreceiver.Answer { return hostile })
	b.visit("/sessions/" + s.event(t))
	b.press("main a[href^='/events/evt_']", "")
	row := "tr:has(a[href='" + far.path + "'])"
	b.see(row, "Retrying")
	b.visit(ask[string](b, `document.querySelector(`+quote(row+" a[href^='/deliveries/whd_']")+`).getAttribute("href")`))
	b.see(".timeline", "2/8") // the next attempt of the schedule is minutes away
	title := ask[string](b, `document.title`)
	b.do("open the attempt", chromedp.Click(".timeline .attempt-row"))
	b.see(".attempt-panel", hostile.Body)
	if strings.Contains(b.text(".attempt-panel"), "onerror") { // headers are kept only where they are a type, a number or a date
		t.Errorf("a header was kept as it came: %s", b.text(".attempt-panel"))
	}
	b.check("delivery, hostile answer")
	if now := ask[string](b, `document.title`); now != title {
		t.Errorf("the answer changed the title to %q", now)
	}
	if n := ask[int](b, `document.querySelectorAll(".attempt-panel :is(pre, code) :is(a, img, script, style, svg, form, meta, button, h1), .attempt-panel :is(img, script, style, form, meta, h1), [href^='javascript' i]").length`); n != 0 {
		t.Errorf("%d elements came out of the answer", n)
	}
	far.SetBehaviour(nil)
	b.press("main button", "Retry now")
	b.see("main", "Delivered")
}

// event makes a cancelled session, and with it an event and its deliveries, over the JSON API.
func (s *suite) event(t *testing.T) (session string) {
	t.Helper()
	session = s.session(t)
	s.call(t, http.MethodPost, "/v1/sessions/"+session+"/cancel", nil, nil)
	return session
}

// session makes one that has started.
func (s *suite) session(t *testing.T) string {
	t.Helper()
	var opened struct{ ID string }
	s.call(t, http.MethodPost, "/v1/sessions", map[string]any{}, &opened)
	s.call(t, http.MethodPost, "/v1/sessions/"+opened.ID+"/start", nil, nil)
	return opened.ID
}

// flight is a request that the receiver holds back. The sender gives it up after a while: who had no time to look meanwhile has to look at
// another one.
type flight struct {
	t       *testing.T
	session string
	answers chan struct{}
	lost    chan struct{} // closed when the sender has given it up
	land    func()        // lets everything go
}

// fly ends a session and returns when the receiver has the request of its event. Everything else is answered at once, like this in the end,
// with 503.
func (s *suite) fly(t *testing.T, far *shop) *flight {
	t.Helper()
	arrived, end := make(chan struct{}), make(chan struct{})
	f := &flight{t: t, session: s.session(t), answers: make(chan struct{}), lost: make(chan struct{}), land: sync.OnceFunc(func() { close(end) })}
	t.Cleanup(f.land) // the receiver's server waits for what is held, also when the test fails
	arrive, lose := sync.OnceFunc(func() { close(arrived) }), sync.OnceFunc(func() { close(f.lost) })
	far.SetBehaviour(func(r *http.Request, _ int) badreceiver.Answer {
		unavailable := badreceiver.Answer{Status: http.StatusServiceUnavailable}
		body, err := io.ReadAll(r.Body) // a server hears of the end of a sender only after all that this has sent
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			return unavailable
		}
		if e, err := far.Open(r.Header, body); err != nil || e.SessionID != f.session {
			return unavailable
		}
		arrive()
		select {
		case <-f.answers:
		case <-end:
		case <-r.Context().Done():
			lose()
		}
		return unavailable
	})
	s.call(t, http.MethodPost, "/v1/sessions/"+f.session+"/cancel", nil, nil)
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("the receiver has got no request")
	}
	return f
}

// ended reports whether the sender has given it up.
func (f *flight) ended() bool {
	select {
	case <-f.lost:
		return true
	default:
		return false
	}
}

// answer answers it, and reports whether the sender has waited for that.
func (f *flight) answer() bool {
	f.t.Helper()
	if f.ended() {
		return false
	}
	select {
	case f.answers <- struct{}{}:
		return true
	case <-f.lost:
		return false
	case <-time.After(patience):
		f.t.Fatal("the receiver holds nothing that could be answered")
		return false
	}
}

// asked counts what the page that is open has asked for by itself, and got.
func (b *tab) asked(address string) int {
	b.t.Helper()
	return ask[int](b, `performance.getEntriesByType("resource").filter((e) => new RegExp(`+quote(address)+`).test(e.name)).length`)
}

// watchRow looks at lists and at the event while a delivery is in flight: their rows ask for themselves until it has ended.
func watchRow(t *testing.T, b *tab, s *suite, far *shop) {
	t.Helper()
	list := b.path()
	watch := func(name, address string, visit func(session string)) {
		t.Helper()
		eventually(t, name+", looked at in time", func() bool {
			f := s.fly(t, far)
			defer f.land()
			visit(f.session)
			eventually(t, name+" asks for itself", func() bool { return b.asked(address) > 0 || f.ended() })
			return f.answer()
		})
	}
	watch("the row of the event", `/events/evt_\w+/routes/`+strings.TrimPrefix(far.path, "/endpoints/"), func(session string) {
		b.visit("/sessions/" + session)
		b.press("main a[href^='/events/evt_']", "")
	})
	watch("the row of an event", `/events/evt_\w+/row`, func(string) { b.visit("/events") })
	watch("the row of a session", `/sessions/vs_\w+/row`, func(string) { b.visit("/sessions") })

	const row, self = "#results tbody tr:first-child", `/deliveries/whd_\w+/row`
	eventually(t, "the row of the list, looked at in time", func() bool {
		f := s.fly(t, far)
		defer f.land()
		defer s.holdAttempts(t)() // or the second one would come five seconds after the first
		b.visit(list)
		eventually(t, "the row of the list asks for itself", func() bool { return b.asked(self) > 0 || f.ended() })
		if !f.answer() {
			return false
		}
		eventually(t, "the row shows the answer", func() bool { return strings.Contains(b.text(row), "503") || f.ended() })
		if f.ended() {
			return false
		}
		// It waits for its second attempt and still asks; what was chosen stays chosen, and so does the focus.
		b.do("choose the row", chromedp.Click(row+" .check"))
		n := b.asked(self)
		eventually(t, "the row asks for itself again", func() bool { return b.asked(self) > n+1 }) // before it asks once more it has what it asked for
		if !ask[bool](b, `document.querySelector(`+quote(row+" .check")+`).matches(":checked:focus")`) {
			t.Error("a row that was chosen is not when it has asked for itself, or has lost the focus")
		}
		return true
	})
	// Then it has time, and asks when that is over.
	b.see(row, "2/8")
	b.do("the row rests", chromedp.WaitReady(row+`:not([hx-trigger="every 3s"])`))
	n := b.asked(self)
	updated := func() string { return b.text(".live time") }
	for range 2 { // of the list, which asks every five seconds
		was := updated()
		eventually(t, "the time of the last answer moves on", func() bool { return updated() != was })
	}
	if now := b.asked(self); now != n {
		t.Errorf("a row at rest has asked %d times", now-n)
	}
	watchPage(t, b, s, b.link(list, "#results tbody tr:first-child a[href^='/deliveries/whd_']"))
	b.visit(list)
}

// watchPage looks at a delivery while another attempt is made: the page shows it, and keeps the focus and what was opened.
func watchPage(t *testing.T, b *tab, s *suite, delivery string) {
	t.Helper()
	b.visit(delivery + "?attempt=1")
	b.see("#delivery .timeline", "2/8") // the next attempt of the schedule is minutes away
	b.do("open the command", chromedp.Click(b.find("#delivery summary", "As a command")))
	b.do("focus a link", chromedp.Focus(b.find("#delivery a", "See others like this")))
	attempts := func() int { return ask[int](b, `document.querySelectorAll("#delivery .attempt-row").length`) }
	n := attempts()
	other := s.signIn(t, s.base, s.email, s.password)
	other.visit(delivery)
	other.press("#delivery button", "Retry now")
	eventually(t, "the page shows the next attempt", func() bool { return attempts() > n })
	if at := ask[string](b, `document.activeElement.innerText`); at != "See others like this" {
		t.Errorf("when a page has asked for itself, the focus is at %q", at)
	}
	if !b.has("#delivery details[open] pre") {
		t.Error("when a page has asked for itself, what was opened in it is closed")
	}
}

// retryRow retries a delivery where it is listed: its row changes in its place, what was chosen stays so, and the focus stays at the row.
func retryRow(t *testing.T, b *tab) {
	t.Helper()
	row := "#" + ask[string](b, `document.querySelector("#results tbody tr:has(button)").id`)
	list := b.path()
	b.do("choose another", chromedp.Click("#results tbody tr:not("+row+") .check:enabled"))
	badge := func() string { return b.text(row + " .badge") }
	if badge() != "Failed" {
		t.Errorf("a row that can be retried says %q", badge())
	}
	b.do("retry", chromedp.Click(row+" button"))
	b.see(".toasts", "has started; its first attempt is due now")
	eventually(t, "the row tells of the new run", func() bool {
		return slices.ContainsFunc([]string{"Scheduled", "In flight", "Retrying"}, func(word string) bool { return strings.HasPrefix(badge(), word) }) && !b.has(row+" button")
	})
	if n := ask[int](b, `document.querySelectorAll("#results tbody .check:checked").length`); n != 1 || b.path() != list {
		t.Errorf("%d rows are chosen at %s, want one at %s", n, b.path(), list)
	}
	if !ask[bool](b, `document.querySelector(`+quote(row)+`).contains(document.activeElement)`) {
		t.Errorf("the focus is at %s", ask[string](b, `document.activeElement.outerHTML.slice(0, 120)`))
	}
	b.do("none", chromedp.Click(".bulk [type=reset]"))
	b.visit(ask[string](b, `document.querySelector(`+quote(row+" .lead")+`).getAttribute("href")`))
	b.see(".timeline", "Run 2")
	b.check("delivery, its second run")
	b.visit(list)
}

// operateDeliveries follows deliveries from their failure to their success: live, by retry, by replay and by bulk.
func operateDeliveries(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	far := openShop(t, b, "Shop that fails")
	_, jwk := far.newKey(t, "fails-1")
	b.visit(far.path + "/keys")
	b.do("paste", chromedp.SetValue("#keytext", jwk))
	b.see("#check", "fails-1") // judged before it is added, or the verdict may be that it is there already
	b.press("#keyform button", "Add and activate")
	far.SetBehaviour(badreceiver.Always(http.StatusServiceUnavailable))

	// The list says that there is something new, and does not move until asked.
	endpoint := strings.TrimPrefix(far.path, "/endpoints/")
	b.visit("/deliveries?endpoint=" + endpoint)
	b.see("#results", "No deliver")
	session := s.event(t)
	b.see("#new", "new")
	b.check("deliveries, with something new")
	if strings.Contains(b.text("#results"), "whd_") {
		t.Error("the list moved without being asked")
	}
	b.press("#new a", "1 new")
	b.see("#results tbody", "503")
	watchRow(t, b, s, far)
	b.press(".head button", "Pause")
	b.see(".head", "Paused")
	b.check("deliveries, paused")
	b.press(".head button", "Resume")

	delivery := ask[string](b, `document.querySelector("#results a[href^='/deliveries/whd_']").getAttribute("href")`)
	b.visit(delivery)
	b.see("main", "503")
	b.check("delivery, retrying")
	b.do("open an attempt", chromedp.Click(".timeline .attempt-row"))
	b.see(".timeline", "Response")
	b.check("delivery, attempt open")
	for _, language := range []string{"Go", "Node", "Python"} {
		b.do("command in "+language, chromedp.Click(b.find(".local a", language)))
		b.see(".local .raw", "body.jwe")
		b.see(".local a[aria-current]", language)
		eventually(t, "the focus stays at "+language, func() bool { return ask[string](b, `document.activeElement.innerText`) == language })
	}
	b.check("delivery, command to verify and decrypt")
	far.SetBehaviour(nil)
	b.press("main button", "Retry now")
	b.see("main", "Delivered")
	b.see(".head", "Succeeded") // with the rest
	b.check("delivery, delivered after a retry")

	// The event: routing with reasons, and a replay.
	b.press("a", "Open event")
	b.see("main", "Shop that fails")
	b.check("event with routing")
	b.visit("/sessions/" + session)
	b.see("main", "Shop that fails")
	far.SetBehaviour(badreceiver.Always(http.StatusServiceUnavailable))
	b.visit("/sessions/" + s.event(t))
	b.press("main a[href^='/events/evt_']", "")
	b.see("tr:has(a[href='"+far.path+"'])", "2/8") // the next attempt of the schedule is minutes away
	far.SetBehaviour(nil)
	b.press("main button", "Replay")
	b.see(".toasts", "Replayed")
	b.see("tr:has(a[href='"+far.path+"'])", "Succeeded")
	b.see(".head", "No delivery of this event can be sent again now.") // with the line

	showHostile(t, b, s, far)

	// Bulk: chosen by hand, and by filter; a typed confirmation is not needed for so few.
	b.visit("/deliveries?status=failed")
	chosen := func(which string) int {
		return ask[int](b, `document.querySelectorAll("#results tbody .check`+which+`").length`)
	}
	b.view(phone, light)
	if !ask[bool](b, `(() => { const r = document.querySelector("[data-all]").getBoundingClientRect(); return r.width >= 20 && r.right < innerWidth && r.left > 0; })()`) {
		t.Error("the box for all is not there on a phone")
	}
	b.view(desk, light)
	retryRow(t, b)
	b.do("choose all", chromedp.Click("[data-all]"))
	if all := chosen(":enabled"); all < 2 || chosen(":checked") != all {
		t.Errorf("%d of %d rows are chosen at once", chosen(":checked"), all)
	}
	b.check("deliveries, all chosen")
	b.do("but one", chromedp.Click("#results tbody tr .check:enabled"))
	if ask[bool](b, `document.querySelector("[data-all]").checked`) {
		t.Error("the box for all stays ticked when one is not")
	}
	b.do("none", chromedp.Click(".bulk [type=reset]"))
	if n := chosen(":checked"); n != 0 {
		t.Errorf("%d rows are chosen after Clear", n)
	}
	b.do("choose two", chromedp.Click("#results tbody tr:nth-child(1) .check"), chromedp.Click("#results tbody tr:nth-child(2) .check"))
	b.see("#results .bulk", "Retry chosen")
	b.check("deliveries, two chosen")
	b.press(".bulk button", "Retry")
	b.check("preview of a bulk retry, chosen")
	b.visit("/jobs/new?status=failed&endpoint=" + strings.TrimPrefix(b.link("/endpoints?q=Risk", "#results a.lead"), "/endpoints/"))
	b.check("preview of a bulk retry, by filter")
	b.do("rate", chromedp.SetValue("[name=rate]", "1"))
	if b.has("[name=confirm]") {
		t.Error("a bulk retry of so few has to be confirmed")
	}
	b.press("main button", "Retry")
	b.see("h1", "Bulk retry")
	b.check("bulk retry, running")
	job := b.path()
	b.visit("/jobs")
	b.check("bulk retries, one running")
	eventually(t, "the row of the job polls", func() bool { return s.routes.did("GET /jobs/{id}/row") })
	b.visit(job)
	b.asks("cancel a bulk retry", "a", "Cancel job")
	b.press("main button", "Cancel job")
	b.see(".toasts", "The bulk retry is cancelled.")
	b.see(".head .badge", "Cancelled")
	b.check("bulk retry, cancelled")
}

// operateMany does things to many at once: endpoints by label, events by choice, and what failed at an endpoint since a time.
func operateMany(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/endpoints/pause")
	b.check("pause by label, none chosen")
	b.visit("/endpoints?label=core")
	b.press("main a", "Pause all")
	b.check("pause by label")
	b.press("main button", "Pause 1 endpoint")
	b.see(".toasts", "1 endpoint is paused")
	b.press(".toast a", "Undo")
	b.check("resume by label")
	b.press("main button", "Resume 1 endpoint")
	b.see(".toasts", "1 endpoint is resumed")

	b.visit("/events")
	b.do("choose", chromedp.Click("#results tbody tr:has(.badge.tone-warn) .check"))
	b.press(".bulk button", "Replay")
	b.check("preview of a replay")
	b.press("main button", "Replay 1 event")
	b.see(".toasts", "1 event is replayed")

	broken := b.link("/endpoints?q=Risk", "#results a.lead")
	b.visit(broken)
	b.press("main a", "Recover")
	b.check("recover an endpoint")
	b.expect(http.StatusUnprocessableEntity).visit(broken + "/recover?since=yesterday")
	b.check("recover an endpoint, since no time")
}

// operateLists uses filters, search, export and the keyboard.
func operateLists(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	const nowhere = "lulu" // no id has these letters (contract section 2.1)
	for _, list := range []string{"/deliveries", "/events", "/sessions", "/audit", "/endpoints"} {
		b.visit(list)
		before := ask[int](b, `history.length`)
		b.do("type", chromedp.SendKeys("#q", nowhere))
		eventually(t, list+" answers while typing", func() bool { return strings.Contains(b.path(), "q="+nowhere) })
		b.see("#results", "match 1 filter")
		b.check("no match: " + list)
		if ask[int](b, `history.length`) == before {
			t.Errorf("%s: a filter is not in the history", list)
		}
		b.press("#results a, .on-filters a", "Clear")
		if strings.Contains(b.path(), nowhere) {
			t.Errorf("%s: the filter was not cleared: %s", list, b.path())
		}
	}
	clickWhatWasFound(t, b)
	b.visit("/deliveries")
	b.choose("select[name=status]", "failed")
	eventually(t, "the choice is in the address", func() bool { return strings.Contains(b.path(), "status=failed") })
	b.see(".on-filters", "failed")
	b.check("deliveries, filtered")
	// The way back changes the address, and then loads the page of it.
	b.do("back", chromedp.Evaluate[chromedp.Void](`document.body.dataset.filtered = ""; history.back()`))
	eventually(t, "the way back leads to the whole list", func() bool {
		return !strings.Contains(b.path(), "status=failed") && b.has("body:not([data-filtered]) #results tbody tr")
	})
	older := b.link("/deliveries", ".pager a[href*='after=']")
	b.visit(older)
	b.check("deliveries, older")

	// One box takes any id.
	id := strings.TrimPrefix(b.link("/deliveries", "#results a[href^='/deliveries/whd_']"), "/deliveries/")
	b.do("slash", chromedp.KeyEvent("/"))
	if !ask[bool](b, `document.activeElement.id === "find"`) {
		t.Error("/ does not lead to the search box")
	}
	b.leave("find", chromedp.SendKeys("#find", id+kb.Enter))
	if b.path() != "/deliveries/"+id {
		t.Errorf("searching for %s leads to %s", id, b.path())
	}
	b.expect(http.StatusNotFound)
	b.leave("find nothing", chromedp.SendKeys("#find", "no such thing"+kb.Enter))
	b.check("search without result")

	for list, pattern := range map[string]string{"/deliveries": "GET /deliveries/export", "/events": "GET /events/export", "/sessions": "GET /sessions/export", "/audit": "GET /audit/export"} {
		b.visit(list)
		b.do("export", chromedp.Click(b.find("a[download]", "CSV")))
		eventually(t, list+" is exported", func() bool { return s.routes.did(pattern) })
		b.see(".toasts", " rows saved") // one that broke off says that nothing was saved
	}
	// What is exported is what the list shows, also when it was filtered without a load.
	b.visit("/deliveries")
	b.choose("select[name=status]", "failed")
	b.see(".on-filters", "failed")
	for _, form := range []string{"CSV", "JSONL"} {
		b.do("nothing is left of the one before", chromedp.Evaluate[chromedp.Void](`document.querySelector("#toasts").replaceChildren()`))
		b.do("export "+form, chromedp.Click(b.find("a[download]", form)))
		b.see("#toasts", " rows saved")
		eventually(t, form+" of the filtered list is loaded", func() bool {
			return ask[bool](b, fmt.Sprintf(`performance.getEntriesByType("resource").some((r) => r.name.includes("/export") && r.name.includes("status=failed") && r.name.includes("format=jsonl") === %t)`, form == "JSONL"))
		})
	}
	b.press(".topbar button", "UTC")
	if !strings.Contains(b.path(), "status=failed") {
		t.Errorf("the switch of the zone leads to %s", b.path())
	}
}

// clickWhatWasFound follows a link as slowly as a hand does: leaving the search box must not have the list made anew between pressing and
// letting go, which would lose the click.
func clickWhatWasFound(t *testing.T, b *tab) {
	t.Helper()
	b.visit("/endpoints")
	b.do("type", chromedp.SendKeys("#q", "KYC"))
	eventually(t, "the search answers", func() bool { return strings.Contains(b.path(), "q=KYC") })
	link := b.find("#results a.lead", "KYC")
	at := ask[struct{ X, Y float64 }](b, `(() => { window.pressed = `+string(link)+`; const r = pressed.getBoundingClientRect(); return { X: r.x + r.width / 2, Y: r.y + r.height / 2 }; })()`)
	mouse := func(kind input.DispatchMouseEventType) chromedp.Action[chromedp.Void] {
		return func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
			_, err = chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: at.X, Y: at.Y, Button: input.MouseButtonLeft, ClickCount: 1})
			return v, err
		}
	}
	b.do("press", mouse(input.DispatchMouseEventTypeMousePressed))
	// What leaving the box might have asked for is here before these are.
	if !ask[bool](b, `(async () => {
		for (let n = 0; n < 3; n++) await (await fetch(location.href, { headers: { "HX-Request": "true" } })).text();
		return pressed.isConnected;
	})()`) {
		t.Error("the list was made anew under the pointer")
	}
	b.leave("let go", mouse(input.DispatchMouseEventTypeMouseReleased))
	if !strings.HasPrefix(b.path(), "/endpoints/") {
		t.Errorf("the click leads to %s", b.path())
	}
}

// operateTasks archives a task of the paused queue, runs it again and deletes it.
func operateTasks(t *testing.T, b *tab, s *suite) {
	t.Helper()
	s.event(t)
	eventually(t, "a task waits in the paused queue", func() bool {
		b.visit("/queue/fresh")
		return b.has("#results tbody tr")
	})
	b.check("tasks that wait")
	b.asks("archive a task", "#results a", "Archive")
	b.press("main button", "Archive task")
	b.see(".toasts", "archived")
	b.visit("/queue/fresh?state=archived")
	b.check("tasks that were archived")
	b.asks("run a task", "#results a", "Run now")
	b.press("main button", "Run now")
	b.see(".toasts", "waiting for a worker")
	b.visit("/queue/fresh")
	b.asks("delete a task", "#results a", "Delete")
	b.press("main button", "Delete task")
	b.see(".toasts", "deleted")
	b.visit("/queue/fresh?state=scheduled")
	b.check("tasks, none")
}

// operateRest uses what has no list of its own: sessions, the queue, the monitor and the signature checker.
func operateRest(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	var opened struct{ ID string }
	s.call(t, http.MethodPost, "/v1/sessions", map[string]any{}, &opened)
	s.call(t, http.MethodPost, "/v1/sessions/"+opened.ID+"/start", nil, nil)
	s.call(t, http.MethodPost, "/v1/sessions/"+opened.ID+"/check-failures", map[string]any{"failure_code": "document_anti_cloning_attestation_failed"}, nil)
	s.call(t, http.MethodPost, "/v1/sessions", map[string]any{}, &opened)
	b.visit("/sessions")
	b.see("#results", "no event yet")
	b.see("#results", "document_anti_cloning_attestation_failed")
	b.check("sessions, one open and one with the longest reason")
	b.visit("/sessions/" + opened.ID)
	b.check("session, open")
	b.asks("cancel session", "a", "Cancel session")
	b.press("main button", "Cancel session")
	b.see(".toasts", "The session is cancelled.")
	b.see(".head .badge", "Cancelled")
	b.check("session, cancelled")

	b.visit("/queue")
	b.asks("pause a queue", "a[href='/queue/fresh/pause']", "Pause")
	b.press("main button", "Pause queue")
	b.see("main table", "Paused")
	b.check("queue, one paused")
	operateTasks(t, b, s)
	b.visit("/queue")
	b.press("form[action='/queue/fresh/resume'] button", "Resume")

	b.visit("/help/receivers?endpoint=" + strings.TrimPrefix(b.link("/endpoints?q=KYC", "#results a.lead"), "/endpoints/"))
	for _, language := range []string{"Go", "Node", "Python"} {
		b.press("nav a", language)
		b.check("help for receivers, " + language)
	}
	b.choose("#check-endpoint", ask[string](b, `[...document.querySelectorAll("#check-endpoint option")].find((o) => o.innerText.includes("KYC")).value`))
	b.fill("[name=signature]", "t=1,v1="+strings.Repeat("a", 64))
	b.fill("[name=body]", "-----BEGIN PRIVATE KEY-----")
	b.see("[data-key-stop]", "It was not sent")
	b.fill("[name=body]", "{}")
	b.do("check", chromedp.Click(b.find("#checker button", "Check")))
	b.see("#verdict", "within 5 minutes")
	b.check("signature refused")

	b.do("/monitor", chromedp.Navigate(b.base+"/monitor"))
	b.see("body", "fresh")                    // a queue of ours, drawn by asynqmon
	for _, th := range []theme{light, dark} { // at one width only: asynqmon's charts are made for no other
		b.view(desk, th)
		b.shoot("monitor", desk, th)
	}
	b.view(desk, light)
	if policy := b.document.header("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || b.document.header("X-Frame-Options") != "DENY" {
		t.Errorf("/monitor may be framed or runs what is written into it: %s", policy)
	}
	b.quiet("/monitor")
}
