package dashboard

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kaylehooks/internal/webhook"
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

// keptForm is a form worth keeping: what it does, for its title and button, and the fields that a person fills in.
type keptForm struct {
	action string
	fields []string
	// words tell what a field is, where its name does not; those of "name=value" stand for both.
	words map[string]string
}

// keptForms are the forms that are kept, by route; no other one is. They take time to fill in, and hold no secret and no
// typed confirmation: that is for the page on which it was typed.
var keptForms = map[string]keptForm{
	"POST /endpoints":                 {"Create endpoint", []string{"name", "labels", "url", "events", "retention", "enabled"}, nil},
	"POST /endpoints/{id}":            {"Save endpoint", []string{"name", "labels", "url", "events", "retention", "enabled"}, nil},
	"POST /endpoints/{id}/keys":       {"Add key", keyFields, keyWords},
	"POST /endpoints/{id}/keys/check": {"Check key", keyFields, keyWords},
	"POST /members/invitations":       {"Make invitation", []string{"email", "role"}, nil},
	"POST /api-keys":                  {"Create API key", []string{"name", "scopes", "expires"}, nil},
	"POST /settings/organization":     {"Save organization", []string{"name", "environment", "color"}, nil},
	"POST /settings/profile":          {"Save my settings", []string{"zone_name", "theme", "density", "shortcuts", "live"}, nil},
}

var (
	keyFields = []string{"keytext", "key_id", "then"}
	keyWords  = map[string]string{"keytext": "Public key", "then=stage": "The key is added without being activated."}
)

// keptSwitches are the fields with a box to tick.
var keptSwitches = []string{"enabled", "shortcuts", "live"}

// keptSeen is the version that a form was made from. It is carried along, so that a change in between is noticed, but
// nobody typed it.
const keptSeen = "seen"

// keep are the fields of a posted form that a sign-in may carry. There are none in a form that is not worth it, in one from
// another site, in one with a typed confirmation, and in one without anything typed. A file is kept if it is a public key.
func (p *page) keep() []ui.Hidden {
	form, ok := keptForms[p.pattern]
	if !ok {
		return nil
	}
	p.R.Body = http.MaxBytesReader(p.W, p.R.Body, keptMax)
	if p.readForm() != nil || len(p.Values("confirm")) > 0 {
		return nil
	}
	if p.R.MultipartForm != nil {
		text, _, err := p.keyText()
		if err != nil {
			return nil
		}
		p.R.PostForm.Set("keytext", string(text)) //nolint:forbidigo // the fields of a request, not the function
	}
	return p.carry(form, localPath(p.R.URL.RequestURI(), ""), "")
}

// kept are the carried fields of the sign-in form, to carry them on after a wrong password.
func (p *page) kept() []ui.Hidden {
	action := localPath(p.Value(keptAction), "")
	form, ok := p.keptFormOf(action)
	if !ok {
		return nil
	}
	return p.carry(form, action, keptPrefix)
}

// keptFormOf finds the form that is sent to a path.
func (h *Handler) keptFormOf(action string) (keptForm, bool) {
	u, err := url.Parse(action)
	if err != nil || action == "" {
		return keptForm{}, false
	}
	_, pattern := h.mux.Handler(&http.Request{Method: http.MethodPost, URL: u})
	form, ok := keptForms[pattern]
	return form, ok
}

// carry takes the fields of a kept form from the request, where their names have a prefix; nil when nothing was typed.
func (p *page) carry(form keptForm, action, prefix string) []ui.Hidden {
	out := []ui.Hidden{{Name: keptAction, Value: action}}
	typed := false
	for _, name := range append([]string{keptSeen}, form.fields...) {
		for _, v := range p.Values(prefix + name) {
			if name == "keytext" {
				if v = publicKeys(v); v == "" {
					return nil // the rest of the form is about it
				}
			}
			if webhook.LooksPrivate(v) { // pasted into the wrong field
				continue
			}
			out = append(out, ui.Hidden{Name: keptPrefix + name, Value: v})
			typed = typed || name != keptSeen && v != ""
		}
	}
	if !typed || action == "" {
		return nil
	}
	return out
}

// publicKeys writes the public keys in what was pasted anew from their numbers, so that nothing else of it is carried; "" when there is none that
// could be added, or anything private.
func publicKeys(text string) string {
	candidates, err := webhook.ParseKeyInput([]byte(text))
	if err != nil {
		return ""
	}
	type jwk struct {
		E   string `json:"e"`
		KID string `json:"kid,omitempty"`
		KTY string `json:"kty"`
		N   string `json:"n"`
	}
	var keys []jwk
	for _, c := range candidates {
		accepted, err := webhook.AcceptKey(c.Input(""))
		if err != nil {
			continue
		}
		key := jwk{E: accepted.E, KTY: webhook.KeyType, N: accepted.N}
		if !c.Proposed { // else it is as good as none: what was typed beside it counts
			key.KID = accepted.KeyID
		}
		keys = append(keys, key)
	}
	var out []byte
	switch len(keys) {
	case 0:
		return ""
	case 1:
		out, err = json.MarshalIndent(keys[0], "", "  ")
	default:
		out, err = json.MarshalIndent(map[string]any{"keys": keys}, "", "  ")
	}
	if err != nil {
		return ""
	}
	return string(out)
}

// offerKept shows what was typed before the session ended, to be sent or dropped. Nothing is sent by itself: the person may
// be another one, and the thing may have changed.
func (p *page) offerKept(next string, kept []ui.Hidden) error {
	form, _ := p.keptFormOf(kept[0].Value)
	c := ui.Confirm{
		ID: "kept", Title: form.action + " with what you entered?", Action: kept[0].Value, Icon: "clock", Submit: form.action, BackHref: next, Back: "Drop it and go back",
		Effects: []string{"Your session ended before this form arrived, so nothing of it was carried out."},
	}
	for _, h := range kept[1:] {
		name := strings.TrimPrefix(h.Name, keptPrefix)
		c.Hidden = append(c.Hidden, ui.Hidden{Name: name, Value: h.Value})
		value := h.Value
		if slices.Contains(keptSwitches, name) {
			value = "yes"
		}
		switch sentence := form.words[name+"="+h.Value]; {
		case h.Value == "" || name == keptSeen:
		case sentence != "":
			c.Effects = append(c.Effects, sentence)
		default:
			c.Effects = append(c.Effects, cmp.Or(form.words[name], upperFirst(strings.ReplaceAll(name, "_", " ")))+": "+value)
		}
	}
	return p.Render(http.StatusOK, pages.ConfirmationPage(pages.ConfirmPage{
		Shell: p.Shell(form.action, ""), Heading: ui.Heading{Title: "You are signed in again"}, Confirm: c,
	}))
}
