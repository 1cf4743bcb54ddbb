package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// harness is a door with its rooms on a fresh database, and a client that checks every answer against the document.
type harness struct {
	testing.TB
	clock *fixture.Clock
	db    *postgres.DB
	door  *door
	doc   *openapi3.T
	log   *lockedBuffer
	owner access.Actor
	// key is an API key of the owner's organization with every scope.
	key string
}

// lockedBuffer collects log lines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHarness(t testing.TB, change ...func(*Config)) *harness {
	t.Helper()
	clock := fixture.NewClock()
	db := fixture.DBAt(t, clock)
	keyring := fixture.Keyring()
	log := &lockedBuffer{}
	logger := slog.New(logging.NewHandler(slog.NewTextHandler(log, nil)))
	deliveries := delivery.New(delivery.Config{DB: db, Keyring: keyring, Log: logger, Worker: "test"})
	sessions := &verification.Service{DB: db, Keyring: keyring, Deliveries: deliveries}
	deliveries.Settler = sessions
	config := Config{
		DB: db, Keyring: keyring, APIKeys: apikey.New(db, keyring),
		Webhooks:   &webhook.Service{DB: db, Keyring: keyring, Deliveries: deliveries},
		Deliveries: deliveries, Sessions: sessions,
		Limiter: ratelimit.New(nil, clock.Now, logger), Log: logger,
		PublicURL: "https://hooks.example.org/", VerificationBaseURL: "https://verify.example.org/", Version: "test",
		RateKeyPerSecond: 10_000, RateKeyBurst: 10_000, RateIPPerMinute: 10_000, RateIPBurst: 10_000,
	}
	for _, f := range change {
		f(&config)
	}
	h := &harness{TB: t, clock: clock, db: db, door: newDoor(config), log: log}
	h.doc = h.document()
	_, h.owner = fixture.Organization(t, db)
	h.key = h.issue(h.owner, access.Scopes()...)
	return h
}

// document loads what GET /openapi serves, and makes it strict: a member that it does not name is then an error.
func (h *harness) document() *openapi3.T {
	h.Helper()
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi", nil))
	doc, err := fixture.LoadDocument(w.Body.Bytes())
	if err != nil {
		h.Fatal(err)
	}
	return doc
}

// issue returns an API key of the actor's organization.
func (h *harness) issue(actor access.Actor, scopes ...access.Scope) string {
	h.Helper()
	_, secret, err := h.door.APIKeys.Issue(h.Context(), actor, apikey.Input{Name: "test", Scopes: scopes})
	if err != nil {
		h.Fatalf("issue API key: %v", err)
	}
	return secret
}

// as returns the same harness with another API key.
func (h *harness) as(key string) *harness {
	c := *h
	c.key = key
	return &c
}

// answer is a checked response.
type answer struct {
	h      *harness
	status int
	header http.Header
	raw    string
	data   any
	err    map[string]any
	page   map[string]any
}

// do sends a request; body is JSON text or a value, headers are pairs of name and value. Any answer that breaks the
// envelope or the document fails the test.
func (h *harness) do(method, target string, body any, headers ...string) answer {
	h.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(method, "http://hooks.example.org"+target, reader)
	r = r.WithContext(h.Context())
	if h.key != "" {
		r.Header.Set("Authorization", "Bearer "+h.key)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return h.send(r)
}

func (h *harness) send(r *http.Request) answer {
	h.Helper()
	_, pattern := h.door.mux.Handler(r)
	if r.URL.Path != path.Clean(r.URL.Path) {
		pattern = "" // the mux would redirect
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	a := answer{h: h, status: w.Code, header: w.Header(), raw: w.Body.String()}
	if err := fixture.CheckHeaders(a.header, []byte(a.raw)); err != nil {
		h.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if a.status == http.StatusNoContent {
		if a.raw != "" {
			h.Errorf("%s %s: 204 with body %q", r.Method, r.URL, a.raw)
		}
		return a
	}
	var whole map[string]any
	if err := json.Unmarshal([]byte(a.raw), &whole); err != nil {
		h.Fatalf("%s %s: %d %q is no JSON object", r.Method, r.URL, a.status, a.raw)
	}
	if err := fixture.CheckResponse(h.doc, pattern, a.status, []byte(a.raw)); err != nil {
		h.Error(err)
	}
	a.data = whole["data"]
	a.err, _ = whole["error"].(map[string]any)
	a.page, _ = whole["pagination"].(map[string]any)
	if (a.status >= 400) != (a.err != nil) {
		h.Errorf("%s %s: %d %s", r.Method, r.URL, a.status, a.raw)
	}
	return a
}

// ok wants a status below 300 and returns the data as an object.
func (a answer) ok(status int) map[string]any {
	a.h.Helper()
	if a.status != status {
		a.h.Fatalf("got %d %s, want %d; log: %s", a.status, a.raw, status, a.h.log)
	}
	object, _ := a.data.(map[string]any)
	return object
}

// refused wants an error.
func (a answer) refused(status int, code string, fields ...string) answer {
	a.h.Helper()
	if a.status != status || a.err["code"] != code {
		a.h.Fatalf("got %d %s, want %d %s", a.status, a.raw, status, code)
	}
	if len(fields) > 0 && !slices.Equal(a.fields(), fields) {
		a.h.Fatalf("got fields %v in %s, want %v", a.fields(), a.raw, fields)
	}
	return a
}

func (a answer) fields() []string {
	var names []string
	list, _ := a.err["fields"].([]any)
	for _, f := range list {
		names = append(names, f.(map[string]any)["field"].(string))
	}
	return names
}

// ids of a list.
func (a answer) ids() []string {
	a.h.Helper()
	if a.status != http.StatusOK {
		a.h.Fatalf("got %d %s", a.status, a.raw)
	}
	ids := []string{}
	for _, row := range a.data.([]any) {
		ids = append(ids, row.(map[string]any)["id"].(string))
	}
	return ids
}

func text(object map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		object, _ = object[name].(map[string]any)
	}
	s, _ := object[path[len(path)-1]].(string)
	return s
}

// newEndpoint returns the id of a fresh endpoint.
func (h *harness) newEndpoint() string {
	h.Helper()
	return text(h.do("POST", "/v1/webhooks/endpoints", `{"url":"https://receiver.example.com/in"}`).ok(200), "endpoint", "id")
}

func keyBody(keyID string) map[string]any {
	var jwk map[string]any
	if err := json.Unmarshal(fixture.PublicJWK(), &jwk); err != nil {
		panic(err)
	}
	return map[string]any{"key_id": keyID, "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}
}

// newKey returns the id of a fresh key.
func (h *harness) newKey(endpoint, keyID string) string {
	h.Helper()
	return text(h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/keys", keyBody(keyID)).ok(200), "id")
}

// newEvent returns the ids of a test event and its delivery, at an endpoint with a key.
func (h *harness) newEvent() (event, delivery, endpoint string) {
	h.Helper()
	endpoint = h.newEndpoint()
	h.newKey(endpoint, "k1")
	sent := h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/test", nil).ok(200)
	return text(sent, "id"), text(sent["deliveries"].([]any)[0].(map[string]any), "id"), endpoint
}

// newSession returns the id and the cancel token of a fresh session.
func (h *harness) newSession() (session, token string) {
	h.Helper()
	created := h.do("POST", "/v1/sessions", nil).ok(200)
	return text(created, "id"), text(created, "cancel_token")
}

func (h *harness) exec(sql string, args ...any) {
	h.Helper()
	fixture.Exec(h, h.db, sql, args...)
}

func (h *harness) count(sql string, args ...any) int {
	h.Helper()
	return fixture.Scalar[int](h, h.db, sql, args...)
}

func (h *harness) audited(event string) int {
	h.Helper()
	return fixture.Audited(h, h.db, h.owner.Organization, event)
}

func mustID[K id.Kind](t testing.TB, text string) id.ID[K] {
	t.Helper()
	parsed, err := id.Parse[K](text)
	if err != nil {
		t.Fatalf("%q is no id", text)
	}
	return parsed
}
