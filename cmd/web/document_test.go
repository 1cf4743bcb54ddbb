package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"kaylehooks/internal/fixture"
)

// documented are the routes of the document that a server has, as "GET /v1/sessions".
func documented(t *testing.T, base string) (routes []string) {
	t.Helper()
	doc, err := documents.of(base)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+path)
		}
	}
	return routes
}

// library keeps the document of each server.
type library struct {
	plain http.RoundTripper

	mu     sync.Mutex
	byBase map[string]*openapi3.T
}

// documents is also the transport of every test in this package: TestMain puts it in the default one's place, so that no test can
// receive a response of the API that is not held against the document of the very server that gave it.
var documents = &library{plain: http.DefaultTransport, byBase: map[string]*openapi3.T{}}

func (l *library) of(base string) (*openapi3.T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if doc := l.byBase[base]; doc != nil {
		return doc, nil
	}
	req, err := http.NewRequest(http.MethodGet, base+"/openapi", nil)
	if err != nil {
		return nil, err
	}
	res, err := l.plain.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	doc, err := fixture.LoadDocument(text)
	if err == nil {
		l.byBase[base] = doc
	}
	return doc, err
}

// RoundTrip implements http.RoundTripper. A response that breaks the contract is an error, which no test can overlook.
func (l *library) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.plain.RoundTrip(req)
	if err != nil || !strings.HasPrefix(req.URL.Path, "/v1/") {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	doc, err := l.of(req.URL.Scheme + "://" + req.URL.Host)
	if err != nil {
		return nil, err
	}
	if err := fixture.CheckHeaders(res.Header, body); err != nil {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "Content-Security-Policy"} {
		if res.Header.Get(name) == "" {
			return nil, fmt.Errorf("%s %s: no %s", req.Method, req.URL, name)
		}
	}
	pattern := patternOf(doc, req.Method, req.URL.Path)
	if res.StatusCode == http.StatusNoContent {
		if len(body) > 0 || pattern == "" {
			return nil, fmt.Errorf("%s %s: 204 with %q", req.Method, req.URL, body)
		}
		return res, nil
	}
	if err := fixture.CheckResponse(doc, pattern, res.StatusCode, body); err != nil {
		return nil, err
	}
	return res, nil
}

// checked is the address of a server in front of the installation's: for programs that the tests start, whose responses have to pass
// the document as well.
func (i *installation) checked() string {
	i.t.Helper()
	target, err := url.Parse(i.base)
	if err != nil {
		i.t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: documents,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			i.t.Errorf("%s %s: %v", r.Method, r.URL, err)
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	i.t.Cleanup(front.Close)
	return front.URL
}

// patternOf is the route that a path belongs to; "" when there is none. A path without parameters comes before one with.
func patternOf(doc *openapi3.T, method, path string) (found string) {
	given := strings.Split(path, "/")
	for pattern, item := range doc.Paths.Map() {
		steps := strings.Split(pattern, "/")
		if item.GetOperation(method) == nil || len(steps) != len(given) {
			continue
		}
		same := true
		for i, step := range steps {
			same = same && (step == given[i] || strings.HasPrefix(step, "{"))
		}
		if same && (found == "" || !strings.Contains(pattern, "{")) {
			found = method + " " + pattern
		}
	}
	return found
}

// Over a real connection too: every refusal has the envelope, and its request id is in the server's log.
func TestAPI_EveryResponseHasAnEnvelopeAndARequestIDThatIsLogged(t *testing.T) {
	t.Parallel()
	i := install(t)
	web := i.start()
	for name, c := range map[string]struct {
		method, path, key, kind, body string
		status                        int
	}{
		"success":       {"GET", "/v1/sessions", i.apiKey, "", "", 200},
		"nothing":       {"POST", "/v1/sessions/" + i.openSession() + "/cancel", i.apiKey, "", "", 204},
		"no key":        {"GET", "/v1/sessions", "", "", "", 401},
		"unknown route": {"GET", "/v1/nothing", i.apiKey, "", "", 404},
		"double slash":  {"GET", "/v1//sessions", i.apiKey, "", "", 404},
		"method":        {"PUT", "/v1/sessions", i.apiKey, "", "", 405},
		"huge":          {"POST", "/v1/sessions", i.apiKey, "application/json", strings.Repeat(" ", 2<<20+1), 413},
		"type":          {"POST", "/v1/sessions", i.apiKey, "text/plain", "{}", 415},
		"bad":           {"POST", "/v1/sessions", i.apiKey, "application/json", "[]", 400},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, i.base+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			req.Header.Set("Authorization", "Bearer "+c.key)
		}
		req.Header.Set("Content-Type", c.kind)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.status)
		}
		web.waitFor(`"msg":"request","request_id":"` + res.Header.Get("X-Request-Id") + `"`)
	}
}
