package main_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"kaylehooks/internal/badreceiver"
	"kaylehooks/internal/fixture"
	"kaylehooks/receiver"
)

type triggeredJSON struct {
	SessionID  string `json:"session_id"`
	EventID    string `json:"event_id"`
	Type       string
	Deliveries []deliveryJSON
}

func TestTrigger_PlaysSessionsAndSendsTests(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	private, jwk := i.keyPair("k1")
	text, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := receiver.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan receiver.Event, 10)
	far := badreceiver.New(badreceiver.Options{Options: receiver.Options{
		Keys:    map[string]*rsa.PrivateKey{"k1": key},
		OnEvent: func(_ context.Context, e receiver.Event) error { events <- e; return nil },
	}})
	server := httptest.NewServer(far)
	t.Cleanup(server.Close)
	front := i.checked()
	trigger := func(args ...string) (got triggeredJSON, stderr string, code int) {
		t.Helper()
		out, stderr, code := i.command(append(append([]string{"trigger"}, args...), "--url", front+"/", "--api-key", i.apiKey, "--json", "--wait", "--timeout", patience.String())...).Finish()
		if out != "" {
			decode(t, out, &got)
		}
		return got, stderr, code
	}

	got, stderr, code := trigger("session")
	if code != 3 || got.SessionID == "" || got.EventID == "" || len(got.Deliveries) != 0 || !strings.Contains(stderr, "no endpoint") {
		t.Errorf("without an endpoint: %d, %+v, %s", code, got, stderr)
	}
	var created, other endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": server.URL}, &created)
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": server.URL}, &other)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"key_id": "k1", "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)
	far.SetSecrets(created.SigningSecret)

	for _, result := range []string{"succeeded", "failed", "cancelled"} {
		got, stderr, code := trigger("session", "--result", result, "--endpoint", created.Endpoint.ID)
		if code != 0 || got.Type != "verification.session."+result || len(got.Deliveries) != 1 || got.Deliveries[0].Status != "succeeded" {
			t.Errorf("%s: %d, %+v, %s", result, code, got, stderr)
			continue
		}
		if e := <-events; e.ID != got.EventID || e.SessionID != got.SessionID || e.Type != got.Type {
			t.Errorf("%s: received %+v", result, e)
		}
	}
	far.SetBehaviour(badreceiver.Always(http.StatusTeapot))
	got, stderr, code = trigger("session", "--endpoint", created.Endpoint.ID)
	if code != 3 || got.Deliveries[0].Status != "pending" || !strings.Contains(stderr, got.Deliveries[0].ID) || !strings.Contains(stderr, "418") {
		t.Errorf("refused: %d, %+v, %s", code, got, stderr)
	}
	far.SetBehaviour(nil)

	if got, stderr, code := trigger("test", created.Endpoint.ID); code != 0 || got.SessionID != "" || got.Type != "webhook.test" || got.Deliveries[0].Status != "succeeded" {
		t.Errorf("test: %d, %+v, %s", code, got, stderr)
	}
	if got, stderr, code := trigger("test", other.Endpoint.ID); code != 3 || got.Deliveries[0].Status != "failed" || !strings.Contains(stderr, "nothing could be sent") {
		t.Errorf("test without a key: %d, %+v, %s", code, got, stderr)
	}
	if out, _, code := i.command("trigger", "test", created.Endpoint.ID, "--url", front, "--api-key", i.apiKey).Finish(); code != 0 || !strings.Contains(out, "event     evt_") || !strings.Contains(out, "to "+created.Endpoint.ID) {
		t.Errorf("in words: %d, %s", code, out)
	}

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown endpoint": {[]string{"trigger", "test", "whe_x", "--url", front, "--api-key", i.apiKey}, "NOT_FOUND"},
		"wrong key":        {[]string{"trigger", "session", "--url", front, "--api-key", "kk_x"}, "UNAUTHORIZED"},
		"wrong result":     {[]string{"trigger", "session", "--result", "x", "--url", i.base, "--api-key", "kk_x"}, "succeeded"},
		"no server":        {[]string{"trigger", "session", "--url", "http://127.0.0.1:1", "--api-key", "kk_x"}, "KAYLEHOOKS_URL"},
		"no key":           {[]string{"trigger", "session"}, "--api-key"},
	} {
		if out, stderr, code := i.command(c.args...).Finish(); code != 2 || out != "" && name != "wrong result" && name != "no key" || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%s: %d, %s%s", name, code, out, stderr)
		}
	}
}

// Others end sessions too: by the time that it asks, its event is not on the first page any more.
func TestTrigger_FindsItsEventBeyondTheFirstPage(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	target, err := url.Parse(i.checked())
	if err != nil {
		t.Fatal(err)
	}
	var others [2]struct{ ID string }
	for n := range others {
		i.call("POST", "/v1/sessions", map[string]any{}, &others[n])
	}
	var pages atomic.Int32
	busy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if !strings.HasSuffix(r.In.URL.Path, "/events") {
			return
		}
		if pages.Add(1) == 1 { // it waits for its answer meanwhile, for 20 s at most
			for _, other := range others {
				if res, answer, err := i.ask(r.In.Context(), http.MethodPost, "/v1/sessions/"+other.ID+"/cancel", ""); err != nil || res.StatusCode >= http.StatusMultipleChoices {
					t.Errorf("another session: %v, %s", err, answer)
				}
			}
		}
		query := r.Out.URL.Query()
		query.Set("limit", "1")
		r.Out.URL.RawQuery = query.Encode()
	}})
	t.Cleanup(busy.Close)
	out, stderr, code := i.command("trigger", "session", "--result", "cancelled", "--url", busy.URL, "--api-key", i.apiKey, "--json").Finish()
	if code != 0 || pages.Load() != 3 {
		t.Fatalf("%d after %d pages: %s%s", code, pages.Load(), out, stderr)
	}
	var got triggeredJSON
	decode(t, out, &got)
	var e struct {
		TriggerID string `json:"trigger_id"`
	}
	if i.call("GET", "/v1/webhooks/events/"+got.EventID, nil, &e); e.TriggerID != got.SessionID {
		t.Errorf("it printed %s, whose event is of %s", out, e.TriggerID)
	}
}

// What stands in between may answer instead of the server, with a page or with JSON of its own.
func TestTrigger_TakesNoProxyForTheServer(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"message":"bad gateway"}`, "{}", "null", "<html>"} {
		stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(stub.Close)
		for _, what := range [][]string{{"test", "whe_x"}, {"session"}} {
			args := append(append([]string{"trigger"}, what...), "--url", stub.URL, "--api-key", "kk_x")
			out, stderr, code := fixture.NewProcess(t, exec.CommandContext(t.Context(), binary, args...)).Finish()
			if code != 1 || out != "" || !strings.Contains(stderr, "502") {
				t.Errorf("%v, answered %s: %d, %s%s", what, answer, code, out, stderr)
			}
		}
	}
}

func TestCommands_HelpHasExamplesAndExitCodes(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"listen", "keygen", "setup", "reset-password", "trigger", "trigger test", "trigger session"} {
		out, err := exec.CommandContext(t.Context(), binary, append(strings.Fields(command), "--help")...).Output()
		text := string(out)
		if err != nil || !strings.Contains(text, "Examples:\n\n") || !strings.Contains(text, "  web "+command+" ") || !strings.Contains(text, "Exit codes: 0 ") ||
			command != "trigger" && !strings.Contains(text, "--json") {
			t.Errorf("%s: %v\n%s", command, err, text)
		}
	}
}

func TestKeygen_PrintsJSON(t *testing.T) {
	t.Parallel()
	var got struct {
		MasterKey      string         `json:"master_key"`
		PrivateKey     string         `json:"private_key"`
		PrivateKeyFile string         `json:"private_key_file"`
		PublicJWKFile  string         `json:"public_jwk_file"`
		PublicJWK      map[string]any `json:"public_jwk"`
	}
	keygen := func(want int, args ...string) {
		t.Helper()
		got.MasterKey, got.PrivateKey, got.PrivateKeyFile, got.PublicJWKFile, got.PublicJWK = "", "", "", "", nil
		out, stderr, code := fixture.NewProcess(t, exec.CommandContext(t.Context(), binary, append([]string{"keygen", "--json", "--bits", "2048"}, args...)...)).Finish()
		if code != want {
			t.Fatalf("%v: %d, %s", args, code, stderr)
		}
		if code == 0 {
			decode(t, out, &got)
		}
	}
	keygen(0, "--master")
	if !strings.HasPrefix(got.MasterKey, "m1:") || got.PublicJWK != nil {
		t.Errorf("%+v", got)
	}
	keygen(0)
	if _, err := receiver.ParsePrivateKey([]byte(got.PrivateKey)); err != nil || got.PublicJWK["kid"] != "key-1" {
		t.Errorf("%+v, %v", got, err)
	}
	keygen(0, "--kid", "eu = 2")
	if got.PublicJWK["kid"] != "eu = 2" {
		t.Errorf("with --kid: %+v", got)
	}
	dir := t.TempDir()
	keygen(0, "--out", dir)
	text, err := os.ReadFile(got.PublicJWKFile)
	var jwk map[string]any
	if err != nil || json.Unmarshal(text, &jwk) != nil || jwk["n"] != got.PublicJWK["n"] || got.PrivateKey != "" {
		t.Errorf("%+v, %v", got, err)
	}
	before, err := os.ReadFile(got.PrivateKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	path := got.PrivateKeyFile
	keygen(2, "--out", dir)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the private key was overwritten (%v)", err)
	}
}
