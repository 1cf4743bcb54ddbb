package delivery

import (
	"time"

	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// Numbers of the pipeline (contract section 1).
const (
	AttemptsPerRun = 8
	HTTPTimeout    = 15 * time.Second
	Lease          = HTTPTimeout + 15*time.Second
	ScheduleSlack  = time.Hour
	// RingWindow is how long the feeder trusts a ring before it rings again for a row that is still due.
	RingWindow = 8 * time.Second
)

// Status is the stored state of a delivery (contract section 7.1).
type Status string

// The stored states.
const (
	Pending    Status = "pending"
	Delivering Status = "delivering"
	Succeeded  Status = "succeeded"
	Failed     Status = "failed"
)

// RetentionReason says why a payload is held or gone (contract section 7.9).
type RetentionReason string

// The reasons.
const (
	PendingDelivery          RetentionReason = "pending_delivery"
	Delivered                RetentionReason = "delivered"
	TerminalFailureRetention RetentionReason = "terminal_failure_retention"
	Expired                  RetentionReason = "expired"
	PrivacyRequest           RetentionReason = "privacy_request"
	EndpointDeleted          RetentionReason = "endpoint_deleted"
	NoActiveKey              RetentionReason = "no_active_key"
	JWECreationFailed        RetentionReason = "jwe_creation_failed"
)

// Trigger is what made an attempt due (contract section 7.8).
type Trigger string

// The triggers.
const (
	Automatic Trigger = "automatic"
	Manual    Trigger = "manual"
	Replay    Trigger = "replay"
	Bulk      Trigger = "bulk"
	TestSend  Trigger = "test"
)

// Triggers lists the triggers.
func Triggers() []Trigger { return []Trigger{Automatic, Manual, Replay, Bulk, TestSend} }

// Delivery is one row of webhook_deliveries without its payload and its lease: one event on its way to one endpoint.
type Delivery struct {
	ID                     id.Delivery
	OrganizationID         id.Organization
	EventID                id.Event
	WebhookEndpointID      id.Endpoint
	WebhookEncryptionKeyID *id.Key
	EventType              event.Type
	Status                 Status
	PayloadBytes           int
	PayloadExpiresAt       *time.Time
	PayloadScrubbedAt      *time.Time
	PayloadRetentionReason *RetentionReason
	Run                    int
	AttemptCount           int
	NextAttemptAt          *time.Time
	NextTrigger            Trigger
	LastAttemptAt          *time.Time
	LastStatusCode         *int
	LastErrorKind          *ErrorKind
	LastDurationMS         *int64 `gorm:"column:last_duration_ms"`
	WithdrawnAt            *time.Time
	CreatedAt              time.Time
	UpdatedAt              time.Time
}

// columns are what Delivery reads: everything but the payload and the lease.
const columns = `d.id, d.organization_id, d.event_id, d.webhook_endpoint_id, d.webhook_encryption_key_id, d.event_type, d.status,
	d.payload_bytes, d.payload_expires_at, d.payload_scrubbed_at, d.payload_retention_reason, d.run, d.attempt_count,
	d.next_attempt_at, d.next_trigger, d.last_attempt_at, d.last_status_code, d.last_error_kind, d.last_duration_ms, d.withdrawn_at, d.created_at, d.updated_at`

// TableName names the table.
func (Delivery) TableName() string { return "webhook_deliveries" }

// Reason returns the retention reason, or "".
func (d Delivery) Reason() RetentionReason {
	if d.PayloadRetentionReason == nil {
		return ""
	}
	return *d.PayloadRetentionReason
}

// PayloadHeld reports whether the ciphertext is still there and may be sent at time now.
func (d Delivery) PayloadHeld(now time.Time) bool {
	return d.PayloadExpiresAt != nil && d.PayloadExpiresAt.After(now)
}

// State is what people are shown for a delivery; it is derived, never stored.
type State string

// The display states.
const (
	StateScheduled       State = "scheduled"
	StateInFlight        State = "in_flight"
	StateRetrying        State = "retrying"
	StateParked          State = "parked"
	StateSucceeded       State = "succeeded"
	StateFailed          State = "failed"
	StateBlocked         State = "blocked"
	StateExpired         State = "expired"
	StateWithdrawn       State = "withdrawn"
	StateEndpointDeleted State = "endpoint_deleted"
)

// State derives the display state. A failed delivery is named by why its payload went, where that ended it.
func (d Delivery) State() State {
	switch d.Status {
	case Pending:
		switch {
		case d.NextAttemptAt == nil:
			return StateParked
		case d.AttemptCount > 0:
			return StateRetrying
		}
		return StateScheduled
	case Delivering:
		return StateInFlight
	case Succeeded:
		return StateSucceeded
	case Failed:
	}
	switch d.Reason() {
	case NoActiveKey, JWECreationFailed:
		return StateBlocked
	case PrivacyRequest:
		return StateWithdrawn
	case EndpointDeleted:
		if d.AttemptCount < AttemptsPerRun {
			return StateEndpointDeleted
		}
	case Expired:
		if d.AttemptCount < AttemptsPerRun {
			return StateExpired
		}
	case PendingDelivery, Delivered, TerminalFailureRetention:
	}
	return StateFailed
}

// The refusals of operations on deliveries (contract section 7.10).
var (
	ErrNotFound         = fault.Missing("webhook delivery")
	ErrInFlight         = fault.New(fault.Conflict, fault.CodeConflict, "The delivery is in flight.").WithHint("Wait for its result, then retry if it failed.")
	ErrPayloadGone      = fault.New(fault.Conflict, fault.CodePayloadExpired, "The encrypted payload is no longer held, so this delivery cannot be sent again.").WithHint("Payload expired: payloads are erased after delivery, at the end of their retention, and on withdrawal.")
	ErrEndpointDisabled = fault.New(fault.Conflict, fault.CodeConflict, "The endpoint is disabled.").WithHint("Enable the endpoint first.")
	ErrNothingToReplay  = fault.New(fault.Conflict, fault.CodeConflict, "No delivery of this event can be sent again now.")
)
