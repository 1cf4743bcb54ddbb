package dashboard

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	xhtml "golang.org/x/net/html"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

func TestListDeliveries_FiltersAndPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/deliveries").is(http.StatusOK).shows("Nothing has been sent yet")
	risk, _ := w.endpoint("risk", false)
	billing, _ := w.endpoint("billing", true)
	w.fail()
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.work()
	w.succeed()
	for name, tc := range map[string]struct {
		query string
		rows  int
	}{
		"all":                    {"", 4},
		"state":                  {"?status=retrying", 1},
		"scheduled":              {"?status=scheduled", 1},
		"blocked":                {"?status=blocked", 2},
		"any failed":             {"?status=any_failed", 2},
		"any waiting":            {"?status=waiting", 2},
		"endpoint":               {"?endpoint=" + risk.ID.String(), 2},
		"type":                   {"?type=verification.session.failed", 2},
		"error kind":             {"?error=http_status", 1},
		"code":                   {"?code=503", 1},
		"class":                  {"?code=5xx", 1},
		"other class":            {"?code=4xx", 0},
		"no answer":              {"?code=none", 0},
		"attempts":               {"?attempts=1", 1},
		"first attempt waits":    {"?next=1", 1},
		"second attempt waits":   {"?next=2", 1},
		"eighth attempt waits":   {"?next=8", 0},
		"no such attempt":        {"?next=0", 0},
		"several":                {"?status=retrying&code=503&endpoint=" + billing.ID.String(), 0},
		"from":                   {"?from=2026-03-02", 4},
		"to":                     {"?to=2026-03-01", 0},
		"malformed id":           {"?endpoint=whe_x", 0},
		"unknown status":         {"?status=lost", 0},
		"endpoint in the search": {"?q=" + url.QueryEscape("see "+risk.ID.String()), 2},
		"words in the search":    {"?q=risk", 0},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // the cases share a browser
			a := b.get("/deliveries" + tc.query).is(http.StatusOK)
			if got := strings.Count(a.body, `<tr`) - 1; tc.rows > 0 && got != tc.rows {
				t.Errorf("got %d rows, want %d", got, tc.rows)
			}
			if tc.rows == 0 {
				a.shows("No deliveries match", "Clear all filters")
			}
		})
	}
	// The fragment is the results alone, from the same address.
	b.fragment("/deliveries?status=retrying").is(http.StatusOK).shows("Retrying 1/8", "Status: retrying").hides("<html", "Sign out")
	// Two pages of 25 show every delivery once.
	for range 12 {
		w.clock.Advance(1e9)
		w.fail()
	}
	first := b.get("/deliveries?limit=25").is(http.StatusOK).shows("25+ shown")
	second := b.get(first.find(`href="([^"]+)" rel="next"`)).is(http.StatusOK)
	if n := strings.Count(second.body, "<tr") - 1; n != 3 {
		t.Errorf("the second page has %d rows, want 3", n)
	}
	back := b.get(second.find(`href="([^"]+)" rel="prev"`)).is(http.StatusOK)
	if n := strings.Count(back.body, "<tr") - 1; n != 25 {
		t.Errorf("the way back has %d rows, want 25", n)
	}
	b.get("/deliveries?after=whd_01h455vb4pex5vsknk084sn02q").is(http.StatusBadRequest).shows("This page of the list is gone.")
}

// TestListDeliveries_NoAnswer: what failed without a status is found by its lack, from the bar that counts it.
func TestListDeliveries_NoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, answered := w.of(w.fail())
	w.work()
	w.clock.Advance(1e9)
	_, silent := w.of(w.fail())
	w.sender.next = egress.Result{ErrorKind: egress.ErrorKind(delivery.Refused), Duration: 1e6}
	w.work()
	w.clock.Advance(1e9)
	_, untried := w.of(w.fail())
	b := w.as(w.member)
	door := b.get(endpointPath(e.ID)).is(http.StatusOK).find(`href="(` + endpointPath(e.ID) + `/deliveries\?code=none[^"]*)"`)
	for _, page := range []string{door, "/deliveries?code=none"} {
		b.get(page).is(http.StatusOK).shows("Code: none", silent[e.ID].ID.String()).hides(answered[e.ID].ID.String(), untried[e.ID].ID.String())
	}
}

func TestNewDeliveries_TellsHowManyCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	b := w.as(w.owner)
	empty := b.get("/deliveries").is(http.StatusOK).find(`hx-get="(/deliveries/new[^"]*)"`)
	b.fragment(empty).is(http.StatusNoContent)
	w.clock.Advance(1e9)
	w.fail()
	b.fragment(empty).is(http.StatusOK).shows("1 new delivery: show")
	poll := b.get("/deliveries?type=verification.session.failed").find(`hx-get="(/deliveries/new[^"]*)"`)
	b.fragment(poll).is(http.StatusNoContent)
	w.clock.Advance(1e9)
	w.succeed() // does not match the filter
	b.fragment(poll).is(http.StatusNoContent)
	for range 2 {
		w.clock.Advance(1e9)
		w.fail()
	}
	a := b.fragment(poll).is(http.StatusOK).shows("2 new deliveries: show")
	if show := a.find(`class="newrows" href="([^"]+)"`); show != "/deliveries?type=verification.session.failed" {
		t.Errorf("they are shown at %q", show)
	}
	// The tab of an endpoint tells of its own.
	risk := b.get("/endpoints").find(`class="lead" href="(/endpoints/whe_[a-z0-9]+)"`)
	poll = b.get(risk + "/deliveries?type=verification.session.failed").is(http.StatusOK).shows("Pause live updates").find(`hx-get="(` + risk + `/deliveries/new[^"]*)"`)
	b.fragment(poll).is(http.StatusNoContent)
	w.endpoint("ledger", false)
	w.clock.Advance(1e9)
	w.fail()
	a = b.fragment(poll).is(http.StatusOK).shows("1 new delivery: show")
	if show := a.find(`class="newrows" href="([^"]+)"`); show != risk+"/deliveries?type=verification.session.failed" {
		t.Errorf("the new one of an endpoint is shown at %q", show)
	}
	b.fragment(poll + "&code=none-such").is(http.StatusNoContent)
	b.get(risk + "/deliveries?live=0").is(http.StatusOK).shows("Resume live updates").hides("/deliveries/new")
	w.stranger().fragment(poll).is(http.StatusNotFound)
	// Paused pages do not poll.
	b.get("/deliveries?live=0").is(http.StatusOK).shows("Resume").hides("/deliveries/new")
	b.get("/deliveries").shows("Pause")
}

func TestDelivery_TellsWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, secret := w.endpoint("risk", false)
	s := w.fail()
	ev, found := w.of(s)
	d := found[e.ID]
	path := "/deliveries/" + d.ID.String()
	b := w.as(w.owner)
	a := b.get(path).is(http.StatusOK).shows("The first attempt is due now.", "Scheduled", "risk-key", ev.ID.String(), s.ID.String())
	poll := a.find(`hx-get="(` + path + `[^"]*)"`)
	b.fragment(poll).is(http.StatusNoContent) // nothing has changed since
	w.sender.answers(http.StatusServiceUnavailable, `<script>alert("hello")</script>`)
	w.work()
	b.fragment(poll).is(http.StatusOK).shows("1 attempt failed; attempt 2 of 8 is due", "Retrying").hides("<html")
	attempts, _, err := w.handler.Deliveries.Attempts(t.Context(), w.owner, d.ID, delivery.AttemptsPage{Limit: 10})
	w.check(err)
	open := b.get(path + "?attempt=" + attempts[0].ID.String()).is(http.StatusOK)
	open.shows("POST /risk", "application/jose", "t=1772", "v1=••••••••", `"kid": "risk-key"`, "198.51.100.4:443", "Service Unavailable", "Copy as curl", "whsec_…", "The receiver says that it is not available.")
	if !strings.Contains(open.body, "&lt;script&gt;alert") || strings.Contains(open.body, "<script>alert") {
		t.Error("the answer of the receiver is not shown as inert text")
	}
	payload := fixture.Scalar[string](t, w.db, "SELECT payload FROM webhook_deliveries WHERE id = $1", d.ID)
	open.shows(fmt.Sprintf("%x", sha256.Sum256([]byte(payload))))
	open.hides(payload, secret, webhook.Sign([]string{secret}, attempts[0].StartedAt.Unix(), payload))

	// A command for the machine that has the private key, in the language that is asked for, which polling keeps.
	open.shows("Verify and decrypt it yourself", ">Go</a>", ">Node</a>", ">Python</a>").hides("private.pem")
	check := b.get(path+"?check=python&attempt="+attempts[0].ID.String()).is(http.StatusOK).
		shows("body.jwe", "private.pem", "SIGNATURE='t=", "python3 -", `{"risk-key": key}`).hides(payload, secret, "{{")
	check.find(`hx-get="([^"]+check=python[^"]+seen=[^"]+)"`)
	b.reader(path+"?attempt="+attempts[0].ID.String()).visit("Node").sees(http.StatusOK, "node --input-type=module")
	b.get(path + "?check=basic&attempt=" + attempts[0].ID.String()).is(http.StatusOK).hides("private.pem")

	// What the sentence says of the time comes true while somebody looks.
	soon := b.get(path).shows("is due in less than a minute").find(`hx-get="(` + path + `[^"]*)"`)
	b.fragment(soon).is(http.StatusNoContent)
	w.clock.Advance(6e9)
	b.fragment(soon).is(http.StatusOK).shows("is due now")
	b.get("/find?q=" + attempts[0].ID.String()).redirects(path + "?attempt=" + attempts[0].ID.String() + "#" + attempts[0].ID.String())

	// A success is over: nothing polls and nothing can be retried.
	w.sender.answers(http.StatusOK, "thanks")
	w.clock.Advance(1e9)
	w.work()
	b.get(path).is(http.StatusOK).shows("Delivered on attempt 2 of 8", "It was delivered: nothing is left to retry.").hides("Retry now", `hx-get="`+path+"?seen")
	b.post(path+"/retry").is(http.StatusConflict).shows("no longer held", "Nothing was changed.", "Delivered on attempt 2")
}

// TestDelivery_ATestNamesWhoSentIt, also of two that were sent in one moment.
func TestDelivery_ATestNamesWhoSentIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	var paths []string
	for _, by := range []access.Actor{w.admin, w.owner} {
		test, err := w.handler.Deliveries.SendTest(t.Context(), by, e.ID)
		w.check(err)
		paths = append(paths, "/deliveries/"+fixture.Scalar[id.Delivery](t, w.db, "SELECT id FROM webhook_deliveries WHERE event_id = $1", test.ID).String())
	}
	w.work()
	for i, by := range []access.Actor{w.admin, w.owner} {
		w.as(w.member).get(paths[i] + "?attempt=1").is(http.StatusOK).shows("asked for by <b>" + by.Name)
	}
}

// TestDelivery_ItsEndChangesTheHeading, which is not polled for.
func TestDelivery_ItsEndChangesTheHeading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, found := w.of(w.fail())
	path := "/deliveries/" + found[e.ID].ID.String()
	b := w.as(w.owner)
	poll := html.UnescapeString(b.get(path).is(http.StatusOK).shows("Pause").find(`hx-get="(` + path + `[^"]*seen=[^"]*)"`))
	b.fragment(poll).is(http.StatusNoContent)
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.work()
	again := b.fragment(poll).is(http.StatusOK).shows("Retrying 1/8").hides("<hx-partial")
	w.sender.answers(http.StatusOK, "")
	w.clock.Advance(5 * time.Second)
	w.work()
	poll = html.UnescapeString(again.find(`hx-get="(` + path + `[^"]*seen=[^"]*)"`))
	b.fragment(poll).is(http.StatusOK).shows(`<hx-partial hx-target=".head" hx-swap="outerHTML">`, "Delivered on attempt 2").hides("Live, updated", "<html")
	b.fragment(path + "?attempt=1").is(http.StatusOK).hides("<hx-partial") // what people open has no heading
}

// TestDelivery_AHostileAnswerIsInertText answers an attempt with what browsers, terminals and readers trip over. The page holds it
// as text, none of it acts, and nothing of it hides.
func TestDelivery_AHostileAnswerIsInertText(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, shown, not string }{
		"markup":        {`</pre><script src="/x"></script><img src=x onerror="alert(1)">`, `&lt;/pre&gt;&lt;script src=&#34;/x&#34;&gt;&lt;/script&gt;&lt;img`, `<img src=x`},
		"a template":    {`{{7*7}} ${7*7} <!--#exec cmd="ls"-->`, `{{7*7}} ${7*7} &lt;!--`, `<!--#`},
		"a terminal":    {"\x1b[31mred\x1b]0;title\x07\b\b", "⟨U+001B⟩[31mred⟨U+001B⟩]0;title⟨U+0007⟩⟨U+0008⟩⟨U+0008⟩", "\x1b"},
		"C1 controls":   {"a\u009b31mb\u0085c", "a⟨U+009B⟩31mb⟨U+0085⟩c", "\u009b"},
		"turned around": {"paid \u202e000,1\u202c \u2066x\u2069 \u200fy", "paid ⟨U+202E⟩000,1⟨U+202C⟩ ⟨U+2066⟩x⟨U+2069⟩ ⟨U+200F⟩y", "\u202e"},
		"hidden":        {"a\u200bb\u2060c\ufeffd\u2028e\U000E0041f", "a⟨U+200B⟩b⟨U+2060⟩c⟨U+FEFF⟩d⟨U+2028⟩e⟨U+E0041⟩f", "\u200b"},
		"NUL":           {"a\x00b", "a\ufffdb", "\x00"},
		"no text":       {"a\xff\xfe\xc3(\xed\xa0\x80b", "a\ufffd", "\xff"},
		"line breaks":   {"one\r\ntwo\rthree\n\tfour", "one\ntwo⟨U+000D⟩three\n\tfour", "\r"},
		"emoji, Arabic": {"👨\u200d👩 \u0645\u06cc\u200c\u0634", "👨\u200d👩 \u0645\u06cc\u200c\u0634", "⟨U+200D⟩"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e, _ := w.endpoint("risk", false)
			_, found := w.of(w.fail())
			w.sender.answers(http.StatusServiceUnavailable, tc.body)
			w.sender.next.Header["content-type"] = "text/html\u202e"
			w.work()
			b := w.as(w.owner)
			path := "/deliveries/" + found[e.ID].ID.String()
			page := b.get(b.get(path).find(`href="(` + path + `\?attempt=wha_[^"]+)"`)).is(http.StatusOK).shows("text/html⟨U+202E⟩")
			if !strings.Contains(page.body, tc.shown) || strings.Contains(page.body, tc.not) {
				t.Errorf("the answer is shown as %q", page.find(`(?s)<pre class="raw" tabindex="0">([^<]*)</pre>\s*(?:<p|<h4>Meaning)`))
			}
		})
	}
}

func TestDelivery_BodiesOfSucceededEventsAreNotCaptured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, found := w.of(w.succeed())
	w.sender.answers(http.StatusOK, "hello MARKERNAME")
	w.work()
	d := found[e.ID]
	attempts, _, err := w.handler.Deliveries.Attempts(t.Context(), w.owner, d.ID, delivery.AttemptsPage{Limit: 10})
	w.check(err)
	w.as(w.member).get("/deliveries/"+d.ID.String()+"?attempt="+attempts[0].ID.String()).is(http.StatusOK).
		shows("Delivered on the first attempt", "Only the status is kept of the answer to a succeeded event").hides("MARKERNAME", "What is signed")
}

func TestRetryDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, found := w.of(w.fail())
	d := found[e.ID]
	path := "/deliveries/" + d.ID.String()
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.exhaust()

	b := w.as(w.admin)
	a := b.get(path).is(http.StatusOK).shows("Failed after 8 attempts over", "The endpoint answered 503 each time.", "until then you can retry", "Starts run 2", "Gave up: 8 of 8 attempts used")
	if run := a.find(`name="run" value="(\d+)"`); run != "1" {
		t.Errorf("the form names run %s", run)
	}

	// A member sees that it is not for them; a stranger sees nothing.
	m := w.as(w.member)
	m.get(path).is(http.StatusOK).shows("Needs the role admin.")
	m.post(path+"/retry", "run", "1").is(http.StatusForbidden).shows("This needs the role admin.")
	if n := fixture.Audited(t, w.db, w.org, "access.denied"); n != 1 {
		t.Errorf("%d denials are audited, want 1", n)
	}
	x := w.stranger()
	x.get(path).is(http.StatusNotFound)
	x.get(path + "/row").is(http.StatusNotFound)
	x.post(path + "/retry").is(http.StatusNotFound)
	x.get("/find?q=" + d.ID.String()).is(http.StatusNotFound).shows("There is no delivery " + d.ID.String())
	x.get("/deliveries").is(http.StatusOK).hides(d.ID.String())

	// It works, and a second click does nothing more.
	b.post(path+"/retry", "run", "1", "return", "/deliveries?status=failed").redirects("/deliveries?status=failed")
	b.get("/deliveries").shows("Run 2 has started; its first attempt is due now.", "Follow")
	b.post(path+"/retry", "run", "1").redirects(path)
	b.get(path).shows("It was retried already: run 2 exists.", "Retried by hand: attempt 1 of run 2 is due now.")
	if n := fixture.Audited(t, w.db, w.org, "webhook_delivery.retried"); n != 1 {
		t.Errorf("%d retries are audited, want 1", n)
	}
	w.work()
	b.get(path).is(http.StatusOK).shows("Run 2: manual retry, by "+w.admin.Name, "1 attempt failed; attempt 2 of 8 is due")
	w.clock.Advance(time.Second)
	b.post(path+"/retry", "run", "2").redirects(path) // a waiting run is made due
	b.get(path).shows("Attempt 2 of 8 is due now.")
	w.work()
	hurried := "asked for by <b>" + w.admin.Name
	b.get(path + "?attempt=2").is(http.StatusOK).shows(hurried) // of the latest run
	b.get(path + "?attempt=1").is(http.StatusOK).shows(hurried)
	b.get(path + "?attempt=8").is(http.StatusOK).shows("Request").hides(hurried) // which only the first run has
	b.get(path + "?attempt=9").is(http.StatusOK).hides(hurried)

	// Refusals say why and show the state.
	off := false
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	b.get(path).shows("Parked: the endpoint is paused", "Open endpoint")
	b.post(path+"/retry", "run", "2").is(http.StatusConflict).shows("The endpoint is disabled.", "Nothing was changed.")
}

// TestRetryDelivery_FromItsRow: what failed can be retried where it is listed. Without scripting that leads back to the list; with it, the
// row takes the place of the one before, in the columns of its list.
func TestRetryDelivery_FromItsRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.sender.answers(http.StatusServiceUnavailable, "")
	_, found := w.of(w.fail())
	d := found[e.ID].ID.String()
	retry := "Retry " + ui.ShortID(d)
	b := w.as(w.admin)
	b.get("/deliveries").is(http.StatusOK).hides(retry) // it waits for its first attempt
	giveUp := func() {
		w.exhaust()
		b = w.as(w.admin) // the session is over by then
	}
	giveUp()
	m := w.as(w.member)
	m.get("/deliveries").is(http.StatusOK).shows(retry + ": Needs the role admin.").hides("/retry")
	m.fragment("/deliveries/" + d + "/row?choose=0").is(http.StatusOK).shows(retry + ": Needs the role admin.").hides("/retry")
	for _, place := range []string{"/sessions/" + m.get("/deliveries/"+d).find(`(vs_[a-z0-9]+)`), endpointPath(e.ID)} { // nobody retries there
		b.get(place).is(http.StatusOK).shows(ui.ShortID(d)).hides(retry)
		m.get(place).is(http.StatusOK).shows(ui.ShortID(d)).hides(retry)
	}

	r := b.reader("/deliveries?code=503")
	r.send(retry)
	r.sees(http.StatusOK, "Run 2 has started; its first attempt is due now.", "Follow")
	if r.path != "/deliveries?code=503" {
		t.Errorf("it leads to %s", r.path)
	}
	giveUp()
	for run, list := range []string{2: "/deliveries", 3: endpointPath(e.ID) + "/deliveries"} {
		if list == "" {
			continue
		}
		href := html.UnescapeString(b.get(list).is(http.StatusOK).find(`hx-post="(/deliveries/` + d + `/retry[^"]*)"`))
		fields := b.identified([]string{"run", strconv.Itoa(run), "return", list})
		row := b.postAs(href, []string{"HX-Request", "true"}, fields...).is(http.StatusOK).hides("<html", retry)
		row.shows(`<tr id="row-`+d, `type="checkbox"`, "due now", `data-focus`, fmt.Sprintf("Run %d has started", run+1), `<hx-partial hx-target="#toasts" hx-swap="beforeend">`)
		if named := strings.Contains(row.body, `data-label="Endpoint"`); named != (list == "/deliveries") {
			t.Errorf("%s: the row has a column for the endpoint: %t", list, named)
		}
		b.fragment(html.UnescapeString(row.find(`hx-get="([^"]+)"`))).is(http.StatusOK).shows(`type="checkbox"`)
		if to := b.postAs(href, []string{"HX-Request", "true"}, fields...).is(http.StatusOK).header.Get("HX-Redirect"); to != list { // a double click
			t.Errorf("%s: the second time leads to %q", list, to)
		}
		giveUp()
	}
	if n := fixture.Audited(t, w.db, w.org, "webhook_delivery.retried"); n != 3 {
		t.Errorf("%d retries are audited, want 3", n)
	}

	// A refusal shows how the row is now.
	href := html.UnescapeString(b.get("/deliveries").find(`hx-post="(/deliveries/` + d + `/retry[^"]*)"`))
	off := false
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	b.postAs(href, []string{"HX-Request", "true"}, b.identified([]string{"run", "4"})...).is(http.StatusConflict).
		shows("The endpoint is disabled.", "Nothing was changed.", `<tr id="row-`+d).hides(retry, "<html")
	b.get("/deliveries").is(http.StatusOK).hides(retry)
}

// TestDelivery_NamesWhoMadeARun: by a replay of the event and by a bulk retry, and nobody where it may have been one of two. That
// takes as many questions however many runs there are.
func TestDelivery_NamesWhoMadeARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	ev, found := w.of(w.fail())
	path := "/deliveries/" + found[e.ID].ID.String()
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.exhaust()
	replay := func(by access.Actor) {
		t.Helper()
		_, err := w.handler.Deliveries.Replay(t.Context(), by, ev.ID)
		w.check(err)
	}
	bulk := func(by access.Actor) delivery.Job {
		t.Helper()
		job, err := w.handler.Deliveries.CreateJob(t.Context(), by, delivery.JobInput{Filters: delivery.JobFilters{Status: delivery.Failed}})
		w.check(err)
		for range 3 { // opened, gone through, ended
			w.clock.Advance(2 * time.Second)
			_, err = w.handler.Deliveries.RunJobs(t.Context(), 100)
			w.check(err)
		}
		return job
	}
	page := func() string {
		w.work()
		return w.as(w.member).get(path).is(http.StatusOK).text()
	}

	replay(w.admin)
	if want, got := "Run 2: event replay, by "+w.admin.Name+" Attempt 1/8", page(); !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
	w.exhaust()
	job := bulk(w.owner)
	if want, got := "Run 3: bulk retry, by "+w.owner.Name+" "+ui.ShortID(job.ID.String())+" Attempt 1/8", page(); !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
	m := w.as(w.member)
	m.get(path).shows(`href="/jobs/` + job.ID.String() + `"`)
	asked := w.statements(func() { m.get(path).is(http.StatusOK) })
	w.exhaust()
	replay(w.admin)
	replay(w.owner) // which of them made what waits is not on record
	got := page()
	for _, want := range []string{"Run 2: event replay, by " + w.admin.Name + " Attempt 1/8", "Run 3: bulk retry, by " + w.owner.Name, "Run 4: event replay Attempt 1/8"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	w.exhaust()
	bulk(w.admin)
	got = page()
	for _, want := range []string{"Run 3: bulk retry, by " + w.owner.Name, "Run 5: bulk retry, by " + w.admin.Name} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	m = w.as(w.member) // the former session has ended long ago
	if n := w.statements(func() { m.get(path).is(http.StatusOK) }); n != asked {
		t.Errorf("the page of five runs takes %d statements, that of three %d", n, asked)
	}

	// Of so many replays the older one of run 4 is not looked at, which does not make the other the only one.
	w.exhaust()
	replay(w.admin)
	page()
	fixture.Exec(t, w.db, `INSERT INTO audit_logs SELECT (jsonb_populate_record(NULL::audit_logs, to_jsonb(a) || jsonb_build_object('id', gen_random_uuid()))).* FROM generate_series(1, $2),
		(SELECT * FROM audit_logs WHERE target_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1) a`, ev.ID.String(), replaysMax-2)
	if got := page(); !strings.Contains(got, "Run 4: event replay Attempt 1/8") {
		t.Errorf("somebody is named for run 4: %s", got)
	}
}

func TestDeliveryRow_KeepsItsColumns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, found := w.of(w.fail())
	d := found[e.ID]
	b := w.as(w.owner)
	path := "/deliveries/" + d.ID.String() + "/row"
	a := b.fragment(path).is(http.StatusOK).shows("due now", `data-label="Endpoint"`).hides("<table", `type="checkbox"`)
	if poll := a.find(`hx-get="([^"]+)"`); poll != path {
		t.Errorf("the row asks for %q", poll)
	}
	a = b.fragment(path + "?endpoint=0").is(http.StatusOK).hides(`data-label="Endpoint"`)
	if poll := a.find(`hx-get="([^"]+)"`); poll != path+"?endpoint=0" {
		t.Errorf("the row asks for %q", poll)
	}
	w.work()
	b.fragment(path).is(http.StatusOK).shows("Succeeded").hides("hx-get")
}

func TestExport_QuotesFormulasAndIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := `=cmd|' /C calc'!A0`
	_, _, err := w.handler.Webhooks.CreateEndpoint(t.Context(), w.owner, webhook.NewEndpoint{Name: &name, URL: "https://hooks.example.com/x"})
	w.check(err)
	for range 3 {
		w.fail()
	}
	b := w.as(w.owner)
	a := b.get("/deliveries/export?status=blocked").is(http.StatusOK)
	if lines := strings.Split(strings.TrimSpace(a.body), "\n"); len(lines) != 4 || !strings.Contains(lines[1], `'=cmd`) || strings.Contains(a.body, `,=cmd`) {
		t.Errorf("got %q", a.body)
	}
	if kind := a.header.Get("Content-Disposition"); !strings.HasPrefix(kind, `attachment; filename="deliveries-`) {
		t.Errorf("it is served as %q", kind)
	}
	if lines := strings.Count(b.get("/deliveries/export?endpoint=none").is(http.StatusOK).body, "\n"); lines != 1 {
		t.Errorf("an impossible filter gives %d lines, want the head only", lines)
	}
	b.get("/audit/export?event=export.").is(http.StatusOK).shows("export.created")
	lines := b.get("/deliveries/export?status=blocked&format=jsonl").is(http.StatusOK)
	if kind := lines.header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("JSON lines are served as %s", kind)
	}
	var rows []map[string]any
	for line := range strings.Lines(lines.body) {
		row := map[string]any{}
		w.check(json.Unmarshal([]byte(line), &row))
		rows = append(rows, row)
	}
	if len(rows) != 3 || rows[0]["endpoint"] != name || rows[0]["attempts"] != 0.0 || rows[0]["last_status_code"] != nil || rows[0]["next_attempt_utc"] != nil {
		t.Errorf("got rows %v", rows)
	}
	b.get("/audit/export?event=export.&format=jsonl").is(http.StatusOK).shows(`"metadata":{"`)
	b.get("/deliveries?status=blocked").shows("/deliveries/export?format=jsonl&status=blocked")
	b.get("/events/export?outcome=failed").is(http.StatusOK).shows("session.failed", "Failed")
	if n := strings.Count(b.get("/events/export?outcome=failed&format=jsonl").is(http.StatusOK).shows(`"failed":1`).body, "\n"); n != 3 {
		t.Errorf("%d events are exported, want 3", n)
	}
	if n := fixture.Audited(t, w.db, w.org, "export.created"); n != 7 {
		t.Errorf("%d exports are audited, want 7", n)
	}
	w.as(w.member).get("/audit/export").is(http.StatusForbidden)

	// Whoever asks for the head alone takes no rows, and uses up no message.
	b.post("/settings/profile", "theme", "dark", "live", "1", "shortcuts", "1").redirects("/settings")
	for _, path := range []string{"/deliveries/export", "/events/export", "/sessions/export", "/audit/export", "/settings"} {
		if a := b.do(b.request(http.MethodHead, path, nil)).is(http.StatusOK); (a.header.Get("Content-Disposition") == "") != (path == "/settings") {
			t.Errorf("the head of %s: %v", path, a.header)
		}
	}
	if n := fixture.Audited(t, w.db, w.org, "export.created"); n != 7 {
		t.Errorf("%d exports are audited after four heads, want 7", n)
	}
	b.get("/settings").shows("Your settings are saved.")
	// What chooses no row is no filter.
	w.clock.Advance(1e9)
	b.get("/deliveries/export?status=blocked&limit=25&live=0&kk_secret=1&%00=1&q=").is(http.StatusOK)
	if got := fixture.Scalar[string](t, w.db, "SELECT metadata ->> 'filters' FROM audit_logs WHERE event = 'export.created' ORDER BY created_at DESC, id DESC LIMIT 1"); got != `["status"]` {
		t.Errorf("the filters of an export are %s", got)
	}
	// Every filter that a list knows is one, also those that only links set.
	for list, links := range map[string]string{"/deliveries": "key=x&event=x&next=1&took=1&held=1&failed_from=x&job=x&", "/events": "", "/sessions": "", "/audit": ""} {
		root, err := xhtml.Parse(strings.NewReader(b.get(list + "?" + links).is(http.StatusOK).body))
		w.check(err)
		for n := range root.Descendants() {
			if n.Data != "form" || !strings.Contains(attr(n, "class"), "filters") {
				continue
			}
			for field := range n.Descendants() {
				if name := attr(field, "name"); name != "" && !slices.Contains(noFilters, name) && !slices.Contains(listFilters, name) {
					t.Errorf("%s filters by %s, which no export would tell", list, name)
				}
			}
		}
	}
}

// TestParseFormTime_DaysOfAnotherLength: the last moment of a day is its last, also where the clocks change.
func TestParseFormTime_DaysOfAnotherLength(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: zoneCookie, Value: "Europe/Berlin"})
	p := &page{R: r}
	p.Session.User.TimeZone = localZone
	for day, next := range map[string]string{"2025-10-26": "2025-10-26T23:00:00Z", "2026-03-29": "2026-03-29T22:00:00Z", "2026-03-02": "2026-03-02T23:00:00Z"} {
		if end, ok := p.ParseFormTime(day, true); !ok || end.Add(time.Microsecond).Format(time.RFC3339) != next {
			t.Errorf("%s ends at %s, want just before %s", day, end, next)
		}
	}
}

// TestFormTime_HourThatIsRepeated: both hours of that name, and those around it, lead to lists of their own.
func TestFormTime_HourThatIsRepeated(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: zoneCookie, Value: "Europe/Berlin"})
	p := &page{R: r}
	p.Session.User.TimeZone = localZone
	first := time.Date(2026, time.October, 24, 22, 30, 0, 0, time.UTC)
	for hour := range 5 {
		want := first.Add(time.Duration(hour) * time.Hour)
		text := p.FormTime(want.Add(20 * time.Second))
		from, ok := p.ParseFormTime(text, false)
		if to, too := p.ParseFormTime(text, true); !ok || !too || !from.Equal(want) || !to.Equal(want.Add(time.Minute-time.Microsecond)) {
			t.Errorf("%s is written as %q, which is from %s to %s", want, text, from, to)
		}
		if field := p.FieldTime(want); len(field) != len(formTime) {
			t.Errorf("the field for %s holds %q", want, field)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	s := w.fail()
	ev, found := w.of(s)
	d := found[e.ID]
	b := w.as(w.owner)
	keys, err := webhook.ActiveKeys(w.db.Reader(t.Context()), w.org)
	w.check(err)
	for text, to := range map[string]string{
		d.ID.String():                           "/deliveries/" + d.ID.String(),
		"X-Kayle-Delivery-Id: " + d.ID.String(): "/deliveries/" + d.ID.String(),
		strings.ToUpper(ev.ID.String()):         "/events/" + ev.ID.String(),
		s.ID.String():                           "/sessions/" + s.ID.String(),
		e.ID.String():                           "/endpoints/" + e.ID.String(),
		keys[e.ID].ID.String():                  "/endpoints/" + e.ID.String() + "/keys",
		w.member.ID:                             "/members#" + w.member.ID,
		w.org.String():                          "/settings",
	} {
		b.get("/find?q=" + url.QueryEscape(text)).redirects(to)
	}
	b.get("/find").is(http.StatusOK).shows("Find anything by its id")
	b.get("/find?q=hello").is(http.StatusNotFound).shows("There is no id in that", `value="hello"`)
	b.get("/find?q=whd_01h455vb4pex5vsknk084sn02q").is(http.StatusNotFound).shows("Nothing here has that id")
}
