package delivery

import (
	"encoding/json"
	"time"

	"kaylehooks/internal/id"
)

// Attempt is one row of webhook_delivery_attempts (contract section 7.8).
type Attempt struct {
	ID                    id.Attempt      `json:"id"`
	OrganizationID        id.Organization `json:"organization_id"`
	WebhookDeliveryID     id.Delivery     `json:"webhook_delivery_id"`
	Run                   int             `json:"run"`
	Number                int             `json:"number"`
	Counted               bool            `json:"counted"`
	Status                Status          `json:"status"`
	Trigger               Trigger         `json:"trigger"`
	StartedAt             time.Time       `json:"started_at"`
	DurationMS            *int64          `json:"duration_ms" gorm:"column:duration_ms"`
	StatusCode            *int            `json:"status_code"`
	ErrorKind             *ErrorKind      `json:"error_kind"`
	DNSMS                 *int64          `json:"dns_ms" gorm:"column:dns_ms"`
	ConnectMS             *int64          `json:"connect_ms" gorm:"column:connect_ms"`
	TLSMS                 *int64          `json:"tls_ms" gorm:"column:tls_ms"`
	FirstByteMS           *int64          `json:"first_byte_ms" gorm:"column:first_byte_ms"`
	RemoteAddress         *string         `json:"remote_address"`
	Worker                *string         `json:"worker"`
	ResponseHeaders       json.RawMessage `json:"response_headers" gorm:"type:jsonb"`
	ResponseBody          *string         `json:"response_body"`
	ResponseBodyTruncated bool            `json:"response_body_truncated"`
	CreatedAt             time.Time       `json:"created_at"`
}

// TableName names the table.
func (Attempt) TableName() string { return "webhook_delivery_attempts" }
