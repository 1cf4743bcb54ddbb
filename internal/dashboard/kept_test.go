package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/webhook"
)

func TestKeptForm_HoldsNoKeyFromTheWrongField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	_, private := keyPair(t)
	w.clock.Advance(13 * time.Hour)
	for _, key := range []string{private, `{"kty":"RSA","d" : "c2VjcmV0"}`} {
		b.post("/endpoints", "name", key, "labels", "of mine").is(http.StatusUnauthorized).
			shows(`value="of mine"`).hides("PRIVATE KEY", "c2VjcmV0")
	}
}

// TestKeptForm_PublicKey: a key that was pasted or chosen as a file too late is there after the sign-in, written anew from its numbers.
func TestKeptForm_PublicKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	email := fixture.Email(fixture.UserID(t, w.owner))
	e, _ := w.endpoint("risk", true)
	path := endpointPath(e.ID) + "/keys"
	public, private := keyPair(t)
	pub := func(kid string) string {
		found, err := webhook.ParseKeyInput([]byte(public))
		w.check(err)
		accepted, err := webhook.AcceptKey(found[0].Input(""))
		w.check(err)
		return `{"kty":"RSA","kid":"` + kid + `","n":"` + accepted.N + `","e":"` + accepted.E + `","use":"enc","x5u":"https://SECRETWORD.example"}`
	}
	for name, tc := range map[string]struct {
		to     string
		fields []string
		kid    string // of the key that is there in the end
		staged bool
	}{
		"text":              {path, []string{"keytext", public, "key_id", "of-text"}, "of-text", false},
		"file":              {path, []string{"keytext", "", "@keyfile", public, "key_id", "of-file"}, "of-file", false},
		"not active yet":    {path, []string{"keytext", public, "key_id", "staged", "then", "stage"}, "staged", true},
		"key id of the jwk": {path, []string{"keytext", pub("of-jwk")}, "of-jwk", false},
		"one of a set":      {path, []string{"keytext", `{"keys":[` + pub("a") + `,` + pub("of-set") + `]}`, "key_id", "of-set"}, "of-set", false},
		"only checked":      {path + "/check", []string{"keytext", public, "key_id", "checked"}, "", false},
	} {
		b := w.browser()
		a := b.upload(tc.to, nil, tc.fields...).is(http.StatusUnauthorized).shows("what you entered is kept").hides("SECRETWORD", "BEGIN PUBLIC KEY")
		r := &reader{browser: b}
		r.open(a, tc.to)
		if name == "text" { // once, since tries are limited
			r.send("Sign in", "email", email, "password", "wrong password")
		}
		r.send("Sign in", "email", email, "password", fixture.Password)
		button := "Add key"
		if tc.kid == "" {
			button = "Check key"
		}
		r.sees(http.StatusOK, "Public key: {", button+" with what you entered?")
		if strings.Contains(r.page.text(), "The key is added without being activated.") != tc.staged {
			t.Errorf("%s: it is not said right whether the key becomes active", name)
		}
		r.send(button)
		r.sees(http.StatusOK)
		if tc.kid == "" {
			r.sees(http.StatusOK, "rules passed")
			continue
		}
		if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_encryption_keys WHERE key_id = $1 AND is_active <> $2", tc.kid, tc.staged); n != 1 {
			t.Errorf("%s: %d keys were added as asked for, want 1", name, n)
		}
	}
	for name, fields := range map[string][]string{
		"private":             {"keytext", private, "key_id", "k"},
		"private file":        {"keytext", public, "@keyfile", private, "key_id", "k"},
		"private beside":      {"keytext", public + private, "key_id", "k"},
		"no key":              {"keytext", "SECRETWORD", "key_id", "k"},
		"nothing but an id":   {"keytext", "", "key_id", "k", "then", "stage"},
		"from somewhere else": {"keytext", public},
	} {
		var headers []string
		if name == "from somewhere else" {
			headers = []string{"Sec-Fetch-Site", "cross-site"}
		}
		if got := w.browser().upload(path, headers, fields...).hides("PRIVATE KEY", "SECRETWORD"); got.status != http.StatusSeeOther {
			t.Errorf("%s: is kept:\n%s", name, got.text())
		}
	}
	w.browser().upload(path, nil, "keytext", public, "key_id", private).is(http.StatusUnauthorized).hides("PRIVATE KEY")
}
