package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// signInRule bounds the tries at a password per client address (RATE_IP, contract section 8.9). Setup and the password
// page draw from the same bucket.
func (h *Handler) signInRule() ratelimit.Rule {
	return ratelimit.Rule{Name: "sign-in", Rate: h.RateIPPerMinute, Per: time.Minute, Burst: h.RateIPBurst}
}

// throttle takes a token; refused says what to tell.
func (p *page) throttle() (refused string, ok bool) {
	result := p.Limiter.Allow(p.Ctx, p.signInRule(), ratelimit.Address(p.ip))
	if result.Allowed {
		return "", true
	}
	p.W.Header().Set("Retry-After", strconv.Itoa(result.RetryAfterSeconds()))
	return fmt.Sprintf("Too many tries from this address. Wait %s, then try again.", counted(result.RetryAfterSeconds(), "second", "seconds")), false
}

func showSignIn(p *page) error {
	if p.setupToken() != "" {
		done, err := p.Org.Exists(p.Ctx)
		if err != nil {
			return err
		}
		if !done {
			return p.Redirect("/setup", ui.Flash{})
		}
	}
	next := localPath(p.Query("next"), "/")
	if p.signIn() == nil {
		return p.Redirect(next, ui.Flash{})
	}
	v := pages.SignIn{Next: next}
	switch {
	case p.Query("out") != "":
		v.Note = "You are signed out."
	case p.Query("next") != "" && p.sessionToken() != "":
		v.Note = "Your session has ended. Sign in to go on where you were."
	}
	return p.renderSignIn(http.StatusOK, v)
}

func (p *page) renderSignIn(status int, v pages.SignIn) error {
	var err error
	if v.Bare, err = p.bare("Sign in"); err != nil {
		return err
	}
	if p.Queue != nil && !p.queueLately().current {
		v.Checks = []ui.Rule{postgresReachable, {
			State: "fail", Text: "Redis", Got: "no answer", Sub: "You can sign in all the same. Deliveries wait until the server named by REDIS_URL answers.",
		}}
	}
	return p.Render(status, pages.SignInPage(v))
}

func doSignIn(p *page) error {
	v := pages.SignIn{Email: p.Value("email"), Next: localPath(p.Raw("next"), "/"), Kept: p.kept()}
	refused, ok := p.throttle()
	if !ok {
		v.Error = refused
		return p.renderSignIn(http.StatusTooManyRequests, v)
	}
	_, token, err := p.Login.SignIn(p.Ctx, v.Email, p.Raw("password"), p.client())
	if f, expected := fault.As(err); expected && f.Kind == fault.Unauthenticated {
		v.Error = login.ErrCredentials.Message
		return p.renderSignIn(http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return err
	}
	if v.Kept != nil {
		if err := p.takeCookie(token); err != nil {
			return err
		}
		if p.Session, err = p.Login.Authenticate(p.Ctx, token); err != nil {
			return err
		}
		p.Actor = p.Session.Actor(p.ip, p.RequestID)
		return p.offerKept(v.Next, v.Kept)
	}
	return p.enter(token, v.Next)
}

// enter leaves for a page with the new session.
func (p *page) enter(token, next string) error {
	if err := p.takeCookie(token); err != nil {
		return err
	}
	return p.Redirect(next, ui.Flash{})
}

// takeCookie gives the browser its new session. A session that it had before ends, so that no token outlives the sign-in that
// replaced it.
func (p *page) takeCookie(token string) error {
	if p.signIn() == nil {
		if err := p.Login.SignOut(p.Ctx, p.Actor, p.Session.ID); err != nil {
			return err
		}
	}
	if err := p.writeCookie(sessionCookie, token); err != nil {
		return err
	}
	return p.writeCookie(formCookie, "")
}

func doSignOut(p *page) error {
	if err := p.Login.SignOut(p.Ctx, p.Actor, p.Session.ID); err != nil {
		return err
	}
	if err := p.writeCookie(sessionCookie, ""); err != nil {
		return err
	}
	p.Session = login.Session{} // nothing can wait in it any more
	return p.Redirect("/sign-in?out=1", ui.Flash{})
}

func showReauthenticate(p *page) error {
	return p.renderReauthenticate(http.StatusOK, localPath(p.Query("next"), "/"), nil)
}

func (p *page) renderReauthenticate(status int, next string, found problems) error {
	return p.Render(status, pages.ReauthenticatePage(pages.Reauthenticate{
		Shell: p.Shell("Enter your password", ""), Heading: ui.Heading{Title: "Enter your password again"}, Next: next,
		Reason:   "What you are about to do shows a secret. The check counts for 10 minutes.",
		Password: passwordField(found["password"]),
		Errors:   formErrors(found, "you can go on", labelled{"password", "f-password", "Password"}),
	}))
}

func passwordField(complaint string) ui.Field {
	return ui.Field{
		Name: "password", Label: "Your password", Type: "password", Autocomplete: "current-password",
		Required: true, Error: complaint,
	}
}

func doReauthenticate(p *page) error {
	next := localPath(p.Raw("next"), "/")
	found, err := p.checkPassword(p.Raw("password"))
	if err != nil {
		return err
	}
	if found != nil {
		return p.renderReauthenticate(http.StatusUnprocessableEntity, next, found)
	}
	return p.Redirect(next, ui.Flash{})
}

// checkPassword opens the re-authentication window, or returns the complaint. The page acts as re-authenticated from
// then on.
func (p *page) checkPassword(password string) (problems, error) {
	if refused, ok := p.throttle(); !ok {
		return problems{"password": refused}, nil
	}
	err := p.Login.Reauthenticate(p.preparing(), p.Actor, p.Session.ID, password)
	if errors.Is(err, org.ErrPassword) {
		return problems{"password": org.ErrPassword.Fields[0].Message}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := p.signIn(); err != nil {
		return nil, err
	}
	return nil, nil
}
