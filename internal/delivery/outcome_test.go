package delivery

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var decideNow = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sound() standing {
	return standing{AttemptCount: 2, Run: 1, PayloadExpiresAt: decideNow.Add(50 * time.Hour), EndpointEnabled: true, RetentionHours: 72}
}

func got(kind ErrorKind, status int) outcome {
	return outcome{kind: kind, statusCode: status, startedAt: decideNow.Add(-time.Second), endedAt: decideNow}
}

func TestDecide_FollowsTheTableOfOutcomes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*standing)
		o       outcome
		status  Status
		reason  RetentionReason
		count   int
		counted bool
		due     bool
		dropped bool
	}{
		"2xx":                         {nil, got("", 204), Succeeded, Delivered, 3, true, false, true},
		"2xx of a deleted endpoint":   {func(s *standing) { s.EndpointDeleted = true }, got("", 204), Succeeded, Delivered, 3, true, false, true},
		"error":                       {nil, got(HTTPStatus, 500), Pending, PendingDelivery, 3, true, true, false},
		"error, endpoint disabled":    {func(s *standing) { s.EndpointEnabled = false }, got(HTTPStatus, 500), Pending, PendingDelivery, 3, true, false, false},
		"error, endpoint deleted":     {func(s *standing) { s.EndpointDeleted = true }, got(HTTPStatus, 500), Failed, EndpointDeleted, 3, true, false, true},
		"last error":                  {func(s *standing) { s.AttemptCount = 7 }, got(TimeoutResponse, 0), Failed, TerminalFailureRetention, 8, true, false, false},
		"last error, retention 0":     {func(s *standing) { s.AttemptCount, s.RetentionHours = 7, 0 }, got(DNS, 0), Failed, Expired, 8, true, false, true},
		"disabled before sending":     {func(s *standing) { s.EndpointEnabled = false }, got(DisabledBeforeSend, 0), Pending, PendingDelivery, 2, false, false, false},
		"deleted before sending":      {func(s *standing) { s.EndpointDeleted = true }, outcome{kind: Internal, unsent: true}, Failed, EndpointDeleted, 2, false, false, true},
		"worker lost":                 {nil, got(WorkerLost, 0), Pending, PendingDelivery, 2, false, true, false},
		"worker lost the third time":  {func(s *standing) { s.WorkerLostCount = 2 }, got(WorkerLost, 0), Pending, PendingDelivery, 3, true, true, false},
		"worker lost, payload old":    {func(s *standing) { s.PayloadExpiresAt = decideNow }, got(WorkerLost, 0), Failed, Expired, 2, false, false, true},
		"worker lost, disabled":       {func(s *standing) { s.EndpointEnabled = false }, got(WorkerLost, 0), Pending, PendingDelivery, 2, false, false, false},
		"worker lost, deleted":        {func(s *standing) { s.EndpointDeleted = true }, got(WorkerLost, 0), Failed, EndpointDeleted, 2, false, false, true},
		"worker lost in last attempt": {func(s *standing) { s.WorkerLostCount, s.AttemptCount = 4, 7 }, got(WorkerLost, 0), Failed, TerminalFailureRetention, 8, true, false, false},
	} {
		s := sound()
		if c.change != nil {
			c.change(&s)
		}
		r := decide(s, c.o, decideNow, 0.5)
		if r.Status != c.status || *r.Reason != c.reason || r.AttemptCount != c.count || r.counted != c.counted || (r.NextAttemptAt != nil) != c.due || r.DropPayload != c.dropped {
			t.Errorf("%s: %s %s, %d attempts (counted %t), due %v, dropped %t", name, r.Status, *r.Reason, r.AttemptCount, r.counted, r.NextAttemptAt, r.DropPayload)
		}
		if c.dropped != (r.PayloadExpiresAt == nil) || c.dropped != (r.ScrubbedAt != nil) {
			t.Errorf("%s: payload dropped %t, expires %v, scrubbed %v", name, r.DropPayload, r.PayloadExpiresAt, r.ScrubbedAt)
		}
	}
}

// Whatever happens, the row satisfies the constraints of the schema and INV-9, INV-10, INV-11 and INV-14.
func TestDecide_LeavesLegalRows(t *testing.T) {
	t.Parallel()
	kinds := append([]ErrorKind{""}, ErrorKinds()...)
	rapid.Check(t, func(t *rapid.T) {
		s := standing{
			AttemptCount: rapid.IntRange(0, 7).Draw(t, "count"), WorkerLostCount: rapid.IntRange(0, 5).Draw(t, "lost"), Run: 1,
			PayloadExpiresAt: decideNow.Add(time.Duration(rapid.IntRange(-3600, 200*3600).Draw(t, "expiry")) * time.Second),
			EndpointEnabled:  rapid.Bool().Draw(t, "enabled"), EndpointDeleted: rapid.Bool().Draw(t, "deleted"),
			RetentionHours: rapid.SampledFrom([]int{0, 24, 72, 168}).Draw(t, "retention"),
		}
		o := got(rapid.SampledFrom(kinds).Draw(t, "kind"), 0)
		if o.kind == "" || o.kind == HTTPStatus {
			o.statusCode = rapid.SampledFrom([]int{200, 429, 500, 503}).Draw(t, "status")
		}
		o.retryAfter = rapid.SampledFrom([]string{"", "10", "7200", "x"}).Draw(t, "retryAfter")
		o.unsent = s.EndpointDeleted && rapid.Bool().Draw(t, "unsent")
		c := decide(s, o, decideNow, rapid.Float64Range(0, 1).Draw(t, "jitter"))
		switch {
		case c.Status == Delivering:
			t.Fatal("still delivering")
		case c.Status == Pending && c.DropPayload, c.Status == Succeeded && !c.DropPayload:
			t.Fatalf("%s with dropped=%t", c.Status, c.DropPayload)
		case c.DropPayload != (c.PayloadExpiresAt == nil), c.DropPayload != (c.ScrubbedAt != nil):
			t.Fatal("payload, its expiry and its scrubbing disagree")
		case c.NextAttemptAt != nil && (c.Status != Pending || !s.EndpointEnabled):
			t.Fatalf("%s of an endpoint enabled=%t is scheduled", c.Status, s.EndpointEnabled)
		case c.Status == Pending && s.EndpointEnabled && c.NextAttemptAt == nil:
			t.Fatal("pending and enabled, but not scheduled")
		case c.AttemptCount < s.AttemptCount, c.AttemptCount > AttemptsPerRun, c.counted != (c.AttemptCount == s.AttemptCount+1):
			t.Fatalf("count went from %d to %d, counted=%t", s.AttemptCount, c.AttemptCount, c.counted)
		case c.NextAttemptAt != nil && c.counted && !c.PayloadExpiresAt.After(*c.NextAttemptAt):
			t.Fatal("a scheduled attempt would find no payload")
		}
	})
}

func TestState_NamesEveryEnd(t *testing.T) {
	t.Parallel()
	at := decideNow
	reason := func(r RetentionReason) *RetentionReason { return &r }
	for want, d := range map[State]Delivery{
		StateScheduled:       {Status: Pending, NextAttemptAt: &at},
		StateRetrying:        {Status: Pending, NextAttemptAt: &at, AttemptCount: 1},
		StateParked:          {Status: Pending, AttemptCount: 1},
		StateInFlight:        {Status: Delivering},
		StateSucceeded:       {Status: Succeeded, PayloadRetentionReason: reason(Delivered)},
		StateFailed:          {Status: Failed, AttemptCount: 8, PayloadRetentionReason: reason(Expired)},
		StateExpired:         {Status: Failed, AttemptCount: 3, PayloadRetentionReason: reason(Expired)},
		StateBlocked:         {Status: Failed, PayloadRetentionReason: reason(NoActiveKey)},
		StateWithdrawn:       {Status: Failed, AttemptCount: 8, PayloadRetentionReason: reason(PrivacyRequest)},
		StateEndpointDeleted: {Status: Failed, AttemptCount: 2, PayloadRetentionReason: reason(EndpointDeleted)},
	} {
		if got := d.State(); got != want {
			t.Errorf("%+v is %s, want %s", d, got, want)
		}
	}
}
