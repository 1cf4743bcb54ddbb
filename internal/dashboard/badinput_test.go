package dashboard

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// hostile are texts that a form, a query or a path may hold though nobody means well.
var hostile = map[string]string{
	"nothing": "", "no text": "a\x00b\xff\xed\xa0\x80", "turned around": "\u202egnp.exe", "a letter alone": "é", "markup": `"><script>alert(1)</script>`,
	"long": strings.Repeat("x", 5000), "long, wide": strings.Repeat("𝕏", 3000), "a number": "99999999999999999999", "negative": "-1", "a year": "+999999-01-01T00:00:00Z", "a path": "../../etc/passwd",
	"lines": "a\r\nX-Injected: 1", "another kind": "vs_01h455vb4pex5vsknk084sn02q", "too great an id": "whe_8zzzzzzzzzzzzzzzzzzzzzzzzz",
}

// wellAnswered fails the test unless the answer is one that somebody was meant to get: no fault of ours, and a page or a redirect
// within the site.
func wellAnswered(t *testing.T, what string, a answer) {
	t.Helper()
	to := a.header.Get("Location") + a.header.Get("HX-Redirect")
	switch {
	case a.status >= http.StatusInternalServerError:
		t.Errorf("%s: got status %d:\n%.600s", what, a.status, a.text())
	case to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")):
		t.Errorf("%s: leads to %q", what, to)
	case strings.Contains(a.header.Get("Content-Type"), "text/html") && strings.Contains(a.body, "<script>alert"):
		t.Errorf("%s: the page holds what was sent as markup", what)
	case a.header.Get("X-Injected") != "":
		t.Errorf("%s: a header was made of what was sent", what)
	case a.status >= http.StatusBadRequest && !strings.Contains(a.body, "<h1") && !strings.Contains(a.body, `class="toast`) && !strings.Contains(a.body, `role="status"`) && !strings.Contains(a.body, "<form") && !strings.Contains(a.body, `id="check"`):
		t.Errorf("%s: status %d is explained by %q", what, a.status, a.body)
	}
}

// breaking are the two that break most: what Postgres takes for no text, and what is no number of its.
var breaking = []string{"no text", "a number"}

// TestBadInput_FormsNeverFail sends every form with its fields hostile, all and one by one, and in ways that no browser sends.
func TestBadInput_FormsNeverFail(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	patterns := slices.DeleteFunc(slices.Collect(maps.Keys(signedInRoutes())), func(pattern string) bool {
		return !strings.HasPrefix(pattern, "POST ") || pattern == "POST /sign-out"
	})
	ends := regexp.MustCompile("/(delete|remove|revoke|others)$") // these come last, since what they end is gone
	slices.SortFunc(patterns, func(x, y string) int {
		return cmp.Or(len(ends.FindString(x))-len(ends.FindString(y)), strings.Compare(x, y))
	})
	for _, pattern := range patterns {
		_, path := f.address(pattern)
		fields := append(append(f.filledFor(pattern), filled...), "current", "x", "password", "x", "zone_name", "UTC", "theme", "dark", "density", "normal", "live", "1", "return", "/", "pick", "0", "force", "1",
			"from", "", "to", "", "since", "", "type", "", "status", "failed", "endpoint", "", "signature", "t=1,v1=0", "body", "a", "labels", "eu", "zone", "utc", "run", "1", "seen", "x")
		for name, text := range hostile {
			sent := slices.Clone(fields)
			for i := 1; i < len(sent); i += 2 {
				sent[i] = text
			}
			wellAnswered(t, pattern+" with "+name, b.post(path+"?seen="+url.QueryEscape(text), append(sent, fields...)...)) // each twice
			wellAnswered(t, pattern+" with "+name+" by htmx", b.postAs(path, []string{"HX-Request", "true"}, append([]string{"csrf_token", b.csrf}, sent...)...))
		}
		for i := 0; i < len(fields); i += 2 { // one by one, since the first that is refused hides the others
			for _, name := range breaking {
				sent := slices.Clone(fields)
				sent[i+1] = hostile[name]
				wellAnswered(t, pattern+" with "+name+" for "+fields[i], b.post(path, sent...))
			}
		}
		for name, sent := range map[string][2]string{ // the type, and the body
			"no type": {"", "csrf_token=" + b.csrf}, "JSON": {"application/json", `{"csrf_token":"` + b.csrf + `"}`}, "text": {"text/plain", "csrf_token=" + b.csrf},
			"multipart without a boundary": {"multipart/form-data", "x"}, "multipart cut off": {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"csrf_token\"\r\n\r\n" + b.csrf},
			"broken escapes": {"application/x-www-form-urlencoded", "csrf_token=" + b.csrf + "&name=%zz"}, "too much": {"application/x-www-form-urlencoded", strings.Repeat("a=b&", formMax)},
			"many fields": {"application/x-www-form-urlencoded", "csrf_token=" + b.csrf + strings.Repeat("&id=x&events=x&labels=x&scopes=x", 2000)}, "nothing": {"application/x-www-form-urlencoded", "csrf_token=" + b.csrf},
		} {
			a := b.do(b.request(http.MethodPost, path, strings.NewReader(sent[1]), "Content-Type", sent[0]))
			wellAnswered(t, pattern+" as "+name, a)
			if name != "many fields" && name != "nothing" && a.status < http.StatusBadRequest && a.header.Get("Location") != "/" {
				t.Errorf("%s as %s was taken for a form: %d to %q", pattern, name, a.status, a.header.Get("Location"))
			}
		}
		if b.get("/").status != http.StatusOK { // this form has ended the session
			b = f.as(f.owner)
		}
		f.clock.Advance(time.Minute) // the bucket of passwords
	}
}

// TestBadInput_TheScopeOfABulkRetryNeverFails sends each part of a scope hostile, which a form that names rows does not get to.
func TestBadInput_TheScopeOfABulkRetryNeverFails(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	for _, field := range []string{"status", "endpoint", "label", "type", "error", "code", "attempts", "from", "to", "failed_from", "rate", "count", "confirm"} {
		for name, text := range hostile {
			fields := []string{"status", "failed", "rate", "1", "count", "1", "confirm", "1"}
			if i := slices.Index(fields, field); i >= 0 {
				fields[i+1] = text
			} else {
				fields = append(fields, field, text)
			}
			b.get("/jobs/new") // for a form of its own
			wellAnswered(t, field+" with "+name, b.post("/jobs", fields...))
			wellAnswered(t, field+" with "+name+" in the address", b.get("/jobs/new?"+url.Values{field: {text}}.Encode()))
		}
	}
}

// TestBadInput_NobodyFailsBeforeTheSignIn sends the forms that everybody may send.
func TestBadInput_NobodyFailsBeforeTheSignIn(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.browser()
	for name, text := range hostile {
		for path, fields := range map[string][]string{
			"/sign-in": {"email", text, "password", text, "next", text}, "/setup": {"token", text, "organization", text, "name", text, "email", text, "password", text},
			"/invitations/" + url.PathEscape(text): {"name", text, "password", text},
		} {
			b.get("/sign-in")
			wellAnswered(t, path+" with "+name, b.post(path, fields...))
			wellAnswered(t, path+" with "+name+" in the address", b.get(path+"?"+url.Values{"token": {text}, "next": {text}, "email": {text}}.Encode()))
			f.clock.Advance(time.Minute) // the bucket of passwords
		}
	}
	b.get("/sign-in")
	b.post("/sign-in", "email", "a\x00b@example.com", "password", fixture.Password).is(http.StatusUnprocessableEntity)
}

// TestBadInput_AddressesNeverFail asks for every page with hostile parameters, and with what is no id in its path.
func TestBadInput_AddressesNeverFail(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	parameters := []string{
		"q", "from", "to", "live", "label", "type", "event", "status", "next", "endpoint", "seen", "limit", "health", "check", "trigger", "state", "since", "range", "preset", "outcome", "error", "code", "target",
		"sort", "role", "page", "new", "missed", "lang", "key", "format", "delivery", "choose", "attempts", "attempt", "actor", "after", "before", "newest", "run",
	}
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		for name, text := range hostile {
			if len(text) > 1000 {
				text = text[:1000]
			}
			all := url.Values{}
			for _, p := range parameters {
				all[p] = []string{text, text}
				if method == http.MethodGet && slices.Contains(breaking, name) {
					wellAnswered(t, pattern+" with "+name+" for "+p, b.get(path+"?"+url.Values{p: all[p]}.Encode()))
				}
			}
			if method == http.MethodGet {
				wellAnswered(t, pattern+" with "+name, b.get(path+"?"+all.Encode()))
			}
			if at := part.FindString(pattern); at != "" && text != "" {
				hit := part.ReplaceAllLiteralString(strings.TrimPrefix(pattern, method+" "), url.PathEscape(text))
				if method == http.MethodPost {
					wellAnswered(t, pattern+" of "+name, b.post(hit, filled...))
				} else {
					wellAnswered(t, pattern+" of "+name, b.get(hit))
				}
			}
		}
	}
}
