package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// reader is a person without scripting: they follow links and send forms that are on the page, with the fields that are in
// the form, and nothing else.
type reader struct {
	*browser
	path string // where they are
	page answer
	root *html.Node
}

func (b *browser) reader(path string) *reader {
	b.t.Helper()
	r := &reader{browser: b}
	r.open(b.get(path), path)
	return r
}

// open shows an answer, after following its redirects as a browser does.
func (r *reader) open(a answer, path string) {
	r.t.Helper()
	for range 5 {
		if a.status != http.StatusSeeOther {
			break
		}
		path = a.header.Get("Location")
		a = r.get(path)
	}
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		r.t.Fatal(err)
	}
	r.path, r.page, r.root = path, a, root
}

// visit follows the link with the text.
func (r *reader) visit(text string) *reader {
	r.t.Helper()
	for n := range r.root.Descendants() {
		if n.Data == "a" && attr(n, "href") != "" && (textOf(n) == text || attr(n, "aria-label") == text) {
			r.open(r.get(attr(n, "href")), attr(n, "href"))
			return r
		}
	}
	r.t.Fatalf("%s has no link %q:\n%s", r.path, text, r.page.text())
	return nil
}

// send fills the form that the button belongs to and presses it; fields are name, value, … and each must be in the form.
// It returns what was sent, to be sent again.
func (r *reader) send(button string, fields ...string) sentForm {
	r.t.Helper()
	out := r.fill(button, fields...)
	r.again(out)
	return out
}

// fill is send without pressing the button.
func (r *reader) fill(button string, fields ...string) sentForm {
	r.t.Helper()
	form, pressed := r.formOf(button)
	values := url.Values{}
	names := map[string]bool{}
	for n := range form.Descendants() {
		name := attr(n, "name")
		if name == "" || has(n, "disabled") {
			continue
		}
		names[name] = true
		switch {
		case n.Data == "input" && slices.Contains([]string{"checkbox", "radio"}, attr(n, "type")):
			if has(n, "checked") {
				values.Add(name, attr(n, "value"))
			}
		case n.Data == "input" && attr(n, "type") != "file":
			values.Add(name, attr(n, "value"))
		case n.Data == "textarea":
			values.Add(name, textOf(n))
		case n.Data == "select":
			values.Add(name, chosenOption(n))
		}
	}
	filled := map[string]bool{}
	for i := 0; i+1 < len(fields); i += 2 {
		name := fields[i]
		if !names[name] {
			r.t.Fatalf("the form of %q on %s has no field %q", button, r.path, name)
		}
		if !filled[name] {
			values.Del(name)
		}
		filled[name] = true
		values.Add(name, fields[i+1])
	}
	if attr(form, "method") != "post" || values.Get("csrf_token") == "" {
		r.t.Fatalf("the form of %q on %s is %s, with token %q", button, r.path, attr(form, "method"), values.Get("csrf_token"))
	}
	if name := attr(pressed, "name"); name != "" {
		values.Set(name, attr(pressed, "value"))
	}
	if r.signedIn() && values.Get("form_id") == "" {
		r.t.Fatalf("the form of %q on %s has no identity, so that it can be sent twice unnoticed", button, r.path)
	}
	action := attr(form, "action")
	if to := attr(pressed, "formaction"); to != "" {
		action = to
	}
	out := sentForm{action: action, multipart: attr(form, "enctype") == "multipart/form-data"}
	for name, list := range values {
		for _, v := range list {
			out.fields = append(out.fields, name, v)
		}
	}
	return out
}

// sentForm is a form that was sent.
type sentForm struct {
	action    string
	multipart bool
	fields    []string
}

// again sends a form a second time, as a double click or a reload does.
func (r *reader) again(s sentForm) {
	r.t.Helper()
	r.open(r.answerTo(s), s.action)
}

// signedIn reports whether the page is one of somebody who is signed in: it has a way out.
func (r *reader) signedIn() bool { return strings.Contains(r.page.body, `action="/sign-out"`) }

// answerTo sends a form from the page that the reader is on, and follows no redirect.
func (r *reader) answerTo(s sentForm) answer {
	r.t.Helper()
	from := []string{"Referer", r.site.server.URL + r.path}
	if s.multipart {
		return r.upload(s.action, from, s.fields...)
	}
	return r.postAs(s.action, from, s.fields...)
}

// formOf finds the form with the button, whose text may be cut short by a star. A button that only scripting reveals is none.
func (r *reader) formOf(button string) (form, pressed *html.Node) {
	r.t.Helper()
	for n := range r.root.Descendants() {
		if n.Data != "button" || has(n, "hidden") || has(n, "disabled") || attr(n, "type") == "button" || !named(textOf(n), button) && !named(attr(n, "aria-label"), button) {
			continue
		}
		for f := range r.root.Descendants() {
			if id := attr(n, "form"); f.Data == "form" && id != "" && attr(f, "id") == id {
				return f, n
			}
		}
		for p := range n.Ancestors() {
			if p.Data == "form" {
				return p, n
			}
		}
	}
	r.t.Fatalf("%s has no button %q:\n%s", r.path, button, r.page.text())
	return nil, nil
}

func named(text, name string) bool {
	begin, cut := strings.CutSuffix(name, "*")
	return text == name || cut && strings.HasPrefix(text, begin)
}

// sees fails the test unless the page has the status and every text.
func (r *reader) sees(status int, texts ...string) *reader {
	r.t.Helper()
	r.page.is(status).shows(texts...)
	return r
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// textOf is the text inside an element, as it is read.
func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func chosenOption(sel *html.Node) string {
	first, found := "", false
	for o := range sel.Descendants() {
		if o.Data != "option" {
			continue
		}
		if has(o, "selected") {
			return attr(o, "value")
		}
		if !found {
			first, found = attr(o, "value"), true
		}
	}
	return first
}

// rows counts rows of a table.
func (s *site) rows(t *testing.T, table string) int {
	t.Helper()
	var n int
	if err := s.db.Reader(t.Context()).Raw("SELECT count(*) FROM " + table).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}
