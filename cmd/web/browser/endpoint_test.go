package browser_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"kaylehooks/internal/badreceiver"
	"kaylehooks/receiver"
)

// shop is an endpoint of the suite's own and the receiver behind it.
type shop struct {
	*badreceiver.Receiver
	path string // of its page
	url  string
}

// operateEndpoint takes an endpoint from its creation to its tombstone.
func operateEndpoint(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	far := openShop(t, b, "Browser shop")
	addKeys(t, b, far)

	b.visit(far.path)
	b.press("button", "Send test")
	b.see("#toasts, .toasts", "Follow")
	b.press(".toast a", "Follow")
	b.see("main", "Browser shop")
	if far.Requests() == 0 {
		eventually(t, "the test event arrives", func() bool { return far.Requests() > 0 })
	}

	// In the list the row changes in place, and the message takes it back.
	b.visit("/endpoints?q=Browser")
	b.do("note the page", chromedp.Evaluate[chromedp.Void](`(() => { window.still = true })()`))
	b.do("pause", chromedp.Click(b.find("#results button", "Pause")))
	b.see("#results", "Paused")
	b.see("#toasts", "is paused.")
	focus := `document.activeElement.id`
	if at := ask[string](b, focus); !strings.HasPrefix(at, "toggle-whe_") {
		t.Errorf("after the pause the focus is at %q", at)
	}
	b.do("keep the message", chromedp.Focus("#undo")) // one that has the focus does not fade
	b.check("endpoints, one paused in place")
	b.do("undo", chromedp.Click(b.find("#toasts button", "Undo")))
	b.see("#toasts", "is resumed.")
	if strings.Contains(b.text("#results"), "Paused") || strings.Contains(b.text("#toasts"), "is paused.") || !ask[bool](b, `window.still === true && !document.querySelector("#toasts [data-dismiss]").hidden`) {
		t.Errorf("undone in place: %s, %s", b.text("#results"), b.text("#toasts"))
	}
	if at := ask[string](b, focus); at != "undo" {
		t.Errorf("after the way back the focus is at %q", at)
	}

	// The tab of its deliveries tells of new ones.
	b.visit(far.path + "/deliveries")
	s.call(t, http.MethodPost, "/v1/webhooks"+far.path+"/test", nil, nil)
	b.see("#new", "1 new delivery: show")
	b.check("endpoint, deliveries, one is new")
	b.press("#new a", "1 new delivery")
	b.visit(far.path)
	b.press("button", "Pause")
	b.see(".head", "Paused")
	b.do("keep the message", chromedp.Focus("#undo"))
	b.check("endpoint, paused")
	b.press("button", "Undo")
	if strings.Contains(b.text(".head"), "Paused") {
		t.Errorf("undoing the pause left it paused: %s", b.text(".head"))
	}

	b.press("button", "Pause")
	s.event(t)
	b.visit(far.path)
	b.press("button", "Resume")
	b.visit(far.path + "/recover")
	b.see("main", "1 event was missed while it was paused")
	b.check("recover an endpoint that missed something")
	b.press("a", "See 1 missed event")
	b.see("#results", "Missed while paused")
	b.check("events that an endpoint missed")

	changeEndpoint(t, b, s, far)
	changeSecret(t, b, s, far)

	b.visit(far.path + "/delete")
	b.check("delete endpoint")
	b.fill("[name=confirm]", "not its name")
	b.held("button", "Delete endpoint")
	b.fill("[name=confirm]", "Browser shop 2")
	b.press("button", "Delete endpoint")
	b.see(".toasts", "is deleted")
	b.expect(http.StatusNotFound)
	b.press(".toast a", "What is left")
	b.check("tombstone of an endpoint")
	for _, list := range []string{"/deliveries", "/events"} {
		b.visit(list + "?type=webhook.test")
		b.check("tests: " + list)
	}
	b.visit(b.link("/events?type=webhook.test", "#results a[href^='/events/evt_']"))
	b.see("main", "deleted")
	b.check("event of a deleted endpoint")
}

// openShop creates an endpoint in the dashboard for a receiver of the test's.
func openShop(t *testing.T, b *tab, name string) *shop {
	t.Helper()
	far := &shop{Receiver: badreceiver.New(badreceiver.Options{})}
	server := httptest.NewServer(far)
	t.Cleanup(server.Close)
	far.url = server.URL + "/hook"

	b.visit("/endpoints")
	b.press("a", "Create endpoint")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=name]", name)
	b.fill("[name=url]", "http://user:secret@"+strings.TrimPrefix(far.url, "http://"))
	b.press("main button[type=submit]", "Create endpoint")
	b.see("main [role=alert], main .err", "The URL must not carry a user name or password.")
	b.check("new endpoint, refused")
	if got := ask[string](b, `document.querySelector("[name=name]").value`); got != name {
		t.Errorf("the refused form holds %q as the name, not what was typed", got)
	}
	b.fill("[name=url]", far.url)
	b.press("main button[type=submit]", "Create endpoint")
	secret := ask[string](b, `document.querySelector("main").innerText.match(/whsec_\w+/)?.[0] ?? ""`)
	if secret == "" {
		t.Fatalf("the secret is not shown: %s", b.text("main"))
	}
	b.check("endpoint created")
	far.SetSecrets(secret)
	far.path = b.link("/endpoints?q="+strings.ReplaceAll(name, " ", "+"), "#results a.lead")
	return far
}

// newKey makes a key pair that the receiver can decrypt with.
func (far *shop) newKey(t *testing.T, kid string) (key *rsa.PrivateKey, jwk string) {
	t.Helper()
	private, public, err := receiver.GenerateKeyPair(kid, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = receiver.ParsePrivateKey(private); err != nil {
		t.Fatal(err)
	}
	far.AddKey(kid, key)
	return key, string(public)
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func certificate(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	now := time.Now()
	card := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, card, card, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// addKeys adds a key in every form, after having been stopped from sending a private one.
func addKeys(t *testing.T, b *tab, far *shop) {
	t.Helper()
	b.visit(far.path + "/keys")
	b.see("main", "blocked")
	first, jwk := far.newKey(t, "shop-1")
	paste := func(text string) {
		b.t.Helper()
		b.do("paste", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => { const f = document.querySelector("#keytext"); f.focus(); f.value = %q; f.dispatchEvent(new Event("input", {bubbles: true})); })()`, text)))
	}

	large := filepath.Join(t.TempDir(), "large.pem")
	if err := os.WriteFile(large, make([]byte, 64<<10+1), 0o600); err != nil {
		t.Fatal(err)
	}
	posted := b.posts()
	b.do("choose a file that is no key", chromedp.SetUploadFiles("#keyfile", []string{large}))
	eventually(t, "the file is refused", func() bool { return b.has("#keyfile:invalid") })
	b.held("#keyform button", "Add and activate")
	b.visit(far.path + "/keys")
	der, err := x509.MarshalPKCS8PrivateKey(first)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	paste(private)
	b.see("[data-key-stop]", "It was not sent")
	b.check("private key stopped")
	if held := ask[string](b, `document.querySelector("#keytext").value`); held != "" {
		t.Errorf("the field still holds %.40q…", held)
	}
	b.visit(far.path + "/keys")
	paste(strings.TrimSuffix(jwk, "}") + `,"d" : "AQAB"}`)
	b.see("[data-key-stop]", "It was not sent")
	file := filepath.Join(t.TempDir(), "private.pem")
	if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do("choose private key", chromedp.SetUploadFiles("#keyfile", []string{file}))
	eventually(t, "the file is let go", func() bool { return ask[bool](b, `document.querySelector("#keyfile").files.length === 0`) })
	if after := b.posts(); after != posted {
		t.Errorf("%d requests were posted while a private key was in the form", after-posted)
	}

	// A JWK by paste, judged while it is typed.
	b.visit(far.path + "/keys")
	paste(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`)
	b.expect(http.StatusUnprocessableEntity)
	b.see("#check", "bits")
	b.check("key refused")
	b.expect(http.StatusUnprocessableEntity) // until the last keystroke was answered
	paste(jwk)
	b.see("#check", "shop-1")
	b.check("key accepted")
	b.press("#keyform button", "Add and activate")
	b.see("main", "Active key")
	b.see(".toasts", "shop-1 is the active key")
	b.check("endpoint, keys, one active")

	// PEM as a file, a certificate, and a choice out of a JWKS.
	second, _ := far.newKey(t, "shop-2")
	file = filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, []byte(publicPEM(t, second)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.expect(http.StatusUnprocessableEntity) // until the key id is typed
	b.do("choose PEM", chromedp.SetUploadFiles("#keyfile", []string{file}))
	b.fill("#keyid", "shop-2")
	b.see("#check", "shop-2")
	b.press("#keyform button", "Add without activating")
	b.see(".toasts", "shop-2 is staged")
	b.check("endpoint, keys, one staged")
	staged := "main section[aria-label='Staged keys'] "
	b.asks("activate a key that was not verified", staged+"a", "Activate")
	b.see("main", "This key is not verified")
	b.visit(far.path + "/keys")
	far.SetBehaviour(badreceiver.Always(http.StatusServiceUnavailable))
	b.press(staged+"button", "Verify")
	b.check("key challenged")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=challenge]", "kch_wrong")
	b.press("[id^=challenge] button", "Verify key")
	b.see("main", "This is not the code that was sent")
	b.check("challenge, wrong code")
	far.SetBehaviour(nil) // returns the code by itself, and the page looks for it
	b.visit(far.path + "/keys")
	b.press(staged+"button", "Verify")
	b.see(".toasts", "shop-2 is verified")
	b.asks("activate a key", staged+"a", "Activate")
	b.press("main button", "Activate key")
	b.see("main", "Active key")
	third, _ := far.newKey(t, "shop-3")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("#keyid", "shop-3")
	paste(certificate(t, third))
	b.see("#check", "shop-3")
	b.press("#keyform button", "Check only")
	b.see("#check", "shop-3")
	b.check("key checked by the button")
	b.press("#keyform button", "Add and activate")
	b.see(".toasts", "shop-3 is the active key")
	_, fourth := far.newKey(t, "shop-4")
	_, fifth := far.newKey(t, "shop-5")
	b.expect(http.StatusUnprocessableEntity) // until one is chosen
	paste(`{"keys":[` + fourth + "," + fifth + `]}`)
	b.see("#check", "shop-5")
	b.check("choice out of a JWKS")
	b.choose("#check select", ask[string](b, `[...document.querySelectorAll("#check select option")].find((o) => o.innerText.includes("shop-5")).value`))
	b.see("#check", "RFC 7638") // of the one chosen
	b.press("#keyform button", "Add and activate")
	b.see(".toasts", "shop-5 is the active key")

	if n := ask[int](b, `document.querySelectorAll("a[download][href$='/jwk']").length`); n < 4 {
		t.Errorf("%d keys can be downloaded, want each of them", n)
	}
	b.do("download", chromedp.Click(b.find("a[download]", "JWK")))
	eventually(t, "the JWK is downloaded", func() bool { return b.suite.routes.did("GET /keys/{id}/jwk") })
	b.asks("deactivate the last key", "a", "Deactivate")
	b.fill("[name=confirm]", "something else")
	b.held("button", "Deactivate key")
	b.fill("[name=confirm]", "shop-5")
	b.press("button", "Deactivate key")
	b.see("main", "blocked")
	b.asks("reactivate a key", "main a", "Reactivate")
	b.press("main button", "Reactivate key")
	b.see("main", "Active key")
}

// changeEndpoint edits the endpoint, once from a page that has become stale.
func changeEndpoint(t *testing.T, b *tab, s *suite, far *shop) {
	t.Helper()
	other := s.signIn(t, s.base, s.email, s.password)
	other.visit(far.path + "/settings")
	b.visit(far.path + "/settings")
	b.fill("[name=name]", "Browser shop 2")
	b.press("main button", "Save")
	b.see("main", "Browser shop 2")
	other.expect(http.StatusConflict)
	other.fill("[name=name]", "Browser shop 3")
	other.press("main button", "Save")
	other.see("main", "Browser shop 2") // theirs
	if mine := ask[string](other, `document.querySelector("[name=name]").value`); mine != "Browser shop 3" {
		t.Errorf("the conflict dropped what was typed: %q", mine)
	}
	other.check("conflicting edit of an endpoint")

	b.press("button", "Check connection")
	b.see("main", "405 to HEAD")
	b.see("main", "plain http")
	b.check("connection of an endpoint")
	untrusted := httptest.NewUnstartedServer(far)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the client breaks off
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	b.fill("[name=url]", untrusted.URL)
	b.press("main button", "Save")
	b.see("main", "Webhooks would fail")
	b.see("main", "Its issuer is not known")
	b.check("connection of an endpoint, broken")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=url]", "http://169.254.169.254/latest")
	b.press("main button", "Save")
	b.see("main", "The host leads to a private")
	b.check("address of an endpoint refused")
	b.fill("[name=url]", far.url)
	b.press("main button", "Save")
	b.see("main", "405 to HEAD")
	b.press("button", "Check again")
	b.see(".toasts", "was checked")
}

// changeSecret rotates, refuses a second rotation, ends the overlap and reveals the secret.
func changeSecret(t *testing.T, b *tab, s *suite, far *shop) {
	t.Helper()
	b.visit(far.path + "/secret")
	b.press("button", "Rotate secret")
	b.see("main", "whsec_")
	b.check("secret rotated")
	b.expect(http.StatusConflict)
	b.press("button", "Rotate secret")
	b.see("main", "End the overlap first")
	b.check("second rotation refused")
	b.visit(far.path + "/secret")
	b.asks("end the overlap", "a", "End overlap")
	b.press("main button", "End overlap")
	b.see(".toasts", "The overlap has ended")

	// The password was entered a moment ago, at sign-in: in a tab of its own, since the other's may be long ago on a slow machine.
	fresh := s.signIn(t, s.base, s.email, s.password)
	fresh.visit(far.path + "/secret")
	fresh.press("button", "Reveal")
	fresh.see("output", "whsec_")
	fresh.check("secret revealed")
	// Ten minutes later it has to be entered again.
	s.age(t, 11*time.Minute)
	b.visit(far.path + "/secret")
	b.check("secret, password needed")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=password]", "not the password")
	b.press("button", "Reveal")
	b.see("main .err", "This is not the password.")
	b.fill("[name=password]", s.password)
	b.press("button", "Reveal")
	b.see("output", "whsec_")
	b.visit("/reauthenticate?next=/members")
	b.fill("[name=password]", s.password)
	b.press("button", "Confirm")
	if b.path() != "/members" {
		t.Errorf("after the password the browser is at %s", b.path())
	}
}

// stretchEndpoint makes an endpoint with the longest name, address and labels there can be, none of which can be broken at a
// space: every page that tells of it keeps its width. A name that turns the direction of reading turns nothing but itself.
func stretchEndpoint(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	name := strings.Repeat("W", 119)
	labels := []string{strings.Repeat("label", 8), strings.Repeat("m", 40), "eu"}
	create := func(name string) string {
		b.visit("/endpoints/new")
		b.fill("[name=url]", "http://"+strings.Repeat("a", 60)+".localhost/"+strings.Repeat("p", 800))
		b.do("enter the name", chromedp.Evaluate[chromedp.Void](`(() => { document.querySelector("[name=name]").value = `+quote(name)+` })()`))
		b.fill("[name=labels]", strings.Join(labels, ", "))
		b.press("button", "Create endpoint")
		return ask[string](b, `document.querySelector("main a[href$='/keys']").getAttribute("href").replace(/\/keys$/, "")`)
	}
	path := create(name)
	b.check("endpoint created, long names")
	for _, page := range []string{"/endpoints?label=" + labels[1], path, path + "/keys", path + "/settings", path + "/secret", path + "/activity", path + "/recover", path + "/delete", "/endpoints", "/", "/audit"} {
		b.visit(page)
		if cut := ask[string](b, `[...document.querySelectorAll(".chip")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText).join(", ")`); cut != "" {
			t.Errorf("%s cuts the labels %s", page, cut)
		}
		b.check("long names, " + strings.TrimPrefix(strings.ReplaceAll(page, path, "endpoint"), "/"))
	}
	turned := create("\u202eturned")
	b.visit("/")
	isolated := `getComputedStyle([...document.querySelectorAll("main a")].find((a) => a.textContent.includes("turned"))).unicodeBidi`
	if got := ask[string](b, isolated); got != "isolate" {
		t.Errorf("a name among other words is %q: it turns them too", got)
	}
	for path, name := range map[string]string{path: name, turned: "\u202eturned"} {
		b.visit(path + "/delete")
		b.do("confirm", chromedp.Evaluate[chromedp.Void](`(() => { document.querySelector("[name=confirm]").value = `+quote(name)+` })()`))
		b.press("button", "Delete endpoint")
	}
}
