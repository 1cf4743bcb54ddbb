package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/ui"
)

// toggles are the forms that may be sent again as they are: going back and choosing anew is no double click.
var toggles = map[string]bool{"POST /settings/zone": true, "POST /settings/live": true}

// secretShown marks the outcome of a form that was answered with a secret, which cannot be shown again.
const secretShown = "secret "

const (
	// formLimit is how long a form may take. When a process died over one, the next submission takes over after twice that, unless the form
	// has acted.
	formLimit = 30 * time.Second
	// outcomeLife is how long a repeated submission is recognised.
	outcomeLife = 10 * time.Minute
	// outcomeLook is how often a repeated submission looks whether the first one is through.
	outcomeLook = 50 * time.Millisecond
)

var errFormBusy = fault.New(fault.Conflict, fault.CodeConflict, "This form is still being handled.").WithHint("Look at the page it belongs to before sending it again.")

// doOnce carries out what a form asks for, unless the same form with the same content was carried out already: a double
// click, or a reload of the answer. The second submission waits for the first, in whichever process that is, and ends up
// where it led.
func (p *page) doOnce(f func(*page) error) error {
	if p.R.Method != http.MethodPost || p.Value("form_id") == "" || toggles[p.pattern] {
		return f(p)
	}
	form, err := p.formSum()
	if err != nil {
		return err
	}
	// The second click of a double click makes the browser leave the first one: what it began is carried through. The page
	// of an error is made in the context of the request again, since this one is over by then.
	asked := p.Ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(asked), formLimit)
	defer func() {
		p.Ctx = asked
		cancel()
	}()
	p.Ctx = ctx
	before, err := p.claimForm(asked.Done(), form)
	if err != nil {
		return err
	}
	if before != "" {
		return p.repeated(before)
	}
	led, broke := "", true
	defer func() { p.settleForm(ctx, form, led, broke) }()
	p.Ctx = postgres.WithEach(ctx, func(tx *postgres.Tx) error { return noteActed(tx, p.Session.ID, form) })
	if err := f(p); err != nil {
		_, refused := fault.As(err)
		broke = !refused
		return err
	}
	led, broke = p.ledTo, false
	return nil
}

// noteActed notes, in a transaction of the form, that it changes something. One that only reads changes nothing.
func noteActed(tx *postgres.Tx, session id.Login, form string) error {
	err := tx.Exec("UPDATE form_submissions SET acted = true WHERE login_session_id = $1 AND form = $2 AND NOT acted AND pg_current_xact_id_if_assigned() IS NOT NULL",
		session, form).Error
	if err != nil {
		return fmt.Errorf("note that a form acted: %w", err)
	}
	return nil
}

// preparing is p.Ctx for what comes before what a form is for, such as looking at an address: a form that got no further has not acted.
func (p *page) preparing() context.Context { return postgres.WithEach(p.Ctx, nil) }

// repeated answers a form that was carried out before.
func (p *page) repeated(before string) error {
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

// showsSecret notes that the form did its work and that the answer holds what is shown once. The path is where to look at
// what was made.
func (p *page) showsSecret(path string) { p.ledTo = secretShown + path }

// formSum stands for the form with everything in it.
func (p *page) formSum() (string, error) {
	sum := sha256.New()
	_, _ = io.WriteString(sum, p.R.URL.Path+"?"+p.R.PostForm.Encode()) //nolint:forbidigo // the field of a request, not the function
	if p.R.MultipartForm != nil {
		for _, list := range p.R.MultipartForm.File {
			for _, header := range list {
				file, err := header.Open()
				if err != nil {
					return "", fmt.Errorf("open uploaded file: %w", err)
				}
				err = addFile(sum, file)
				if err != nil {
					return "", err
				}
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func addFile(sum hash.Hash, file io.ReadCloser) error {
	defer file.Close()
	_, _ = io.WriteString(sum, "\x00")
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("read uploaded file: %w", err)
	}
	return nil
}

// claimForm makes the form ours, or returns where it led when it was carried out before. While another request carries it
// out, it waits, unless the browser that asked leaves.
func (p *page) claimForm(left <-chan struct{}, form string) (before string, err error) {
	tx := p.DB.Reader(p.Ctx)
	for {
		now := p.DB.Now()
		claimed := tx.Exec(`INSERT INTO form_submissions (login_session_id, form, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (login_session_id, form) DO UPDATE SET led_to = '', acted = false, created_at = EXCLUDED.created_at
				WHERE form_submissions.created_at <= CASE WHEN form_submissions.led_to = '' AND NOT form_submissions.acted THEN $4::timestamptz ELSE $5::timestamptz END`,
			p.Session.ID, form, now, now.Add(-2*formLimit), now.Add(-outcomeLife))
		if postgres.IsDangling(claimed.Error) { // signed out by the first of two clicks
			return "", login.ErrNoSession
		}
		if claimed.Error != nil {
			return "", fmt.Errorf("claim form: %w", claimed.Error)
		}
		if claimed.RowsAffected > 0 {
			return "", nil
		}
		for {
			before, free, err := p.outcome(form)
			if err != nil || before != "" {
				return before, err
			}
			if free {
				break
			}
			select {
			case <-left:
				return "", context.Canceled
			case <-p.Ctx.Done():
				return "", errFormBusy
			case <-time.After(outcomeLook):
			}
		}
	}
}

// outcome is where the first submission of the form led: back to its page, when it died after it had acted. The form is free to be claimed
// when that one did nothing, or died before.
func (p *page) outcome(form string) (before string, free bool, err error) {
	var first struct {
		LedTo     string
		Acted     bool
		CreatedAt time.Time
	}
	found := p.DB.Reader(p.Ctx).Raw("SELECT led_to, acted, created_at FROM form_submissions WHERE login_session_id = $1 AND form = $2", p.Session.ID, form).Scan(&first)
	if found.Error != nil {
		return "", false, fmt.Errorf("look for the first submission: %w", found.Error)
	}
	died := first.LedTo == "" && !first.CreatedAt.After(p.DB.Now().Add(-2*formLimit))
	if died && first.Acted {
		return p.here(), false, nil
	}
	return first.LedTo, found.RowsAffected == 0 || died, nil
}

// settleForm notes where the form led; one that did nothing may be sent again, and so may one that was refused. One that broke after it had
// acted leads back to its page.
func (p *page) settleForm(ctx context.Context, form, led string, broke bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), formLimit) // also when the form's own time is over
	defer cancel()
	tx := p.DB.Reader(ctx)
	err := tx.Exec("DELETE FROM form_submissions WHERE login_session_id = $1 AND (created_at <= $2 OR form = $3 AND $4 = '' AND NOT ($5 AND acted))",
		p.Session.ID, p.Now.Add(-outcomeLife), form, led, broke).Error
	if broke {
		led = p.here()
	}
	if err == nil && led != "" {
		err = tx.Exec("UPDATE form_submissions SET led_to = $3 WHERE login_session_id = $1 AND form = $2", p.Session.ID, form, led).Error
	}
	if err != nil {
		p.Log.LogAttrs(ctx, slog.LevelError, "outcome of a form not noted", slog.String("route", p.pattern), slog.String("error", err.Error()))
	}
}
