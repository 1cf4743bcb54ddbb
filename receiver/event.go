package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"
)

// Event types.
const (
	SessionSucceeded = "verification.session.succeeded"
	SessionFailed    = "verification.session.failed"
	SessionExpired   = "verification.session.expired"
	SessionCancelled = "verification.session.cancelled"
	WebhookTest      = "webhook.test"
)

// Event is a decrypted webhook. At most one of the typed members is set, by Type.
type Event struct {
	ID              string // metadata.event_id, by which repeats are dropped
	Type            string
	ContractVersion int
	SessionID       string // "" for webhook.test

	Succeeded *Succeeded
	Failed    *Failed
	Cancelled *Cancelled
	Test      *Test
	Data      json.RawMessage // as it was received

	DeliveryID string // header hints, not signed
	TypeHint   string
	KeyID      string // kid of the key that opened it
	Secret     int    // index of the signing secret that matched
	ReceivedAt time.Time
	Plaintext  []byte
}

// Withdraws reports whether the event overrides an earlier result of the same session: what that gave must be deleted.
func (e Event) Withdraws() bool {
	return e.Cancelled != nil && strings.HasPrefix(e.Cancelled.Reason, "privacy_")
}

// Succeeded is the data of a session that succeeded. Claims that were not selected are null.
type Succeeded struct {
	Claims            map[string]any `json:"claims"`
	SelectedFieldKeys []string       `json:"selected_field_keys"`
}

// Failed is the data of a session that failed.
type Failed struct {
	FailureCode       string `json:"failure_code"`
	NFCTriesUsed      int    `json:"nfc_tries_used"`
	LivenessTriesUsed int    `json:"liveness_tries_used"`
}

// Cancelled is the data of a session that was cancelled.
type Cancelled struct {
	Outcome           string `json:"outcome"`
	Reason            string `json:"reason"`
	NFCTriesUsed      int    `json:"nfc_tries_used"`
	LivenessTriesUsed int    `json:"liveness_tries_used"`
}

// Test is the data of a test event.
type Test struct {
	Message string `json:"message"`
}

var challenge = regexp.MustCompile("kch_[a-z0-9]{32}")

// Challenge is the code in a test event that verifies a key, else "". Answering with it shows the sender that the event was
// decrypted.
func (e Event) Challenge() string {
	if e.Test == nil {
		return ""
	}
	return challenge.FindString(e.Test.Message)
}

// parseEvent reads a plaintext. An unknown type is passed on with its raw data: new types may come.
func parseEvent(plaintext []byte) (Event, error) {
	var p struct {
		Type     string `json:"type"`
		Metadata struct {
			ContractVersion int     `json:"contract_version"`
			EventID         string  `json:"event_id"`
			SessionID       *string `json:"verification_session_id"`
		} `json:"metadata"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(plaintext, &p); err != nil {
		return Event{}, errors.New("the payload is not JSON of the expected shape")
	}
	if p.Type == "" || p.Metadata.EventID == "" || !bytes.HasPrefix(bytes.TrimSpace(p.Data), []byte("{")) {
		return Event{}, errors.New("the payload lacks type, event_id or data")
	}
	if p.Metadata.ContractVersion != 1 {
		return Event{}, errors.New("the payload is of another contract version")
	}
	e := Event{
		ID: p.Metadata.EventID, Type: p.Type, ContractVersion: p.Metadata.ContractVersion, Data: p.Data, Plaintext: plaintext,
	}
	if p.Metadata.SessionID != nil {
		e.SessionID = *p.Metadata.SessionID
	}
	var err error
	switch p.Type {
	case SessionSucceeded:
		err = json.Unmarshal(p.Data, &e.Succeeded)
	case SessionFailed:
		err = json.Unmarshal(p.Data, &e.Failed)
	case SessionCancelled:
		err = json.Unmarshal(p.Data, &e.Cancelled)
	case WebhookTest:
		err = json.Unmarshal(p.Data, &e.Test)
	}
	if err != nil {
		return Event{}, errors.New("the data is not of the shape of its type")
	}
	return e, nil
}
