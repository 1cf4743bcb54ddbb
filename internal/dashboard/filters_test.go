package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/webhook"
)

func TestEvents_OutcomeFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	unseen := w.fail() // before there is any endpoint
	w.endpoint("risk", false)
	delivered := w.fail()
	w.work()
	w.endpoint("keyless", true)
	mixed := w.fail()
	event := func(of string) string { return "/events?outcome=" + of }
	id := map[string]string{}
	for name, s := range map[string]interface{ String() string }{"unseen": unseen.ID, "delivered": delivered.ID, "mixed": mixed.ID} {
		id[name] = s.String()
	}
	for outcome, tc := range map[string]struct{ shown, hidden []string }{
		"delivered": {[]string{id["delivered"]}, []string{id["unseen"], id["mixed"]}},
		"failed":    {[]string{id["mixed"]}, []string{id["unseen"], id["delivered"]}},
		"waiting":   {[]string{id["mixed"]}, []string{id["unseen"], id["delivered"]}},
		"none":      {[]string{id["unseen"]}, []string{id["delivered"], id["mixed"]}},
	} {
		b.get(event(outcome)).is(http.StatusOK).shows(append(tc.shown, "Outcome: ")...).hides(tc.hidden...)
	}
	b.get(event("nonsense")).is(http.StatusOK).shows("No events match 1 filter")
	w.work() // what waited has arrived; what could not be encrypted has not
	b.get(event("waiting")).is(http.StatusOK).shows("No events match 1 filter", "Outcome: any waiting")
	b.get(event("failed")).is(http.StatusOK).shows(id["mixed"])
}

func TestSessions_EndedButNotDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	unseen := w.fail()
	w.endpoint("risk", false)
	delivered := w.fail()
	w.work()
	open := w.open()
	w.sender.answers(http.StatusInternalServerError, "")
	failing := w.fail()
	w.work()
	const path = "/sessions?delivery=undelivered"
	b.get(path).is(http.StatusOK).shows(unseen.ID.String(), failing.ID.String(), "Delivery: ended, not delivered").hides(delivered.ID.String(), open.ID.String())
	b.get(path + "&status=succeeded").is(http.StatusOK).shows("No sessions match 2 filters")
	b.get("/sessions?delivery=nonsense").is(http.StatusOK).shows("No sessions match 1 filter")
	w.sender.answers(http.StatusNoContent, "")
	w.clock.Advance(time.Hour)
	w.work()
	b.get(path).is(http.StatusOK).shows(unseen.ID.String()).hides(failing.ID.String())
}

func TestDeliveries_LabelAndTriggerFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	risk, _ := w.endpoint("risk", false)
	w.endpoint("billing", false)
	labels := []string{"EU"}
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, risk.ID, webhook.EndpointChange{Labels: &labels})
	w.check(err)
	_, sent := w.of(w.fail())
	var other string
	for e, d := range sent {
		if e != risk.ID {
			other = d.ID.String()
		}
	}
	mine := sent[risk.ID].ID.String()
	b.get("/deliveries").is(http.StatusOK).shows(mine, other, `name="label"`, `name="trigger"`)
	b.get("/deliveries?label=eu").is(http.StatusOK).shows(mine, "Endpoint label: eu").hides(other)
	b.get("/deliveries?label=us").is(http.StatusOK).shows("No deliveries match 1 filter")
	b.get("/deliveries?trigger=nonsense").is(http.StatusOK).shows("No deliveries match 1 filter")

	w.sender.answers(http.StatusInternalServerError, "")
	w.work()
	b.get("/deliveries?trigger=manual").is(http.StatusOK).shows("No deliveries match 1 filter")
	b.get("/deliveries?trigger=automatic").is(http.StatusOK).shows(mine, other)
	b.get("/deliveries/" + mine)
	b.post("/deliveries/"+mine+"/retry", "run", "1").redirects("/deliveries/" + mine)
	for range 2 { // due for that reason, then made for that reason
		b.get("/deliveries?trigger=manual").is(http.StatusOK).shows(mine, "Attempt made by: manual retry").hides(other)
		w.work()
	}
	b.get("/deliveries/export?trigger=manual").is(http.StatusOK).shows(mine).hides(other)
}

func TestMembersAndKeys_HavePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 27 {
		fixture.User(t, w.db, w.org, access.Member)
		_, _, err := w.handler.APIKeys.Issue(t.Context(), w.owner, apikey.Input{Name: "ci", Scopes: []access.Scope{access.WebhooksRead}})
		w.check(err)
	}
	b := w.as(w.owner)
	for path, row := range map[string]string{"/members": `<tr id="usr_`, "/api-keys": `<tr id="key_`} {
		total := strings.Count(b.get(path).is(http.StatusOK).body, row)
		first := b.get(path + "?limit=25").is(http.StatusOK)
		rest := b.get(first.find(`href="(` + path + `\?after=[^"]+)"`)).is(http.StatusOK).shows("newest first")
		if n, m := strings.Count(first.body, row), strings.Count(rest.body, row); n != 25 || n+m != total || m == 0 {
			t.Errorf("%s shows %d and %d of %d rows", path, n, m, total)
		}
		b.get(path + "?after=nonsense").is(http.StatusBadRequest).shows("This page of the list is gone.")
	}
}

// TestLists_TheFirstPageIsLiveHoweverSomebodyCameToIt, by "Older" and "Newer" for instance, and no other is.
func TestLists_TheFirstPageIsLiveHoweverSomebodyCameToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	for range 26 {
		w.clock.Advance(time.Second)
		w.fail()
	}
	b := w.as(w.member)
	for _, list := range []string{"/deliveries", "/events", "/sessions"} {
		poll := `hx-get="` + list + `/new?`
		first := b.get(list + "?limit=25").is(http.StatusOK).shows(poll)
		older := b.get(first.find(`href="(` + list + `\?after=[^"]+)"`)).is(http.StatusOK).hides(poll)
		b.get(older.find(`href="(` + list + `\?before=[^"]+)"`)).is(http.StatusOK).shows(poll)
	}
}
