package static

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestURL_CarriesAHashOfTheContent(t *testing.T) {
	t.Parallel()
	hashed := regexp.MustCompile(`^/static/[a-z]+\.[0-9a-f]{10}\.(css|js|svg|ico)$`)
	for name := range sources {
		url := URL(name)
		if !hashed.MatchString(url) {
			t.Errorf("URL(%q) = %q, want a hashed name", name, url)
		}
		sum := sha256.Sum256(sent(t, name))
		if !strings.Contains(url, hex.EncodeToString(sum[:])[:10]) {
			t.Errorf("URL(%q) = %q does not name its content", name, url)
		}
	}
}

// sent is what is sent of a file.
func sent(t *testing.T, name string) []byte {
	t.Helper()
	content, err := files.ReadFile(sources[name])
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".css") {
		content = forPeople.ReplaceAll(content, nil)
	}
	return content
}

func TestURL_UnknownNamePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic for an unknown asset")
		}
	}()
	URL("nothing.css")
}

func TestHandler_ServesHashedNamesForever(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
		"keys.js": "text/javascript; charset=utf-8", "keycheck.js": "text/javascript; charset=utf-8", "export.js": "text/javascript; charset=utf-8", "secret.js": "text/javascript; charset=utf-8",
		"htmx.js": "text/javascript; charset=utf-8", "icons.svg": "image/svg+xml",
		"favicon.svg": "image/svg+xml", "favicon.ico": "image/x-icon",
	}
	for name, contentType := range want {
		for _, encoding := range []string{"", "gzip"} {
			r := httptest.NewRequest(http.MethodGet, URL(name), nil)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			Handler().ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", name, w.Code)
			}
			if got := w.Header().Get("Content-Type"); got != contentType {
				t.Errorf("%s: Content-Type %q, want %q", name, got, contentType)
			}
			if got := w.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
				t.Errorf("%s: Cache-Control %q", name, got)
			}
			var body io.Reader = w.Body
			if w.Header().Get("Content-Encoding") == "gzip" {
				zr, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = zr
			} else if encoding == "gzip" && strings.HasPrefix(contentType, "text/") {
				t.Errorf("%s: not compressed", name)
			}
			got, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			plain := sent(t, name)
			if string(got) != string(plain) {
				t.Errorf("%s (%q): body differs from the file", name, encoding)
			}
		}
	}
}

func TestHandler_RefusesOtherNamesAndMethods(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/static/app.css", "/static/app.0000000000.css", "/static/", "/static/vendor/vendor.txt"} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, w.Code)
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, URL("app.css"), nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", w.Code)
	}
}

func TestFromDisk_ServesTheFilesAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := fstest.MapFS{"app.css": {Data: []byte("first")}}
	get := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		FromDisk(dir).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		return w
	}
	for _, text := range []string{"first", "second"} {
		dir["app.css"] = &fstest.MapFile{Data: []byte(text)}
		w := get(URL("app.css"))
		if w.Body.String() != text || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("%s is served as %q, %v", text, w.Body, w.Header())
		}
	}
	for _, target := range []string{URL("app.js"), "/static/app.css", "/static/../static.go"} {
		if w := get(target); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, w.Code)
		}
	}
}

func TestAcceptsGzip_HonoursARefusal(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "br": false, "gzip": true, "br, gzip;q=0.8": true, "gzip;q=0": false, "gzip; q=0.0": false, "*": true,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", header, got, want)
		}
	}
}

func TestFavicon_IsAnIcon(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Favicon().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/favicon.ico", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/x-icon" || !strings.HasPrefix(w.Body.String(), "\x00\x00\x01\x00") {
		t.Errorf("status %d, type %q", w.Code, w.Header().Get("Content-Type"))
	}
}

// The vendored file must be the one that vendor.txt names: a silent change of
// third-party code that runs in every page has to fail here.
func TestVendor_FilesMatchTheirChecksums(t *testing.T) {
	t.Parallel()
	note, err := os.ReadFile("vendor/vendor.txt")
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]string{}
	for line := range strings.Lines(string(note)) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), ": "); found && !strings.HasPrefix(line, "#") {
			facts[key] = value
		}
	}
	content, err := os.ReadFile("vendor/" + facts["file"])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if got := hex.EncodeToString(sum[:]); got != facts["sha256"] {
		t.Errorf("%s: sha256 %s, vendor.txt says %s", facts["file"], got, facts["sha256"])
	}
	if !strings.Contains(string(content), facts["version"]) {
		t.Errorf("%s does not say version %s", facts["file"], facts["version"])
	}
	if _, err := os.Stat("vendor/htmx.LICENSE"); err != nil {
		t.Error(err)
	}
}

func TestSizes_StaySmall(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{
		"app.css": 45 << 10, "app.js": 5 << 10,
		"keys.js":     5 << 9,  // on every page, for those who use shortcuts
		"keycheck.js": 1 << 10, // on the page of keys
		"export.js":   5 << 9,  // on lists that can be exported
		"secret.js":   1 << 10, // on pages that show a secret
	} {
		content, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > limit {
			t.Errorf("%s is %d bytes, the limit is %d", name, len(content), limit)
		}
	}
	sheet := string(loaded.assets[strings.TrimPrefix(URL("app.css"), Prefix)].plain)
	if strings.Contains(sheet, "/*") || strings.Contains(sheet, "\n  ") || !strings.Contains(sheet, "@layer utilities {\n.vh {position:absolute; width:1px;") {
		t.Errorf("the style sheet is sent with what is for its readers, or without its rules: %.300s", sheet)
	}
	gzipped := func(name string) int { return len(loaded.assets[strings.TrimPrefix(URL(name), Prefix)].gzipped) }
	visit := max(gzipped("keycheck.js"), gzipped("export.js"), gzipped("secret.js")) // no page has two of them
	for _, name := range []string{"app.css", "app.js", "keys.js", "htmx.js", "icons.svg"} {
		visit += gzipped(name)
	}
	if visit == 0 || visit > 30_000 {
		t.Errorf("a first visit transfers %d bytes of assets, the limit is 30,000", visit)
	}
}

// The policy of the dashboard forbids inline code and foreign hosts, so the
// assets themselves must not ask for either.
func TestAssets_FitTheContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"app.css", "app.js", "keys.js", "keycheck.js", "export.js", "secret.js", "icons.svg", "favicon.svg"} {
		content, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", "")
		for _, banned := range []string{"http://", "https://", "@import", "eval(", "new Function", "innerHTML", "<script", " style="} {
			if strings.Contains(text, banned) {
				t.Errorf("%s contains %q", name, banned)
			}
		}
	}
}
