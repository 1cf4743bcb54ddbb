package main_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/badreceiver"
	"kaylehooks/internal/fixture"
	"kaylehooks/receiver"
)

// clients are the samples.
var clients = []string{"curl", "node", "go"}

func clientCommand(t *testing.T, name string) []string {
	t.Helper()
	switch name {
	case "curl":
		return []string{examplesDir + "/clients/curl/client.sh"}
	case "node":
		return []string{"node", examplesDir + "/clients/node/client.mjs"}
	}
	return []string{goExample(t, "/clients/go")}
}

// Every sample, as its customer would run it, against the running program.
func TestExamples_Clients(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	private, _ := i.keyPair("k=1")
	text, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := receiver.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	everySampleIsIn(t, "/clients", clients)
	for _, name := range clients {
		t.Run(name, func(t *testing.T) {
			// One after the other: "failed" goes through all that the organization has.
			i := *i
			i.t = t
			exerciseClient(t, &i, clientCommand(t, name), filepath.Join(filepath.Dir(private), "public.jwk.json"), key)
		})
	}
}

func exerciseClient(t *testing.T, i *installation, command []string, jwkFile string, key *rsa.PrivateKey) {
	t.Helper()
	front := i.checked()
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], args...)...)
		cmd.Env = append(os.Environ(), "KAYLEHOOKS_URL="+front, "KAYLEHOOKS_API_KEY="+i.apiKey)
		return cmd.Output()
	}
	events := make(chan receiver.Event, 10)
	far := badreceiver.New(badreceiver.Options{Options: receiver.Options{
		Keys:    map[string]*rsa.PrivateKey{"k=1": key},
		OnEvent: func(_ context.Context, e receiver.Event) error { events <- e; return nil },
	}})
	server := httptest.NewServer(far)
	t.Cleanup(server.Close)
	next := func() receiver.Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(patience):
			t.Fatal("no event came")
			return receiver.Event{}
		}
	}

	var created struct {
		EndpointID    string `json:"endpoint_id"`
		SigningSecret string `json:"signing_secret"`
	}
	out, err := run("endpoint", server.URL, jwkFile)
	if err != nil {
		t.Fatalf("endpoint: %v, %s", err, out)
	}
	decode(t, string(out), &created)
	far.SetSecrets(created.SigningSecret)

	var session struct {
		SessionID       string `json:"session_id"`
		VerificationURL string `json:"verification_url"`
	}
	if out, err = run("session"); err != nil {
		t.Fatalf("session: %v, %s", err, out)
	}
	decode(t, string(out), &session)
	if !strings.Contains(session.VerificationURL, session.SessionID+"?cancel_token=") {
		t.Errorf("session printed %s", out)
	}
	i.call("POST", "/v1/sessions/"+session.SessionID+"/cancel", nil, nil)
	if e := next(); e.SessionID != session.SessionID || e.Cancelled == nil {
		t.Errorf("received %+v", e)
	}

	// One delivery that is given up and can be sent again, beyond a page of those that cannot.
	far.SetBehaviour(badreceiver.Always(http.StatusServiceUnavailable))
	var e eventJSON
	i.call("POST", "/v1/webhooks/endpoints/"+created.EndpointID+"/test", nil, &e)
	path := "/v1/webhooks/deliveries/" + e.Deliveries[0].ID
	made := 0
	for made < 8 {
		d := eventually(t, "the attempt is recorded", func() (d deliveryJSON) { i.call("GET", path, nil, &d); return d },
			func(d deliveryJSON) bool { return d.AttemptCount > made && d.Status != "delivering" })
		if made = d.AttemptCount; d.Status == "pending" {
			i.retry(d.ID)
		}
	}
	if made != 8 {
		t.Errorf("%d attempts were made, want 8", made)
	}
	far.SetBehaviour(nil)
	var keyless endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": server.URL}, &keyless)
	const page = 100
	for range page {
		i.call("POST", "/v1/webhooks/endpoints/"+keyless.Endpoint.ID+"/test", nil, nil)
	}
	if out, err = run("failed"); err != nil {
		t.Fatalf("failed: %v, %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if n := strings.Count(string(out), `"WEBHOOK_PAYLOAD_EXPIRED"`); n < page || len(lines) != n+1 {
		t.Errorf("of %d deliveries %d had nothing left to send", len(lines), n)
	}
	if !slices.ContainsFunc(lines, func(line string) bool {
		return strings.Contains(line, e.Deliveries[0].ID) && strings.Contains(line, `"pending"`)
	}) {
		t.Errorf("%s was not sent again: %s", e.Deliveries[0].ID, out)
	}
	if got := next(); got.ID != e.ID {
		t.Errorf("received %+v", got)
	}

	i.apiKey = "kk_" + strings.Repeat("a", 32)
	var exit *exec.ExitError
	if _, err := run("session"); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(exit.Stderr), "UNAUTHORIZED") || !strings.Contains(string(exit.Stderr), "req_") {
		t.Errorf("with a wrong API key: %v", err)
	}
}

// An answer that did not come is an error, whatever an earlier one said; and one that came at last is all that counts.
func TestExamples_ClientsKeepNothingOfAnEarlierTry(t *testing.T) {
	t.Parallel()
	for _, name := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			tries := map[string]int{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				tries[r.URL.Path]++
				switch busy := tries[r.URL.Path] == 1; {
				case r.Method == http.MethodGet:
					_, _ = io.WriteString(w, `{"data":[{"id":"whd_late"},{"id":"whd_gone"},{"id":"whd_lost"}],"error":null,"pagination":{"limit":100,"has_more":false,"next_cursor":null}}`)
				case busy:
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = io.WriteString(w, `{"data":null,"error":{"code":"RATE_LIMITED","message":"Too many requests.","hint":null,"docs":null}}`)
				case strings.Contains(r.URL.Path, "whd_late"):
					_, _ = io.WriteString(w, `{"data":{"id":"whd_late","status":"pending"},"error":null}`)
				case strings.Contains(r.URL.Path, "whd_gone"):
					w.WriteHeader(http.StatusConflict)
					_, _ = io.WriteString(w, `{"data":null,"error":{"code":"WEBHOOK_PAYLOAD_EXPIRED","message":"Gone.","hint":null,"docs":null}}`)
				default:
					panic(http.ErrAbortHandler)
				}
			}))
			t.Cleanup(server.Close)
			command := append(clientCommand(t, name), "failed")
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = append(os.Environ(), "KAYLEHOOKS_URL="+server.URL, "KAYLEHOOKS_API_KEY=kk_x")
			out, stderr, code := fixture.NewProcess(t, cmd).Finish()
			var got []string
			for line := range strings.Lines(out) {
				var d struct{ Status, Error string }
				decode(t, line, &d)
				got = append(got, d.Status+d.Error)
			}
			if !slices.Equal(got, []string{"pending", "WEBHOOK_PAYLOAD_EXPIRED"}) {
				t.Errorf("it printed %s", out)
			}
			const all = 5 // what net/http tries again by itself is not counted
			if n := tries["/v1/webhooks/deliveries/whd_lost/retry"]; n < all || code != 1 || stderr == "" || strings.Contains(stderr, "RATE_LIMITED") {
				t.Errorf("without an answer: %d after %d tries, %s", code, n, stderr)
			}
		})
	}
}

// everySampleIsIn fails for a sample that was added without a test.
func everySampleIsIn(t *testing.T, dir string, names []string) {
	t.Helper()
	entries, err := os.ReadDir(examplesDir + dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !slices.Contains(names, entry.Name()) {
			t.Errorf("examples%s/%s is not tested", dir, entry.Name())
		}
	}
}
