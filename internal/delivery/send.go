package delivery

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
)

// Sent is what a worker learns of an exchange with a receiver.
type Sent struct {
	// Asked tells that a request was made; without one nothing is known of the receiver.
	Asked    bool
	Duration time.Duration
}

// Send sends what was claimed and records the result: one attempt at most. It calls answered once, as soon as nothing is in flight at
// the receiver any more, and returns when the result is recorded. It returns an error only for a fault of ours that another try may
// not meet; any answer of the receiver is not an error.
func (s *Service) Send(ctx context.Context, c *Claim, answered func(Sent)) error {
	// From here the row is ours until the lease ends. A worker that is told to stop still finishes what it began.
	ctx = context.WithoutCancel(ctx)
	s.sending.Add(1)
	r, send, err := s.prepare(ctx, c)
	s.sending.Add(-1)
	if err != nil || !send {
		answered(Sent{})
		return err
	}
	answered(Sent{Asked: r.asked, Duration: r.outcome.endedAt.Sub(r.outcome.startedAt)})
	return s.record(ctx, r)
}

// report is the result of one claim on its way into the database.
type report struct {
	claim   *Claim
	outcome outcome
	// attempt is the row to write; its counting and numbering are decided with the row locked.
	attempt Attempt
	// asked is set when a request was made.
	asked bool
}

// prepare checks the claim, sends and returns the report to record; false means there is nothing to record.
func (s *Service) prepare(ctx context.Context, c *Claim) (report, bool, error) {
	v, err := s.recheck(ctx, c)
	if err != nil {
		return report{}, false, err
	}
	now := s.DB.Now()
	stopped := func(kind ErrorKind) report {
		return s.newReport(c, egress.Result{StartedAt: c.ClaimedAt, Duration: now.Sub(c.ClaimedAt), ErrorKind: string(kind)})
	}
	switch v {
	case maySend:
	case leaseLost:
		return report{}, false, nil
	case disabledMeanwhile:
		return stopped(DisabledBeforeSend), true, nil
	case withdrawnMeanwhile, deletedMeanwhile:
		r := stopped(Internal)
		r.outcome.unsent = true
		return r, true, nil
	}
	secrets, err := c.receiver.signingSecrets(now)
	if err != nil {
		s.Log.ErrorContext(ctx, "signing secret unreadable", "endpoint_id", c.WebhookEndpointID, "error", err)
		return stopped(NoSigningSecret), true, nil
	}
	if !c.receiver.allowed() {
		return stopped(BlockedAddress), true, nil
	}
	result := s.Sender.Post(ctx, egress.Request{
		URL: c.receiver.endpoint.URL,
		Header: http.Header{
			"Content-Type":        {"application/jose"},
			"X-Kayle-Delivery-Id": {c.ID.String()},
			"X-Kayle-Event":       {string(c.EventType)},
			"X-Kayle-Signature":   {webhook.Sign(secrets, now.Unix(), c.Payload)},
		},
		Body: []byte(c.Payload),
		// The receiver of a succeeded event may echo what it decrypted (contract section 7.8).
		Confidential: c.EventType == event.SessionSucceeded,
	})
	r := s.newReport(c, result)
	r.asked = true
	return r, true, nil
}

func (s *Service) newReport(c *Claim, res egress.Result) report {
	kind := ErrorKind(res.ErrorKind)
	a := Attempt{
		ID: id.Attempt{UUID: id.NewUUID(res.StartedAt)}, OrganizationID: c.OrganizationID, WebhookDeliveryID: c.ID,
		Run: c.Run, Number: c.AttemptCount + 1, Status: Succeeded, Trigger: c.Trigger,
		StartedAt: res.StartedAt.UTC().Truncate(time.Microsecond), DurationMS: milliseconds(&res.Duration),
		DNSMS: milliseconds(res.Timing.DNS), ConnectMS: milliseconds(res.Timing.Connect), TLSMS: milliseconds(res.Timing.TLS), FirstByteMS: milliseconds(res.Timing.FirstByte),
		Worker: &s.Worker,
	}
	if res.StatusCode != 0 {
		a.StatusCode = &res.StatusCode
	}
	if kind != "" {
		a.Status, a.ErrorKind = Failed, &kind
	}
	if res.RemoteAddress != "" {
		a.RemoteAddress = &res.RemoteAddress
	}
	capture(&a, res)
	return report{claim: c, attempt: a, outcome: outcome{
		kind: kind, statusCode: res.StatusCode, startedAt: a.StartedAt, endedAt: res.StartedAt.Add(res.Duration).UTC().Truncate(time.Microsecond), retryAfter: res.RetryAfter,
	}}
}

// capture keeps what the receiver answered, as text. A confidential request left nothing that a receiver may echo.
func capture(a *Attempt, res egress.Result) {
	headers := res.Header
	if headers == nil {
		headers = map[string]string{}
	}
	a.ResponseHeaders, _ = json.Marshal(headers) // a map of strings always encodes
	if res.Body != nil {
		text := res.BodyText()
		a.ResponseBody, a.ResponseBodyTruncated = &text, res.BodyTruncated
	}
}

func milliseconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	ms := d.Milliseconds()
	return &ms
}
