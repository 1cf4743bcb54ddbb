package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"kaylehooks/internal/fixture"
)

// documented are the routes of the document that a server has, as "GET /v1/sessions".
func documented(t *testing.T, base string) (routes []string) {
	t.Helper()
	doc, err := fixture.Documents.Of(base)
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
		Transport: fixture.Documents,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			i.t.Errorf("%s %s: %v", r.Method, r.URL, err)
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	i.t.Cleanup(front.Close)
	return front.URL
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
		as := *i
		as.apiKey = c.key
		res, _, err := as.ask(t.Context(), c.method, c.path, c.body, "Content-Type", c.kind)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.status)
		}
		web.WaitFor(`"msg":"request","request_id":"` + res.Header.Get("X-Request-Id") + `"`)
	}
}

// What is asked of the server as a whole comes to the handler too, which is what sets headers and writes the log.
func TestServe_OptionsOfTheWholeServerHaveHeadersAndALine(t *testing.T) {
	t.Parallel()
	i := install(t)
	web := i.web()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, i.base, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "*"
	res, err := fixture.Client(nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	web.WaitFor(`"msg":"request","request_id":"` + res.Header.Get("X-Request-Id") + `","method":"OPTIONS"`)
}
