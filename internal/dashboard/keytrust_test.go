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

	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
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
	m.get(path+"/keys").is(http.StatusOK).shows("Staged keys", "Not verified").hides("Activate…", k2+"/challenge")
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
