package pages_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"kaylehooks/web/static"
)

// page is one rendered page of the gallery.
type page struct {
	name      string
	component templ.Component
}

// allPages is every page in its normal and its special states.
func allPages() []page {
	return slices.Concat(startPages(), endpointPages(), deliveryPages(), eventPages(), sessionPages(), adminPages(), jobPages(), errorPages())
}

// TestGallery_EveryPageIsSound renders every page with sample data and checks
// what no reviewer should have to. With KAYLEHOOKS_GALLERY set to a folder the
// pages and their assets are left there for looking at.
func TestGallery_EveryPageIsSound(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("KAYLEHOOKS_GALLERY")
	if dir == "" {
		dir = t.TempDir()
	}
	titles := map[string]string{}
	for _, p := range allPages() {
		var buf bytes.Buffer
		if err := p.component.Render(context.Background(), &buf); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.name+".html"), buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		root, err := html.Parse(bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		for _, problem := range audit(root) {
			t.Errorf("%s: %s", p.name, problem)
		}
		title := text(first(root, "title"))
		if other, seen := titles[title]; seen {
			t.Errorf("%s and %s share the title %q", p.name, other, title)
		}
		titles[title] = p.name
	}
	writeAssets(t, dir)
}

// writeAssets copies the assets under their public names.
func writeAssets(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "static"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app.css", "app.js", "icons.svg", "favicon.svg", "favicon.ico", "htmx.js"} {
		w := httptest.NewRecorder()
		static.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, static.URL(name), nil))
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(static.URL(name))), w.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// audit lists what is wrong with a page: structure, labels, and everything the
// content security policy would block.
func audit(root *html.Node) []string {
	var problems []string
	report := func(parts ...string) { problems = append(problems, strings.Join(parts, " ")) }
	ids := map[string]bool{}
	for n := range root.Descendants() {
		if id, ok := attr(n, "id"); ok {
			if id == "" || ids[id] {
				report("id is empty or repeated:", id)
			}
			ids[id] = true
		}
	}
	headings, sprite := 0, static.URL("icons.svg")
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "style", strings.HasPrefix(a.Key, "on"), strings.HasPrefix(a.Key, "hx-on"):
				report("forbidden attribute", a.Key, "on", n.Data)
			case a.Key == "hx-vals" && strings.Contains(a.Val, "js:"), a.Key == "hx-trigger" && strings.Contains(a.Val, "["):
				report("needs eval:", a.Key, a.Val)
			case a.Key == "aria-describedby", a.Key == "aria-labelledby":
				for ref := range strings.FieldsSeq(a.Val) {
					if !ids[ref] {
						report(a.Key, "points nowhere:", ref)
					}
				}
			case (a.Key == "href" || a.Key == "action" || a.Key == "hx-get") && (strings.Contains(a.Val, "about:invalid") || a.Val == ""):
				report("empty or refused address in", a.Key, "of", n.Data)
			case a.Key == "href" && strings.HasPrefix(a.Val, "#") && !ids[a.Val[1:]]:
				report("link within the page points nowhere:", a.Val)
			}
		}
		switch n.Data {
		case "h1":
			headings++
		case "script":
			if src, ok := attr(n, "src"); !ok || n.FirstChild != nil || !strings.HasPrefix(src, static.Prefix) {
				report("inline or foreign script")
			}
		case "style":
			report("style element")
		case "label":
			if target, ok := attr(n, "for"); !ok || !ids[target] {
				report("label without a field:", text(n))
			}
		case "input", "select", "textarea":
			if !labelled(root, n) {
				name, _ := attr(n, "name")
				report(n.Data, name, "has no label")
			}
		case "button":
			if name, _ := attr(n, "aria-label"); strings.TrimSpace(text(n)+name) == "" {
				report("button without a name")
			}
		case "a":
			if name, _ := attr(n, "aria-label"); strings.TrimSpace(text(n)+name) == "" {
				report("link without a name")
			}
		case "table":
			if first(n, "caption") == nil || first(n, "th") == nil {
				report("table without caption or heads")
			}
		case "form":
			checkForm(n, report)
		case "use":
			if href, _ := attr(n, "href"); !strings.HasPrefix(href, sprite+"#i-") || !spriteHas(href) {
				report("unknown icon", href)
			}
		}
	}
	if headings != 1 {
		report("needs exactly one h1")
	}
	if first(root, "main") == nil {
		report("has no main landmark")
	}
	return problems
}

func checkForm(n *html.Node, report func(...string)) {
	method, _ := attr(n, "method")
	action, ok := attr(n, "action")
	if !ok || !strings.HasPrefix(action, "/") {
		report("form without a local action:", action)
	}
	for inner := range n.Descendants() {
		if inner.Data == "form" {
			report("form within a form:", action)
		}
	}
	switch method {
	case "get":
	case "post":
		for in := range n.Descendants() {
			if name, _ := attr(in, "name"); in.Data == "input" && name == "csrf_token" {
				if value, _ := attr(in, "value"); value == "" {
					report("empty csrf_token in", action)
				}
				return
			}
		}
		report("POST form without csrf_token:", action)
	default:
		report("form with method", method)
	}
}

func labelled(root, field *html.Node) bool {
	kind, _ := attr(field, "type")
	if kind == "hidden" {
		return true
	}
	if name, _ := attr(field, "aria-label"); name != "" {
		return true
	}
	id, ok := attr(field, "id")
	if !ok {
		return false
	}
	for n := range root.Descendants() {
		if target, _ := attr(n, "for"); n.Data == "label" && target == id {
			return true
		}
	}
	return false
}

var spriteText = func() string {
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, static.URL("icons.svg"), nil))
	return w.Body.String()
}()

func spriteHas(href string) bool {
	_, id, _ := strings.Cut(href, "#")
	return strings.Contains(spriteText, `id="`+id+`"`)
}

func attr(n *html.Node, key string) (string, bool) {
	if n.Type != html.ElementNode {
		return "", false
	}
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func first(root *html.Node, name string) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			return n
		}
	}
	return nil
}

func text(n *html.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}
