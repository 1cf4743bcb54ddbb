package org

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// User is a person who can sign in. It never carries the password hash.
type User struct {
	ID    id.User
	Email string // lower case
	Name  string
	Preferences
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TableName names the table.
func (User) TableName() string { return "users" }

// userRow is a User as it is stored.
type userRow struct {
	User
	PasswordHash string
}

// TableName names the table.
func (userRow) TableName() string { return "users" }

// Preferences say how pages look for a user.
type Preferences struct {
	TimeZone string // "UTC" or "local" (that of the browser)
	Theme    string // "system", "light" or "dark"
	Density  string // "compact", "normal" or "relaxed"
	Live     bool   // pages poll for new rows
	// Shortcuts lets single keys act on pages.
	Shortcuts bool
}

// TimeZones, Themes and Densities list what Preferences accept, the default first.
func TimeZones() []string { return []string{"UTC", "local"} }

// Themes lists the accepted themes, the default first.
func Themes() []string { return []string{"system", "light", "dark"} }

// Densities lists the accepted densities, the default first.
func Densities() []string { return []string{"normal", "compact", "relaxed"} }

// DefaultPreferences are those of a new user.
func DefaultPreferences() Preferences {
	return Preferences{TimeZone: TimeZones()[0], Theme: Themes()[0], Density: Densities()[0], Live: true, Shortcuts: true}
}

// check returns a complaint per preference with an unknown value.
func (p Preferences) check() error {
	var bad complaints
	for _, c := range []struct {
		name, value string
		known       []string
	}{{"time_zone", p.TimeZone, TimeZones()}, {"theme", p.Theme, Themes()}, {"density", p.Density, Densities()}} {
		if !slices.Contains(c.known, c.value) {
			bad = append(bad, fault.Field{Name: c.name, Message: "Choose one of: " + strings.Join(c.known, ", ") + "."})
		}
	}
	return bad.err()
}

// Printable ASCII without the characters that only quoted local parts may hold. Other addresses exist and are refused:
// lower-casing them differently in Go and in Postgres would make one person two.
var emailForm = regexp.MustCompile(`^[a-z0-9.!#$%&'*+/=?^_{|}~` + "`" + `-]{1,64}@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$`)

// NormalEmail trims and lower-cases an address, the form in which it is stored and looked up.
func NormalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func cleanEmail(s string) (string, *fault.Field) {
	s = NormalEmail(s)
	if len(s) < 3 || len(s) > 254 || !emailForm.MatchString(s) || strings.Contains(s, "..") {
		return s, &fault.Field{Name: "email", Message: "Enter an e-mail address such as ana@example.com."}
	}
	return s, nil
}

// ActingUser returns the id of the user who acts, or a FORBIDDEN fault when the actor is not a user.
func ActingUser(actor access.Actor) (id.User, error) {
	if actor.Type == access.User {
		if user, err := id.Parse[id.UserKind](actor.ID); err == nil {
			return user, nil
		}
	}
	return id.User{}, errUsersOnly
}

var (
	errUsersOnly = fault.New(fault.Forbidden, fault.CodeForbidden, "Only a signed-in user can do this.")
	errNoUser    = fault.Missing("user")
)
