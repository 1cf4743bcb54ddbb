package dashboard

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// Rows of before values were stored stay readable (the cases without "changes").
func TestAnAuditRowSaysWhatChanged(t *testing.T) {
	for _, c := range []struct{ name, event, metadata, want string }{
		{"a role", "member.role_changed", `{"from":"member","to":"admin"}`, "role member → admin"},
		{"values known", "organization.updated", `{"updated_fields":["name"],"changes":{"name":{"from":"Old","to":"New"}}}`, "name Old → New"},
		{"a value that was empty", "organization.updated", `{"updated_fields":["name"],"changes":{"name":{"from":null,"to":"New"}}}`, "name none → New"},
		{"a row without values", "organization.updated", `{"updated_fields":["environment","name"]}`, "environment changed, name changed"},
		{"a value after only", "webhook_endpoint.updated", `{"updated_fields":["enabled","url"],"enabled":false}`, "enabled no, url changed"},
		{"one of many that were sent", "webhook_endpoint.updated", `{"updated_fields":["enabled","labels","name","url"],"enabled":true,"changes":{"name":{"from":"Old","to":"New"}}}`, "name Old → New"},
		{"a list that was empty", "webhook_endpoint.updated", `{"updated_fields":["labels"],"changes":{"labels":{"from":[],"to":["eu","us"]}}}`, "labels none → eu, us"},
		{"only the path of a URL", "webhook_endpoint.updated", `{"updated_fields":["url"],"changes":{"url":{"from":"https://a.example.com","to":"https://a.example.com"}}}`, "url https://a.example.com, changed"},
		{"nothing after all", "webhook_endpoint.updated", `{"updated_fields":["name","enabled"],"enabled":true,"changes":{}}`, "nothing was changed"},
		{"no fields", "webhook_event.replayed", `{"requeued_count":2,"skipped_count":0}`, "requeued count 2, skipped count 0"},
		{"from of something else", "export.created", `{"from":"a"}`, "from a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var metadata map[string]any
			if err := json.Unmarshal([]byte(c.metadata), &metadata); err != nil {
				t.Fatal(err)
			}
			if _, got := metadataFacts(c.event, metadata); got != c.want {
				t.Errorf("summary is %q, want %q", got, c.want)
			}
		})
	}
}

// TestChooseAll_IsThereWithBoxesAndForScriptingOnly: without scripting the box for all rows would do nothing, so it is not seen.
func TestChooseAll_IsThereWithBoxesAndForScriptingOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.fail()
	for _, list := range []string{"/deliveries", "/events"} {
		box := w.as(w.admin).get(list).is(http.StatusOK).find(`(<input[^>]*data-all[^>]*>)`)
		if !strings.Contains(box, " hidden") || !strings.Contains(box, `aria-label="Choose all on this page"`) || strings.Contains(box, " name=") {
			t.Errorf("%s has %s", list, box)
		}
		w.as(w.member).get(list).is(http.StatusOK).hides("data-all")
	}
}

// TestDeliveryRow_WhatIsDueInAMomentIsDueNow: less than a second away has no words of its own.
func TestDeliveryRow_WhatIsDueInAMomentIsDueNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.fail()
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.work()
	due := fixture.Scalar[time.Time](t, w.db, "SELECT next_attempt_at FROM webhook_deliveries")
	b := w.as(w.owner)
	w.clock.Set(due.Add(-time.Second))
	b.get("/deliveries").is(http.StatusOK).shows("in 1 s").hides("due now")
	w.clock.Set(due.Add(-time.Second / 2))
	b.get("/deliveries").is(http.StatusOK).shows("due now")
}
