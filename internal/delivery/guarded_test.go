package delivery

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestGuarded_APanicFailsTheDeliveryAndSaysNothingOfThePayload(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	jwe, err := s.guarded(t.Context(), func() (string, error) { panic("LINDQVIST") })
	if jwe != "" || !errors.Is(err, errSealing) {
		t.Errorf("gave %q, %v", jwe, err)
	}
	if got := log.String(); !strings.Contains(got, "encryption panicked") || strings.Contains(got, "LINDQVIST") {
		t.Errorf("logged %q", got)
	}
	if jwe, err := s.guarded(t.Context(), func() (string, error) { return "jwe", nil }); jwe != "jwe" || err != nil {
		t.Errorf("gave %q, %v", jwe, err)
	}
}
