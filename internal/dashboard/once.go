package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"kaylehooks/internal/id"
	"kaylehooks/web/templates/ui"
)

// toggles are the forms that may be sent again as they are: going back and choosing anew is no double click.
var toggles = map[string]bool{"POST /settings/zone": true}

// doOnce carries out what a form asks for, unless the same form with the same content was carried out already: a double
// click, or a reload of the answer. The second submission waits for the first and ends up where that led.
func (p *page) doOnce(f func(*page) error) error {
	form := p.Value("form_id")
	if p.R.Method != http.MethodPost || form == "" || toggles[p.pattern] || p.R.FormValue("form") != "" {
		return f(p) // the last ones tell for themselves what was done before
	}
	sum := sha256.Sum256([]byte(p.R.URL.Path + "?" + p.R.PostForm.Encode())) //nolint:forbidigo // the field of a request, not the function
	before, done := p.once.begin(p.Session.ID, hex.EncodeToString(sum[:]), p.Now)
	if before != "" {
		to, secret := strings.CutPrefix(before, secretShown)
		flash := ui.Flash{Tone: ui.Info, Text: "That was done already.", Sub: "The form was sent twice; the second time changed nothing."}
		if secret {
			flash.Sub = "What is shown once was in the first answer; the second time changed nothing."
		}
		if err := p.signIn(); err != nil {
			return err
		}
		if p.Session.HasFlash { // a double click: what the first one has to say is more useful
			flash = ui.Flash{}
		}
		return p.Redirect(to, flash)
	}
	led := ""
	defer func() { done(led) }()
	if err := f(p); err != nil {
		return err
	}
	led = p.ledTo
	return nil
}

// secretShown marks the outcome of a form that was answered with a secret, which cannot be shown again.
const secretShown = "secret "

// showsSecret notes that the form did its work and that the answer holds what is shown once. The path is where to look at
// what was made.
func (p *page) showsSecret(path string) { p.ledTo = secretShown + path }

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
