package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"html"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// site is the whole dashboard on a database of its own and a clock that stands still.
type site struct {
	t       *testing.T
	db      *postgres.DB
	clock   *fixture.Clock
	handler *Handler
	server  *httptest.Server
	org     id.Organization
	owner   access.Actor
	// token is the setup token; empty after setup.
	token string
}

// newSite starts a site without any organization.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: fixture.NewClock()}
	s.db = fixture.DBAt(t, s.clock)
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	keyring := fixture.Keyring()
	orgs := &org.Service{DB: s.db, Passwords: org.NewPasswords(argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})}
	deliveries := delivery.New(delivery.Config{DB: s.db, Keyring: keyring, Log: log, Worker: "test"})
	s.handler = New(Config{
		DB: s.db, Keyring: keyring, Org: orgs, Login: &login.Service{DB: s.db, Org: orgs, FailureFloor: -1},
		APIKeys: apikey.New(s.db, keyring), Deliveries: deliveries,
		Webhooks: &webhook.Service{DB: s.db, Keyring: keyring, Deliveries: deliveries},
		Sessions: &verification.Service{DB: s.db, Keyring: keyring, Deliveries: deliveries},
		Limiter:  ratelimit.New(nil, s.clock.Now, log), Log: log, Version: "test",
		Receivers:       receiversAt(t, nil),
		RateIPPerMinute: 10, RateIPBurst: 10,
		SetupToken: func() string { return s.token }, SetupCommand: "web setup-token",
	})
	s.server = httptest.NewServer(s.handler)
	t.Cleanup(s.server.Close)
	return s
}

// receiversAt looks for every receiver at the server of the test; without one no name resolves.
func receiversAt(t *testing.T, server *httptest.Server) *egress.Client {
	t.Helper()
	o := egress.Options{Policy: egress.Policy{AllowPrivate: true}, Timeout: 5 * time.Second, MaxIdlePerHost: -1, Resolver: nameless{}}
	if server != nil {
		o.Resolver = loopback{}
		if server.TLS != nil {
			o.RootCAs = x509.NewCertPool()
			o.RootCAs.AddCert(server.Certificate())
		}
	}
	return egress.New(o)
}

// nameless knows no name; loopback says that every name is this machine.
type (
	nameless struct{}
	loopback struct{}
)

func (nameless) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// newOrg starts a site with an organization and its owner.
func newOrg(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.org, s.owner = fixture.Organization(t, s.db)
	return s
}

// testLog writes the site's log into the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Helper()
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// browser keeps cookies and the token of the last form it saw, and follows no redirect.
type browser struct {
	t    *testing.T
	site *site
	http *http.Client
	csrf string
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := fixture.Client(jar)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: s.t, site: s, http: client}
}

// as is a browser in which the user has signed in.
func (s *site) as(actor access.Actor) *browser {
	s.t.Helper()
	b := s.browser()
	b.get("/sign-in").is(http.StatusOK)
	b.post("/sign-in", "email", fixture.Email(fixture.UserID(s.t, actor)), "password", fixture.Password).redirects("/")
	b.get("/").is(http.StatusOK)
	return b
}

var csrfField = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if m := csrfField.FindSubmatch(body); m != nil {
		b.csrf = html.UnescapeString(string(m[1]))
	}
	return answer{b.t, res.StatusCode, res.Header, string(body)}
}

func (b *browser) request(method, path string, body io.Reader, headers ...string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.site.server.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// get loads a page; headers are name, value, …
func (b *browser) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil, headers...))
}

// fragment loads a part of a page as htmx does.
func (b *browser) fragment(path string) answer {
	b.t.Helper()
	return b.get(path, "HX-Request", "true")
}

// identified are the fields as a form of the dashboard sends them: with the token of the last page and, unless the fields
// have one, an identity of its own.
func (b *browser) identified(fields []string) []string {
	out := []string{"csrf_token", b.csrf}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "form_id" {
			return append(out, fields...)
		}
	}
	return append(append(out, "form_id", rand.Text()), fields...)
}

// post sends a form as the pages do; fields are name, value, … and may repeat.
func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	return b.postAs(path, nil, b.identified(fields)...)
}

// postAs sends a form with exactly these headers and fields.
func (b *browser) postAs(path string, headers []string, fields ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := b.request(http.MethodPost, path, strings.NewReader(form.Encode()), headers...)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// upload sends a multipart form as the pages do; a field whose name begins with "@" is a file.
func (b *browser) upload(path string, headers []string, fields ...string) answer {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	fields = b.identified(fields)
	for i := 0; i+1 < len(fields); i += 2 {
		field, value := fields[i], fields[i+1]
		var part io.Writer
		var err error
		if name, isFile := strings.CutPrefix(field, "@"); isFile {
			part, err = w.CreateFormFile(name, "key.pem")
		} else {
			part, err = w.CreateFormField(field)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.WriteString(part, value); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	r := b.request(http.MethodPost, path, &body, headers...)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(r)
}

// is fails the test unless the answer has the status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("got status %d, want %d:\n%s", a.status, status, a.text())
	}
	return a
}

// redirects fails the test unless the answer is a 303 to the path.
func (a answer) redirects(to string) {
	a.t.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != to {
		a.t.Fatalf("got status %d to %q, want 303 to %q:\n%s", a.status, a.header.Get("Location"), to, a.text())
	}
}

// shows fails the test unless every text is on the page.
func (a answer) shows(texts ...string) answer {
	a.t.Helper()
	plain := html.UnescapeString(a.body)
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			a.t.Fatalf("the page does not show %q:\n%s", text, a.text())
		}
	}
	return a
}

// hides fails the test if one of the texts is on the page.
func (a answer) hides(texts ...string) answer {
	a.t.Helper()
	plain := html.UnescapeString(a.body)
	for _, text := range texts {
		if strings.Contains(plain, text) {
			a.t.Fatalf("the page shows %q:\n%s", text, a.text())
		}
	}
	return a
}

var (
	tags   = regexp.MustCompile(`(?s)<head>.*</head>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is the body without tags, for messages.
func (a answer) text() string {
	return strings.TrimSpace(html.UnescapeString(spaces.ReplaceAllString(tags.ReplaceAllString(a.body, " "), " ")))
}

// find returns the first group of the pattern in the body.
func (a answer) find(pattern string) string {
	a.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("nothing on the page matches %s:\n%s", pattern, a.text())
	}
	return html.UnescapeString(m[1])
}
