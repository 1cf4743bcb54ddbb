package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"kaylehooks/internal/fixture"
)

// firstLoad is the most that the first load of a page may transfer, headers and all: the page, and everything it names.
const firstLoad = 60_000

// document is the answer that the page in a tab was made from.
type document struct {
	id      network.RequestID
	method  string
	status  int
	headers network.Headers
	bytes   int // as they came over the wire
}

var (
	// named are the files of ours that a page loads by itself.
	named = regexp.MustCompile(`(?:src|href)="(/static/[^"#]+)`)
	tag   = regexp.MustCompile(`<[a-zA-Z][^>]*>`)
	// inline is what a tag may not be or have; src is looked for apart.
	inline = regexp.MustCompile(`(?i)^<style\b|\s(?:style|on[a-z]+|srcdoc)\s*=|\s(?:href|src|action|formaction)\s*=\s*["']?\s*(?:javascript|data):`)
)

// fileBytes is what loading a file transfers, headers and all.
func (s *suite) fileBytes(t *testing.T, path string) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[path] == 0 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip") // set by hand, it stays packed
		res, err := fixture.Client(nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		answer, err := httputil.DumpResponse(res, true)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", path, res.Status, err)
		}
		s.files[path] = len(answer)
	}
	return s.files[path]
}

// inspect looks at the answer that the open page was made from: its weight, its headers, and that nothing is written into it
// but markup.
func (b *tab) inspect(name string) {
	b.t.Helper()
	b.mu.Lock()
	doc := b.document
	b.mu.Unlock()
	for header, want := range map[string]string{"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := doc.header(header); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
			b.t.Errorf("%s at %s: the header %s is %q", name, b.path(), header, got)
		}
	}
	answer, err := chromedp.Call(b.ctx, network.GetResponseBody, network.GetResponseBodyParams{RequestID: doc.id})
	if err != nil {
		b.t.Fatalf("%s at %s: %v", name, b.path(), err)
	}
	for _, found := range tag.FindAllString(string(answer.Body), -1) {
		if inline.MatchString(found) || strings.HasPrefix(found, "<script") && !strings.Contains(found, " src=") {
			b.t.Errorf("%s at %s has code or style in the page: %s", name, b.path(), found)
		}
	}
	bytes := doc.bytes
	var files []string
	for _, found := range named.FindAllStringSubmatch(string(answer.Body), -1) {
		files = append(files, found[1])
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		bytes += b.suite.fileBytes(b.t, file)
	}
	if bytes > firstLoad {
		b.t.Errorf("%s at %s: the first load transfers %d bytes, %d of them the page itself", name, b.path(), bytes, doc.bytes)
	}
	b.suite.states++
	if bytes > b.suite.heaviest.bytes {
		b.suite.heaviest.bytes, b.suite.heaviest.what = bytes, fmt.Sprintf("%s, %d of them the page itself", name, doc.bytes)
	}
}

func (d document) header(name string) string {
	for key, value := range d.headers {
		if strings.EqualFold(key, name) {
			return fmt.Sprint(value)
		}
	}
	return ""
}

// summary prints how much was looked at.
func (s *suite) summary(t *testing.T) {
	t.Helper()
	t.Logf("%d states of %d pages, each at 3 widths in 2 themes; the heaviest first load is %d bytes (%s)", s.states, len(s.routes.visited()), s.heaviest.bytes, s.heaviest.what)
}

// plain reports whether the page was opened by its address and shows what is there.
func (d document) plain() bool { return d.method == http.MethodGet && d.status == http.StatusOK }
