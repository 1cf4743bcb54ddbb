package verification

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
)

// MaxClaim is the greatest length of a claim value, in characters (CLAIM_MAX).
const MaxClaim = 512

// Claim keys with a meaning of their own.
const (
	claimDocumentID  = "kayle_document_id"
	claimDateOfBirth = "date_of_birth"
)

// staticClaims check the form of each claim (contract section 3.2). A value is nil for JSON null.
var staticClaims = map[string]func(v any) bool{
	"document_type_code":   text(1),
	"document_number":      text(1),
	"family_name":          text(1),
	"given_names":          text(0),
	"mrz_optional_data":    text(0),
	"issuing_country_code": matches(`^[A-Za-z]{1,3}$`),
	"nationality_code":     matches(`^[A-Za-z]{1,3}$`),
	claimDateOfBirth:       date,
	"document_expiry_date": date,
	"sex_marker":           func(v any) bool { s, ok := v.(string); return ok && utf8.RuneCountInString(s) == 1 },
	claimDocumentID:        matches(`^[0-9a-f]{64}$`),
	"kayle_human_id":       func(v any) bool { return v == nil },
}

// StaticClaims lists the claim keys other than age gates, in ascending order.
func StaticClaims() []string { return slices.Sorted(maps.Keys(staticClaims)) }

var (
	ageGate     = regexp.MustCompile(`^age_over_(1[2-9]|[2-9][0-9]|1[0-2][0-9]|130)$`)
	ageGateLike = regexp.MustCompile(`^age_over_`)
	echoable    = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

func text(least int) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		n := utf8.RuneCountInString(s)
		return ok && n >= least && n <= MaxClaim
	}
}

func matches(pattern string) func(any) bool {
	re := regexp.MustCompile(pattern)
	return func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) }
}

func date(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// wellFormed reports whether a selected claim has the type and form of the catalogue.
func wellFormed(key string, v any) bool {
	if check, ok := staticClaims[key]; ok {
		return check(v)
	}
	_, isBool := v.(bool)
	return ageGate.MatchString(key) && isBool
}

// claim is a claim as it was reported.
type claim struct {
	value      any // what it says in JSON; nil is null
	wellFormed bool
}

// readClaims reads what can be read without the session: reports that share a transaction are read side by side, before it.
func readClaims(raw map[string]json.RawMessage) map[string]claim {
	claims := make(map[string]claim, len(raw))
	for key, text := range raw {
		var v any
		if json.Unmarshal(text, &v) != nil {
			v = struct{}{} // unreadable: of no type that any claim has
		}
		claims[key] = claim{v, wellFormed(key, v)}
	}
	return claims
}

// checkClaims applies the rules of contract section 4.7 and returns the data of the succeeded event. Problems name keys,
// never values.
func checkClaims(contract ShareFields, claims map[string]claim, selected []string) (event.SucceededData, error) {
	data := event.SucceededData{Claims: make(map[string]any, len(contract)), SelectedFieldKeys: slices.Sorted(slices.Values(selected))}
	if data.SelectedFieldKeys == nil {
		data.SelectedFieldKeys = []string{}
	}
	var problems []fault.Field
	chosen := map[string]bool{}
	for _, key := range selected {
		switch {
		case chosen[key]:
			problems = append(problems, fault.Field{Name: "selected_field_keys", Message: "must not repeat " + name(key)})
		case !has(contract, key):
			problems = append(problems, fault.Field{Name: "selected_field_keys", Message: name(key) + " is not in the share contract"})
		}
		chosen[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(contract)) {
		if contract[key].Required && !chosen[key] {
			problems = append(problems, fault.Field{Name: "selected_field_keys", Message: "must contain the required " + key})
		}
		c, given := claims[key]
		switch {
		case !chosen[key] && c.value != nil:
			problems = append(problems, fault.Field{Name: "claims." + key, Message: "must be absent or null, since it was not selected"})
		case chosen[key] && !given:
			problems = append(problems, fault.Field{Name: "claims." + key, Message: "is required, since it was selected"})
		case chosen[key] && !c.wellFormed:
			problems = append(problems, fault.Field{Name: "claims." + key, Message: "does not have the form of this claim"})
		}
		data.Claims[key] = nil
		if chosen[key] {
			data.Claims[key] = c.value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(claims)) {
		if !has(contract, key) {
			problems = append(problems, fault.Field{Name: "claims", Message: name(key) + " is not in the share contract"})
		}
	}
	return data, fault.InvalidFields(problems...)
}

func has(contract ShareFields, key string) bool { _, ok := contract[key]; return ok }

// name echoes a key only if it cannot be a value in disguise.
func name(key string) string {
	if echoable.MatchString(key) && !strings.Contains(key, "__") {
		return key
	}
	return "an unknown key"
}
