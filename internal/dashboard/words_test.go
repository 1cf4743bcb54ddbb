package dashboard

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

func TestExplainError_EveryKindHasNameMeaningAndNextStep(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, kind := range delivery.ErrorKinds() {
		w := explainError(kind, 0)
		if w.Name == "" || w.Name == string(kind) || names[w.Name] {
			t.Errorf("%s is called %q", kind, w.Name)
		}
		names[w.Name] = true
		for _, text := range []string{w.Meaning, w.Next} {
			if !strings.HasSuffix(text, ".") || len(text) < 20 {
				t.Errorf("%s: %q is no sentence", kind, text)
			}
		}
	}
	for _, code := range []int{400, 401, 403, 404, 405, 410, 413, 415, 418, 429, 500, 502, 503, 504, 599} {
		if w := explainError(delivery.HTTPStatus, code); len(w.Name) != 3 || w.Meaning == "" || w.Next == "" {
			t.Errorf("%d is explained as %+v", code, w)
		}
	}
}

func TestStatusBadge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	reason := func(r delivery.RetentionReason) *delivery.RetentionReason { return &r }
	tests := map[string]struct {
		d     delivery.Delivery
		tone  ui.Tone
		label string
	}{
		"scheduled":         {delivery.Delivery{Status: delivery.Pending, NextAttemptAt: &now}, ui.Neutral, "Scheduled"},
		"retrying":          {delivery.Delivery{Status: delivery.Pending, NextAttemptAt: &now, AttemptCount: 3}, ui.Warn, "Retrying 3/8"},
		"parked":            {delivery.Delivery{Status: delivery.Pending, AttemptCount: 3}, ui.Neutral, "Parked"},
		"in flight":         {delivery.Delivery{Status: delivery.Delivering}, ui.Info, "In flight"},
		"succeeded":         {delivery.Delivery{Status: delivery.Succeeded}, ui.OK, "Succeeded"},
		"failed, held":      {delivery.Delivery{Status: delivery.Failed, AttemptCount: 8, PayloadRetentionReason: reason(delivery.TerminalFailureRetention)}, ui.Bad, "Failed"},
		"failed, erased":    {delivery.Delivery{Status: delivery.Failed, AttemptCount: 8, PayloadRetentionReason: reason(delivery.Expired)}, ui.Bad, "Failed"},
		"expired":           {delivery.Delivery{Status: delivery.Failed, AttemptCount: 2, PayloadRetentionReason: reason(delivery.Expired)}, ui.Bad, "Expired"},
		"no key":            {delivery.Delivery{Status: delivery.Failed, PayloadRetentionReason: reason(delivery.NoActiveKey)}, ui.Bad, "Blocked: no active key"},
		"encryption failed": {delivery.Delivery{Status: delivery.Failed, PayloadRetentionReason: reason(delivery.JWECreationFailed)}, ui.Bad, "Blocked: encryption failed"},
		"withdrawn":         {delivery.Delivery{Status: delivery.Failed, PayloadRetentionReason: reason(delivery.PrivacyRequest)}, ui.Neutral, "Withdrawn"},
		"endpoint deleted":  {delivery.Delivery{Status: delivery.Failed, PayloadRetentionReason: reason(delivery.EndpointDeleted)}, ui.Neutral, "Endpoint deleted"},
	}
	for name, tc := range tests {
		if got := statusBadge(tc.d); got.Tone != tc.tone || got.Label != tc.label || got.Icon == "" || got.Title == "" {
			t.Errorf("%s: got %+v, want %s %q", name, got, tc.tone, tc.label)
		}
	}
}

func TestWantsKey(t *testing.T) {
	t.Parallel()
	noKey, failed := delivery.NoActiveKey, delivery.JWECreationFailed
	e := webhook.Endpoint{ID: id.Endpoint{UUID: id.NewUUID(time.Now())}}
	used, other := id.Key{UUID: id.NewUUID(time.Now())}, id.Key{UUID: id.NewUUID(time.Now())}
	keyless := delivery.Delivery{WebhookEndpointID: e.ID, Status: delivery.Failed, PayloadRetentionReason: &noKey}
	broken := keyless
	broken.PayloadRetentionReason, broken.WebhookEncryptionKeyID = &failed, &used
	sent := delivery.Delivery{WebhookEndpointID: e.ID, Status: delivery.Succeeded}
	gone := e
	gone.DeletedAt = &time.Time{}
	active := func(k id.Key) map[id.Endpoint]webhook.Key { return map[id.Endpoint]webhook.Key{e.ID: {ID: k}} }
	for name, tc := range map[string]struct {
		d    delivery.Delivery
		e    webhook.Endpoint
		keys map[id.Endpoint]webhook.Key
		want bool
	}{
		"it had none and has none":         {keyless, e, nil, true},
		"one was added":                    {keyless, e, active(other), false},
		"the one that failed is active":    {broken, e, active(used), true},
		"the one that failed was replaced": {broken, e, active(other), false},
		"the one that failed was retired":  {broken, e, nil, true},
		"the endpoint was deleted":         {keyless, gone, nil, false},
		"the delivery needs none any more": {sent, e, nil, false},
	} {
		if got := wantsKey(tc.d, tc.e, tc.keys); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestResultCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind delivery.ErrorKind
		code int
		text string
		tone ui.Tone
	}{
		{"", 204, "204", ui.OK},
		{delivery.HTTPStatus, 404, "404", ui.Bad},
		{delivery.HTTPStatus, 503, "503", ui.Bad},
		{delivery.RedirectRefused, 301, "301", ui.Warn},
		{delivery.TimeoutResponse, 0, "Response timeout", ui.Bad},
		{delivery.WorkerLost, 0, "Worker lost", ui.Warn},
		{delivery.DisabledBeforeSend, 0, "Paused before sending", ui.Neutral},
	}
	for _, tc := range tests {
		if got := resultCode(tc.kind, tc.code); got.Text != tc.text || got.Tone != tc.tone {
			t.Errorf("%s %d: got %+v, want %s %q", tc.kind, tc.code, got, tc.tone, tc.text)
		}
	}
}

func TestAttemptStrip(t *testing.T) {
	t.Parallel()
	const none, retry, fail, ok, now = ui.CellNone, ui.CellRetry, ui.CellFail, ui.CellOK, ui.CellNow
	tests := map[string]struct {
		d    delivery.Delivery
		want []ui.Cell
	}{
		"fresh":     {delivery.Delivery{Status: delivery.Pending}, []ui.Cell{none, none, none, none, none, none, none, none}},
		"in flight": {delivery.Delivery{Status: delivery.Delivering, AttemptCount: 1}, []ui.Cell{retry, now, none, none, none, none, none, none}},
		"delivered": {delivery.Delivery{Status: delivery.Succeeded, AttemptCount: 3}, []ui.Cell{retry, retry, ok, none, none, none, none, none}},
		"failed":    {delivery.Delivery{Status: delivery.Failed, AttemptCount: 8}, []ui.Cell{retry, retry, retry, retry, retry, retry, retry, fail}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, attemptStrip(tc.d).Cells); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestRouteWords_EveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	for _, r := range []event.Reason{
		event.NotTargeted, event.Disabled, event.NotSubscribed, event.NoActiveKey, event.EncryptionFailed, event.Subscribed,
		event.TestSend, event.Replacement, event.OriginalDelivered, event.OriginalUndecided,
	} {
		if word, meaning := routeWords(r); word == string(r) || !strings.HasSuffix(meaning, ".") {
			t.Errorf("%s is %q: %q", r, word, meaning)
		}
	}
}

func TestPercent_NeverRoundsAFailureAway(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		part, whole int
		want        string
	}{{0, 0, ""}, {0, 5, "0.0 %"}, {5, 5, "100 %"}, {99_999, 100_000, "99.9 %"}, {974, 1000, "97.4 %"}} {
		if got := percent(tc.part, tc.whole); got != tc.want {
			t.Errorf("percent(%d, %d) = %q, want %q", tc.part, tc.whole, got, tc.want)
		}
	}
}

func TestFormErrors_FollowTheFormAndLoseNothing(t *testing.T) {
	t.Parallel()
	found, ok := problemsOf(fault.InvalidFields(
		fault.Field{Name: "labels[2]", Message: "must not repeat another label"}, fault.Field{Name: "url", Message: "is required"}, fault.Field{Name: "other", Message: "is odd"}))
	if !ok {
		t.Fatal("a fault about fields is no complaint")
	}
	got := formErrors(found, "this endpoint can be created", endpointFields...)
	want := ui.FormErrors{Title: "3 things to correct before this endpoint can be created", Items: []ui.FormError{
		{FieldID: "f-url", Text: "URL: Is required."}, {FieldID: "f-labels", Text: "Labels: Must not repeat another label."}, {Text: "Is odd."},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestListedAndInitials(t *testing.T) {
	t.Parallel()
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := listed(words, "or"); got != want {
			t.Errorf("listed(%v) = %q, want %q", words, got, want)
		}
	}
	for name, want := range map[string]string{"Ana Lindqvist": "AL", "ana": "A", "Ana Maria van Dyk": "AD", "": "", "Ümit": "Ü"} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
}
