package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// marker is in seeds as a value, and as a name that no rule lets through: a refusal must not repeat it.
const marker = "marker-7f3a"

// FuzzBodies sends one body to every route that takes one. Whatever it is, the harness wants an answer that is documented and in the
// envelope; beyond that it is never a fault of ours, only an object is accepted, and a refusal repeats nothing.
func FuzzBodies(f *testing.F) {
	f.Add(`{"url":"https://receiver.example.com/in"}`)
	f.Add(goodSuccess)
	shared := newHarness(f)
	var routes []*route
	for _, pattern := range slices.Sorted(maps.Keys(shared.door.routes)) {
		if r := shared.door.routes[pattern]; r.body != bodyIgnored {
			routes = append(routes, r)
		}
	}
	ids := map[string]string{}
	renew := func(h *harness) {
		if old := ids["{endpoint_id}"]; old != "" {
			h.do("DELETE", "/v1/webhooks/endpoints/"+old, nil).ok(http.StatusOK)
		}
		ids["{endpoint_id}"] = h.newEndpoint()
		ids["{id}"], _ = h.newSession()
	}
	renew(shared)
	f.Fuzz(func(t *testing.T, text string) {
		h := *shared
		h.TB = t
		var members map[string]json.RawMessage
		object := json.Unmarshal([]byte(text), &members) == nil && members != nil
		for _, r := range routes {
			got := h.do(r.method, fill(r.path, ids), text)
			switch {
			case got.status >= 500:
				t.Errorf("%s %s: %d for %q; log: %s", r.method, r.path, got.status, text, h.log)
			case got.status >= 400 && strings.Contains(got.raw, marker):
				t.Errorf("%s %s repeats %q: %s", r.method, r.path, text, got.raw)
			case got.status < 300 && !object && text != "":
				t.Errorf("%s %s accepts %q", r.method, r.path, text)
			case got.status < 300:
				if created := text2(got.data, "endpoint", "id"); created != "" {
					h.do("DELETE", "/v1/webhooks/endpoints/"+created, nil).ok(http.StatusOK)
				}
				renew(&h)
			}
		}
	})
}

// text2 is text of data that may be absent.
func text2(data any, path ...string) string {
	object, _ := data.(map[string]any)
	return text(object, path...)
}

// FuzzLists asks every list for a page. A cursor that names no row of the list never starts it again (INV-23), and no
// parameter is a fault of ours.
func FuzzLists(f *testing.F) {
	shared := newHarness(f)
	event, delivery, endpoint := shared.newEvent()
	session, _ := shared.newSession()
	ids := map[string]string{"{endpoint_id}": endpoint, "{event_id}": event, "{delivery_id}": delivery, "{id}": session}
	var lists []*route
	for _, pattern := range slices.Sorted(maps.Keys(shared.door.routes)) {
		r := shared.door.routes[pattern]
		for _, p := range r.operation.Parameters {
			if p.Name == "starting_after" {
				lists = append(lists, r)
			}
		}
	}
	f.Add("starting_after", unknown["{endpoint_id}"])
	f.Add("limit", "101")
	f.Fuzz(func(t *testing.T, name, value string) {
		h := *shared
		h.TB = t
		for _, r := range lists {
			got := h.do("GET", fill(r.path, ids)+"?"+url.Values{name: {value}}.Encode(), nil)
			switch {
			case got.status != http.StatusOK && got.status != http.StatusBadRequest:
				t.Errorf("%s?%s=%q: %d; log: %s", r.path, name, value, got.status, h.log)
			case name == "starting_after" && got.status == http.StatusOK:
				t.Errorf("%s continues after %q", r.path, value)
			case name == "starting_after":
				got.refused(http.StatusBadRequest, "INVALID_REQUEST")
			}
		}
	})
}

func FuzzPage_ContinuesAfterIDsOnly(f *testing.F) {
	f.Add(unknown["{delivery_id}"])
	f.Fuzz(func(t *testing.T, cursor string) {
		looked := false
		got, err := page(Paging{Limit: 10, StartingAfter: cursor}, func(d id.Delivery) (*postgres.Position, error) {
			looked = true
			if !d.IsZero() && d.String() != cursor {
				t.Errorf("%q was read as %s", cursor, d)
			}
			return &postgres.Position{ID: d.UUID}, nil
		})
		if err != nil && (looked || !strings.Contains(err.Error(), "cursor")) || err == nil && looked != (cursor != "") || looked != (got.After != nil) {
			t.Errorf("%q: looked up %t, %+v, %v", cursor, looked, got, err)
		}
	})
}
