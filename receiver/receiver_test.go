package receiver

import (
	"context"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

const secret = "whsec_0123456789abcdefghijklmnopqrstuv" // #nosec G101 -- contract section 13

var (
	now      = time.Unix(1767225600, 0)
	makePair = sync.OnceValues(func() (*rsa.PrivateKey, error) {
		private, _, err := GenerateKeyPair("k1", 2048)
		if err != nil {
			return nil, err
		}
		return ParsePrivateKey(private)
	})
)

func pair(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := makePair()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// seal and sign are what a sender does, written out here once more.
func seal(t *testing.T, kid string, key *rsa.PublicKey, plaintext string) string {
	t.Helper()
	enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: key, KeyID: kid}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := enc.Encrypt([]byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func v1(secret string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return hex.EncodeToString(mac.Sum(nil))
}

func signature(secret string, at time.Time, body string) string {
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), v1(secret, at, body))
}

func payload(eventID, kind, data string) string {
	return `{"type":"` + kind + `","metadata":{"contract_version":1,"event_id":"` + eventID + `","verification_session_id":"vs_1"},"data":` + data + `}`
}

func receiver(t *testing.T, o Options) *Handler {
	t.Helper()
	o.Secrets, o.Keys, o.Now = []string{secret}, map[string]*rsa.PrivateKey{"k1": pair(t)}, func() time.Time { return now }
	return New(o)
}

func post(r http.Handler, body, signature string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hook", strings.NewReader(body))
	req.Header.Set("X-Kayle-Signature", signature)
	req.Header.Set("X-Kayle-Delivery-Id", "whd_1")
	req.Header.Set("X-Kayle-Event", "hint")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

func TestVerify_ContractVector(t *testing.T) {
	t.Parallel()
	const header = "t=1767225600,v1=b8a5d29d71d2e70540fe9882746f031d11aecdb95effc79e615eedd47aa35a2d,v1=04248edd8b6e12c320961b7330c6c10446a4a80a2375a96b6874fa6dfa552304"
	for i, s := range []string{secret, "whsec_vutsrqponmlkjihgfedcba9876543210"} {
		if got, err := verify(header, []byte("aaa.bbb.ccc.ddd.eee"), []string{s}, now); got != 0 || err != nil {
			t.Errorf("secret %d: %d, %v", i, got, err)
		}
	}
	spaced := strings.ToUpper(strings.ReplaceAll(header[12:], ",", " , "))
	spaced = " t = 1767225600 " + strings.ReplaceAll(spaced, "V1", "v1")
	if got, err := verify(spaced, []byte("aaa.bbb.ccc.ddd.eee"), []string{"x", secret}, now); got != 1 || err != nil {
		t.Errorf("with spaces and upper case: %d, %v", got, err)
	}
}

func TestVerify_AnEmptySecretIsNone(t *testing.T) {
	t.Parallel()
	if _, err := verify(signature("", now, "x"), []byte("x"), []string{"", secret}, now); !errors.Is(err, ErrSignature) {
		t.Errorf("signed with nothing: %v", err)
	}
}

func TestServeHTTP_TypedEvents(t *testing.T) {
	t.Parallel()
	events := make(chan Event, 1)
	r := receiver(t, Options{OnEvent: func(_ context.Context, e Event) error { events <- e; return nil }})
	for i, tc := range []struct {
		kind, data string
		want       Event
		withdraws  bool
	}{
		{SessionSucceeded, `{"claims":{"family_name":"DOE","date_of_birth":null},"selected_field_keys":["family_name"]}`, Event{Succeeded: &Succeeded{map[string]any{"family_name": "DOE", "date_of_birth": nil}, []string{"family_name"}}}, false},
		{SessionFailed, `{"failure_code":"liveness_failed","nfc_tries_used":1,"liveness_tries_used":3}`, Event{Failed: &Failed{"liveness_failed", 1, 3}}, false},
		{SessionExpired, `{}`, Event{}, false},
		{SessionCancelled, `{"outcome":"not_verified","reason":"cancelled","nfc_tries_used":0,"liveness_tries_used":0}`, Event{Cancelled: &Cancelled{"not_verified", "cancelled", 0, 0}}, false},
		{SessionCancelled, `{"outcome":"not_verified","reason":"privacy_cancelled_after_terminal_success","nfc_tries_used":0,"liveness_tries_used":0}`, Event{Cancelled: &Cancelled{"not_verified", "privacy_cancelled_after_terminal_success", 0, 0}}, true},
		{WebhookTest, `{"message":"hello"}`, Event{Test: &Test{"hello"}}, false},
		{"something.new", `{"x":1}`, Event{}, false},
	} {
		plain := payload(fmt.Sprintf("evt_%d", i), tc.kind, tc.data)
		body := seal(t, "k1", &pair(t).PublicKey, plain)
		if w := post(r, body, signature(secret, now, body)); w.Code != 204 || w.Body.Len() > 0 {
			t.Fatalf("%s: %d %s", tc.kind, w.Code, w.Body)
		}
		got := <-events
		want := tc.want
		want.ID, want.Type, want.ContractVersion, want.SessionID = fmt.Sprintf("evt_%d", i), tc.kind, 1, "vs_1"
		want.Data, want.Plaintext, want.DeliveryID, want.TypeHint = json.RawMessage(tc.data), []byte(plain), "whd_1", "hint"
		want.KeyID, want.ReceivedAt = "k1", now
		if diff := cmp.Diff(want, got); diff != "" || got.Withdraws() != tc.withdraws {
			t.Errorf("%s: %s", tc.kind, diff)
		}
	}
}

func TestServeHTTP_Refuses(t *testing.T) {
	t.Parallel()
	receipts := make(chan Receipt, 1)
	r := receiver(t, Options{
		OnRequest: func(x Receipt) { receipts <- x },
		OnEvent:   func(_ context.Context, e Event) error { t.Errorf("took in %s", e.ID); return nil },
	})
	good := seal(t, "k1", &pair(t).PublicKey, payload("evt_1", SessionExpired, "{}"))
	sign := func(body string) string { return signature(secret, now, body) }
	sealed := func(plain string) string { return seal(t, "k1", &pair(t).PublicKey, plain) }
	foreign := seal(t, "k2", &pair(t).PublicKey, "{}")
	noJSON, noID, v2 := sealed("hello"), sealed(payload("", SessionExpired, "{}")), sealed(strings.Replace(payload("e", SessionExpired, "{}"), ":1,", ":2,", 1))
	badData := sealed(payload("evt_2", SessionFailed, `{"failure_code":1}`))
	for name, tc := range map[string]struct {
		body, signature string
		want            error
		status          int
	}{
		"no signature":        {good, "", ErrSignature, 401},
		"other secret":        {good, signature("whsec_x", now, good), ErrSignature, 401},
		"other body":          {good + " ", sign(good), ErrSignature, 401},
		"no v1":               {good, "t=1767225600", ErrSignature, 401},
		"too old":             {good, signature(secret, now.Add(-301*time.Second), good), ErrTimestamp, 401},
		"from the future":     {good, signature(secret, now.Add(301*time.Second), good), ErrTimestamp, 401},
		"not a JWE":           {"hello", sign("hello"), ErrDecrypt, 422},
		"unknown kid":         {foreign, sign(foreign), ErrUnknownKey, 422},
		"cut off":             {good[:len(good)-4], sign(good[:len(good)-4]), ErrDecrypt, 422},
		"not JSON":            {noJSON, sign(noJSON), ErrPayload, 422},
		"no event id":         {noID, sign(noID), ErrPayload, 422},
		"other version":       {v2, sign(v2), ErrPayload, 422},
		"data of other shape": {badData, sign(badData), ErrPayload, 422},
	} {
		w := post(r, tc.body, tc.signature)
		got := <-receipts
		if !errors.Is(got.Err, tc.want) || w.Code != tc.status || got.Status != tc.status || got.Event != nil {
			t.Errorf("%s: %v with %d, want %v with %d", name, got.Err, w.Code, tc.want, tc.status)
		}
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestServeHTTP_DropsRepeatsOfWhatWasTakenIn(t *testing.T) {
	t.Parallel()
	var taken int
	var fails error
	receipts := make(chan Receipt, 1)
	r := receiver(t, Options{
		OnEvent:   func(context.Context, Event) error { taken++; return fails },
		OnRequest: func(x Receipt) { receipts <- x },
	})
	plain := payload("evt_1", SessionExpired, "{}")
	for i, step := range []struct {
		fails     error
		status    int
		duplicate bool
		taken     int
	}{{errors.New("DOE is in the way"), 500, false, 1}, {nil, 204, false, 2}, {nil, 204, true, 2}, {errors.New("x"), 204, true, 2}} {
		fails = step.fails
		body := seal(t, "k1", &pair(t).PublicKey, plain) // under a new ciphertext each time
		w := post(r, body, signature(secret, now, body))
		got := <-receipts
		if w.Code != step.status || got.Status != step.status || got.Duplicate != step.duplicate || taken != step.taken || got.Bytes != len(body) {
			t.Errorf("request %d: status %d, duplicate %v, taken %d", i+1, w.Code, got.Duplicate, taken)
		}
		if strings.Contains(w.Body.String(), "DOE") || step.fails != nil && !step.duplicate && !errors.Is(got.Err, step.fails) {
			t.Errorf("request %d: answered %q because of %v", i+1, w.Body, got.Err)
		}
	}
}

func TestMemory_WaitsForTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := Memory(10)
		var outcomes sync.Map
		for _, step := range []struct {
			after time.Duration
			fails error
		}{{0, errors.New("no")}, {time.Second, nil}, {2 * time.Second, nil}} {
			go func() {
				time.Sleep(step.after)
				duplicate, err := m.Once(t.Context(), "evt_1", func(context.Context) error {
					time.Sleep(time.Minute)
					return step.fails
				})
				outcomes.Store(step.after, fmt.Sprint(duplicate, err))
			}()
		}
		time.Sleep(30 * time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Once(short, "evt_1", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that cannot wait: %v", err)
		}
		time.Sleep(time.Hour)
		count := map[any]int{}
		outcomes.Range(func(_, outcome any) bool { count[outcome]++; return true })
		if diff := cmp.Diff(map[any]int{"false no": 1, "false <nil>": 1, "true <nil>": 1}, count); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMemory_ForgetsTheOldestAndWhatPanicked(t *testing.T) {
	t.Parallel()
	m := Memory(2)
	once := func(id string) bool {
		duplicate, err := m.Once(t.Context(), id, func(context.Context) error { return nil })
		return duplicate && err == nil
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = m.Once(t.Context(), "a", func(context.Context) error { panic("x") })
	}()
	var got []bool
	for _, id := range []string{"a", "b", "a", "c", "b", "a"} {
		got = append(got, once(id))
	}
	if diff := cmp.Diff([]bool{false, false, true, false, true, false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestServeHTTP_KeysAndSecretsCanChange(t *testing.T) {
	t.Parallel()
	r := receiver(t, Options{})
	body := seal(t, "k2", &pair(t).PublicKey, payload("evt_1", SessionExpired, "{}"))
	if w := post(r, body, signature("whsec_new", now, body)); w.Code != 401 {
		t.Errorf("%d before", w.Code)
	}
	r.AddKey("k2", pair(t))
	r.SetSecrets("whsec_new", secret)
	if w := post(r, body, signature("whsec_new", now, body)); w.Code != 204 {
		t.Errorf("%d after", w.Code)
	}
}

// What is imported for this package alone is what a receiver's program takes on.
func TestPackage_NeedsOnlyGoJose(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dependency := range strings.Fields(string(out)) {
		if dependency != "kaylehooks/receiver" && !strings.HasPrefix(dependency, "github.com/go-jose/go-jose/v4") {
			t.Errorf("it needs %s", dependency)
		}
	}
}

// A module of its own can use it, with nothing else of ours in its go.sum.
func TestPackage_IsImportable(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	var needed []string
	for line := range strings.Lines(string(sums)) {
		if strings.HasPrefix(line, "github.com/go-jose/go-jose/v4 ") {
			needed = append(needed, line)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.sum": strings.Join(needed, ""),
		"go.mod": "module example.com/customer\n\ngo 1.26\n\nrequire kaylehooks v0.0.0\n\nreplace kaylehooks => " + root + "\n",
		"main.go": `package main

import (
	"context"
	"net/http"

	"kaylehooks/receiver"
)

func main() {
	http.Handle("POST /webhooks/kayle", receiver.New(receiver.Options{
		Secrets: []string{"whsec_"},
		OnEvent: func(_ context.Context, e receiver.Event) error { println(e.Type, e.Withdraws()); return nil },
	}))
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", filepath.Join(dir, "customer"), ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestGenerateKeyPair(t *testing.T) {
	t.Parallel()
	private, public, err := GenerateKeyPair("my key", 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(public, &members); err != nil {
		t.Fatal(err)
	}
	if len(members) != 6 || members["kid"] != "my key" || members["alg"] != "RSA-OAEP-256" || members["use"] != "enc" || members["kty"] != "RSA" {
		t.Errorf("got %s", public)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(public, &jwk); err != nil || !jwk.IsPublic() || !key.PublicKey.Equal(jwk.Key) {
		t.Errorf("the halves do not belong together: %v", err)
	}
	for _, bits := range []int{0, 1024, 2047, 8193} {
		if _, _, err := GenerateKeyPair("k", bits); err == nil {
			t.Errorf("made a key of %d bits", bits)
		}
	}
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParsePrivateKey([]byte(text)); err == nil {
			t.Errorf("read %q", text)
		}
	}
}

func FuzzServeHTTP(f *testing.F) {
	f.Add("t=1767225600,v1=00", "a.b.c.d.e")
	f.Add("", "")
	r := New(Options{Secrets: []string{secret}, OnEvent: func(context.Context, Event) error { panic("took something in") }, Now: func() time.Time { return now }})
	f.Fuzz(func(_ *testing.T, header, body string) {
		post(r, body, signature(secret, now, body))
		post(r, body, header)
	})
}
