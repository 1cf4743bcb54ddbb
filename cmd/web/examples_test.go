package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// examplesDir is where the samples are.
const examplesDir = "../../examples"

func TestExamples_AreShort(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/receivers/*/receiver.*", "/receivers/*/main.go", "/clients/*/client.*", "/clients/*/main.go"} {
		files, err := filepath.Glob(examplesDir + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if n := bytes.Count(text, []byte("\n")); err != nil || n >= 100 {
				t.Errorf("%s has %d lines (%v)", file, n, err)
			}
		}
	}
}

// What a sample takes on beside its language is one well-kept library, or nothing.
func TestExamples_NeedOneLibraryAtMost(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^(node:.*|jose|jwcrypto|github\.com/go-jose/go-jose/v4)$`)
	imports := regexp.MustCompile(`(?m)^import (?:.* from )?'(.+)';|^\s*(?:\w+ )?"(\w+\.\w+/[^"]+)"$|^from (\w+)|^import (\w+(?:, \w+)*)`)
	standard := map[string]bool{} // of Python
	for name := range strings.FieldsSeq("hashlib hmac json os re signal sys threading time http") {
		standard[name] = true
	}
	found := map[string]int{}
	for _, pattern := range []string{"/*/*/*.mjs", "/*/*/*.go", "/*/*/*.py"} {
		files, err := filepath.Glob(examplesDir + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range imports.FindAllStringSubmatch(string(text), -1) {
				for name := range strings.SplitSeq(strings.Join(m[1:], ""), ", ") {
					if found[name]++; !allowed.MatchString(name) && !standard[name] {
						t.Errorf("%s needs %s", file, name)
					}
				}
			}
		}
	}
	for _, name := range []string{"jose", "jwcrypto", "github.com/go-jose/go-jose/v4", "node:http", "hmac"} {
		if found[name] == 0 {
			t.Errorf("no sample imports %s: are they read as they should be?", name)
		}
	}
}

// python is one that has jwcrypto; scripts/bootstrap looks in the same places.
func python(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"../../bin/python/bin/python", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), path, "-c", "import jwcrypto").Run() == nil {
			return path
		}
	}
	t.Fatal("no Python with jwcrypto; run scripts/bootstrap --tests")
	return ""
}

// goExample builds a sample.
func goExample(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "example")
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", out, examplesDir+path).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", path, err, text)
	}
	return out
}

// receivers are the samples, and the public Go package behind `web listen`. Each prints one JSON object per request.
var receivers = []string{"node", "python", "go", "web listen"}

func startReceiver(t *testing.T, name, secret, key string) (p *fixture.Process, url string) {
	t.Helper()
	var command []string
	switch name {
	case "node":
		command = []string{"node", nodeReceiver(t)}
	case "python":
		command = []string{python(t), examplesDir + "/receivers/python/receiver.py"}
	case "go":
		command = []string{goExample(t, "/receivers/go")}
	case "web listen":
		command = []string{binary, "listen", "--addr", "127.0.0.1:0", "--secret", secret, "--key", key, "--show-data", "--json"}
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "SIGNING_SECRET="+secret, "PRIVATE_KEY_FILE="+key, "PORT=0", "PRINT_DATA=1")
	p = fixture.NewProcess(t, cmd).Background()
	var line struct{ Listening string }
	decode(t, p.WaitFor(`"listening"`), &line)
	return p, line.Listening
}

// wire stands between the program and a receiver: it passes requests on, changed if so asked, and keeps them.
type wire struct {
	t      *testing.T
	server *httptest.Server
	passed chan passed

	mu     sync.Mutex
	target string
	change func(body []byte) []byte // of the next request
	answer int                      // instead of the receiver's, once
	once   bool                     // what comes again is kept from the receiver and the test
	came   map[string]bool          // deliveries, by their ids
}

type passed struct {
	header http.Header
	body   []byte
	status int // the receiver's
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t, passed: make(chan passed, 100), came: map[string]bool{}}
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	return w
}

// ServeHTTP implements http.Handler.
func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	target, change, answer := w.target, w.change, w.answer
	w.change, w.answer = nil, 0
	delivery := r.Header.Get("X-Kayle-Delivery-Id")
	again := w.once && w.came[delivery]
	w.came[delivery] = true
	w.mu.Unlock()
	if again {
		return
	}
	if change != nil {
		body = change(body)
	}
	status := w.send(target, r.Header, body)
	if answer == 0 {
		answer = status
	}
	out.WriteHeader(answer)
	w.passed <- passed{r.Header, body, status}
}

// send posts to a receiver and returns its status.
func (w *wire) send(target string, header http.Header, body []byte) int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return 0
	}
	req.Header = header.Clone()
	res, err := fixture.Client(nil).Do(req)
	if err != nil {
		w.t.Error(err)
		return 0
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if bytes.Contains(text, []byte("LINDQVIST")) {
		w.t.Errorf("the receiver answered with personal data: %s", text)
	}
	return res.StatusCode
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// next is the next request that came from the program.
func (w *wire) next(what string, status ...int) passed {
	w.t.Helper()
	select {
	case got := <-w.passed:
		if !slices.Contains(status, got.status) {
			w.t.Errorf("%s: the receiver answered %d, want one of %v", what, got.status, status)
		}
		return got
	case <-time.After(patience):
		w.t.Fatalf("%s: nothing came", what)
		return passed{}
	}
}

// flip changes one character of the ciphertext.
func flip(body []byte) []byte {
	changed := slices.Clone(body)
	at := len(changed) - 40
	if changed[at] == 'A' {
		changed[at] = 'B'
	} else {
		changed[at] = 'A'
	}
	return changed
}

func signed(secret string, at time.Time, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return http.Header{
		"X-Kayle-Signature": {fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))},
		"Content-Type":      {"application/jose"},
	}
}

// Every sample, as its customer would run it, against the running program: valid, repeated, tampered, stale, for another
// key, and during a rotation.
func TestExamples_Receivers(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	private, jwk := i.keyPair("k=1")
	_, otherJWK := i.keyPair("k2")
	everySampleIsIn(t, "/receivers", receivers)
	for _, name := range receivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := *i
			i.t = t
			exerciseReceiver(t, &i, name, private, jwk, otherJWK)
		})
	}
}

func exerciseReceiver(t *testing.T, i *installation, name, private string, jwk, otherJWK json.RawMessage) {
	t.Helper()
	w := newWire(t)
	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": w.server.URL}, &created)
	endpoint := "/v1/webhooks/endpoints/" + created.Endpoint.ID
	addKey := func(kid string, jwk json.RawMessage) (key struct{ ID string }) {
		i.call("POST", endpoint+"/keys", map[string]any{"key_id": kid, "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, &key)
		return key
	}
	key := addKey("k=1", jwk)
	old := created.SigningSecret
	p, oldURL := startReceiver(t, name, old, "k=1="+private)
	w.set(func() { w.target = oldURL })
	test := func() (e eventJSON) {
		t.Helper()
		i.call("POST", endpoint+"/test", nil, &e)
		return e
	}
	// again makes a delivery due now, once what came of its last attempt is recorded, unless its schedule was faster.
	again := func(e eventJSON, attempts int) {
		t.Helper()
		path := "/v1/webhooks/deliveries/" + e.Deliveries[0].ID
		d := eventually(t, "the attempt is recorded", func() (d deliveryJSON) { i.call("GET", path, nil, &d); return d },
			func(d deliveryJSON) bool { return d.AttemptCount >= attempts && d.Status != "delivering" })
		if d.Status == "pending" {
			i.retry(e.Deliveries[0].ID)
		}
	}

	var session struct{ ID string }
	i.call("POST", "/v1/sessions", map[string]any{"webhook_endpoint_id": created.Endpoint.ID}, &session)
	claims := map[string]any{"family_name": "LINDQVIST", "kayle_document_id": strings.Repeat("ab", 32)}
	i.call("POST", "/v1/sessions/"+session.ID+"/success", map[string]any{"claims": claims, "selected_field_keys": []string{"family_name", "kayle_document_id"}}, nil)
	valid := w.next("valid", http.StatusNoContent)
	var got nodeLine
	decode(t, printed(p, "accepted", session.ID), &got)
	if got.Type != "verification.session.succeeded" || got.Data.Claims["family_name"] != "LINDQVIST" || len(got.Data.Claims) != 12 {
		t.Errorf("valid: it printed %+v", got)
	}

	// Repeated: the receiver took it in, but its answer was lost on the way; and by somebody who recorded it.
	w.set(func() { w.answer = http.StatusServiceUnavailable })
	repeated := test()
	w.next("first", http.StatusNoContent)
	printed(p, "accepted", repeated.ID)
	again(repeated, 1)
	w.next("repeated", http.StatusNoContent)
	printed(p, "duplicate", repeated.ID)
	if status := w.send(oldURL, valid.header, valid.body); status != http.StatusNoContent {
		t.Errorf("replayed: %d", status)
	}
	printed(p, "duplicate", session.ID)

	// Tampered on the way: refused, and accepted as soon as it arrives whole.
	w.set(func() { w.change = flip })
	tampered := test()
	w.next("tampered", http.StatusUnauthorized)
	again(tampered, 1)
	w.next("whole again", http.StatusNoContent)
	printed(p, "accepted", tampered.ID)
	changed := flip(valid.body)
	if status := w.send(oldURL, signed(old, time.Now(), changed), changed); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		t.Errorf("tampered, but signed: %d", status)
	}

	for _, off := range []time.Duration{-310 * time.Second, 310 * time.Second} {
		const tolerance = 300 * time.Second
		var at time.Time
		status := eventually(t, "a signature is looked at while it is too far off", func() int {
			at = time.Now().Add(off).Truncate(time.Second)
			return w.send(oldURL, signed(old, at, valid.body), valid.body)
		}, func(status int) bool {
			// A future comes nearer: on a slow machine it may have come near enough.
			return status == http.StatusUnauthorized || off < 0 || time.Until(at) > tolerance
		})
		if status != http.StatusUnauthorized {
			t.Errorf("%s off: %d", off, status)
		}
	}
	if status := w.send(oldURL, signed("whsec_x", time.Now(), valid.body), valid.body); status != http.StatusUnauthorized {
		t.Errorf("another secret: %d", status)
	}

	// Encrypted to a key that the receiver does not have. It comes again, whenever that is.
	addKey("k2", otherJWK)
	w.set(func() { w.once = true })
	test()
	w.next("wrong key", http.StatusBadRequest, http.StatusUnprocessableEntity)
	i.call("POST", "/v1/webhooks/keys/"+key.ID+"/reactivate", nil, nil)

	// Rotated: both secrets sign, until the overlap is ended.
	var rotated struct {
		SigningSecret string `json:"signing_secret"`
	}
	i.call("POST", endpoint+"/signing-secret/rotate", map[string]any{"overlap_hours": 24}, &rotated)
	both := test()
	if n := strings.Count(w.next("the old secret in the overlap", http.StatusNoContent).header.Get("X-Kayle-Signature"), "v1="); n != 2 {
		t.Errorf("%d signatures in the overlap", n)
	}
	printed(p, "accepted", both.ID)
	renewed, newURL := startReceiver(t, name, rotated.SigningSecret, "k=1="+private)
	w.set(func() { w.target = newURL })
	both = test()
	w.next("the new secret in the overlap", http.StatusNoContent)
	printed(renewed, "accepted", both.ID)
	i.call("POST", endpoint+"/signing-secret/end-overlap", nil, nil)
	after := test()
	last := w.next("the new secret after the overlap", http.StatusNoContent)
	printed(renewed, "accepted", after.ID)
	if status := w.send(oldURL, last.header, last.body); status != http.StatusUnauthorized {
		t.Errorf("the old secret after the overlap: %d", status)
	}
}

// printed is the line that a receiver printed of an event or session.
func printed(p *fixture.Process, outcome, id string) string {
	return p.WaitFor(`"` + outcome + `".*` + id + `|` + id + `.*"` + outcome + `"`)
}

type eventJSON struct {
	ID         string
	Deliveries []struct{ ID string }
}
