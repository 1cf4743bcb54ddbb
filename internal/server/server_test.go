package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kaylehooks/internal/logging"
	"kaylehooks/web/static"
)

// roof is a server over doors that only say which one they are.
func roof(https bool) (http.Handler, *bytes.Buffer) {
	door := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/broken") {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = w.Write([]byte(name))
			if strings.HasSuffix(r.URL.Path, "/cut") {
				panic(http.ErrAbortHandler)
			}
		})
	}
	log := &bytes.Buffer{}
	return New(Config{
		API: door("api"), Pages: door("pages"), Assets: static.Handler(), Monitor: door("monitor"), Metrics: prometheus.NewRegistry(), HTTPS: https,
		Needs: []Need{{Name: "Postgres", Ask: func(context.Context) error { return errors.New("secret reason") }}},
		Log:   logging.New(log, logging.Options{JSON: true, Level: slog.LevelDebug}), Now: time.Now,
	}), log
}

func get(h http.Handler, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Every response has the headers of contract section 8.9 and a request id of ours, and leaves a line that names it.
func TestNew_EveryResponseHasHeadersAndALine(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		body   string
		status int
	}{
		"/v1/sessions?x=secret": {"api", 200}, "/v1//sessions": {"api", 200}, "/v1": {"api", 200}, "/v1/broken": {"api", 500}, "/openapi": {"api", 200}, "/reference": {"api", 200},
		"/" + strings.Repeat("ü", 10_000) + "/broken": {"pages", 500}, "/": {"pages", 200}, "/nothing": {"pages", 200}, "/invitations/secret": {"pages", 200}, "/monitor/": {"monitor", 200},
		"/healthz": {"ok\n", 200}, "/readyz": {"Postgres does not answer\n", 503}, "/metrics": {"not found\n", 404}, "/static/nothing.js": {"", 404},
		"/verify/vs_1?cancel_token=secret": {"There is no verification page here; VERIFICATION_BASE_URL says where it is.\n", 404},
	} {
		for _, https := range []bool{false, true} {
			h, log := roof(https)
			got := get(h, path, func(r *http.Request) { r.Header.Set("X-Request-Id", "req_mine") })
			if got.Code != want.status || want.body != "" && got.Body.String() != want.body {
				t.Errorf("%s: %d %q", path, got.Code, got.Body)
			}
			for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "Content-Security-Policy"} {
				if got.Header().Get(name) == "" {
					t.Errorf("%s: no %s", path, name)
				}
			}
			if https != (got.Header().Get("Strict-Transport-Security") != "") {
				t.Errorf("%s: https %t, %q", path, https, got.Header().Get("Strict-Transport-Security"))
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			var line struct {
				Level     string
				RequestID string `json:"request_id"`
				Status    int
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
				t.Fatalf("%s: %v in %s", path, err, log)
			}
			id := got.Header().Get("X-Request-Id")
			if !strings.HasPrefix(id, "req_") || id == "req_mine" || line.RequestID != id || line.Status != want.status || (line.Level == "ERROR") != (want.status >= 500) {
				t.Errorf("%s: request %q, logged %+v", path, id, line)
			}
			if line := lines[len(lines)-1]; strings.Contains(line, "secret") || len(line) > 1000 || strings.Contains(line, "\ufffd") {
				t.Errorf("%s: logged %s", path, log)
			}
		}
	}
}

// An answer that is broken off is not one that went well.
func TestNew_ABrokenOffResponseHasItsLine(t *testing.T) {
	t.Parallel()
	h, log := roof(false)
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("recovered %v, want the connection to be cut", err)
			}
		}()
		get(h, "/deliveries/cut", nil)
	}()
	if line := log.String(); !strings.Contains(line, `"aborted":true`) || !strings.Contains(line, `"level":"ERROR"`) {
		t.Errorf("logged %q", line)
	}
}

// A server that can be done without is named, and nothing more; one that answers is not named.
func TestNew_IsReadyWithoutWhatCanBeSpared(t *testing.T) {
	t.Parallel()
	answers := func(context.Context) error { return nil }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, tc := range map[string]struct {
		needs  []Need
		status int
		body   string
		took   time.Duration
	}{
		"all there":   {[]Need{{Name: "postgres", Ask: answers}, {Name: "redis", Ask: answers, Spare: true}}, 200, "ready\n", 0},
		"a spare one": {[]Need{{Name: "postgres", Ask: answers}, {Name: "redis", Ask: hangs, Spare: true}}, 200, "ready\nredis does not answer\n", 500 * time.Millisecond},
		"both":        {[]Need{{Name: "postgres", Ask: hangs}, {Name: "redis", Ask: hangs, Spare: true}}, 503, "postgres does not answer\nredis does not answer\n", 2500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := New(Config{API: http.NotFoundHandler(), Pages: http.NotFoundHandler(), Assets: static.Handler(), Needs: tc.needs, Log: logging.New(io.Discard, logging.Options{}), Now: time.Now})
				began := time.Now()
				if got := get(h, "/readyz", nil); got.Code != tc.status || got.Body.String() != tc.body || time.Since(began) != tc.took {
					t.Errorf("%d %q after %s", got.Code, got.Body, time.Since(began))
				}
			})
		})
	}
}

func TestNew_MetricsAreForThisMachine(t *testing.T) {
	t.Parallel()
	h, _ := roof(false)
	for name, tc := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"from here":                 {func(r *http.Request) { r.RemoteAddr = "127.0.0.1:4711" }, 200},
		"from here, IPv6":           {func(r *http.Request) { r.RemoteAddr = "[::1]:4711" }, 200},
		"from elsewhere":            {func(r *http.Request) { r.RemoteAddr = "203.0.113.9:4711" }, 404},
		"through a proxy here":      {func(r *http.Request) { r.RemoteAddr = "127.0.0.1:4711"; r.Header.Set("X-Forwarded-For", "127.0.0.1") }, 404},
		"through another kind here": {func(r *http.Request) { r.RemoteAddr = "127.0.0.1:4711"; r.Header.Set("Forwarded", "for=127.0.0.1") }, 404},
	} {
		if got := get(h, "/metrics", tc.change); got.Code != tc.status {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}
