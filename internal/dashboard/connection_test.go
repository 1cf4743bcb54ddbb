package dashboard

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/web/templates/ui"
)

// lookedAt is a receiver with TLS whose name is example.com, and how often it was asked.
func lookedAt(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handler(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, "https://example.com" + server.URL[strings.LastIndex(server.URL, ":"):] + "/kayle", asked
}

// risk fills the form of an endpoint.
func risk(url string) []string {
	return []string{"name", "Risk", "url", url, "retention", "72", "enabled", "1", "events", "verification.session.failed"}
}

// TestConnection_IsLookedAtWhenAURLIsSaved creates and edits endpoints before a real receiver.
func TestConnection_IsLookedAtWhenAURLIsSaved(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	server, url, asked := lookedAt(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.Header.Get("X-Kayle-Signature") != "" {
			t.Errorf("got %s with %v", r.Method, r.Header)
		}
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "https://WWW.example.net/<b>elsewhere</b>?token=abc", http.StatusMovedPermanently)
			return
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
	s.handler.Receivers = receiversAt(t, server)
	checks := func() int { return fixture.Audited(t, s.db, s.org, "webhook_endpoint.connection_checked") }
	b := s.as(s.owner)

	// Created: the findings stand beside the secret.
	b.get("/endpoints/new").is(http.StatusOK)
	made := b.post("/endpoints", risk(url)...).is(http.StatusOK).
		shows("whsec_", "The way is clear", "TLS 1.3", "days left, until Jan 29, 2084", "405 to HEAD", "Many receivers know POST only").hides("Check again")
	path := made.find(`href="(/endpoints/whe_[a-z0-9]+)"`)
	b.get(path+"/settings").is(http.StatusOK).shows("Check connection", path+"/check").hides("The way is clear")
	if asked.Load() != 1 || checks() != 1 {
		t.Fatalf("asked %d times, audited %d times", asked.Load(), checks())
	}

	// A field that is no URL, or a URL that is only spelled differently, asks nobody.
	b.post(path, risk(strings.Replace(url, "example.com", "EXAMPLE.com", 1)+"#x")...).redirects(path + "/settings")
	b.get(path + "/settings").is(http.StatusOK).shows("are saved.").hides("The way is clear")
	b.post(path, "name", "Risk", "url", url+"?changed", "retention", "72").is(http.StatusUnprocessableEntity)
	if asked.Load() != 1 {
		t.Fatalf("asked %d times", asked.Load())
	}

	// Edited: saved all the same, with a warning on the page after it, once.
	b.get(path + "/settings").is(http.StatusOK)
	moved := strings.Replace(url, "/kayle", "/moved", 1)
	b.post(path, risk(moved)...).redirects(path + "/settings")
	b.get(path+"/settings").is(http.StatusOK).shows(moved, "are saved.", "1 thing to look at", "301 to HEAD", "to www.example.net", "Webhooks follow no redirect", "Check again").
		hides("elsewhere", "token=abc")
	b.get(path+"/settings").is(http.StatusOK).hides("to www.example.net", "Check again")

	// The button does the same, and is for those who may edit.
	b.post(path + "/check").redirects(path + "/settings")
	b.get(path+"/settings").is(http.StatusOK).shows("The connection to Risk was checked.", "to www.example.net")
	if asked.Load() != 3 || checks() != 3 {
		t.Errorf("asked %d times, audited %d times", asked.Load(), checks())
	}
	member := fixture.User(t, s.db, s.org, access.Member)
	m := s.as(member)
	m.get(path + "/settings").is(http.StatusOK).hides("Connection")
	m.post(path + "/check").is(http.StatusForbidden)
	b.get(path + "/check").redirects(path) // asking for the address checks nothing
	b.postAs(path+"/check", []string{"Sec-Fetch-Site", "cross-site"}, "csrf_token", b.csrf).is(http.StatusForbidden)
	_, stranger := fixture.Organization(t, s.db)
	s.as(stranger).post(path + "/check").is(http.StatusNotFound)
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM audit_logs WHERE event LIKE 'webhook_endpoint.connection%' AND metadata::text LIKE '%kayle%'"); n != 0 {
		t.Error("the audit log holds the path of a URL")
	}
}

func TestConnection_OnlyTheGuardRefusesToSave(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	server, url, asked := lookedAt(t, func(http.ResponseWriter, *http.Request) {})
	b := s.as(s.owner)
	endpoints := func() int { return fixture.Scalar[int](t, s.db, "SELECT count(*) FROM webhook_endpoints") }

	// The resolver says 127.0.0.1, and private addresses are not allowed.
	s.handler.Receivers = egress.New(egress.Options{Resolver: loopback{}, Timeout: time.Second, MaxIdlePerHost: -1})
	b.get("/endpoints/new").is(http.StatusOK)
	b.post("/endpoints", risk(url)...).is(http.StatusUnprocessableEntity).
		shows("1 thing to correct", "URL: The host leads to a private", `value="`+url+`"`).hides("127.0.0.1")
	if endpoints() != 0 || asked.Load() != 0 {
		t.Fatalf("%d endpoints, asked %d times", endpoints(), asked.Load())
	}

	// Names that do not resolve yet, and receivers that do not run yet, are no reason.
	s.handler.Receivers = receiversAt(t, nil)
	path := b.post("/endpoints", risk(url)...).is(http.StatusOK).shows("Webhooks would fail", "A or AAAA record").find(`href="(/endpoints/whe_[a-z0-9]+)"`)
	s.handler.Receivers = receiversAt(t, server)
	server.Close()
	b.post(path + "/check").redirects(path + "/settings")
	b.get(path+"/settings").is(http.StatusOK).shows("Webhooks would fail", "The connection was refused")

	// An edit is judged in the same way; what is stored already is not judged again.
	s.handler.Receivers = egress.New(egress.Options{Resolver: loopback{}, Timeout: time.Second, MaxIdlePerHost: -1})
	b.post(path, risk(url+"/new")...).is(http.StatusUnprocessableEntity).shows("The host leads to a private").hides("Check again")
	if got := fixture.Scalar[string](t, s.db, "SELECT url FROM webhook_endpoints"); got != url {
		t.Errorf("stored is %s", got)
	}
	b.post(path, append(risk(url), "labels", "eu")...).redirects(path + "/settings")
	b.get(path + "/settings").is(http.StatusOK).shows("are saved.")
	b.post(path + "/check").redirects(path + "/settings")
	b.get(path+"/settings").is(http.StatusOK).shows("Webhooks would fail", "Every address of the host must be public")
}

// TestConnection_WarnsOfACertificateThatEnds moves the site's clock to the last days of the receiver's certificate.
func TestConnection_WarnsOfACertificateThatEnds(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{22 * 24 * time.Hour: "The way is clear", 20 * 24 * time.Hour: "1 thing to look at"} {
		s := newOrg(t)
		server, url, _ := lookedAt(t, func(http.ResponseWriter, *http.Request) {})
		s.handler.Receivers = receiversAt(t, server)
		s.clock.Set(server.Certificate().NotAfter.Add(-left))
		b := s.as(s.owner)
		b.get("/endpoints/new").is(http.StatusOK)
		b.post("/endpoints", risk(url)...).is(http.StatusOK).shows(want, ui.Count(int(left/(24*time.Hour)))+" days left")
	}
}

// TestConnectionRules_EveryEndHasItsStep names for each way to end how far it came, as letters: passed, failed, warned, skipped.
func TestConnectionRules_EveryEndHasItsStep(t *testing.T) {
	t.Parallel()
	now := fixture.Start
	good := func(change func(*egress.Sight)) egress.Sight {
		s := egress.Sight{RemoteAddress: "192.0.2.1:443", TLSVersion: tls.VersionTLS12, Expires: now.Add(90 * 24 * time.Hour)}
		change(&s)
		return s
	}
	ended := func(kind egress.ErrorKind) egress.Sight { return egress.Sight{ErrorKind: kind} }
	handshake := func(kind egress.ErrorKind, fault egress.CertificateFault) egress.Sight {
		return egress.Sight{ErrorKind: kind, RemoteAddress: "192.0.2.1:443", Certificate: fault, Expires: now.Add(-time.Hour)}
	}
	for name, tc := range map[string]struct {
		seen        egress.Sight
		plain       bool
		want, badge string
		says        string
	}{
		"good":               {good(func(s *egress.Sight) { s.StatusCode = 204 }), false, "ppppppp", "The way is clear", "90 days left"},
		"server error":       {good(func(s *egress.Sight) { s.StatusCode, s.ErrorKind = 503, egress.KindHTTPStatus }), false, "pppppwp", "1 thing to look at", "503 to HEAD"},
		"redirect":           {good(func(s *egress.Sight) { s.StatusCode, s.ErrorKind = 308, egress.KindRedirectRefused }), false, "ppppppw", "1 thing to look at", "to somewhere unreadable"},
		"ends soon":          {good(func(s *egress.Sight) { s.StatusCode, s.Expires = 200, now.Add(20*24*time.Hour) }), false, "ppppwpp", "1 thing to look at", "20 days left"},
		"ends today":         {good(func(s *egress.Sight) { s.StatusCode, s.Expires = 200, now.Add(time.Hour) }), false, "ppppwpp", "1 thing to look at", "ends within a day"},
		"plain http":         {egress.Sight{StatusCode: 200, RemoteAddress: "127.0.0.1:80"}, true, "pppwspp", "1 thing to look at", "plain http"},
		"no answer":          {good(func(s *egress.Sight) { s.ErrorKind = egress.KindTimeoutResponse }), false, "pppppfs", "Webhooks would fail", "no answer to HEAD"},
		"broken answer":      {good(func(s *egress.Sight) { s.ErrorKind = egress.KindReset }), false, "pppppfs", "Webhooks would fail", "not HTTP"},
		"plain, broken":      {egress.Sight{ErrorKind: egress.KindReset, RemoteAddress: "127.0.0.1:80"}, true, "pppwsfs", "Webhooks would fail", "not HTTP"},
		"name":               {ended(egress.KindDNS), false, "fssssss", "Webhooks would fail", "AAAA"},
		"address":            {ended(egress.KindBlockedAddress), false, "pfsssss", "Webhooks would fail", "Nothing was sent"},
		"refused":            {ended(egress.KindRefused), false, "ppfssss", "Webhooks would fail", "refused"},
		"reset at once":      {ended(egress.KindReset), false, "ppfssss", "Webhooks would fail", "at once"},
		"dropped":            {ended(egress.KindTimeoutConnect), false, "ppfssss", "Webhooks would fail", "firewall"},
		"silent handshake":   {handshake(egress.KindTimeoutConnect, ""), false, "pppfsss", "Webhooks would fail", "not done in time"},
		"broken handshake":   {handshake(egress.KindReset, ""), false, "pppfsss", "Webhooks would fail", "in the handshake"},
		"no TLS":             {handshake(egress.KindTLS, ""), false, "pppfsss", "Webhooks would fail", "TLS 1.2 or 1.3"},
		"expired":            {handshake(egress.KindTLS, egress.CertificateExpired), false, "ppppfss", "Webhooks would fail", "ended "},
		"other host":         {handshake(egress.KindTLS, egress.CertificateHost), false, "ppppfss", "Webhooks would fail", "another host name"},
		"unknown authority":  {handshake(egress.KindTLS, egress.CertificateAuthority), false, "ppppfss", "Webhooks would fail", "intermediate"},
		"unusable":           {handshake(egress.KindTLS, egress.CertificateInvalid), false, "ppppfss", "Webhooks would fail", "cannot be used"},
		"a fault of our own": {ended(egress.KindInternal), false, "sssssss", "Not checked", "says nothing about the receiver"},
	} {
		rules := connectionRules(tc.seen, !tc.plain, now, time.UTC)
		var states, words strings.Builder
		for _, r := range rules {
			states.WriteByte(r.State[0])
			words.WriteString(r.Text + " " + r.Got + " " + r.Sub + "\n")
			if (r.State == "fail" || r.State == "warn") && r.Sub == "" {
				t.Errorf("%s: nothing says what to do about %q", name, r.Text)
			}
		}
		if diff := cmp.Diff(tc.want+" "+tc.badge, states.String()+" "+connectionBadge(rules).Label); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !strings.Contains(words.String(), tc.says) {
			t.Errorf("%s: %q is not in %s", name, tc.says, words.String())
		}
	}
}
