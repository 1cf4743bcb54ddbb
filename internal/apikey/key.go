package apikey

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

const (
	nameMax = 120
	// usedGranularity bounds how often last_used_at is written (LAST_USED_GRANULARITY).
	usedGranularity = 60 * time.Second
)

// Key is the record of an API key. It never carries the key itself.
type Key struct {
	ID             id.APIKey
	OrganizationID id.Organization
	Name           string
	// Hint is the first four characters after kk_, to tell keys apart.
	Hint    string
	Scopes  Scopes
	Enabled bool
	// CreatedBy is zero, and CreatedByName empty, when the creator is gone or was not a user.
	CreatedBy     id.User
	CreatedByName string
	ExpiresAt     *time.Time
	// ReplacedAt is when the key was rotated; it works on until ExpiresAt.
	ReplacedAt *time.Time
	// LastUsedAt is exact to a minute. LastUsedIP and LastUsedRoute are of the first request of that minute, and empty before the first
	// use.
	LastUsedAt    *time.Time
	LastUsedIP    string
	LastUsedRoute string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Usable reports whether the key authenticates at now.
func (k Key) Usable(now time.Time) bool { return k.Enabled && !k.Expired(now) }

// Expired reports whether the key's time is over at now.
func (k Key) Expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

// Actor is the key as the one who acts in a request; the door adds address and request id.
func (k Key) Actor() access.Actor {
	return access.Actor{Type: access.APIKey, Organization: k.OrganizationID, ID: k.ID.String(), Name: k.Name, Scopes: k.Scopes}
}

// Scopes are the permissions of a key, in the order of access.Scopes.
type Scopes []access.Scope

// Scan reads the scopes joined by spaces, as this package selects them. Unknown ones are ignored: a later release may
// have stored them.
func (s *Scopes) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("scan scopes: got %T", src)
	}
	*s = ordered(strings.Fields(text))
	return nil
}

// GormDataType keeps GORM from taking the slice for a relation.
func (Scopes) GormDataType() string { return "text" }

func (s Scopes) strings() []string {
	out := make([]string, len(s))
	for i, scope := range s {
		out[i] = string(scope)
	}
	return out
}

// ordered keeps the known scopes among names, each once.
func ordered(names []string) Scopes {
	out := Scopes{}
	for _, known := range access.Scopes() {
		if slices.Contains(names, string(known)) {
			out = append(out, known)
		}
	}
	return out
}

// Input describes a key to issue.
type Input struct {
	Name   string
	Scopes []access.Scope
	// ExpiresAt is optional and must lie in the future.
	ExpiresAt *time.Time
}

// Use is what a key is used for.
type Use struct {
	// IP is the address of the client; it may be unknown.
	IP netip.Addr
	// Route is method and pattern, never a path: that may hold ids.
	Route string
}

// Update names what changes; nil leaves a field alone.
type Update struct {
	Name    *string
	Enabled *bool
	Scopes  *[]access.Scope
}

// Errors of this package.
var (
	// ErrUnauthorized reports a credential that does not authenticate, whatever the reason.
	ErrUnauthorized = fault.New(fault.Unauthenticated, fault.CodeUnauthorized, "The API key is missing or not valid.").
			WithHint("Send the header Authorization: Bearer kk_… with a key that is enabled and has not expired.")
	errNotFound = fault.Missing("API key")
)

func checkName(name string) (string, *fault.Field) {
	name = strings.TrimSpace(name)
	n := utf8.RuneCountInString(name)
	if n < 1 || n > nameMax || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return name, &fault.Field{Name: "name", Message: fmt.Sprintf("Use 1 to %d printable characters.", nameMax)}
	}
	return name, nil
}

func checkScopes(wanted []access.Scope) (Scopes, *fault.Field) {
	names := Scopes(wanted).strings()
	scopes := ordered(names)
	for _, name := range names {
		if !slices.Contains(access.Scopes(), access.Scope(name)) {
			return scopes, &fault.Field{Name: "scopes", Message: "Choose from the list only."}
		}
	}
	if len(scopes) == 0 {
		return scopes, &fault.Field{Name: "scopes", Message: "Choose at least one."}
	}
	return scopes, nil
}

// checkGrant is a FORBIDDEN fault unless the actor may put each of the scopes on a key.
func checkGrant(actor access.Actor, scopes []access.Scope) error {
	for _, scope := range scopes {
		if !actor.CanGrant(scope) {
			return fault.New(fault.Forbidden, fault.CodeForbidden, "You may not give a key the scope "+string(scope)+".").
				WithHint("Ask an owner of the organization.")
		}
	}
	return nil
}
