package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/web/templates/ui"
)

// formMax bounds a request body: the greatest file of a form (64 KiB) with room for telling "too large" from "far too
// large". All of it stays in memory.
const formMax = 256 << 10

// The refusals of forms.
var (
	errForeignForm = fault.New(fault.Forbidden, fault.CodeForbidden, "This request came from another site, so it was not carried out.")
	errStaleForm   = fault.New(fault.Forbidden, fault.CodeForbidden, "This form is out of date, so nothing was changed.")
	errFormSize    = fault.New(fault.Invalid, fault.CodePayloadTooLarge, "What was sent is larger than any form of the dashboard takes.")
	errFormShape   = fault.New(fault.Invalid, fault.CodeBadRequest, "The form could not be read.")
)

// parse reads the form of a request that changes something and checks where it comes from: the browser's own statement
// first, then the token that only our pages hold.
func (p *page) parse(token string) error {
	if p.R.Method == http.MethodGet || p.R.Method == http.MethodHead {
		return nil
	}
	if err := p.origin.Check(p.R); err != nil {
		return errForeignForm
	}
	p.R.Body = http.MaxBytesReader(p.W, p.R.Body, formMax)
	var err error
	if kind, _, _ := mime.ParseMediaType(p.R.Header.Get("Content-Type")); kind == "multipart/form-data" {
		err = p.R.ParseMultipartForm(formMax)
	} else {
		err = p.R.ParseForm()
	}
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return errFormSize
		}
		return errFormShape
	}
	sent := p.R.PostFormValue("csrf_token")
	if token == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(token)) != 1 {
		return errStaleForm
	}
	return nil
}

// Value is a trimmed field of the posted form.
func (p *page) Value(name string) string { return strings.TrimSpace(p.R.PostFormValue(name)) }

// Raw is a field of the posted form as it is, for passwords.
func (p *page) Raw(name string) string { return p.R.PostFormValue(name) }

// Values are all fields of one name in the posted form.
func (p *page) Values(name string) []string { return p.R.PostForm[name] } //nolint:forbidigo // the field of a request, not the function

// problems are the complaints about a form, by the name of the fault's field without any index: "labels[2]" is "labels".
type problems map[string]string

// problemsOf returns the complaints inside err; ok is false when err is no complaint about input. A complaint about
// nothing in particular has the name "".
func problemsOf(err error) (list problems, ok bool) {
	f, known := fault.As(err)
	if !known || f.Kind != fault.Invalid {
		return nil, false
	}
	list = problems{}
	for _, field := range f.Fields {
		name, _, _ := strings.Cut(field.Name, "[")
		if list[name] == "" {
			list[name] = sentence(field.Message)
		}
	}
	if len(list) == 0 {
		list[""] = sentence(f.Message)
	}
	return list, true
}

// sentence turns "must not be empty" into "Must not be empty."
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// labelled names a field of a form for formErrors: the fault's field, the element's id and the label people see.
type labelled struct{ name, id, label string }

// formErrors is the summary of the complaints, in the order of the form. done is what could not be done, for example
// "this endpoint can be saved".
func formErrors(found problems, done string, fields ...labelled) ui.FormErrors {
	var e ui.FormErrors
	seen := map[string]bool{}
	for _, f := range fields {
		if text := found[f.name]; text != "" {
			e.Items = append(e.Items, ui.FormError{FieldID: f.id, Text: f.label + ": " + text})
			seen[f.name] = true
		}
	}
	for name, text := range found { // about the form as a whole, or a field that it does not show
		if !seen[name] {
			e.Items = append(e.Items, ui.FormError{Text: text})
		}
	}
	if n := len(e.Items); n > 0 {
		e.Title = fmt.Sprintf("%s to correct before %s", counted(n, "thing", "things"), done)
	}
	return e
}

// outcomeLife is how long a repeated submission is recognised, outcomeMax how many are remembered.
const (
	outcomeLife = 10 * time.Minute
	outcomeMax  = 2000
)

// outcomes remembers where each submitted form led, so that a double click or a reload does not do the thing twice. It
// is kept per process: what must never happen twice has a constraint in the database besides.
type outcomes struct {
	mu   sync.Mutex
	done map[string]*outcome
}

type outcome struct {
	mu   sync.Mutex
	at   time.Time
	path string
}

// formID is a fresh identity for a form, to be sent back in its action as ?form=.
func formID() string { return rand.Text() }

// begin claims the form for the session and waits while the same form is being handled. path is where it led when it was
// handled before. Call done with the path, or with "" when nothing was done, exactly once.
func (o *outcomes) begin(session id.Login, form string, now time.Time) (path string, done func(path string)) {
	if form == "" {
		return "", func(string) {}
	}
	o.mu.Lock()
	if o.done == nil {
		o.done = map[string]*outcome{}
	}
	if len(o.done) >= outcomeMax {
		for key, old := range o.done {
			if now.Sub(old.at) > outcomeLife {
				delete(o.done, key)
			}
		}
		if len(o.done) >= outcomeMax {
			clear(o.done)
		}
	}
	key := session.String() + " " + form
	entry := o.done[key]
	if entry == nil {
		entry = &outcome{at: now}
		o.done[key] = entry
	}
	o.mu.Unlock()
	entry.mu.Lock()
	if entry.path != "" {
		defer entry.mu.Unlock()
		return entry.path, func(string) {}
	}
	return "", func(path string) {
		entry.path = path
		entry.mu.Unlock()
	}
}
