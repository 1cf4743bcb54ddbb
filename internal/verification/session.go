package verification

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Numbers of sessions (contract section 1).
const (
	TTL          = 60 * time.Minute
	CheckBudget  = 3
	MaxTargets   = 25
	CancelLength = 48
)

// Status is the state of a session (contract section 4.1).
type Status string

// The states; the first two are active.
const (
	Created    Status = "created"
	InProgress Status = "in_progress"
	Succeeded  Status = "succeeded"
	Failed     Status = "failed"
	Expired    Status = "expired"
	Cancelled  Status = "cancelled"
)

// Statuses lists every state.
func Statuses() []Status {
	return []Status{Created, InProgress, Succeeded, Failed, Expired, Cancelled}
}

// Active reports whether the check has not ended.
func (s Status) Active() bool { return s == Created || s == InProgress }

// FailureCode says which check failed (contract section 3.3).
type FailureCode string

// The failure codes.
const (
	DocumentAuthenticityFailed           FailureCode = "document_authenticity_failed"
	DocumentActiveAuthenticationFailed   FailureCode = "document_active_authentication_failed"
	DocumentChipAuthenticationFailed     FailureCode = "document_chip_authentication_failed"
	LivenessFailed                       FailureCode = "liveness_failed"
	SelfieFaceMismatch                   FailureCode = "selfie_face_mismatch"
	DocumentAntiCloningAttestationFailed FailureCode = "document_anti_cloning_attestation_failed"
	DocumentDataInvalid                  FailureCode = "document_data_invalid"
)

// family groups failure codes by the budget they use.
type family string

const (
	nfc      family = "nfc"
	liveness family = "liveness"
	mrz      family = "mrz"
	hardKill family = "hard_kill"
)

var families = map[FailureCode]family{
	DocumentAuthenticityFailed: nfc, DocumentActiveAuthenticationFailed: nfc, DocumentChipAuthenticationFailed: nfc,
	LivenessFailed: liveness, SelfieFaceMismatch: liveness,
	DocumentAntiCloningAttestationFailed: hardKill,
	DocumentDataInvalid:                  mrz,
}

// FailureCodes lists the failure codes in the order of the contract.
func FailureCodes() []FailureCode {
	return []FailureCode{
		DocumentAuthenticityFailed, DocumentActiveAuthenticationFailed, DocumentChipAuthenticationFailed,
		LivenessFailed, SelfieFaceMismatch, DocumentAntiCloningAttestationFailed, DocumentDataInvalid,
	}
}

// Check is the audit log's name of the family: nfc, liveness or mrz. The attestation is read over nfc.
func (f family) check() string {
	if f == hardKill {
		return string(nfc)
	}
	return string(f)
}

// Cancellation reasons (contract section 3.3).
const (
	reasonCancelled           = "cancelled"
	reasonAfterFailedCheck    = "cancelled_after_failed_check"
	reasonPrivacyAfterFailure = "privacy_cancelled_after_terminal_failure"
	reasonPrivacyAfterSuccess = "privacy_cancelled_after_terminal_success"
)

// Session is one row of verification_sessions.
type Session struct {
	ID                     id.Session
	OrganizationID         id.Organization
	Status                 Status
	FailureCode            *FailureCode
	NFCTriesUsed           int `gorm:"column:nfc_tries_used"`
	LivenessTriesUsed      int
	ShareFields            ShareFields `gorm:"type:jsonb"`
	RedirectURL            *string
	WebhookEndpointIDs     postgres.UUIDArray `gorm:"column:webhook_endpoint_ids"`
	CancelTokenHash        string
	CancelTokenMasterKeyID string
	CancelTokenConsumedAt  *time.Time
	ExpiresAt              time.Time
	CompletedAt            *time.Time
	CreatedAt              time.Time
	UpdatedAt              time.Time
}

// TableName names the table.
func (Session) TableName() string { return "verification_sessions" }

const sessionColumns = `id, organization_id, status, failure_code, nfc_tries_used, liveness_tries_used, share_fields, redirect_url, webhook_endpoint_ids,
	cancel_token_hash, cancel_token_master_key_id, cancel_token_consumed_at, expires_at, completed_at, created_at, updated_at`

// scanSession reads a row of sessionColumns, by hand: gorm finds the field of each column anew for each row. Sessions with the same share
// contract, as those of one client mostly have, share the one in contracts; it is not to be changed.
func scanSession(row postgres.Row, contracts shareContracts) (Session, error) {
	var s Session
	var contract string
	err := row.Scan(&s.ID, &s.OrganizationID, &s.Status, &s.FailureCode, &s.NFCTriesUsed, &s.LivenessTriesUsed, &contract, &s.RedirectURL, (*[]uuid.UUID)(&s.WebhookEndpointIDs),
		&s.CancelTokenHash, &s.CancelTokenMasterKeyID, &s.CancelTokenConsumedAt, &s.ExpiresAt, &s.CompletedAt, &s.CreatedAt, &s.UpdatedAt)
	if err == nil {
		s.ShareFields, err = contracts.read(contract)
	}
	return s, err
}

// shareContracts are share contracts by their text.
type shareContracts map[string]ShareFields

func (c shareContracts) read(text string) (ShareFields, error) {
	if fields, known := c[text]; known {
		return fields, nil
	}
	var fields ShareFields
	if err := fields.Scan(text); err != nil {
		return nil, err
	}
	c[text] = fields
	return fields, nil
}

// Targets returns the endpoints the session is limited to; empty means every endpoint.
func (s Session) Targets() []id.Endpoint {
	targets := make([]id.Endpoint, len(s.WebhookEndpointIDs))
	for i, u := range s.WebhookEndpointIDs {
		targets[i] = id.Endpoint{UUID: u}
	}
	return targets
}

// Source says where an entry of a share contract comes from.
type Source string

// The sources.
const (
	FromDefault Source = "default"
	FromRequest Source = "rc"
)

// ShareField is one entry of a share contract: a claim the person is asked to share.
type ShareField struct {
	Required bool   `json:"required"`
	Reason   string `json:"reason"`
	Source   Source `json:"source"`
}

// ShareFields is a session's effective share contract by claim key.
type ShareFields map[string]ShareField

// Value stores the contract as jsonb.
func (f ShareFields) Value() (driver.Value, error) {
	b, err := json.Marshal(map[string]ShareField(f))
	return string(b), err
}

// Scan reads the contract from jsonb.
func (f *ShareFields) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		return json.Unmarshal(v, f)
	case string:
		return json.Unmarshal([]byte(v), f)
	}
	return errors.New("scan share fields: not json")
}

// The refusals of session operations.
var (
	ErrNotFound            = fault.Missing("verification session")
	ErrPublicNotFound      = fault.New(fault.NotFound, fault.CodeSessionNotFound, "No such verification session.")
	ErrExpired             = fault.New(fault.Gone, fault.CodeSessionExpired, "The session has expired.")
	ErrNotActive           = fault.New(fault.Conflict, fault.CodeSessionNotActive, "The session has already ended.")
	ErrCancelTokenInvalid  = fault.New(fault.Unauthenticated, fault.CodeCancelTokenInvalid, "The cancel token does not belong to this session.")
	ErrCancelTokenUsed     = fault.New(fault.Unauthenticated, fault.CodeCancelTokenUsed, "The cancel token has been used already.")
	ErrEndpointUnavailable = fault.New(fault.Invalid, fault.CodeEndpointUnavailable, "webhook_endpoint_id names an endpoint that does not exist or is disabled.")
)
