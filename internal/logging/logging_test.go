package logging_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/logging"
)

var (
	apiKey  = "kk_" + strings.Repeat("a1", 16)
	signing = "whsec_" + strings.Repeat("z9", 16)
	jwe     = "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.c2VjcmV0.aXY.Y2lwaGVydGV4dA.dGFn"
	direct  = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVydGV4dA.dGFn"
)

// line writes one record and returns it as JSON, without time and level.
func line(t *testing.T, write func(l *slog.Logger)) map[string]any {
	t.Helper()
	var out strings.Builder
	write(logging.New(&out, logging.Options{JSON: true, Level: slog.LevelDebug}))
	got := map[string]any{}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	delete(got, "time")
	delete(got, "level")
	return got
}

func TestHandler_AddsTheIDsOfTheContext(t *testing.T) {
	t.Parallel()
	ctx := logging.With(t.Context(), logging.RequestID, "req-0")
	ctx = logging.With(ctx, logging.RequestID, "req-1")
	inner := logging.With(ctx, logging.TaskID, "task-1")
	got := line(t, func(l *slog.Logger) { l.InfoContext(inner, "sent", "status", 200) })
	want := map[string]any{"msg": "sent", "status": 200.0, "request_id": "req-1", "task_id": "task-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := logging.Value(inner, logging.RequestID); v != "req-1" {
		t.Errorf("Value = %q", v)
	}
	if v := logging.Value(ctx, logging.TaskID); v != "" {
		t.Errorf("the outer context has the inner one's id %q", v)
	}
}

func TestHandler_KeepsIDsOutsideGroups(t *testing.T) {
	t.Parallel()
	ctx := logging.With(t.Context(), logging.TaskID, "task-1")
	got := line(t, func(l *slog.Logger) {
		l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("").InfoContext(ctx, "m", "c", 3)
	})
	want := map[string]any{"msg": "m", "a": 1.0, "task_id": "task-1", "g": map[string]any{"b": 2.0, "c": 3.0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type pair struct {
	Name   string
	Secret string `json:"secret"`
}

type broken struct{ text string }

func (b *broken) Error() string { return b.text }

func TestHandler_RedactsWhatLooksLikeASecret(t *testing.T) {
	t.Parallel()
	nested := map[string]any{"inner": []string{signing}}
	for name, attr := range map[string]slog.Attr{
		"string":    slog.String("v", "key "+apiKey+" refused"),
		"signing":   slog.String("v", signing),
		"bearer":    slog.String("v", "Authorization: bearer abc.def-123"),
		"jwe":       slog.String("v", jwe),
		"dir jwe":   slog.String("v", `{"payload":"`+direct+`"}`),
		"error":     slog.Any("v", fmt.Errorf("post: %w", errors.New(jwe))),
		"bytes":     slog.Any("v", []byte(apiKey)),
		"raw json":  slog.Any("v", json.RawMessage(`{"k":"`+apiKey+`"}`)),
		"struct":    slog.Any("v", pair{"n", apiKey}),
		"pointer":   slog.Any("v", []*pair{{"n", apiKey}}),
		"map":       slog.Any("v", nested),
		"group":     slog.Group("v", slog.String("k", apiKey)),
		"log value": slog.Any("v", valuer{}),
	} {
		for _, write := range []func(l *slog.Logger){
			func(l *slog.Logger) { l.Info("m", attr) },
			func(l *slog.Logger) { l.With(attr).Info("m") },
			func(l *slog.Logger) { l.WithGroup("g").Info("m", attr) },
		} {
			var out strings.Builder
			write(logging.New(&out, logging.Options{}))
			for _, secret := range []string{apiKey, signing, "abc.def-123", "Y2lwaGVydGV4dA", "dGFn"} {
				if strings.Contains(out.String(), secret) {
					t.Errorf("%s: %s", name, out.String())
				}
			}
			if name != "pointer" && name != "bytes" && !strings.Contains(out.String(), "[redacted]") {
				t.Errorf("%s: %s", name, out.String())
			}
		}
	}
	got := line(t, func(l *slog.Logger) {
		l.InfoContext(logging.With(context.Background(), logging.RequestID, apiKey), "sent "+jwe) //nolint:sloglint // the mistake that is tested
	})
	if diff := cmp.Diff(map[string]any{"msg": "sent [redacted]", "request_id": "[redacted]"}, got); diff != "" {
		t.Error(diff)
	}
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue(apiKey) }

func TestHandler_LeavesOtherValuesAlone(t *testing.T) {
	t.Parallel()
	var none *broken
	got := line(t, func(l *slog.Logger) {
		l.Info("delivery failed", "id", "whd_01h2xcejqtf2nbrexx3vqjhp41", "n", 3, "took", time.Second, "ok", true, "pair", pair{"n", "s"},
			"hint", "kk_ab12", "key", "key_01h2xcejqtf2nbrexx3vqjhp41", "nil", nil, "broken", error(none))
	})
	want := map[string]any{
		"msg": "delivery failed", "id": "whd_01h2xcejqtf2nbrexx3vqjhp41", "n": 3.0, "took": 1e9, "ok": true,
		"pair": map[string]any{"Name": "n", "secret": "s"}, "hint": "kk_ab12", "key": "key_01h2xcejqtf2nbrexx3vqjhp41", "nil": nil,
		"broken": "[unprintable]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNew_WritesUTCFromTheLevelOn(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := logging.New(&out, logging.Options{Level: slog.LevelWarn})
	l.Info("quiet")
	r := slog.NewRecord(time.Date(2026, 3, 2, 10, 0, 0, 0, time.FixedZone("X", 3600)), slog.LevelWarn, "loud", 0)
	if err := l.Handler().Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if want := "time=2026-03-02T09:00:00.000Z level=WARN msg=loud\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func FuzzHandler_NoKeyPasses(f *testing.F) {
	f.Add("key ", " refused")
	f.Fuzz(func(t *testing.T, before, after string) {
		var out strings.Builder
		logging.New(&out, logging.Options{}).Info("m", "v", before+apiKey+after)
		if strings.Contains(out.String(), apiKey) {
			t.Error(out.String())
		}
	})
}
