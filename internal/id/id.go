package id

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Kind gives an id its prefix and keeps ids of different things apart at compile time.
type Kind interface{ Prefix() string }

// The kinds of ids.
type (
	SessionKind      struct{}
	EventKind        struct{}
	DeliveryKind     struct{}
	AttemptKind      struct{}
	EndpointKind     struct{}
	KeyKind          struct{}
	AuditKind        struct{}
	OrganizationKind struct{}
	UserKind         struct{}
	APIKeyKind       struct{}
	JobKind          struct{}
	InvitationKind   struct{}
	LoginKind        struct{}
)

// Prefix implementations (contract section 2.1; inv and lgn never leave the dashboard).
func (SessionKind) Prefix() string      { return "vs" }
func (EventKind) Prefix() string        { return "evt" }
func (DeliveryKind) Prefix() string     { return "whd" }
func (AttemptKind) Prefix() string      { return "wha" }
func (EndpointKind) Prefix() string     { return "whe" }
func (KeyKind) Prefix() string          { return "whk" }
func (AuditKind) Prefix() string        { return "aud" }
func (OrganizationKind) Prefix() string { return "org" }
func (UserKind) Prefix() string         { return "usr" }
func (APIKeyKind) Prefix() string       { return "key" }
func (JobKind) Prefix() string          { return "job" }
func (InvitationKind) Prefix() string   { return "inv" }
func (LoginKind) Prefix() string        { return "lgn" }

// The ids of the system.
type (
	Session      = ID[SessionKind]
	Event        = ID[EventKind]
	Delivery     = ID[DeliveryKind]
	Attempt      = ID[AttemptKind]
	Endpoint     = ID[EndpointKind]
	Key          = ID[KeyKind]
	Audit        = ID[AuditKind]
	Organization = ID[OrganizationKind]
	User         = ID[UserKind]
	APIKey       = ID[APIKeyKind]
	Job          = ID[JobKind]
	Invitation   = ID[InvitationKind]
	Login        = ID[LoginKind]
)

// ErrMalformed reports a string that is not an id of the wanted kind.
var ErrMalformed = errors.New("malformed id")

// ID is a uuid that prints with the prefix of K. The zero value is "no id".
type ID[K Kind] struct{ UUID uuid.UUID }

const (
	alphabet   = "0123456789abcdefghjkmnpqrstvwxyz"
	suffixSize = 26
)

// Parse reads the strict text form: right prefix, 26 lowercase base32 characters, no overflow. The zero id, which stands for none, has no
// text form.
func Parse[K Kind](s string) (ID[K], error) {
	var k K
	suffix, ok := strings.CutPrefix(s, k.Prefix()+"_")
	if !ok || len(suffix) != suffixSize || suffix[0] > '7' {
		return ID[K]{}, ErrMalformed
	}
	var hi, lo uint64
	for i := range suffixSize {
		v := strings.IndexByte(alphabet, suffix[i])
		if v < 0 {
			return ID[K]{}, ErrMalformed
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	if hi|lo == 0 {
		return ID[K]{}, ErrMalformed
	}
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], hi)
	binary.BigEndian.PutUint64(u[8:], lo)
	return ID[K]{u}, nil
}

// String returns the text form, or "" for the zero id.
func (x ID[K]) String() string {
	if x.IsZero() {
		return ""
	}
	hi, lo := binary.BigEndian.Uint64(x.UUID[:8]), binary.BigEndian.Uint64(x.UUID[8:])
	var suffix [suffixSize]byte
	for i := suffixSize - 1; i >= 0; i-- {
		suffix[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	var k K
	return k.Prefix() + "_" + string(suffix[:])
}

// IsZero reports whether there is no id.
func (x ID[K]) IsZero() bool { return x.UUID == uuid.Nil }

// Ptr returns a pointer to the id, or nil for the zero id.
func (x ID[K]) Ptr() *ID[K] {
	if x.IsZero() {
		return nil
	}
	return &x
}

// MarshalText returns the text form.
func (x ID[K]) MarshalText() ([]byte, error) { return []byte(x.String()), nil }

// UnmarshalText reads the text form.
func (x *ID[K]) UnmarshalText(b []byte) error {
	v, err := Parse[K](string(b))
	if err != nil {
		return err
	}
	*x = v
	return nil
}

// Value stores the id as a native uuid.
func (x ID[K]) Value() (driver.Value, error) {
	if x.IsZero() {
		return nil, nil
	}
	return x.UUID.String(), nil
}

// Scan reads a native uuid; NULL gives the zero id.
func (x *ID[K]) Scan(src any) error {
	if src == nil {
		x.UUID = uuid.Nil
		return nil
	}
	if err := x.UUID.Scan(src); err != nil {
		return fmt.Errorf("scan id: %w", err)
	}
	return nil
}

// GormDataType makes GORM treat the id as a uuid column.
func (ID[K]) GormDataType() string { return "uuid" }

// NewUUID returns a UUIDv7 (RFC 9562) for the given instant: 48 bits of milliseconds, 12 bits of their fraction,
// 62 random bits. Ids therefore sort by creation time.
func NewUUID(at time.Time) uuid.UUID {
	var u uuid.UUID
	_, _ = rand.Read(u[8:])                                          // never fails (crypto/rand)
	ms, frac := at.UnixMilli(), uint64(at.Nanosecond()%1e6)*4096/1e6 //nolint:gosec // never negative
	binary.BigEndian.PutUint64(u[:8], uint64(ms)<<16|0x7000|frac)
	u[8] = u[8]&0x3f | 0x80
	return u
}
