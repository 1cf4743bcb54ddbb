package org

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// Organization is a tenant.
type Organization struct {
	ID   id.Organization
	Name string
	// Environment is the badge in the header of every page, such as "production".
	Environment string
	// EnvironmentColor is that of the badge, one of EnvironmentColors; "" leaves it to the name.
	EnvironmentColor string
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// TableName names the table.
func (Organization) TableName() string { return "organizations" }

// DefaultEnvironment is the environment of an organization that names none.
const DefaultEnvironment = "production"

// EnvironmentColors are the colours that can be chosen: each is one in which the badge can be read, in light and in dark.
func EnvironmentColors() []string {
	return []string{"", "plain", "blue", "green", "amber", "red", "violet"}
}

func checkColor(color string) *fault.Field {
	if !slices.Contains(EnvironmentColors(), color) {
		return &fault.Field{Name: "environment_color", Message: "Choose one of the list."}
	}
	return nil
}

const (
	nameMax        = 120
	environmentMax = 20
)

// OrganizationUpdate names what changes; nil leaves a field alone.
type OrganizationUpdate struct {
	Name             *string
	Environment      *string
	EnvironmentColor *string
	// Expected, when set, is the UpdatedAt that the editor saw; another value is ErrChanged, so that nobody overwrites
	// an edit they have not seen.
	Expected *time.Time
}

// Errors about organizations.
var (
	// ErrAlreadySetUp reports a first-run setup of a system that has an organization.
	ErrAlreadySetUp = fault.New(fault.Conflict, fault.CodeConflict, "This system is already set up.")
	// ErrChanged reports an edit of something that changed in the meantime.
	ErrChanged = fault.New(fault.Conflict, fault.CodeConflict, "Somebody else changed this in the meantime.").
			WithHint("Reload the page and try again.")
	errNoOrganization = fault.Missing("organization")
)

// cleanText trims s and returns a complaint unless it has 1 to most printable characters.
func cleanText(field, s string, most int) (string, *fault.Field) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return s, &fault.Field{Name: field, Message: "Fill this in."}
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return s, &fault.Field{Name: field, Message: "Use printable characters only."}
	case utf8.RuneCountInString(s) > most:
		return s, &fault.Field{Name: field, Message: "This is too long."}
	}
	return s, nil
}

// complaints gathers the fields that broke a rule.
type complaints []fault.Field

func (c *complaints) add(f *fault.Field) {
	if f != nil {
		*c = append(*c, *f)
	}
}

func (c complaints) err() error { return fault.InvalidFields(c...) }
