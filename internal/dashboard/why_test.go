package dashboard

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
)

// oneNameless is a name server that knows every name but one, and says that it is this machine.
type oneNameless string

func (n oneNameless) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == string(n) {
		return nameless{}.LookupNetIP(ctx, network, host)
	}
	return loopback{}.LookupNetIP(ctx, network, host)
}

// TestDelivery_EveryWayToFailHasItsVerdict sends webhooks, as a worker does, to receivers of which one thing each is broken: no name,
// nobody at the port, a certificate of somebody else, no answer. The page of each delivery says which.
func TestDelivery_EveryWayToFailHasItsVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	silent.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the client breaks off
	silent.StartTLS()
	t.Cleanup(silent.Close)
	gone, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	w.check(err)
	w.check(gone.Close())
	port := func(address string) string { return address[strings.LastIndex(address, ":"):] }

	began := time.Now()
	// Long enough for a name, a connection and a handshake on a busy machine; the silent receiver takes all of it.
	o := egress.Options{
		Policy: egress.Policy{AllowPrivate: true}, Timeout: 3 * time.Second, MaxIdlePerHost: -1, Resolver: oneNameless("nowhere.example.com"), RootCAs: x509.NewCertPool(),
		Now: func() time.Time { return w.clock.Now().Add(time.Since(began)) },
	}
	o.RootCAs.AddCert(silent.Certificate())
	w.handler.Deliveries.Sender = egress.New(o)

	broken := map[string]struct{ url, say, next, phase string }{
		"name":        {"https://nowhere.example.com/", "failed to resolve the host name.", "Check the name in the URL and its DNS records.", "dns"},
		"connection":  {"https://example.com" + port(gone.Addr().String()) + "/", "met a refused connection.", "Check that the service runs and listens on the port of the URL.", "conn"},
		"certificate": {"https://hooks.example.net" + port(silent.URL) + "/", "failed in the TLS handshake.", "Check the certificate", "tls"},
		"answer":      {"https://example.com" + port(silent.URL) + "/", "got no answer within 15 s.", "answer 2xx at once", "wait"},
	}
	of := map[id.Endpoint]string{}
	for name, c := range broken {
		e, _, err := w.handler.Webhooks.CreateEndpoint(t.Context(), w.owner, webhook.NewEndpoint{Name: &name, URL: c.url})
		w.check(err)
		_, err = w.handler.Webhooks.AddKey(t.Context(), w.owner, e.ID, webhook.PublicKeyInput{KeyID: name, Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()})
		w.check(err)
		of[e.ID] = name
	}
	_, deliveries := w.of(w.fail())
	w.work()
	w.clock.Advance(time.Minute)
	b := w.as(w.owner)
	verdicts := map[string]bool{}
	for e, d := range deliveries {
		name := of[e]
		c := broken[name]
		path := "/deliveries/" + d.ID.String()
		verdict := b.get(path).is(http.StatusOK).shows(c.next).find(`<p class="say">([^<]*)</p>`)
		verdicts[verdict] = true
		if want := "1 attempt failed; attempt 2 of 8 is due now. Attempt 1 " + c.say; verdict != want {
			t.Errorf("%s: the verdict is\n%s, want\n%s", name, verdict, want)
		}
		attempts, _, err := w.handler.Deliveries.Attempts(t.Context(), w.owner, d.ID, delivery.AttemptsPage{Limit: 10})
		w.check(err)
		panel := b.get(path + "?attempt=" + attempts[0].ID.String()).is(http.StatusOK).shows("No answer came.")
		// The last phase that was measured is the one that failed, and a request is shown where one was made.
		if last := panel.find(`(?s)<ul class="phase-list">.*class="f-(dns|conn|tls|wait)"`); last != c.phase {
			t.Errorf("%s: the last phase is %s, want %s", name, last, c.phase)
		}
		if name == "answer" {
			panel.shows("X-Kayle-Delivery-Id: "+d.ID.String(), "Copy as curl")
		} else {
			panel.shows("Nothing was sent.")
		}
	}
	if len(verdicts) != len(broken) {
		t.Errorf("%d ways to fail have %d verdicts: %v", len(broken), len(verdicts), verdicts)
	}
}
