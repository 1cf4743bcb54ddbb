package dashboard

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"kaylehooks/internal/fault"
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
	if err := p.readForm(); err != nil {
		return err
	}
	sent := p.R.PostFormValue("csrf_token")
	if token == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(token)) != 1 {
		return errStaleForm
	}
	return nil
}

// readForm reads a form that no other site has sent.
func (p *page) readForm() error {
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
