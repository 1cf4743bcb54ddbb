package dashboard

import (
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// What was typed into a form whose session had ended travels through the sign-in page in fields with these names, and is
// kept nowhere else.
const (
	keptAction = "kept_action"
	keptPrefix = "kept."
	keptMax    = 64 << 10
)

// neverKept are fields that stay where they were typed: passwords, tokens and key material.
var neverKept = []string{"csrf_token", "form_id", "password", "current", "new", "repeat", "token", "keytext"}

// privateKey recognises key material.
var privateKey = regexp.MustCompile(`PRIVATE KEY|"(d|p|q|dp|dq|qi|oth)"\s*:`)

// keep are the fields of a posted form that a sign-in may carry. There are none in a form from another site, in one with a
// file, and in one without anything typed.
func (p *page) keep() []ui.Hidden {
	kind, _, _ := mime.ParseMediaType(p.R.Header.Get("Content-Type"))
	if p.R.Method != http.MethodPost || p.Fragment() || kind != "application/x-www-form-urlencoded" || p.origin.Check(p.R) != nil {
		return nil
	}
	action := localPath(p.R.URL.RequestURI(), "")
	if action == "" || strings.HasPrefix(action, "/sign-") || action == "/reauthenticate" || strings.HasPrefix(action, "/settings/password") {
		return nil
	}
	p.R.Body = http.MaxBytesReader(p.W, p.R.Body, keptMax)
	if p.R.ParseForm() != nil {
		return nil
	}
	kept := []ui.Hidden{{Name: keptAction, Value: action}}
	for _, name := range slices.Sorted(maps.Keys(p.R.PostForm)) { //nolint:forbidigo // the field of a request, not the function
		if slices.Contains(neverKept, name) {
			continue
		}
		for _, v := range p.Values(name) {
			if privateKey.MatchString(v) { // pasted into the wrong field
				continue
			}
			kept = append(kept, ui.Hidden{Name: keptPrefix + name, Value: v})
		}
	}
	if len(kept) == 1 {
		return nil
	}
	return kept
}

// kept are the carried fields of the sign-in form, to carry them on after a wrong password.
func (p *page) kept() []ui.Hidden {
	action := localPath(p.Value(keptAction), "")
	if action == "" {
		return nil
	}
	out := []ui.Hidden{{Name: keptAction, Value: action}}
	for _, name := range slices.Sorted(maps.Keys(p.R.PostForm)) { //nolint:forbidigo // the field of a request, not the function
		if strings.HasPrefix(name, keptPrefix) {
			for _, v := range p.Values(name) {
				out = append(out, ui.Hidden{Name: name, Value: v})
			}
		}
	}
	return out
}

// offerKept shows what was typed before the session ended, to be sent or dropped. Nothing is sent by itself: the person may
// be another one, and the thing may have changed.
func (p *page) offerKept(next string, kept []ui.Hidden) error {
	c := ui.Confirm{
		ID: "kept", Title: "Send what you entered?", Action: kept[0].Value, Icon: "clock", Submit: "Send it now", BackHref: next, Back: "Drop it and go back",
		Effects: []string{"Your session ended before this form arrived, so nothing of it was carried out."},
	}
	for _, h := range kept[1:] {
		name := strings.TrimPrefix(h.Name, keptPrefix)
		c.Hidden = append(c.Hidden, ui.Hidden{Name: name, Value: h.Value})
		if h.Value != "" {
			c.Effects = append(c.Effects, upperFirst(strings.ReplaceAll(name, "_", " "))+": "+h.Value)
		}
	}
	return p.Render(http.StatusOK, pages.ConfirmationPage(pages.ConfirmPage{
		Shell: p.Shell("Send what you entered", ""), Heading: ui.Heading{Title: "You are signed in again"}, Confirm: c,
	}))
}
