package dashboard

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/receiver"
)

// inProcess hands what is sent to a handler, without a network.
type inProcess struct {
	w *world
	h http.Handler
}

// Post implements delivery.Sender.
func (s inProcess) Post(ctx context.Context, r egress.Request) egress.Result {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(r.Body))
	req.Header = r.Header
	rec := httptest.NewRecorder()
	s.h.ServeHTTP(rec, req)
	s.w.sender.answers(rec.Code, rec.Body.String())
	return s.w.sender.Post(ctx, r)
}

// listen is the receiver of the endpoint, with the private half of one key; the last code it read is kept.
func (w *world) listen(secret, keyID, private string, code *string) {
	w.t.Helper()
	key, err := receiver.ParsePrivateKey([]byte(private))
	w.check(err)
	h := receiver.New(receiver.Options{Secrets: []string{secret}, Now: w.clock.Now, OnEvent: func(_ context.Context, e receiver.Event) error {
		*code = e.Challenge()
		return nil
	}})
	h.AddKey(keyID, key)
	w.handler.Deliveries.Sender = inProcess{w, h}
}

func TestKeys_StagedThenVerifiedThenActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, secret := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	b.post(path + "/test").redirects(path) // waits, encrypted to k1
	public, private := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k2", "then", "stage").redirects(path + "/keys")
	page := b.get(path+"/keys").shows("k2 is staged.", "Staged keys", "Not verified", "Verify k2", "Activate k2")
	if n := fixture.Scalar[string](t, w.db, "SELECT key_id FROM webhook_encryption_keys WHERE is_active"); n != "k1" {
		t.Errorf("staging made %s the active key", n)
	}
	k2 := page.find(`href="(/keys/whk_[a-z0-9]+)/reactivate"`)

	// The preview says what changes, in numbers, and warns of what nobody has tried.
	b.get(k2+"/reactivate").is(http.StatusOK).shows("Activate k2?", "encrypted to this key from now on", "1 undelivered webhook stays encrypted to k1: the receiver must keep its private half until",
		"This key is not verified", `action="`+k2+`/reactivate"`)
	b.fragment(k2+"/reactivate").is(http.StatusOK).shows(`id="dialog-t"`, "This key is not verified").hides("Skip to content")

	// Who reads only is refused, and another organization sees no key.
	m, x := w.as(w.member), w.stranger()
	for _, action := range []string{"/challenge", "/verify", "/reactivate"} {
		m.post(k2 + action).is(http.StatusForbidden)
		x.post(k2 + action).is(http.StatusNotFound)
	}
	m.get(k2 + "/reactivate").is(http.StatusForbidden)
	m.get(path+"/keys").is(http.StatusOK).shows("Staged keys", "Not verified", `aria-label="Activate k2: Needs the role admin."`, `aria-label="Verify k2: Needs the role admin."`).hides(k2+"/reactivate", k2+"/challenge")
	b.post(k2 + "/verify").is(http.StatusConflict).shows("No challenge is open for this key.")

	// The code goes out encrypted to the staged key, and comes back in the receiver's answer.
	code := ""
	w.listen(secret, "k2", private, &code)
	b.post(k2 + "/challenge").redirects(path + "/keys#challenge-" + strings.TrimPrefix(k2, "/keys/"))
	b.get(path+"/keys").shows("A code is on its way, encrypted to k2.", "Code that the receiver read", `id="challenge-`+strings.TrimPrefix(k2, "/keys/")+`"`, "Scheduled").
		find(`(hx-post="` + k2 + `/verify" hx-trigger="every 3s" hx-params="not form_id")`)
	w.check(w.db.InTx(t.Context(), func(tx *postgres.Tx) error { // a poll needs neither the lock nor a row
		if err := tx.LockOrganization(w.org); err != nil {
			return err
		}
		before := w.rows(t, "form_submissions")
		patience, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		poll := b.request(http.MethodPost, k2+"/verify", strings.NewReader(url.Values{"csrf_token": {b.csrf}}.Encode()), "HX-Request", "true", "Content-Type", "application/x-www-form-urlencoded")
		if a := b.do(poll.WithContext(patience)); a.status != http.StatusNoContent || w.rows(t, "form_submissions") != before {
			t.Errorf("a poll before the answer: %d, and it made %d rows", a.status, w.rows(t, "form_submissions")-before)
		}
		return nil
	}))
	b.post(k2 + "/verify").redirects(path + "/keys#challenge-" + strings.TrimPrefix(k2, "/keys/"))
	b.get(path + "/keys").shows("The receiver has not returned the code.")
	b.post(k2+"/verify", "challenge", "kch_"+strings.Repeat("a", 32)).is(http.StatusUnprocessableEntity).shows("This is not the code that was sent.", `aria-invalid="true"`)
	w.work()
	if !strings.HasPrefix(code, "kch_") {
		t.Fatalf("the receiver read %q", code)
	}
	if kept := fixture.Scalar[bool](t, w.db, "SELECT bool_or(k::text LIKE '%kch\\_%') FROM webhook_encryption_keys k"); kept {
		t.Error("the code is kept")
	}
	if a := b.postAs(k2+"/verify", []string{"HX-Request", "true"}, "csrf_token", b.csrf); a.header.Get("HX-Redirect") != path+"/keys" {
		t.Errorf("a poll after the answer: %d, %v", a.status, a.header)
	}
	b.get(path+"/keys").shows("k2 is verified.", "the receiver decrypted a code").hides("Code that the receiver read")
	if how := fixture.Scalar[string](t, w.db, "SELECT string_agg(event || ' ' || COALESCE(metadata->>'answer', ''), ', ' ORDER BY created_at, id) FROM audit_logs WHERE event IN ('webhook_key.challenged', 'webhook_key.verified')"); how != "webhook_key.challenged , webhook_key.verified returned" {
		t.Errorf("audited: %s", how)
	}

	// Activation of a verified key warns of nothing, and then everything is encrypted to it.
	b.get(k2 + "/reactivate").is(http.StatusOK).shows("Verified ").hides("This key is not verified")
	b.post(k2 + "/reactivate").redirects(path + "/keys")
	b.get(path+"/keys").shows("k2 is the active key.", "Retiring").hides("Staged keys")
	b.get(k2 + "/reactivate").redirects(path + "/keys")
	b.post(path + "/test").redirects(path)
	w.clock.Advance(time.Second)
	w.work()
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries d JOIN webhook_encryption_keys k ON k.id = d.webhook_encryption_key_id WHERE k.key_id = 'k2' AND d.status = 'succeeded'"); n != 2 {
		t.Errorf("%d deliveries to k2 succeeded, want the challenge and the test", n)
	}
}

func TestKeys_VerifiedByPastingTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, secret := b.createEndpoint("Risk engine")
	public, private := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1").redirects(path + "/keys")
	k1 := b.get(path + "/keys").find(`action="(/keys/whk_[a-z0-9]+)/challenge"`)
	code := ""
	w.listen(secret, "k1", private, &code)
	b.post(k1 + "/challenge").redirects(path + "/keys#challenge-" + strings.TrimPrefix(k1, "/keys/"))
	w.work()
	earlier := code
	b.post(k1 + "/challenge").redirects(path + "/keys#challenge-" + strings.TrimPrefix(k1, "/keys/"))
	w.work()
	b.post(k1+"/verify", "challenge", earlier).is(http.StatusUnprocessableEntity).shows("The latest test event counts.")
	b.post(k1+"/verify", "challenge", " "+code+" ").redirects(path + "/keys")
	b.get(path+"/keys").shows("k1 is verified.", "Verify again")
	b.post(k1+"/verify", "challenge", code).is(http.StatusConflict) // a code counts once
	b.post(path + "/pause").redirects(path)
	b.post(k1 + "/challenge").is(http.StatusConflict).shows("paused")
}

// read makes every attempt that is due and returns the code that the receiver with the key read.
func (w *world) read(secret, keyID, private string) string {
	w.t.Helper()
	code := ""
	w.listen(secret, keyID, private, &code)
	w.work()
	if code == "" {
		w.t.Fatalf("nothing came that %s opens", keyID)
	}
	return code
}

// TestKeys_ACodeIsGoodForItsOwnKeyAlone sends a challenge to two keys of one endpoint, to a key of another endpoint and to one of
// another organization. Only the key's own code, of its latest challenge, verifies it, and only once.
func TestKeys_ACodeIsGoodForItsOwnKeyAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, x := w.as(w.owner), w.stranger()
	codes, paths, of := map[string]string{}, map[string]string{}, map[string]*browser{}
	for _, at := range []struct {
		by       *browser
		endpoint string
		keys     []string
	}{{b, "Risk engine", []string{"risk-1", "risk-2"}}, {b, "Ledger", []string{"ledger"}}, {x, "Theirs", []string{"theirs"}}} {
		path, secret := at.by.createEndpoint(at.endpoint)
		for _, name := range at.keys {
			public, private := keyPair(t)
			at.by.get(path + "/keys")
			at.by.upload(path+"/keys", nil, "keytext", public, "key_id", name).redirects(path + "/keys")
			k := keyPath(fixture.Scalar[id.Key](t, w.db, "SELECT id FROM webhook_encryption_keys WHERE key_id = $1", name))
			at.by.post(k + "/challenge").is(http.StatusSeeOther)
			codes[name], paths[name], of[name] = w.read(secret, name, private), k, at.by
		}
	}
	verified := func() string {
		return fixture.Scalar[string](t, w.db, "SELECT coalesce(string_agg(key_id, ',' ORDER BY key_id), '') FROM webhook_encryption_keys WHERE verified_at IS NOT NULL")
	}
	for name, path := range paths {
		for other, code := range codes {
			if other != name {
				of[name].post(path+"/verify", "challenge", code).is(http.StatusUnprocessableEntity).shows("This is not the code that was sent.")
			}
		}
	}
	x.post(paths["ledger"]+"/verify", "challenge", codes["ledger"]).is(http.StatusNotFound)
	if got := verified(); got != "" {
		t.Fatalf("codes of other keys verified %s", got)
	}
	for _, name := range []string{"ledger", "risk-1", "risk-2", "theirs"} {
		of[name].post(paths[name]+"/verify", "challenge", codes[name]).is(http.StatusSeeOther)
		of[name].post(paths[name]+"/verify", "challenge", codes[name]).is(http.StatusConflict)
	}
	if got := verified(); got != "ledger,risk-1,risk-2,theirs" {
		t.Errorf("verified are %s", got)
	}
}

// TestKeys_NothingIsEncryptedToAKeyThatIsNotActive has an endpoint without an active key: neither staging a key nor proving it
// makes it one, and one that was taken back or whose endpoint is gone is none any more.
func TestKeys_NothingIsEncryptedToAKeyThatIsNotActive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, secret := b.createEndpoint("Risk engine")
	public, private := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1", "then", "stage").redirects(path + "/keys")
	k1 := keyPath(fixture.Scalar[id.Key](t, w.db, "SELECT id FROM webhook_encryption_keys"))
	blocked := func(when string) {
		t.Helper()
		_, deliveries := w.of(w.fail())
		for _, d := range deliveries {
			if d.State() != delivery.StateBlocked || d.WebhookEncryptionKeyID != nil || d.PayloadBytes != 0 {
				t.Errorf("%s: a delivery is %s, with key %v and %d bytes", when, d.State(), d.WebhookEncryptionKeyID, d.PayloadBytes)
			}
		}
		b.get(path + "/keys").shows("are blocked until a key is active")
	}
	blocked("staged")
	b.post(k1 + "/challenge").is(http.StatusSeeOther)
	code := w.read(secret, "k1", private)
	blocked("challenged")
	b.post(k1+"/verify", "challenge", code).redirects(path + "/keys")
	blocked("verified")
	step := func(done bool) {
		t.Helper()
		if said := b.get("/").is(http.StatusOK).text(); strings.Contains(said, "Done: Verify that the receiver decrypts") != done {
			t.Errorf("the step is done: want %t in %s", done, said)
		}
	}
	step(false)
	b.post(k1 + "/reactivate").redirects(path + "/keys")
	step(true)
	_, deliveries := w.of(w.fail())
	for _, d := range deliveries {
		if d.State() != delivery.StateScheduled || d.WebhookEncryptionKeyID == nil {
			t.Errorf("once it is active a delivery is %s, with key %v", d.State(), d.WebhookEncryptionKeyID)
		}
	}
	b.post(k1+"/deactivate", "confirm", "k1").redirects(path + "/keys")
	blocked("deactivated")
	b.post(k1 + "/reactivate").redirects(path + "/keys")
	b.post(path+"/delete", "confirm", "Risk engine").redirects("/endpoints")
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_encryption_keys WHERE is_active"); n != 0 {
		t.Errorf("%d keys of a deleted endpoint are active", n)
	}
	for _, action := range []string{"/reactivate", "/deactivate", "/challenge", "/verify"} {
		b.post(k1+action, "confirm", "k1", "challenge", code).is(http.StatusNotFound)
	}
	b.get(k1 + "/jwk").is(http.StatusNotFound)
}

// TestKeys_TwoAnswersAtOnceCountOnce pastes a code while the page polls: both are right when they are looked at.
func TestKeys_TwoAnswersAtOnceCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, secret := b.createEndpoint("Risk engine")
	public, private := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1").redirects(path + "/keys")
	key := fixture.Scalar[id.Key](t, w.db, "SELECT id FROM webhook_encryption_keys")
	b.post(keyPath(key) + "/challenge").is(http.StatusSeeOther)
	code := w.read(secret, "k1", private)
	answered := make(chan error, 2)
	w.check(w.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.LockOrganization(w.org); err != nil {
			return err
		}
		for range cap(answered) {
			go func() {
				_, err := w.handler.Webhooks.VerifyKey(t.Context(), w.owner, key, code, webhook.AnswerPasted)
				answered <- err
			}()
		}
		fixture.AwaitLocks(t, w.db, cap(answered))
		return nil
	}))
	one, two := <-answered, <-answered
	if one != nil {
		one, two = two, one
	}
	w.check(one)
	fixture.WantFault(t, two, webhook.ErrNoChallenge)
	if n := fixture.Audited(t, w.db, w.org, "webhook_key.verified"); n != 1 {
		t.Errorf("%d verifications are in the log, want 1", n)
	}
}
