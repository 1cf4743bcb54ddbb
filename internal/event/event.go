package event

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
)

// Type is the type of an event.
type Type string

// The event types (contract section 3).
const (
	SessionSucceeded Type = "verification.session.succeeded"
	SessionFailed    Type = "verification.session.failed"
	SessionExpired   Type = "verification.session.expired"
	SessionCancelled Type = "verification.session.cancelled"
	Test             Type = "webhook.test"
)

// SubscribableTypes lists the types an endpoint can subscribe to, in canonical order.
func SubscribableTypes() []Type {
	return []Type{SessionSucceeded, SessionFailed, SessionExpired, SessionCancelled}
}

// Types lists every type, in canonical order.
func Types() []Type { return append(SubscribableTypes(), Test) }

// Known reports whether t is one of Types.
func (t Type) Known() bool { return slices.Contains(Types(), t) }

// Short is the name without its first word, for tables: "session.failed".
func (t Type) Short() string { return strings.TrimPrefix(string(t), "verification.") }

// TriggerType says what TriggerID names.
type TriggerType string

// The kinds of triggers.
const (
	ByVerificationSession TriggerType = "verification_session"
	ByWebhookEndpoint     TriggerType = "webhook_endpoint"
)

// Event is one row of events.
type Event struct {
	ID                  id.Event
	OrganizationID      id.Organization
	Type                Type
	TriggerType         TriggerType
	TriggerID           uuid.UUID
	SupersededByEventID *id.Event
	ReplacesEventID     *id.Event
	Routing             Routing `gorm:"type:jsonb"`
	CreatedAt           time.Time
}

// SessionID returns the session that caused the event, or the zero id for a test event.
func (e Event) SessionID() id.Session {
	if e.TriggerType != ByVerificationSession {
		return id.Session{}
	}
	return id.Session{UUID: e.TriggerID}
}

// TriggerText returns the text id of what caused the event.
func (e Event) TriggerText() string {
	if e.TriggerType == ByVerificationSession {
		return id.Session{UUID: e.TriggerID}.String()
	}
	return id.Endpoint{UUID: e.TriggerID}.String()
}

// Decision says whether an endpoint was served.
type Decision string

// Reason says why (contract section 3.4).
type Reason string

// Decisions and reasons of the routing record.
const (
	Delivered Decision = "delivered"
	Skipped   Decision = "skipped"

	NotTargeted       Reason = "not_targeted"
	Disabled          Reason = "disabled"
	NotSubscribed     Reason = "not_subscribed"
	NoActiveKey       Reason = "no_active_key"
	EncryptionFailed  Reason = "encryption_failed"
	Subscribed        Reason = "subscribed"
	TestSend          Reason = "test"
	Replacement       Reason = "replacement"
	OriginalDelivered Reason = "original_delivered"
	OriginalUndecided Reason = "original_undecided"
)

// Route is what was decided for one endpoint.
type Route struct {
	EndpointID id.Endpoint  `json:"webhook_endpoint_id"`
	Decision   Decision     `json:"decision"`
	Reason     Reason       `json:"reason"`
	DeliveryID *id.Delivery `json:"delivery_id"`
	CreatedAt  time.Time    `json:"created_at"`
}

// Routing has one route for every endpoint the organization had when the event was routed, in ascending endpoint order.
type Routing []Route

// Put replaces the endpoint's route, or adds it, and keeps the order.
func (r Routing) Put(route Route) Routing {
	i, found := slices.BinarySearchFunc(r, route, func(a, b Route) int {
		return bytes.Compare(a.EndpointID.UUID[:], b.EndpointID.UUID[:])
	})
	if found {
		r[i] = route
		return r
	}
	return slices.Insert(r, i, route)
}

// Value stores the record as jsonb.
func (r Routing) Value() (driver.Value, error) {
	if r == nil {
		return "[]", nil
	}
	b, err := json.Marshal(r)
	return string(b), err
}

// Scan reads the record from jsonb.
func (r *Routing) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*r = nil
		return nil
	case []byte:
		return json.Unmarshal(v, r)
	case string:
		return json.Unmarshal([]byte(v), r)
	}
	return errors.New("scan routing: not json")
}

// payload is the decrypted body of a webhook (contract section 3.1): nothing else is ever in it.
type payload struct {
	Type     Type     `json:"type"`
	Metadata metadata `json:"metadata"`
	Data     any      `json:"data"`
}

type metadata struct {
	ContractVersion       int         `json:"contract_version"`
	EventID               id.Event    `json:"event_id"`
	VerificationSessionID *id.Session `json:"verification_session_id"`
}

// ContractVersion is the version of the payload format.
const ContractVersion = 1

// Data is the type-specific part of a payload: one of SucceededData, FailedData, ExpiredData, CancelledData, TestData.
type Data interface{ eventType() Type }

// SucceededData is the data of verification.session.succeeded.
type SucceededData struct {
	// Claims has every key of the session's share contract, null where it was not selected.
	Claims            map[string]any `json:"claims"`
	SelectedFieldKeys []string       `json:"selected_field_keys"`
}

// FailedData is the data of verification.session.failed.
type FailedData struct {
	FailureCode       string `json:"failure_code"`
	NFCTriesUsed      int    `json:"nfc_tries_used"`
	LivenessTriesUsed int    `json:"liveness_tries_used"`
}

// ExpiredData is the data of verification.session.expired.
type ExpiredData struct{}

// CancelledData is the data of verification.session.cancelled. Outcome is always "not_verified".
type CancelledData struct {
	Outcome           string `json:"outcome"`
	Reason            string `json:"reason"`
	NFCTriesUsed      int    `json:"nfc_tries_used"`
	LivenessTriesUsed int    `json:"liveness_tries_used"`
}

// TestData is the data of webhook.test.
type TestData struct {
	Message string `json:"message"`
}

func (SucceededData) eventType() Type { return SessionSucceeded }
func (FailedData) eventType() Type    { return SessionFailed }
func (ExpiredData) eventType() Type   { return SessionExpired }
func (CancelledData) eventType() Type { return SessionCancelled }
func (TestData) eventType() Type      { return Test }

// TypeOf returns the event type that data belongs to.
func TypeOf(data Data) Type { return data.eventType() }

// Payload returns the plaintext of the event's webhook. It exists in memory only, until it is encrypted.
func (e Event) Payload(data Data) ([]byte, error) {
	if TypeOf(data) != e.Type {
		return nil, fmt.Errorf("payload of %s for an event of type %s", TypeOf(data), e.Type)
	}
	return json.Marshal(payload{
		Type:     e.Type,
		Metadata: metadata{ContractVersion: ContractVersion, EventID: e.ID, VerificationSessionID: e.SessionID().Ptr()},
		Data:     data,
	})
}
