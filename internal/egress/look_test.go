package egress

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seeing is a client as the dashboard has it: every look is a new connection, to whatever name, of a server of this test.
func seeing(t *testing.T, s *httptest.Server, change func(*Client)) *Client {
	t.Helper()
	c := development(t, func(o *Options) {
		o.MaxIdlePerHost, o.Resolver = -1, answers("127.0.0.1")
		if s.TLS != nil {
			o.RootCAs = x509.NewCertPool()
			o.RootCAs.AddCert(s.Certificate())
		}
	})
	if change != nil {
		change(c)
	}
	return c
}

func secured(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestLook_SendsOneBareHead(t *testing.T) {
	t.Parallel()
	type seen struct {
		Method, Target, Body string
		Header               http.Header
	}
	got := make(chan seen, 4)
	s := secured(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, string(body), r.Header}
		http.Redirect(w, r, "https://example.com"+r.Host[strings.LastIndex(r.Host, ":"):]+"/elsewhere", http.StatusFound)
	})
	c := seeing(t, s, nil)
	for range 2 {
		sight := c.Look(t.Context(), "https://example.com"+s.URL[strings.LastIndex(s.URL, ":"):]+"/hook?x=1")
		if sight.StatusCode != http.StatusFound || sight.ErrorKind != KindRedirectRefused || sight.RedirectHost != "example.com" {
			t.Errorf("%+v", sight)
		}
	}
	s.Close()
	close(got)
	want := seen{"HEAD", "/hook?x=1", "", http.Header{"User-Agent": {"Kaylehooks/test"}, "Connection": {"close"}}}
	n := 0
	for request := range got {
		n++
		if diff := cmp.Diff(want, request); diff != "" {
			t.Error(diff)
		}
	}
	if n != 2 {
		t.Errorf("two looks sent %d requests", n)
	}
}

func TestLook_TellsWhatItSaw(t *testing.T) {
	t.Parallel()
	secure := secured(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/post-only":
			w.WriteHeader(http.StatusMethodNotAllowed)
		case "/slow":
			<-r.Context().Done()
		}
	})
	plain := server(t, func(http.ResponseWriter, *http.Request) {})
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndex(s.URL, ":"):] }
	from := func(text string) func(*Client) {
		return func(c *Client) { c.resolver = answers(text) }
	}
	expires := secure.Certificate().NotAfter
	v13 := uint16(tls.VersionTLS13)
	for name, tc := range map[string]struct {
		url    string
		change func(*Client)
		want   Sight
		dialed bool
	}{
		"good":        {"https://example.com" + port(secure), nil, Sight{StatusCode: 200, TLSVersion: v13, Expires: expires}, true},
		"post only":   {"https://example.com" + port(secure) + "/post-only", nil, Sight{StatusCode: 405, ErrorKind: KindHTTPStatus, TLSVersion: v13, Expires: expires}, true},
		"plain http":  {"http://h.test" + port(plain), nil, Sight{StatusCode: 200}, true},
		"no name":     {"https://example.com" + port(secure), func(c *Client) { c.resolver = answers() }, Sight{ErrorKind: KindDNS}, false},
		"blocked":     {"https://example.com" + port(secure), from("169.254.169.254"), Sight{ErrorKind: KindBlockedAddress}, false},
		"not public":  {"https://example.com" + port(secure), func(c *Client) { c.policy = Policy{} }, Sight{ErrorKind: KindBlockedAddress}, false},
		"no http":     {plain.URL, func(c *Client) { c.policy = Policy{} }, Sight{ErrorKind: KindBlockedAddress}, false},
		"not TLS":     {"https://h.test" + port(plain), nil, Sight{ErrorKind: KindTLS}, true},
		"other host":  {"https://other.test" + port(secure), nil, Sight{ErrorKind: KindTLS, Certificate: CertificateHost, Expires: expires}, true},
		"unknown":     {"https://example.com" + port(secure), func(c *Client) { c.tls.RootCAs = x509.NewCertPool() }, Sight{ErrorKind: KindTLS, Certificate: CertificateAuthority, Expires: expires}, true},
		"expired":     {"https://example.com" + port(secure), func(c *Client) { c.tls.Time = func() time.Time { return expires.Add(time.Hour) } }, Sight{ErrorKind: KindTLS, Certificate: CertificateExpired, Expires: expires}, true},
		"no answer":   {"https://example.com" + port(secure) + "/slow", func(c *Client) { c.timeout = 300 * time.Millisecond }, Sight{ErrorKind: KindTimeoutResponse, TLSVersion: v13, Expires: expires}, true},
		"not a URL":   {"nonsense", nil, Sight{ErrorKind: KindBlockedAddress}, false},
		"two answers": {"https://example.com" + port(secure), func(c *Client) { c.resolver = answers("127.0.0.1", "10.0.0.1", "fe80::1") }, Sight{ErrorKind: KindBlockedAddress}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := secure
			if strings.Contains(tc.url, port(plain)) {
				s = plain
			}
			got := seeing(t, s, tc.change).Look(t.Context(), tc.url)
			if address, err := netip.ParseAddrPort(got.RemoteAddress); (err == nil) != tc.dialed || tc.dialed && !address.Addr().IsLoopback() {
				t.Errorf("connected to %q", got.RemoteAddress)
			}
			got.RemoteAddress = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRedirectHost_IsAHostOrNothing(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"":                                 "",
		"/sign-in":                         "h.example.com",
		"//cdn.example.net/x":              "cdn.example.net",
		"https://WWW.Example.com:8443/a?b": "www.example.com",
		"http://[::1]/":                    "::1",
		"https://a_b.example.com/":         "",
		"https://<script>/":                "",
		"https://user:pass@x.example/":     "x.example",
		"https://" + strings.Repeat("a", 254) + "/": "",
		"%zz":         "",
		"javascript:": "",
	} {
		if got := redirectHost("https://h.example.com/hook", location); got != want {
			t.Errorf("%q leads to %q, want %q", location, got, want)
		}
	}
}
