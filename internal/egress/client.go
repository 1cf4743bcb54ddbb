package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Defaults and limits.
const (
	DefaultTimeout        = 15 * time.Second // HTTP_TIMEOUT
	DefaultMaxIdlePerHost = 4

	captureMax        = 4096     // CAPTURE_MAX, bytes of a response body
	maxResponseHeader = 64 << 10 // bytes
	maxIdle           = 512      // kept-alive connections to all hosts together

	// idleTimeout is shorter than the 5 s after which common servers close an idle connection: a POST on a connection
	// that closes at that moment fails, and is not repeated here because it may have arrived.
	idleTimeout = 4 * time.Second
)

// Resolver turns a host name into addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Client. The zero value is that of production.
type Options struct {
	Policy         Policy
	UserAgent      string
	Timeout        time.Duration    // total time of a request; DefaultTimeout if zero
	Resolver       Resolver         // net.DefaultResolver if nil
	MaxIdlePerHost int              // kept-alive connections per host; DefaultMaxIdlePerHost if zero, none if negative
	RootCAs        *x509.CertPool   // the system's if nil
	Now            func() time.Time // clock for StartedAt and the timings; time.Now if nil
}

// Client sends requests under one Policy. It is safe for concurrent use.
type Client struct {
	policy    Policy
	userAgent string
	timeout   time.Duration
	resolver  Resolver
	tls       *tls.Config
	now       func() time.Time
	transport *http.Transport
}

// New returns a client.
func New(o Options) *Client {
	c := &Client{
		policy: o.Policy, userAgent: o.UserAgent, timeout: o.Timeout, resolver: o.Resolver, now: o.Now,
		tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, NextProtos: []string{"http/1.1"}},
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.resolver == nil {
		c.resolver = rootedResolver{net.DefaultResolver}
	}
	if c.now == nil {
		c.now = time.Now //nolint:forbidigo // the default of an injected clock
	}
	idlePerHost := o.MaxIdlePerHost
	if idlePerHost == 0 {
		idlePerHost = DefaultMaxIdlePerHost
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // one request per connection at a time keeps "connected to" a fact about the attempt
	c.transport = &http.Transport{
		Proxy:                  nil, // whatever the environment says
		DialContext:            c.dialPlain,
		DialTLSContext:         c.dialTLS,
		Protocols:              &protocols,
		DisableCompression:     true,
		DisableKeepAlives:      idlePerHost < 0,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
	return c
}

// CloseIdleConnections closes kept-alive connections that no request uses.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// Request is what to send. Content-Length, Host and User-Agent are added; nothing else is.
type Request struct {
	URL    string // in normalised form; it is sent exactly as it is
	Header http.Header
	Body   []byte
	// Confidential keeps what a receiver may echo out of the Result: body and headers. Even a length, a number of seconds or a
	// date can be what was decrypted, such as a document number or a date of birth.
	Confidential bool
}

// Result is what came of a request. Success is a status from 200 to 299, that is: ErrorKind is "".
type Result struct {
	StartedAt     time.Time
	Duration      time.Duration
	StatusCode    int       // 0 when no response was received
	ErrorKind     ErrorKind // "" on success
	Timing        Timing
	RemoteAddress string            // "ip:port" connected to, or ""
	Header        map[string]string // at most content-type, content-length, retry-after and date; see captureHeader
	RetryAfter    string            // the header of that name: digits or an HTTP date, or ""; to act on, not to keep
	Body          []byte            // at most 4,096 bytes
	BodyTruncated bool              // there was more, or the rest did not arrive
}

// BodyText returns the body as text that Postgres can store: invalid UTF-8 and NUL become U+FFFD.
func (r Result) BodyText() string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(r.Body), "\uFFFD"), "\x00", "\uFFFD")
}

// Post sends one request and waits for the outcome, no longer than the client's timeout in total. It never fails:
// every failure is classified. It puts exactly one request on the wire, or none; the transport repeats it only when
// a kept-alive connection turned out to be dead before a single byte was written.
func (c *Client) Post(ctx context.Context, req Request) Result {
	result, _ := c.exchange(ctx, http.MethodPost, req, func(result *Result, response *http.Response) {
		result.RetryAfter = parseRetryAfter(response.Header.Get("Retry-After"))
		body, truncated := readBody(response)
		if req.Confidential {
			result.Header = map[string]string{}
			return
		}
		result.Header, result.Body, result.BodyTruncated = captureHeader(response), body, truncated
	})
	return result
}

// exchange sends one request and classifies the outcome; the error is what was classified. take keeps what it wants of a
// response and closes its body.
func (c *Client) exchange(ctx context.Context, method string, req Request, take func(*Result, *http.Response)) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel() // also ends a dial of ours that another connection made unnecessary
	rec := &recorder{now: c.now, started: c.now()}
	result := Result{StartedAt: rec.started}

	var response *http.Response
	httpRequest, err := c.request(rec.attach(ctx), method, req)
	if err == nil {
		response, err = c.transport.RoundTrip(httpRequest)
	}
	if err == nil && (response.StatusCode < 100 || response.StatusCode > 999) {
		_ = response.Body.Close()
		err = errNotHTTP
	}
	if err == nil {
		result.StatusCode = response.StatusCode
		result.ErrorKind = kindOfStatus(response.StatusCode)
		take(&result, response)
	}
	phase, snapshot := rec.finish(&result)
	if err != nil {
		result.ErrorKind = classify(err, ctx, phase)
	}
	result.Duration = snapshot.Sub(rec.started)
	return result, err
}

// request builds the request. The URL goes on the wire as it was given: net/url would respell some of it, and refuse
// percent signs that the WHATWG rules leave alone.
func (c *Client) request(ctx context.Context, method string, req Request) (*http.Request, error) {
	scheme, rest, ok := strings.Cut(req.URL, "://")
	if !ok || scheme != "https" && (scheme != "http" || !c.policy.AllowPrivate) {
		return nil, errBadURL
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errBadURL // it would break the request line
	}
	target := ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest, target = rest[:i], rest[i:]
	}
	authority, err := url.Parse(scheme + "://" + rest)
	if err != nil || authority.User != nil || authority.Hostname() == "" {
		return nil, errBadURL
	}
	target, _, _ = strings.Cut(target, "#")
	path, query, hasQuery := strings.Cut(target, "?")
	switch {
	case path == "":
		path = "/"
	case strings.HasPrefix(path, "//"):
		path = "//" + authority.Host + path // net/url takes such a path for an authority: use the absolute form
	}
	h := http.Header{}
	h.Set("User-Agent", c.userAgent) // without one, an empty value keeps net/http from adding its own
	for name, values := range req.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	r := &http.Request{
		Method: method, Host: authority.Host, Header: h,
		URL: &url.URL{
			Scheme: scheme, Host: authority.Host, Opaque: path, RawQuery: query, ForceQuery: hasQuery,
		},
	}
	if method == http.MethodPost { // others have no body, not an empty one
		r.ContentLength = int64(len(req.Body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r.WithContext(ctx), nil
}

// readBody reads one byte more than is kept, to know whether there is more, and hangs up: a body is never drained.
func readBody(response *http.Response) (body []byte, truncated bool) {
	if response.StatusCode == http.StatusSwitchingProtocols {
		_ = response.Body.Close() // not a body but a connection
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, captureMax+1))
	_ = response.Body.Close()
	if len(body) > captureMax {
		return body[:captureMax], true
	}
	return body, err != nil
}

var (
	errBadURL  = errors.New("egress: not a URL that may be sent to")
	errNotHTTP = errors.New("egress: not a status of HTTP")
)
