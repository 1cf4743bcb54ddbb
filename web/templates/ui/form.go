package ui

import (
	"crypto/rand"
	"strings"

	"github.com/a-h/templ"
)

// Field is a one-line input with its label, hint and error. Field ids must be
// unique on the page; hint and error are wired with aria-describedby.
type Field struct {
	ID           string // element id; the name is used when empty
	Name         string
	Label        string
	Type         string // text when empty
	Value        string
	Hint         string
	Error        string
	Placeholder  string
	Autocomplete string
	Required     bool
	Autofocus    bool
	Mono         bool
	MaxLength    int
	Min, Max     string // for number and date inputs
	Pattern      string
	Exactly      string // the one value that is right, so that the browser holds a form back that would be refused
	Locked       string // name of the environment variable that fixes the value; renders it read-only
}

// Select is a choice from a list.
type Select struct {
	ID      string
	Name    string
	Label   string
	Hint    string
	Error   string
	Options []Option
	Locked  string // name of the environment variable that fixes the value
	Form    string // id of the form it belongs to, when it stands outside of it
}

// Option is one entry of a Select.
type Option struct {
	Value    string
	Label    string
	Selected bool
}

// Textarea is a multi-line input.
type Textarea struct {
	ID          string
	Name        string
	Label       string
	Value       string
	Hint        string
	Error       string
	Placeholder string
	Rows        int
	Required    bool
	Sensitive   bool // app.js clears it and warns when it holds a private key
}

// Check is a checkbox, or a radio button inside a radio CheckGroup.
type Check struct {
	Value    string
	Label    string
	Hint     string
	Checked  bool
	Disabled bool
	Mono     bool
	Sample   *EnvBadge // shown behind the label
}

// EnvBadge is the badge of an environment; an empty tone is the plain dark one.
type EnvBadge struct {
	Text string
	Tone Tone
}

// CheckGroup is a fieldset of checkboxes (or radio buttons) sharing one name.
type CheckGroup struct {
	ID      string
	Name    string
	Legend  string
	Hint    string
	Error   string
	Radio   bool
	Options []Check
}

// Hidden is a hidden form value.
type Hidden struct{ Name, Value string }

// FormErrors is the summary above a form that came back with 422. It takes the
// focus and links to each field.
type FormErrors struct {
	Title string // for example "2 things to correct before this endpoint can be saved"
	Items []FormError
}

// FormError is one line of FormErrors.
type FormError struct {
	FieldID string // id of the field to jump to; empty for errors about the whole form
	Text    string
}

func (e FormErrors) any() bool { return e.Title != "" || len(e.Items) > 0 }

// Action is a button: a link when Post is false, else a POST form of its own,
// so that it works without scripting.
type Action struct {
	Label    string // may be empty for a link of kind "icon", which then has a Name
	Icon     string
	Href     string // link target, or the form's action
	Post     bool
	Fields   []Hidden // extra hidden values of the POST form
	Kind     string   // "", "primary", "danger", "quiet" or "icon"
	Small    bool
	Disabled string // why it cannot be used now; renders a disabled button with that reason
	Download bool   // adds the download attribute to a link
	Dialog   bool   // the link leads to a confirmation page, which opens in a dialog when scripting is on
	Export   int    // above 0 the download is an export of at most so many rows, of which scripting shows the progress
	External bool   // leaves the dashboard, for example to the queue monitor
	Name     string // fuller accessible name, for example "Retry whd_01…", when Label alone is ambiguous
	// Swap is the id of an element: with scripting the answer to the POST form is put in its place, without it leads to a page.
	Swap string
	ID   string // of the button, so that one that is swapped keeps the focus
}

// InPlace has a form sent by htmx and its answer put in the place of the element with the id. Its buttons rest meanwhile, and a fault
// becomes a message.
func InPlace(action, id string) templ.Attributes {
	return templ.Attributes{
		"hx-post": action, "hx-target": "#" + id, "hx-swap": "outerHTML", "hx-disable": "find [type=submit]", "hx-status:50x": "swap:beforeend target:#toasts",
	}
}

// dialogAttributes open a confirmation page in the dialog of the page.
func dialogAttributes(href string) templ.Attributes {
	return templ.Attributes{"hx-get": href, "hx-target": "#dialog", "aria-haspopup": "dialog"}
}

func (a Action) class() string {
	c := "btn"
	if a.Kind != "" {
		c += " btn-" + a.Kind
	}
	if a.Small {
		c += " btn-sm"
	}
	return c
}

func (f Field) id() string      { return orName(f.ID, f.Name) }
func (f Select) id() string     { return orName(f.ID, f.Name) }
func (f Textarea) id() string   { return orName(f.ID, f.Name) }
func (g CheckGroup) id() string { return orName(g.ID, g.Name) }

func orName(id, name string) string {
	if id != "" {
		return id
	}
	return "f-" + name
}

func (f Field) typ() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

// described lists the ids of the hint and the error of a field, for
// aria-describedby.
func described(id, hint, err string) string {
	switch {
	case hint != "" && err != "":
		return id + "-h " + id + "-e"
	case hint != "":
		return id + "-h"
	case err != "":
		return id + "-e"
	default:
		return ""
	}
}

// formID is a fresh identity for a form; it is unique for one person within minutes.
func formID() string { return strings.ToLower(rand.Text()[:12]) }
