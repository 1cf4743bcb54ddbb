package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// TestRotation_HasNoBadFiveMinutes rotates a secret while receivers learn of it one after the other: as long as both secrets sign, one
// that knows the former and one that knows the new take in the same webhooks. The page counts what is not delivered yet.
func TestRotation_HasNoBadFiveMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, former := b.createEndpoint("Risk engine")
	public, private := keyPair(t)
	b.get(path + "/keys")
	b.upload(path+"/keys", nil, "keytext", public, "key_id", "k1").redirects(path + "/keys")
	code := ""
	// takes tells whether a receiver that knows one secret takes in a webhook that is sent now.
	takes := func(secret string) bool {
		t.Helper()
		w.listen(secret, "k1", private, &code)
		w.fail()
		w.clock.Advance(time.Second)
		w.work()
		return fixture.Scalar[bool](t, w.db, "SELECT status = 'succeeded' FROM webhook_deliveries ORDER BY created_at DESC LIMIT 1")
	}
	if !takes(former) {
		t.Fatal("a webhook is not taken in before anything was changed")
	}
	page := b.get(path + "/secret").is(http.StatusOK)
	for _, choice := range []string{"0", "1", "24", "72", "168"} {
		page.find(`(name="overlap" value="` + choice + `")`)
	}
	w.fail() // waits, and is sent while both sign
	rotated := b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusOK).find(`(whsec_[a-z0-9]{32})`)
	b.get(path+"/secret").is(http.StatusOK).shows("Both secrets sign until Mar ", "UTC. The overlap ends", ">in 1 d 0 h</time>", ">1 waiting delivery</a>", path+"/deliveries?status=waiting", "End overlap now")
	w.fail()
	b.get(path + "/secret").shows("2 waiting deliveries</a>")
	for name, secret := range map[string]string{"former": former, "new": rotated} {
		if !takes(secret) {
			t.Errorf("in the overlap, a receiver that knows the %s secret refuses what is sent", name)
		}
	}
	if n := strings.Count(w.sender.last.Header.Get("X-Kayle-Signature"), "v1="); n != 2 {
		t.Errorf("%d signatures are sent in the overlap", n)
	}
	b.get(path + "/secret").shows("Nothing waits now")

	// A second rotation would drop the former secret unseen.
	b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusConflict).shows("still in its overlap")
	if !takes(former) {
		t.Error("after a rotation that was refused, the former secret signs no more")
	}
	// The end comes by hand, or by itself.
	b.get(path + "/secret/end-overlap").is(http.StatusOK)
	b.post(path + "/secret/end-overlap").redirects(path + "/secret")
	if takes(former) || !takes(rotated) {
		t.Error("after the end of the overlap, both or none of the secrets sign")
	}
	b.post(path+"/secret/rotate", "overlap", "1").is(http.StatusOK)
	if !takes(rotated) {
		t.Error("the former secret does not sign in an overlap of an hour")
	}
	w.clock.Advance(time.Hour)
	if takes(rotated) {
		t.Error("the former secret signs after the hour")
	}
	b.post(path+"/secret/rotate", "overlap", "0").is(http.StatusOK).hides("Both secrets sign until")
	for event, want := range map[string]int{"webhook_endpoint.signing_secret.rotated": 3, "webhook_endpoint.signing_secret.overlap_ended": 1} {
		if n := fixture.Audited(t, w.db, w.org, event); n != want {
			t.Errorf("%s is audited %d times, want %d", event, n, want)
		}
	}
}
