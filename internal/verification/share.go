package verification

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"kaylehooks/internal/fault"
)

// Bounds of a share contract (contract section 1).
const (
	MaxShareFields = 32
	MaxReason      = 200
)

// requestedField is an entry as the client sent it.
type requestedField struct {
	Required *bool
	Reason   *string
}

// UnmarshalJSON takes the two members by their exact names, unlike encoding/json: one that is to be ignored must not overwrite another.
func (f *requestedField) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for name, target := range map[string]any{"required": &f.Required, "reason": &f.Reason} {
		if raw, given := members[name]; given {
			if err := json.Unmarshal(raw, target); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuse(code, message, field string) error {
	return &fault.Error{Kind: fault.Invalid, Code: code, Message: message, Fields: []fault.Field{{Name: field, Message: message}}}
}

// effectiveShare turns the requested share_fields into the session's contract (contract section 4.6); nil gives the default.
func effectiveShare(raw json.RawMessage) (ShareFields, error) {
	if raw == nil {
		fields := ShareFields{}
		for _, key := range StaticClaims() {
			fields[key] = ShareField{Required: key == claimDocumentID, Source: FromDefault}
		}
		return fields, nil
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil || entries == nil {
		return nil, refuse(fault.CodeInvalidShareFields, "share_fields must be an object of claim keys.", "share_fields")
	}
	requested, err := readShare(entries)
	if err != nil {
		return nil, err
	}
	// Before the keys: there are fewer of them than that, so that afterwards it could not be told.
	if len(requested) > MaxShareFields {
		return nil, refuse(fault.CodeTooManyShareFields, fmt.Sprintf("share_fields has at most %d entries.", MaxShareFields), "share_fields")
	}
	gate, err := checkKeys(requested)
	if err != nil {
		return nil, err
	}
	_, withBirth := requested[claimDateOfBirth]
	fields := ShareFields{}
	for _, key := range slices.Sorted(maps.Keys(requested)) {
		reason := strings.Join(strings.Fields(*requested[key].Reason), " ")
		field := "share_fields." + key + ".reason"
		if reason == "" && (key != gate || !withBirth) {
			return nil, refuse(fault.CodeReasonRequired, "Each entry of share_fields needs a reason.", field)
		}
		if utf8.RuneCountInString(reason) > MaxReason {
			return nil, refuse(fault.CodeReasonTooLong, fmt.Sprintf("A reason in share_fields has at most %d characters.", MaxReason), field)
		}
		fields[key] = ShareField{Required: *requested[key].Required, Reason: reason, Source: FromRequest}
	}
	document, given := fields[claimDocumentID]
	if !given {
		document.Source = FromDefault
	}
	document.Required = true
	fields[claimDocumentID] = document
	if birth, ok := fields[claimDateOfBirth]; ok && gate != "" {
		age := fields[gate]
		both := birth.Required || age.Required
		birth.Required, age.Required = both, both
		fields[claimDateOfBirth], fields[gate] = birth, age
	}
	return fields, nil
}

func readShare(entries map[string]json.RawMessage) (map[string]requestedField, error) {
	requested := make(map[string]requestedField, len(entries))
	for key, raw := range entries {
		var f requestedField
		if err := json.Unmarshal(raw, &f); err != nil || f.Required == nil || f.Reason == nil || !utf8.ValidString(*f.Reason) || strings.ContainsRune(*f.Reason, 0) {
			return nil, refuse(fault.CodeInvalidShareFields, "Each entry of share_fields is an object with required (boolean) and reason (string).", "share_fields")
		}
		requested[key] = f
	}
	return requested, nil
}

// checkKeys returns the age gate among the keys, or "".
func checkKeys(requested map[string]requestedField) (string, error) {
	gate := ""
	for _, key := range slices.Sorted(maps.Keys(requested)) {
		switch {
		case staticClaims[key] != nil:
		case ageGate.MatchString(key):
			if gate != "" {
				return "", refuse(fault.CodeMultipleAgeGatesNotAllowed, "share_fields has at most one age gate.", "share_fields."+key)
			}
			gate = key
		case ageGateLike.MatchString(key):
			return "", refuse(fault.CodeInvalidAgeGateKey, "An age gate in share_fields is age_over_N with N from 12 to 130.", "share_fields")
		default:
			return "", refuse(fault.CodeUnknownClaimKey, "share_fields names a claim that does not exist.", "share_fields")
		}
	}
	return gate, nil
}
