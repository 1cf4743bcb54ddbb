package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

func TestPost_EveryAddressMustBePermitted(t *testing.T) {
	t.Parallel()
	address, accepted := listener(t, answer("HTTP/1.1 200 OK\r\n\r\n"))
	_, port, _ := net.SplitHostPort(address)
	for _, addrs := range [][]string{
		{"127.0.0.1", "169.254.169.254"},
		{"169.254.169.254", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.1", "fe80::1"},
		{"127.0.0.1", "::ffff:169.254.169.254"},
	} {
		r := post(t, development(t, func(o *Options) { o.Resolver = answers(addrs...) }), "http://h.test:"+port)
		if r.ErrorKind != KindBlockedAddress || r.RemoteAddress != "" || r.Timing.Connect != nil || r.Timing.DNS == nil {
			t.Errorf("%v: %+v", addrs, r)
		}
	}
	r := post(t, New(Options{Resolver: answers("8.8.8.8", "127.0.0.1")}), "https://h.test:"+port)
	if r.ErrorKind != KindBlockedAddress {
		t.Errorf("public and private: %+v", r)
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}

func TestPost_RebindingIsNoticed(t *testing.T) {
	t.Parallel()
	s := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	var lookups atomic.Int32
	c := development(t, func(o *Options) {
		o.Resolver = resolverFunc(func(context.Context, string) ([]netip.Addr, error) {
			if lookups.Add(1) == 1 {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
		})
	})
	url := "http://rebind.test" + s.URL[strings.LastIndex(s.URL, ":"):]
	if r := post(t, c, url); r.StatusCode != http.StatusOK || lookups.Load() != 1 {
		t.Errorf("%+v after %d lookups", r, lookups.Load())
	}
	if r := post(t, c, url); r.ErrorKind != KindBlockedAddress || lookups.Load() != 2 {
		t.Errorf("%+v after %d lookups", r, lookups.Load())
	}
}

func TestControl_JudgesTheVeryAddress(t *testing.T) {
	t.Parallel()
	address, accepted := listener(t, func(net.Conn) {})
	_, port, _ := net.SplitHostPort(address)
	c := New(Options{})
	_, err := c.dialAny(t.Context(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, port) // past the first check
	var dial *dialError
	if !errors.As(err, &dial) || dial.kind != KindBlockedAddress || accepted.Load() != 0 {
		t.Errorf("got %v", err)
	}
	for _, tc := range []struct {
		network, address string
		ok               bool
	}{
		{"tcp4", "8.8.8.8:443", true},
		{"tcp6", "[2606:4700:4700::1111]:443", true},
		{"tcp4", "10.0.0.1:443", false},
		{"tcp6", "[::1]:443", false},
		{"tcp6", "[fe80::1%eth0]:443", false},
		{"udp4", "8.8.8.8:53", false},
		{"tcp4", "nonsense", false},
	} {
		if err := c.control(t.Context(), tc.network, tc.address, nil); (err == nil) != tc.ok {
			t.Errorf("%s %s: %v", tc.network, tc.address, err)
		}
	}
}

func TestPost_TriesTheNextAddress(t *testing.T) {
	t.Parallel()
	s := server(t, func(http.ResponseWriter, *http.Request) {})
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	// Nothing listens on 127.0.0.2: the server has bound 127.0.0.1 alone.
	c := development(t, func(o *Options) { o.Resolver = answers("127.0.0.2", "::ffff:127.0.0.1") })
	r := post(t, c, "http://h.test"+port)
	if r.StatusCode != http.StatusOK || r.RemoteAddress != "127.0.0.1"+port {
		t.Errorf("%+v", r)
	}
}

func TestPost_IgnoresProxySettings(t *testing.T) {
	address, accepted := listener(t, func(net.Conn) {})
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+address)
	}
	t.Setenv("NO_PROXY", "")
	s := server(t, func(http.ResponseWriter, *http.Request) {})
	c := development(t, func(o *Options) { o.Resolver = answers("127.0.0.1") })
	if r := post(t, c, "http://h.test"+s.URL[strings.LastIndex(s.URL, ":"):]); r.StatusCode != http.StatusOK || accepted.Load() != 0 {
		t.Errorf("%+v, %d connections to the proxy", r, accepted.Load())
	}
	if c.transport.Proxy != nil {
		t.Error("the transport has a proxy function")
	}
}
