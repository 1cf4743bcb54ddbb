package delivery

import (
	"time"

	"kaylehooks/internal/event"
)

// ErrorKind says why an attempt failed (contract section 7.8).
type ErrorKind string

// The error kinds. The first ten come from the HTTP exchange.
const (
	HTTPStatus         ErrorKind = "http_status"
	RedirectRefused    ErrorKind = "redirect_refused"
	TimeoutConnect     ErrorKind = "timeout_connect"
	TimeoutResponse    ErrorKind = "timeout_response"
	DNS                ErrorKind = "dns"
	TLS                ErrorKind = "tls"
	Refused            ErrorKind = "refused"
	Reset              ErrorKind = "reset"
	BlockedAddress     ErrorKind = "blocked_address"
	Internal           ErrorKind = "internal"
	NoSigningSecret    ErrorKind = "no_signing_secret" //nolint:gosec // a word, not a credential
	DisabledBeforeSend ErrorKind = "endpoint_disabled"
	WorkerLost         ErrorKind = "worker_lost"
)

// ErrorKinds lists every error kind.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{
		HTTPStatus, RedirectRefused, TimeoutConnect, TimeoutResponse, DNS, TLS, Refused, Reset,
		BlockedAddress, NoSigningSecret, Internal, DisabledBeforeSend, WorkerLost,
	}
}

// maxFreeLosses is how many lost workers in a row use no attempt.
const maxFreeLosses = 2

// outcome is what became of one claim.
type outcome struct {
	kind       ErrorKind // "" for a 2xx
	statusCode int       // 0 = none
	startedAt  time.Time
	endedAt    time.Time
	retryAfter string
	// unsent is set when the endpoint was found deleted, or the row withdrawn, before anything was sent: there is no
	// attempt then.
	unsent bool
}

// standing is the state of a delivery and its endpoint that a result meets.
type standing struct {
	EventType        event.Type
	AttemptCount     int
	WorkerLostCount  int
	Run              int
	PayloadExpiresAt time.Time
	LastAttemptAt    *time.Time
	LastStatusCode   *int
	LastErrorKind    *ErrorKind
	LastDurationMS   *int64 `gorm:"column:last_duration_ms"`
	EndpointEnabled  bool
	EndpointDeleted  bool
	RetentionHours   int
}

// change is the row a result leaves behind.
type change struct {
	Status           Status           `json:"status"`
	AttemptCount     int              `json:"attempt_count"`
	WorkerLostCount  int              `json:"worker_lost_count"`
	NextAttemptAt    *time.Time       `json:"next_attempt_at"`
	DropPayload      bool             `json:"drop_payload"`
	PayloadExpiresAt *time.Time       `json:"payload_expires_at"`
	ScrubbedAt       *time.Time       `json:"payload_scrubbed_at"`
	Reason           *RetentionReason `json:"payload_retention_reason"`
	LastAttemptAt    *time.Time       `json:"last_attempt_at"`
	LastStatusCode   *int             `json:"last_status_code"`
	LastErrorKind    *ErrorKind       `json:"last_error_kind"`
	LastDurationMS   *int64           `json:"last_duration_ms"`

	counted bool
}

// end makes the change terminal and erases the payload.
func (c change) end(status Status, reason RetentionReason, at time.Time) change {
	c.Status, c.NextAttemptAt = status, nil
	c.DropPayload, c.PayloadExpiresAt, c.ScrubbedAt, c.Reason = true, nil, &at, &reason
	return c
}

// decide applies the tables of contract sections 7.6, 7.7 and 7.9 to a row that was not withdrawn. jitter is in [0, 1].
func decide(s standing, o outcome, now time.Time, jitter float64) change {
	held := PendingDelivery
	c := change{
		Status: Pending, AttemptCount: s.AttemptCount, PayloadExpiresAt: &s.PayloadExpiresAt, Reason: &held,
		LastAttemptAt: s.LastAttemptAt, LastStatusCode: s.LastStatusCode, LastErrorKind: s.LastErrorKind, LastDurationMS: s.LastDurationMS,
	}
	switch {
	case o.unsent:
		return c.end(Failed, EndpointDeleted, now)
	case o.kind == DisabledBeforeSend:
	case o.kind == WorkerLost:
		c.WorkerLostCount = s.WorkerLostCount + 1
		c.counted = c.WorkerLostCount > maxFreeLosses
	default:
		c.counted = true
	}
	if c.counted {
		c.AttemptCount++
		took := o.endedAt.Sub(o.startedAt)
		c.LastAttemptAt, c.LastStatusCode, c.LastErrorKind, c.LastDurationMS = &o.startedAt, nil, nil, milliseconds(&took)
		if o.kind == WorkerLost {
			c.LastDurationMS = nil
		}
		if o.statusCode != 0 {
			c.LastStatusCode = &o.statusCode
		}
		if o.kind != "" {
			c.LastErrorKind = &o.kind
		}
	}
	switch {
	case o.kind == "":
		// The time just before sending: from then on the receiver may have had it.
		return c.end(Succeeded, Delivered, o.startedAt)
	case s.EndpointDeleted:
		return c.end(Failed, EndpointDeleted, now)
	case o.kind == WorkerLost && !s.PayloadExpiresAt.After(now):
		return c.end(Failed, Expired, now)
	case c.counted && c.AttemptCount == AttemptsPerRun:
		if s.RetentionHours == 0 {
			return c.end(Failed, Expired, now)
		}
		until, reason := now.Add(time.Duration(s.RetentionHours)*time.Hour), TerminalFailureRetention
		c.Status, c.PayloadExpiresAt, c.Reason = Failed, &until, &reason
	case c.counted:
		next := nextAttempt(c.AttemptCount, o.endedAt, jitter, o.statusCode, o.retryAfter)
		until := later(s.PayloadExpiresAt, next.Add(ScheduleSlack))
		c.PayloadExpiresAt = &until
		if s.EndpointEnabled {
			c.NextAttemptAt = &next
		}
	case !s.PayloadExpiresAt.After(now):
		return c.end(Failed, Expired, now)
	case s.EndpointEnabled:
		// A lost worker, or disabled between claim and send, enabled again before the result was written: due at once.
		c.NextAttemptAt = &now
	}
	return c
}
