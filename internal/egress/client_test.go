package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// resolverFunc answers lookups.
type resolverFunc func(ctx context.Context, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return f(ctx, host)
}

// answers is a resolver that always gives these addresses.
func answers(texts ...string) resolverFunc {
	return func(context.Context, string) ([]netip.Addr, error) {
		var addrs []netip.Addr
		for _, text := range texts {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs, nil
	}
}

// development is a client that may reach servers of this test.
func development(t *testing.T, change func(*Options)) *Client {
	t.Helper()
	o := Options{Policy: Policy{AllowPrivate: true}, UserAgent: "Kaylehooks/test", Timeout: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	c := New(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func server(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// listener serves every connection with handle and counts them.
func listener(t *testing.T, handle func(net.Conn)) (address string, accepted *atomic.Int32) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int32)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			served.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); served.Wait() })
	return l.Addr().String(), accepted
}

// answer reads a request and writes text.
func answer(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(conn) == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

func readRequest(conn net.Conn) error {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, request.Body)
	return err
}

func post(t *testing.T, c *Client, url string) Result {
	t.Helper()
	return c.Post(t.Context(), Request{URL: url, Body: []byte("body")})
}

func TestPost_SendsExactlyWhatTheContractNames(t *testing.T) {
	t.Parallel()
	type seen struct {
		Method, Target, Host, Body string
		Header                     http.Header
	}
	got := make(chan seen, 1)
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header}
		w.Header().Set("Set-Cookie", "a=b")
	})
	c := development(t, nil)
	for range 2 { // the second one would carry the cookie
		r := c.Post(t.Context(), Request{
			URL: s.URL + "/hook?x=1", Body: []byte("aaa.bbb"),
			Header: http.Header{"Content-Type": {"application/jose"}, "X-Kayle-Event": {"webhook.test"}},
		})
		if r.StatusCode != http.StatusOK || r.ErrorKind != "" {
			t.Fatalf("%+v", r)
		}
		want := seen{"POST", "/hook?x=1", strings.TrimPrefix(s.URL, "http://"), "aaa.bbb", http.Header{
			"Content-Type": {"application/jose"}, "X-Kayle-Event": {"webhook.test"}, "User-Agent": {"Kaylehooks/test"},
			"Content-Length": {"7"},
		}}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Error(diff)
		}
	}
	anonymous := development(t, func(o *Options) { o.UserAgent = "" })
	post(t, anonymous, s.URL)
	if h := (<-got).Header; len(h) != 1 {
		t.Errorf("extra headers: %v", h)
	}
}

func TestPost_SendsTheURLAsItIs(t *testing.T) {
	t.Parallel()
	targets := make(chan string, 1)
	address, _ := listener(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		targets <- strings.TrimSuffix(strings.TrimPrefix(line, "POST "), " HTTP/1.1\r\n")
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	c := development(t, nil)
	for url, want := range map[string]string{
		"":                     "/",
		"/":                    "/",
		"?":                    "/?",
		"?a":                   "/?a",
		"/a%2Fb/%zz/100%?%":    "/a%2Fb/%zz/100%?%",
		"/a|b^c'[]?x=|&y='#no": "/a|b^c'[]?x=|&y='",
		"//x/%zz":              "http://" + address + "//x/%zz",
		"/x//y/../z":           "/x//y/../z",
		"/a:b@c":               "/a:b@c",
	} {
		r := post(t, c, "http://"+address+url)
		if got := <-targets; got != want || r.StatusCode != http.StatusNoContent {
			t.Errorf("%q: sent %q, want %q; %+v", url, got, want, r)
		}
	}
}

func TestPost_Status(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	var requests atomic.Int32
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
	})
	c := development(t, nil)
	for code, kind := range map[int]string{
		200: "", 201: "", 204: "", 299: "", 300: "redirect_refused", 301: "redirect_refused", 302: "redirect_refused",
		304: "redirect_refused", 307: "redirect_refused", 308: "redirect_refused", 399: "redirect_refused",
		400: "http_status", 404: "http_status", 410: "http_status", 429: "http_status", 500: "http_status", 503: "http_status", 999: "http_status",
	} {
		status.Store(int32(code))
		before := requests.Load()
		r := post(t, c, s.URL)
		if r.StatusCode != code || r.ErrorKind != kind {
			t.Errorf("%d: got %d, %q; want %q", code, r.StatusCode, r.ErrorKind, kind)
		}
		if n := requests.Load() - before; n != 1 {
			t.Errorf("%d: %d requests", code, n)
		}
	}
}

func TestPost_ErrorKinds(t *testing.T) {
	t.Parallel()
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) } // until the client hangs up
	plain := server(t, func(http.ResponseWriter, *http.Request) {})
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	t.Cleanup(old.Close)
	trusted := func(s *httptest.Server) func(*Options) {
		return func(o *Options) {
			o.RootCAs = x509.NewCertPool()
			o.RootCAs.AddCert(s.Certificate())
			o.Resolver = answers("127.0.0.1")
		}
	}
	port := func(url string) string { return url[strings.LastIndex(url, ":"):] }
	at := func(handle func(net.Conn)) string { address, _ := listener(t, handle); return address }
	closed := at(silent)
	gone, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	short := func(o *Options) { o.Timeout = 100 * time.Millisecond }

	for name, tc := range map[string]struct {
		url    string
		change func(*Options)
		want   string
		dialed bool
	}{
		"refused":                   {"http://" + gone.Addr().String(), nil, KindRefused, false},
		"no such name":              {"http://nope.test", func(o *Options) { o.Resolver = failing(&net.DNSError{IsNotFound: true}) }, KindDNS, false},
		"name server fails":         {"http://nope.test", func(o *Options) { o.Resolver = failing(errors.New("boom")) }, KindDNS, false},
		"name server times out":     {"http://nope.test", func(o *Options) { o.Resolver = failing(&net.DNSError{IsTimeout: true}) }, KindDNS, false},
		"no addresses":              {"http://nope.test", func(o *Options) { o.Resolver = answers() }, KindDNS, false},
		"deadline while resolving":  {"http://slow.test", func(o *Options) { short(o); o.Resolver = stuck() }, KindDNS, false},
		"deadline in the handshake": {"https://" + at(silent), short, KindTimeoutConnect, true},
		"deadline for the response": {"http://" + closed, short, KindTimeoutResponse, true},
		"deadline in the headers":   {"http://" + at(func(c net.Conn) { answer("HTTP/1.1 200 OK\r\nX: ")(c); silent(c) }), short, KindTimeoutResponse, true},
		"unknown authority":         {secure.URL, nil, KindTLS, true},
		"certificate of other host": {"https://other.test" + port(secure.URL), trusted(secure), KindTLS, true},
		"not TLS":                   {strings.Replace(plain.URL, "http:", "https:", 1), nil, KindTLS, true},
		"TLS 1.1":                   {"https://example.com" + port(old.URL), trusted(old), KindTLS, true},
		"closed in the handshake":   {"https://" + at(func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), nil, KindReset, true},
		"closed without answer":     {"http://" + at(answer("")), nil, KindReset, true},
		"closed in the status line": {"http://" + at(answer("HTTP/1.1 2")), nil, KindReset, true},
		"closed in the headers":     {"http://" + at(answer("HTTP/1.1 200 OK\r\nX-A: b\r\n")), nil, KindReset, true},
		"reset":                     {"http://" + at(reset), nil, KindReset, true},
		"garbage":                   {"http://" + at(answer("220 smtp.example.com ESMTP\r\n\r\n")), nil, KindReset, true},
		"status of two digits":      {"http://" + at(answer("HTTP/1.1 20 OK\r\n\r\n")), nil, KindReset, true},
		"status 000":                {"http://" + at(answer("HTTP/1.1 000 Nothing\r\n\r\n")), nil, KindReset, true},
		"endless headers":           {"http://" + at(answer("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 80<<10)+"\r\n\r\n")), nil, KindReset, true},
		"no plain http":             {plain.URL, func(o *Options) { o.Policy = Policy{} }, KindBlockedAddress, false},
		"address in the URL":        {secure.URL, func(o *Options) { o.Policy = Policy{} }, KindBlockedAddress, false},
		"IPv6 in the URL":           {"https://[::1]:8443/", func(o *Options) { o.Policy = Policy{} }, KindBlockedAddress, false},
		"zone in the URL":           {"http://[fe80::1%25lo]:8443/", nil, KindBlockedAddress, false},
		"metadata service":          {"http://169.254.169.254/latest", nil, KindBlockedAddress, false},
		"other scheme":              {"ftp://127.0.0.1/", nil, KindBlockedAddress, false},
		"user name":                 {"http://user@127.0.0.1/", nil, KindBlockedAddress, false},
		"no host":                   {"http:///x", nil, KindBlockedAddress, false},
		"not a URL":                 {"nonsense", nil, KindBlockedAddress, false},
		"space in the URL":          {"http://127.0.0.1/a b", nil, KindBlockedAddress, false},
		"bad port":                  {"http://127.0.0.1:x/", nil, KindBlockedAddress, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := post(t, development(t, tc.change), tc.url)
			if r.ErrorKind != tc.want || r.StatusCode != 0 {
				t.Errorf("got %q with status %d, want %q", r.ErrorKind, r.StatusCode, tc.want)
			}
			if (r.RemoteAddress != "") != tc.dialed {
				t.Errorf("remote address %q", r.RemoteAddress)
			}
			if r.Header != nil || r.Body != nil || r.Duration < 0 || r.StartedAt.IsZero() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// reset makes the kernel send RST instead of FIN.
func reset(conn net.Conn) {
	_ = readRequest(conn)
	_ = conn.(*net.TCPConn).SetLinger(0)
}

func failing(err error) resolverFunc {
	return func(context.Context, string) ([]netip.Addr, error) { return nil, err }
}

// stuck never answers.
func stuck() resolverFunc {
	return func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestPost_InvalidHeaderIsAFaultOfOurs(t *testing.T) {
	t.Parallel()
	r := development(t, nil).Post(t.Context(), Request{URL: "http://127.0.0.1:1/", Header: http.Header{"X": {"a\nb"}}})
	if r.ErrorKind != KindInternal {
		t.Errorf("got %q", r.ErrorKind)
	}
}

func TestPost_CallerGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address, _ := listener(t, func(conn net.Conn) {
		_ = readRequest(conn)
		cancel()
		_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
	})
	r := development(t, nil).Post(ctx, Request{URL: "http://" + address})
	if r.ErrorKind != KindInternal || r.StatusCode != 0 {
		t.Errorf("got %q, %d", r.ErrorKind, r.StatusCode)
	}
}

func TestPost_Timing(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(write("ok")))
	t.Cleanup(s.Close)
	c := development(t, func(o *Options) {
		o.Resolver = answers("127.0.0.1")
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AddCert(s.Certificate())
	})
	url := "https://example.com" + s.URL[strings.LastIndex(s.URL, ":"):]
	reached := func(r Result) string {
		return fmt.Sprint(r.Timing.DNS != nil, r.Timing.Connect != nil, r.Timing.TLS != nil, r.Timing.FirstByte != nil, r.RemoteAddress != "")
	}
	for i, want := range []string{"true true true true true", "false false false true true"} {
		r := post(t, c, url)
		if got := reached(r); got != want || r.StatusCode != http.StatusOK {
			t.Errorf("request %d: %s, want %s; %+v", i, got, want, r)
		}
	}
	if r := post(t, c, s.URL); reached(r) != "false true true true true" {
		t.Errorf("address in the URL: %s", reached(r))
	}
	for kind, want := range map[string]string{KindDNS: "true false false false false", KindTLS: "true true true false true"} {
		r := post(t, development(t, func(o *Options) {
			if o.Resolver = answers("127.0.0.1"); kind == KindDNS {
				o.Resolver = failing(errors.New("boom"))
			}
		}), url)
		if got := reached(r); got != want || r.ErrorKind != kind {
			t.Errorf("%s: %s, want %s; %+v", kind, got, want, r)
		}
	}
}

func TestPost_UsesTheGivenClock(t *testing.T) {
	t.Parallel()
	s := server(t, func(http.ResponseWriter, *http.Request) {})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ticks atomic.Int64
	c := development(t, func(o *Options) {
		o.Now = func() time.Time { return start.Add(time.Duration(ticks.Add(1)-1) * time.Second) }
	})
	if r := post(t, c, s.URL); !r.StartedAt.Equal(start) || r.Duration < time.Second || r.Duration%time.Second != 0 {
		t.Errorf("started %s, took %s", r.StartedAt, r.Duration)
	}
}

// TestPost_OneRequestPerAttempt: a POST that may have arrived is not repeated behind the schedule's back.
func TestPost_OneRequestPerAttempt(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler) // closes the kept-alive connection without an answer
		}
	})
	c := development(t, nil)
	if r := post(t, c, s.URL); r.StatusCode != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	if r := post(t, c, s.URL); r.ErrorKind != KindReset || requests.Load() != 2 {
		t.Errorf("%q after %d requests", r.ErrorKind, requests.Load())
	}
}

func TestPost_ConcurrentRequestsUnderDeadlines(t *testing.T) {
	t.Parallel()
	s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("Hang") != "" {
			<-r.Context().Done()
		}
	})
	c := development(t, func(o *Options) { o.Timeout = 200 * time.Millisecond; o.MaxIdlePerHost = 2 })
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			h, want := http.Header{}, ""
			if i%4 == 0 {
				h.Set("Hang", "1")
				want = KindTimeoutResponse
			}
			// A crowded machine may be too slow even to connect; the race detector is what this is for.
			r := c.Post(t.Context(), Request{URL: s.URL, Header: h})
			if r.ErrorKind != want && r.ErrorKind != KindTimeoutConnect && r.ErrorKind != KindTimeoutResponse {
				t.Errorf("got %q, want %q", r.ErrorKind, want)
			}
		})
	}
	wg.Wait()
}

func TestNew_Defaults(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	if c.timeout != 15*time.Second || c.tls.MinVersion != tls.VersionTLS12 || !c.transport.DisableCompression || c.policy.AllowPrivate {
		t.Errorf("%+v", c)
	}
	_, err := rootedResolver{&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network")
	}}}.LookupNetIP(t.Context(), "ip", "h.invalid")
	var failed *net.DNSError
	if !errors.As(err, &failed) || failed.Name != "h.invalid." {
		t.Errorf("the name is not asked for as it is: %v", err)
	}
}
