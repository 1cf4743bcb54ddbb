package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func FuzzDecodeBody_NeverRepeatsWhatWasSent(f *testing.F) {
	for _, seed := range []string{`{}`, `{"claims":{},"selected_field_keys":[]}`, `{"claims":"marker"}`, `[1]`, `{"marker":1}`, `{"claims":{"a":1}} x`, `null`, "{\"a\":\"\xff\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b body[checkSuccess]
		err := decodeBody([]byte(text), &b)
		if err != nil {
			if !errors.Is(err, errNotOneObject) {
				t.Errorf("error %v", err)
			}
			return
		}
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &members) != nil {
			t.Fatalf("%q was taken for an object", text)
		}
		for _, p := range b.problems {
			if _, sent := members[p.Name]; p.Name != "body" && !echoable.MatchString(p.Name) {
				t.Errorf("field %q (sent: %t)", p.Name, sent)
			}
			if !strings.HasPrefix(p.Message, "must ") && !strings.HasPrefix(p.Message, "is ") {
				t.Errorf("message %q", p.Message)
			}
		}
	})
}

func FuzzParseInstant_TakesUTCOnly(f *testing.F) {
	for _, seed := range []string{"2026-01-01T00:00:00Z", "2026-01-01T00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00,5Z", "2026-01-01", "2026-01-01T00:00:00+00:00", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseInstant("from", text)
		if err == nil && (!strings.HasSuffix(text, "Z") || at.Year() < 1 || at.Format("2006-01-02T15:04") != text[:16]) {
			t.Errorf("%q was taken for %v", text, at)
		}
	})
}
