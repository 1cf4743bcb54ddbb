package access

import (
	"net/netip"
	"slices"
	"time"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// ActorType is the kind of actor as the audit log names it (contract section 9.4).
type ActorType string

// The kinds of actors.
const (
	User    ActorType = "user"
	APIKey  ActorType = "api_key"
	System  ActorType = "system"
	Subject ActorType = "subject" // the holder of a cancel token
)

// Role is a user's place in an organization.
type Role string

// The roles, greatest first.
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Member Role = "member"
)

// Roles lists every role, greatest first.
func Roles() []Role { return []Role{Owner, Admin, Member} }

func (r Role) rank() int {
	switch r {
	case Owner:
		return 3
	case Admin:
		return 2
	case Member:
		return 1
	}
	return 0
}

// AtLeast reports whether r grants everything that least grants. An unknown role grants nothing.
func (r Role) AtLeast(least Role) bool { return r.rank() > 0 && r.rank() >= least.rank() }

// Scope is a permission. The ones in Scopes can be given to an API key; the others exist for dashboard users only.
type Scope string

// Scopes of the API (contract section 9.2).
const (
	SessionsRead    Scope = "sessions:read"
	SessionsWrite   Scope = "sessions:write"
	WebhooksRead    Scope = "webhooks:read"
	WebhooksWrite   Scope = "webhooks:write"
	WebhooksSecrets Scope = "webhooks:secrets"
	ChecksWrite     Scope = "checks:write"
	AnalyticsRead   Scope = "analytics:read"
)

// Permissions of the dashboard alone.
const (
	APIKeysManage      Scope = "api_keys:manage"
	AuditRead          Scope = "audit:read"
	MembersRead        Scope = "members:read"
	MembersManage      Scope = "members:manage"
	OrganizationManage Scope = "organization:manage"
	QueueRead          Scope = "queue:read"
	QueueManage        Scope = "queue:manage"
)

// Scopes lists what an API key can carry.
func Scopes() []Scope {
	return []Scope{SessionsRead, SessionsWrite, WebhooksRead, WebhooksWrite, WebhooksSecrets, ChecksWrite, AnalyticsRead}
}

// policy is the table of who may do what: the least role of a dashboard user ("" = none may), and whether the user must
// have re-entered the password recently.
var policy = map[Scope]struct {
	least  Role
	reauth bool
}{
	SessionsRead:       {Member, false},
	SessionsWrite:      {Admin, false},
	WebhooksRead:       {Member, false},
	WebhooksWrite:      {Admin, false},
	WebhooksSecrets:    {Owner, true},
	ChecksWrite:        {"", false},
	AnalyticsRead:      {Member, false},
	APIKeysManage:      {Admin, false},
	AuditRead:          {Admin, false},
	MembersRead:        {Member, false},
	MembersManage:      {Owner, false},
	OrganizationManage: {Admin, false},
	QueueRead:          {Admin, false},
	QueueManage:        {Owner, false},
}

// ReauthWindow is how long a re-entered password counts (REAUTH_WINDOW).
const ReauthWindow = 10 * time.Minute

// Actor is who carries out an operation, on behalf of which organization. Doors build it from a credential, never from
// the request's content.
type Actor struct {
	Type         ActorType
	Organization id.Organization
	// ID is the user's or API key's text id; empty for the system and the subject.
	ID string
	// Name is shown to people: a user's name, an API key's name.
	Name string
	// Role is set for users, Scopes for API keys.
	Role   Role
	Scopes []Scope
	// ReauthenticatedAt is when a user last entered the password.
	ReauthenticatedAt time.Time
	// IP and RequestID go into the audit log.
	IP        netip.Addr
	RequestID string
}

// ForSystem is the actor of background work for an organization.
func ForSystem(org id.Organization) Actor { return Actor{Type: System, Organization: org} }

// ErrReauthenticate reports that the user must enter the password again first.
var ErrReauthenticate = fault.New(fault.Forbidden, fault.CodeForbidden, "Enter your password again to do this.")

// errForbidden is the base of every refusal.
var errForbidden = fault.New(fault.Forbidden, fault.CodeForbidden, "You may not do this.")

// Require returns nil when the actor holds the permission at time now, and a FORBIDDEN fault that says what is missing
// otherwise. The system may do everything; a subject nothing.
func (a Actor) Require(s Scope, now time.Time) error {
	switch a.Type {
	case System:
		return nil
	case APIKey:
		if holds(a.Scopes, s) {
			return nil
		}
		return errForbidden.WithMessage("This API key lacks the scope " + string(s) + ".").WithHint("Use a key that carries it; an admin can create one in the dashboard.")
	case User:
		rule := policy[s]
		if rule.least == "" || !a.Role.AtLeast(rule.least) {
			if rule.least == "" {
				return errForbidden.WithMessage("Only an API key can do this.")
			}
			return errForbidden.WithMessage("This needs the role " + string(rule.least) + ".").WithHint("Ask an owner of the organization.")
		}
		if rule.reauth && now.Sub(a.ReauthenticatedAt) > ReauthWindow {
			return ErrReauthenticate
		}
		return nil
	case Subject:
	}
	return errForbidden
}

// Can reports whether Require would pass, leaving recent re-authentication aside. The dashboard uses it to decide what
// to show.
func (a Actor) Can(s Scope) bool {
	err := a.Require(s, a.ReauthenticatedAt)
	return err == nil
}

// LeastRole returns the least role that holds the permission, or "" when no user does.
func LeastRole(s Scope) Role { return policy[s].least }

// CanGrant reports whether the actor may put the scope on an API key: no more than its own role holds, and only an owner
// grants the two that reach secrets or results (contract section 9.1).
func (a Actor) CanGrant(s Scope) bool {
	if a.Type == System {
		return true
	}
	if a.Type != User {
		return false
	}
	if s == WebhooksSecrets || s == ChecksWrite {
		return a.Role == Owner
	}
	return a.Role.AtLeast(policy[s].least)
}

// holds applies "write implies read".
func holds(scopes []Scope, s Scope) bool {
	if slices.Contains(scopes, s) {
		return true
	}
	return s == SessionsRead && slices.Contains(scopes, SessionsWrite) || s == WebhooksRead && slices.Contains(scopes, WebhooksWrite)
}
