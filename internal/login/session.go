package login

import (
	"net/netip"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
)

const (
	// IdleTimeout ends a session that was not used.
	IdleTimeout = 12 * time.Hour
	// Lifetime ends every session, used or not.
	Lifetime = 7 * 24 * time.Hour
	// seenGranularity bounds how often a session's last_seen_at is written.
	seenGranularity = time.Minute
	// standardFailureFloor hides how long a refused sign-in took.
	standardFailureFloor = 400 * time.Millisecond

	tokenLength    = 43 // 32 bytes in base64url
	userAgentMax   = 200
	sessionListMax = 100
)

// Errors of this package.
var (
	// ErrCredentials reports a sign-in that failed, whatever the reason: unknown address, wrong password, or no active
	// membership.
	ErrCredentials = fault.New(fault.Unauthenticated, fault.CodeUnauthorized, "This address and password do not match an active member.")
	// ErrNoSession reports a token without a live session.
	ErrNoSession = fault.New(fault.Unauthenticated, fault.CodeUnauthorized, "You are signed out.")
	errNotFound  = fault.Missing("session")
	errNoPlace   = fault.Missing("organization")
)

// Client is where a request comes from.
type Client struct {
	IP        netip.Addr
	UserAgent string
	RequestID string
}

// Session is a signed-in user in one organization.
type Session struct {
	ID           id.Login
	User         org.User         `gorm:"embedded;embeddedPrefix:user_"`
	Organization org.Organization `gorm:"embedded;embeddedPrefix:organization_"`
	Role         access.Role
	// CSRFToken is the hidden field of every form.
	CSRFToken string `gorm:"column:csrf_token"`
	// HasFlash tells that TakeFlash has something to return.
	HasFlash          bool
	CreatedAt         time.Time
	LastSeenAt        time.Time
	ExpiresAt         time.Time
	ReauthenticatedAt time.Time
}

// Actor is the session's user as the one who acts in a request.
func (s Session) Actor(ip netip.Addr, requestID string) access.Actor {
	return access.Actor{
		Type: access.User, Organization: s.Organization.ID, ID: s.User.ID.String(), Name: s.User.Name, Role: s.Role,
		ReauthenticatedAt: s.ReauthenticatedAt, IP: ip, RequestID: requestID,
	}
}

// RecentlyAuthenticated reports whether the password was entered within access.ReauthWindow before now.
func (s Session) RecentlyAuthenticated(now time.Time) bool {
	return now.Sub(s.ReauthenticatedAt) <= access.ReauthWindow
}

// Device is one of a user's sessions as they see it in their settings.
type Device struct {
	ID               id.Login
	OrganizationName string
	IP               string
	UserAgent        string
	CreatedAt        time.Time
	LastSeenAt       time.Time
	ExpiresAt        time.Time
}

// row is a session as it is stored.
type row struct {
	ID                id.Login
	UserID            id.User
	OrganizationID    id.Organization
	TokenHash         []byte
	CSRFToken         string `gorm:"column:csrf_token"`
	Flash             string
	IP                string
	UserAgent         string
	CreatedAt         time.Time
	LastSeenAt        time.Time
	ExpiresAt         time.Time
	ReauthenticatedAt time.Time
}

// TableName names the table.
func (row) TableName() string { return "login_sessions" }

// expiry is when a session seen at now ends.
func expiry(created, now time.Time) time.Time {
	idle, end := now.Add(IdleTimeout), created.Add(Lifetime)
	if end.Before(idle) {
		return end
	}
	return idle
}
