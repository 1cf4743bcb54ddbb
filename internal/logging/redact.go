package logging

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// secrets matches API keys, signing secrets, bearer credentials and compact JWEs (five parts; also the three of a JWS).
var secrets = regexp.MustCompile(`kk_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{8,}|(?i:bearer)[ +]+[^\s"',;]+|eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2,4}`)

// redact replaces what looks like a secret in s.
func redact(s string) string {
	if !suspicious(s) {
		return s
	}
	return secrets.ReplaceAllString(s, redacted)
}

// suspicious is a cheap test that passes for every string that secrets could match.
func suspicious(s string) bool {
	return strings.Contains(s, "kk_") || strings.Contains(s, "whsec_") || strings.Contains(s, "eyJ") ||
		strings.Contains(strings.ToLower(s), "bearer")
}

func redactAll(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redactAttr(a)
	}
	return clean
}

func redactAttr(a slog.Attr) slog.Attr { return slog.Attr{Key: a.Key, Value: redactValue(a.Value)} }

func redactValue(v slog.Value) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(redact(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(redactAll(v.Group())...)
	case slog.KindAny:
		return redactAny(v)
	default: // numbers, times and the like hold no text
		return v
	}
}

// redactAny keeps a value as it is unless one of the ways it could be written holds a secret; then its text is written.
func redactAny(v slog.Value) (clean slog.Value) {
	defer func() {
		if recover() != nil { // a nil pointer whose methods do not expect it; a log line must not end a request
			clean = slog.StringValue("[unprintable]")
		}
	}()
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(redact(x.Error()))
	case fmt.Stringer:
		if s := x.String(); redact(s) != s {
			return slog.StringValue(redact(s))
		}
	case []byte:
		return slog.StringValue(redact(string(x)))
	case json.RawMessage:
		return slog.StringValue(redact(string(x)))
	}
	text := fmt.Sprintf("%+v", v.Any())
	if encoded, err := json.Marshal(v.Any()); redact(text) != text || err == nil && redact(string(encoded)) != string(encoded) {
		return slog.StringValue(redact(text))
	}
	return v
}
