package webhook

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Bounds of an endpoint (contract section 1).
const (
	MaxEndpoints     = 100
	MaxName          = 120
	MaxLabels        = 8
	MaxLabel         = 40
	DefaultRetention = 72
)

// RetentionOptions are the hours that the payload of an undelivered webhook can be kept.
func RetentionOptions() []int { return []int{0, 24, 72, 168} }

// OverlapOptions are the hours that a rotated signing secret can go on signing.
func OverlapOptions() []int { return []int{0, 1, 24, 72, 168} }

// Endpoint is one row of webhook_endpoints: a URL that receives events. The signing secrets in it are sealed.
type Endpoint struct {
	ID                               id.Endpoint
	OrganizationID                   id.Organization
	Name                             *string
	Labels                           postgres.TextArray
	URL                              string
	Enabled                          bool
	SubscribedEventTypes             postgres.TextArray
	UndeliveredPayloadRetentionHours int
	SigningSecret                    *string
	PreviousSigningSecret            *string
	PreviousSigningSecretExpiresAt   *time.Time
	SigningSecretRotatedAt           time.Time
	CreatedAt                        time.Time
	UpdatedAt                        time.Time
	DisabledAt                       *time.Time
	DeletedAt                        *time.Time
}

// TableName names the table.
func (Endpoint) TableName() string { return "webhook_endpoints" }

// DisplayName is the name, or the URL's host where there is none.
func (e Endpoint) DisplayName() string {
	if e.Name != nil {
		return *e.Name
	}
	_, host, _ := strings.Cut(Origin(e.URL), "://")
	return host
}

// Subscribes reports whether the endpoint wants events of type t.
func (e Endpoint) Subscribes(t event.Type) bool {
	return slices.Contains(e.SubscribedEventTypes, string(t))
}

// Retention is how long the payload of an undelivered webhook is kept beyond its schedule.
func (e Endpoint) Retention() time.Duration {
	return time.Duration(e.UndeliveredPayloadRetentionHours) * time.Hour
}

// InOverlap reports whether a previous signing secret still signs at time now.
func (e Endpoint) InOverlap(now time.Time) bool {
	return e.PreviousSigningSecretExpiresAt != nil && e.PreviousSigningSecretExpiresAt.After(now)
}

// NewEndpoint is the input of CreateEndpoint. Nil means the default.
type NewEndpoint struct {
	Name           *string
	Labels         []string
	URL            string
	Enabled        *bool
	EventTypes     []string
	RetentionHours *int
}

// EndpointChange is the input of UpdateEndpoint. Nil leaves a field as it is; ClearName removes the name.
type EndpointChange struct {
	Name           *string
	ClearName      bool
	Labels         *[]string
	URL            *string
	Enabled        *bool
	EventTypes     *[]string
	RetentionHours *int
	// ExpectedUpdatedAt, when set, refuses the change if someone else changed the endpoint since.
	ExpectedUpdatedAt *time.Time
}

// The refusals of endpoint operations.
var (
	ErrEndpointNotFound = fault.Missing("webhook endpoint")
	ErrTooManyEndpoints = fault.New(fault.Conflict, fault.CodeConflict, fmt.Sprintf("An organization has at most %d webhook endpoints.", MaxEndpoints)).WithHint("Delete one that is no longer used.")
	ErrURLRejected      = fault.New(fault.Invalid, fault.CodeURLRejected, "The URL is not acceptable for a webhook endpoint.")
	ErrEndpointChanged  = fault.New(fault.Conflict, fault.CodeConflict, "Someone else changed this endpoint in the meantime.")
	ErrEmptyUpdate      = fault.New(fault.Invalid, fault.CodeBadRequest, "The update names no field that can be changed.")
	ErrOverlapRunning   = fault.New(fault.Conflict, fault.CodeConflict, "The previous signing secret is still in its overlap.").WithHint("End the overlap first, or rotate with force to drop the older secret at once.")
	ErrNoOverlap        = fault.New(fault.Conflict, fault.CodeConflict, "There is no previous signing secret in overlap.")
)

// URLRejection explains each reason code of contract section 5.2 in words.
func URLRejection(reason string) string {
	switch reason {
	case "url_too_long":
		return "The URL is longer than 2,048 characters."
	case "credentials_in_url":
		return "The URL must not carry a user name or password."
	case "invalid_scheme":
		return "The URL must begin with https://."
	case "loopback_not_allowed":
		return "The URL must not point to this machine."
	case "ipv4_literal_disallowed", "ipv6_literal_disallowed":
		return "The URL must name a host, not an IP address."
	case "reserved_hostname_disallowed":
		return "The host name is reserved and cannot be reached from the internet."
	case "port_not_allowed":
		return "The port must be 443 or between 1024 and 65535."
	}
	return "This is not a valid URL."
}

func checkURL(raw string, allowPrivate bool) (string, error) {
	normalized, reason := NormalizeURL(raw, allowPrivate)
	if reason != "" {
		return "", &fault.Error{
			Kind: ErrURLRejected.Kind, Code: ErrURLRejected.Code, Message: URLRejection(reason), Hint: reason,
			Fields: []fault.Field{{Name: "url", Message: URLRejection(reason)}},
		}
	}
	return normalized, nil
}

func cleanName(name string) (string, *fault.Field) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n < 1 || n > MaxName || !clean(name) {
		return "", &fault.Field{Name: "name", Message: fmt.Sprintf("must have 1 to %d printable characters", MaxName)}
	}
	return name, nil
}

// clean refuses what Postgres cannot store and what has no place in a name.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func cleanLabels(labels []string) (postgres.TextArray, *fault.Field) {
	if len(labels) > MaxLabels {
		return nil, &fault.Field{Name: "labels", Message: fmt.Sprintf("must have at most %d entries", MaxLabels)}
	}
	out := make(postgres.TextArray, 0, len(labels))
	seen := map[string]bool{}
	for i, label := range labels {
		label = strings.TrimSpace(label)
		field := fmt.Sprintf("labels[%d]", i)
		if n := utf8.RuneCountInString(label); n < 1 || n > MaxLabel || !clean(label) {
			return nil, &fault.Field{Name: field, Message: fmt.Sprintf("must have 1 to %d printable characters", MaxLabel)}
		}
		if seen[strings.ToLower(label)] {
			return nil, &fault.Field{Name: field, Message: "must not repeat another label"}
		}
		seen[strings.ToLower(label)] = true
		out = append(out, label)
	}
	return out, nil
}

// cleanEventTypes removes duplicates and puts the types into canonical order.
func cleanEventTypes(types []string) (postgres.TextArray, *fault.Field) {
	if len(types) < 1 {
		return nil, &fault.Field{Name: "subscribed_event_types", Message: "must name 1 to 4 event types"}
	}
	for i, t := range types {
		if !slices.Contains(event.SubscribableTypes(), event.Type(t)) {
			return nil, &fault.Field{Name: fmt.Sprintf("subscribed_event_types[%d]", i), Message: "is not an event type that can be subscribed to"}
		}
	}
	var out postgres.TextArray
	for _, t := range event.SubscribableTypes() {
		if slices.Contains(types, string(t)) {
			out = append(out, string(t))
		}
	}
	return out, nil // at most four by now, however often each was named
}

func checkRetention(hours int) *fault.Field {
	if !slices.Contains(RetentionOptions(), hours) {
		return &fault.Field{Name: "undelivered_payload_retention_hours", Message: "must be 0, 24, 72 or 168"}
	}
	return nil
}
