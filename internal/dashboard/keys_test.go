package dashboard

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/webhook"
)

func TestKeyCheck_JudgesWithoutSaving(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	check := path + "/keys/check"
	public, _ := keyPair(t)
	htmx := []string{"HX-Request", "true"}
	b.get(path+"/keys").shows("web keygen --kid key-1 --out keys", "openssl genpkey", `data-key-stop="`+webhook.PrivateKeyPattern+`"`)

	panel := b.upload(check, htmx, "keytext", public).is(http.StatusOK).shows("rules passed", "PEM public key", "Proposed from the thumbprint").hides("Skip to content")
	if !strings.HasPrefix(panel.body, `<section id="check"`) {
		t.Errorf("htmx gets %.80q", panel.body)
	}
	b.upload(check, htmx, "keytext", "", "@keyfile", public).is(http.StatusOK).shows("rules passed")
	b.upload(check, htmx, "keytext", "").is(http.StatusOK).shows("Checked while you type")
	b.upload(check, htmx, "keytext", "hello").is(http.StatusUnprocessableEntity).shows("No public key was found")
	b.upload(check, htmx, "keytext", `{"kty":"RSA","n":"AQAB","e":"AQAB"}`).is(http.StatusUnprocessableEntity).shows("rules failed", "2048")
	b.upload(check, htmx, "@keyfile", strings.Repeat("a", 70<<10)).is(http.StatusUnprocessableEntity).shows("larger than 64 KiB")
	b.upload(check, htmx, "@keyfile", "\x30\x82\x00\x01").is(http.StatusUnprocessableEntity).shows("not text")
	// Without scripting the whole page comes back, with the key as we would store it.
	b.upload(check, nil, "keytext", public, "key_id", "k1").is(http.StatusOK).shows("rules passed", `"kty":"RSA"`, `value="k1"`, "Skip to content")
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM webhook_encryption_keys"); n != 0 {
		t.Errorf("checking saved %d keys", n)
	}
}

func TestAddKey_PrivateKeyIsRefusedAndNeverShownAgain(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	_, private := keyPair(t)
	middle := strings.Split(private, "\n")[3]
	b.get(path + "/keys")
	for name, fields := range map[string][]string{
		"text": {"keytext", private}, "file": {"keytext", "", "@keyfile", private},
		"key id": {"keytext", "x", "key_id", strings.ReplaceAll(private, "\n", "")},
		"jwk":    {"keytext", `{"kty":"RSA","n":"AQAB","e":"AQAB","d":"` + middle + `"}`},
	} {
		for _, action := range []string{path + "/keys", path + "/keys/check"} {
			a := b.upload(action, nil, fields...).is(http.StatusUnprocessableEntity).hides(middle)
			if name != "key id" {
				a.shows("A private key arrived here. Nothing of it was kept.")
			}
		}
	}
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM webhook_encryption_keys"); n != 0 {
		t.Errorf("%d keys were saved", n)
	}
}

func TestKeys_OneIsActiveAtATime(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	first := b.get(path + "/keys").shows("Deactivate…").find(`(/keys/whk_[a-z0-9]+)/jwk`)
	if used := b.get(path + "/keys").text(); !strings.Contains(used, "First used not yet") {
		t.Errorf("no use is not told: %s", used)
	}
	b.post(path + "/test").redirects(path)
	began := s.clock.Now()
	s.clock.Advance(time.Hour)
	b.post(path + "/test").redirects(path)
	s.clock.Advance(time.Minute)
	if used := b.get(path+"/keys").shows("The receiver needs its private half at least until", "Undelivered", "&held=1&key=").text(); !regexp.MustCompile(`Undelivered 2 webhooks First used \S+ \S+\.\d{3} UTC 1 h 01 m ago Last used \S+ \S+\.\d{3} UTC 1 min ago`).MatchString(used) {
		t.Errorf("the uses are not told: %s", used)
	}

	// A taken key id is a conflict that keeps the page.
	public, _ := keyPair(t)
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1").is(http.StatusUnprocessableEntity).shows("already has a key with this key_id", "reactivate the existing key", "1 of ")
	b.addKey(path, "k2")
	b.get(path+"/keys").shows("Retiring", "2, until", "Reactivate k1", "first used "+began.Format("Jan 2, 2006"),
		fixture.Scalar[string](t, s.db, "SELECT spki_sha256 FROM webhook_encryption_keys WHERE key_id = 'k1'"), "Copy command: SPKI SHA-256 of k1")

	// Deactivating the active key asks for its id, since everything is blocked afterwards.
	second := b.get(path + "/keys").find(`(/keys/whk_[a-z0-9]+)/jwk`)
	b.get(second + "/deactivate").is(http.StatusOK).shows("without an active key")
	b.post(second+"/deactivate", "confirm", "k1").is(http.StatusUnprocessableEntity).shows("This is not “k2”.")
	b.post(second+"/deactivate", "confirm", "k2").redirects(path + "/keys")
	b.get(path+"/keys").shows("k2 is deactivated.", "are blocked until a key is active")
	b.post(first + "/reactivate").redirects(path + "/keys")
	b.get(path + "/keys").shows("k1 is the active key.").hides("are blocked until a key is active")

	// What was encrypted to it is deleted after a while; when it was used first is not.
	fixture.Exec(t, s.db, "DELETE FROM webhook_deliveries")
	if used := b.get(path + "/keys").text(); !regexp.MustCompile(`First used \S+ \S+\.\d{3} UTC 1 h 01 m ago`).MatchString(used) || strings.Contains(used, "Last used") {
		t.Errorf("the first use is forgotten: %s", used)
	}

	jwk := b.get(first + "/jwk").is(http.StatusOK)
	if got := jwk.header.Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="whk_`) || !strings.Contains(jwk.body, `"key_ops":["encrypt"]`) {
		t.Errorf("the download is %q: %s", got, jwk.body)
	}
}

func TestAddKey_SetOffersAChoice(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	b.addKey(path, "k2")
	page := b.get(path + "/keys")
	one := b.get(page.find(`(/keys/whk_[a-z0-9]+)/jwk`) + "/jwk").body
	other, _ := b.createEndpoint("Ledger")
	set := `{"keys":[` + strings.Replace(one, "{", `{"kid":"a",`, 1) + `,` + strings.Replace(one, "{", `{"kid":"b",`, 1) + `]}`
	b.get(other + "/keys")
	b.upload(other+"/keys", nil, "keytext", set).is(http.StatusUnprocessableEntity).shows("2 keys found", "Which key of the set", "Enter the key id of the one to use.")
	b.upload(other+"/keys/check", nil, "keytext", set, "pick", "1").is(http.StatusOK).shows("rules passed", `value="b"`)
	b.upload(other+"/keys", nil, "keytext", set, "key_id", "a").redirects(other + "/keys")
	b.get(other + "/keys").shows("a is the active key.")
}

// TestKeys_LeadToWhatTheyAreAbout: each can be downloaded, its number leads to what was encrypted to it, and a page without an active
// one leads to the two ways of getting one.
func TestKeys_LeadToWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", true)
	path := endpointPath(e.ID)
	b, m := w.as(w.owner), w.as(w.member)
	b.get(path+"/keys").is(http.StatusOK).shows("are blocked until a key is active", `href="#add"`, `id="add"`, `href="#generate"`, `id="generate"`)
	m.get(path + "/keys").is(http.StatusOK).shows("are blocked until a key is active").hides(`href="#add"`)
	b.addKey(path, "k1")
	w.fail()
	b.addKey(path, "k2")
	b.get(path + "/keys").is(http.StatusOK).hides(`href="#add"`)
	for _, person := range []*browser{b, m} {
		a := person.get(path + "/keys").is(http.StatusOK)
		for _, name := range []string{"k1", "k2"} {
			file := a.find(`href="(/keys/whk_[a-z0-9]+/jwk)"[^>]*aria-label="Download ` + name + ` as JWK"`)
			person.get(file).is(http.StatusOK).shows(`"kty":"RSA"`)
		}
		door := a.find(`(?s)Retired keys.*<a href="([^"]+)">1 webhook</a>`)
		if n := strings.Count(person.get(door).is(http.StatusOK).body, `<tr id="row-`); n != 1 {
			t.Errorf("behind the number of a retired key are %d deliveries, want 1: %s", n, door)
		}
	}
	b.get(path + "/secret").is(http.StatusOK)
	door := b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusOK).find(`<a href="([^"]+)">1 waiting delivery</a>\s*is signed with both until then`)
	if n := strings.Count(b.get(door).is(http.StatusOK).body, `<tr id="row-`); n != 1 {
		t.Errorf("behind what waits are %d deliveries, want 1: %s", n, door)
	}
}

// TestKeys_WhatWaitsForARetiredOneIsListed: the number leads to the deliveries that it counts.
func TestKeys_WhatWaitsForARetiredOneIsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	path := endpointPath(e.ID)
	b := w.as(w.owner)
	w.fail()
	w.work() // this one arrives
	w.fail()
	b.addKey(path, "k2")
	w.fail() // and this one is encrypted to the new key
	door := b.get(path + "/keys").shows("Retiring").find(`href="(/deliveries\?[^"]*held=1[^"]*)">1, until`)
	list := b.get(door).is(http.StatusOK).shows("Payload: held, not delivered", `name="held" value="1"`)
	if n := strings.Count(list.body, "<tr") - 1; n != 1 {
		t.Errorf("behind the number 1 are %d deliveries", n)
	}
	if n := strings.Count(b.get(strings.Replace(door, "held=1", "", 1)).body, "<tr") - 1; n != 2 {
		t.Errorf("to the key %d deliveries were encrypted, want 2", n)
	}
}

// TestCheckKey_ADuplicateIsSeenAmongMany: it is the oldest of more keys than a page of them shows.
func TestCheckKey_ADuplicateIsSeenAmongMany(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	public, _ := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1").redirects(path + "/keys")
	check := func() answer {
		t.Helper()
		return b.upload(path+"/keys/check", nil, "keytext", public, "key_id", "k2").is(http.StatusOK)
	}
	check().shows("The same key is here already")
	fixture.Exec(t, s.db, `INSERT INTO webhook_encryption_keys SELECT (jsonb_populate_record(k, jsonb_build_object(
		'id', gen_random_uuid(), 'key_id', 'other-' || n, 'thumbprint', 'other-' || n, 'is_active', false, 'disabled_at', k.created_at, 'created_at', k.created_at + n * interval '1 second'))).*
		FROM webhook_encryption_keys k, generate_series(1, $1) n`, keysMax+1)
	check().shows("The same key is here already", "k1")
}
