package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/a-h/templ"

	"kaylehooks/internal/access"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/login"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// page is one request and what is known about who makes it. It carries the services too: p.Webhooks.GetEndpoint(p.Ctx,
// p.Actor, …). Session and Actor are zero on public pages.
type page struct {
	*Handler

	Ctx     context.Context
	R       *http.Request
	W       *responseWriter
	Session login.Session
	Actor   access.Actor
	// Now is read once, so that every time on the page counts from the same moment.
	Now       time.Time
	RequestID string

	pattern string
	ip      netip.Addr
	// missing is the scope that the route asked for and the actor lacks.
	missing access.Scope
	// ledTo is where a form led that did something, for doOnce; see showsSecret.
	ledTo string
	// sight is what a look at an endpoint's receiver has just found; it waits in the session with the flash.
	sight *egress.Sight
	// flashes are shown on this page, besides the one that waits in the session.
	flashes []ui.Flash
}

// responseWriter notes whether the answer has begun: after that an error can no longer become a page.
type responseWriter struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader notes the beginning.
func (w *responseWriter) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the beginning.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// contentPolicy allows nothing inline and nothing from elsewhere.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP serves the pages.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", contentPolicy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	// Not no-referrer: Chromium would then send "Origin: null", and the cross-origin check would refuse our own forms.
	head.Set("Referrer-Policy", "same-origin")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	head.Set("Cache-Control", "no-store")
	head.Add("Vary", "HX-Request")
	h.mux.ServeHTTP(w, r)
}

// GuardMonitor puts the monitor of the task queue behind the dashboard's sign-in; next chooses it by who is signed in. It leaves
// security headers to the monitor; the cross-origin check stands in for the form token, which foreign forms lack. What is done
// there is in the log. The monitor names the tasks of everybody, so it is closed where there is more than one organization.
func (h *Handler) GuardMonitor(next func(access.Actor) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, "/monitor/", func(p *page) error {
			if err := p.signIn(); err != nil {
				return err
			}
			if err := p.require(access.QueueRead); err != nil {
				return err
			}
			if err := h.origin.Check(r); err != nil {
				return errForeignForm
			}
			several, err := p.Org.Several(p.Ctx)
			if err != nil {
				return err
			}
			if several {
				return errMonitorShared
			}
			if err := p.recordMonitor(); err != nil {
				return err
			}
			next(p.Actor).ServeHTTP(p.W, p.R)
			return nil
		})
	})
}

// serve runs f for one request and turns its error, or a panic, into a page.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, pattern string, f func(*page) error) {
	p := &page{Handler: h, Ctx: r.Context(), R: r, W: &responseWriter{ResponseWriter: w}, Now: h.DB.Now(), pattern: pattern}
	p.RequestID = logging.Value(p.Ctx, logging.RequestID) //nolint:contextcheck // it is the request's own
	if p.RequestID == "" {                                // no access log in front of us
		p.RequestID = "req_" + id.NewUUID(p.Now).String()
		p.Ctx = logging.With(p.Ctx, logging.RequestID, p.RequestID)
		p.R = r.WithContext(p.Ctx) //nolint:contextcheck // it is the request's own, with an id
	}
	p.ip = ratelimit.ClientIP(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), h.TrustedProxyHops)
	defer func() { //nolint:contextcheck // it is the request's own
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
			panic(v)
		}
		h.Log.LogAttrs(p.Ctx, slog.LevelError, "page panicked", append(logging.Panic(v), slog.String("route", pattern))...)
		p.showError(errPanic)
	}()
	if err := f(p); err != nil {
		p.showError(err) //nolint:contextcheck // it is the request's own
	}
}

// signIn loads the session of the cookie.
func (p *page) signIn() error {
	authenticate := p.Login.Authenticate
	if p.byItself() {
		authenticate = p.Login.Recognize
	}
	session, err := authenticate(p.Ctx, p.sessionToken())
	if err != nil {
		return err
	}
	p.Session, p.Actor = session, session.Actor(p.ip, p.RequestID)
	return nil
}

// byItself reports whether the request may be one that a page makes by itself: a poll, or a reload where there is no scripting. Somebody
// who is there asks for whole pages, too.
func (p *page) byItself() bool {
	return p.R.Method == http.MethodGet && (p.Fragment() || p.Query("live") == "1" || strings.HasPrefix(p.R.URL.Path, "/monitor/api/"))
}

func (p *page) signedIn() bool { return !p.Session.ID.IsZero() }

// require checks the route's scope. A scope that also asks for recent re-authentication passes here, see router.route.
func (p *page) require(scope access.Scope) error {
	if scope == "" {
		return nil
	}
	if err := p.Actor.Require(scope, p.Actor.ReauthenticatedAt); err != nil {
		p.missing = scope
		return err
	}
	return nil
}

// client is where the request comes from, for login.
func (p *page) client() login.Client {
	return login.Client{IP: p.ip, UserAgent: p.R.UserAgent(), RequestID: p.RequestID}
}

// Can reports whether the signed-in user holds the scope, to decide what to show.
func (p *page) Can(scope access.Scope) bool { return p.Actor.Can(scope) }

// Fragment reports whether htmx asks for a part of the page rather than the whole.
func (p *page) Fragment() bool {
	return p.R.Header.Get("HX-Request") == "true" && p.R.Header.Get("HX-History-Restore-Request") != "true"
}

// poll reports whether a part of the page asks for itself: what people do has a part other than its own as its target.
func (p *page) poll() bool {
	return p.Fragment() && p.R.Header.Get("HX-Source") == p.R.Header.Get("HX-Target")
}

// Render answers with the component. It is rendered before the first byte is sent, so that a failure is still an error
// page.
func (p *page) Render(status int, c templ.Component) error {
	var body bytes.Buffer
	if err := c.Render(p.Ctx, &body); err != nil {
		return fmt.Errorf("render %s: %w", p.pattern, err)
	}
	p.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	p.W.WriteHeader(status)
	_, _ = p.W.Write(body.Bytes()) // fails when the browser went away; nobody is left to tell
	return nil
}

// ask shows a confirmation: to htmx the content of a dialog, else the page. The form is sent in the same way from both.
func (p *page) ask(status int, c ui.Confirm, page templ.Component) error {
	if p.Fragment() {
		return p.Render(status, ui.ConfirmDialog(c, p.Session.CSRFToken))
	}
	return p.Render(status, page)
}

// askPage is ask of a page that holds nothing else.
func (p *page) askPage(v pages.ConfirmPage) error {
	return p.ask(http.StatusOK, v.Confirm, pages.ConfirmationPage(v))
}

// NoChange answers a poll that has nothing new; htmx leaves the page as it is.
func (p *page) NoChange() error {
	p.W.WriteHeader(http.StatusNoContent)
	return nil
}

// Redirect leaves for a local path; flash, when it has text, is shown there. htmx would follow a 303 and put the other
// page into its target, so it is told to navigate instead.
func (p *page) Redirect(to string, flash ui.Flash) error {
	p.ledTo = to
	if flash.Text != "" && p.signedIn() {
		if err := p.Login.SetFlash(p.Ctx, p.Session.ID, encodeFlash(flash, p.sight)); err != nil {
			return err
		}
	}
	if p.Fragment() {
		p.W.Header().Set("HX-Redirect", to)
		p.W.WriteHeader(http.StatusOK)
		return nil
	}
	http.Redirect(p.W, p.R, to, http.StatusSeeOther)
	return nil
}

// Flash shows a message on the page that this request renders.
func (p *page) Flash(f ui.Flash) { p.flashes = append(p.flashes, f) }

// Back is where a form on any page wants to return to: its field "return" if that is a local path, else fallback.
func (p *page) Back(fallback string) string {
	if to := p.R.FormValue("return"); to != "" {
		return localPath(to, fallback)
	}
	return fallback
}

// localPath returns to if it is a path on this site, else fallback: a link must not be able to send people elsewhere
// through our sign-in.
func localPath(to, fallback string) string {
	if !strings.HasPrefix(to, "/") || len(to) > 2000 {
		return fallback
	}
	// "//host" and "/\host" are other hosts to a browser, and control characters vanish before it looks.
	if len(to) > 1 && (to[1] == '/' || to[1] == '\\') || strings.ContainsFunc(to, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }) {
		return fallback
	}
	return to
}

// pathID reads the {name} of the route; a malformed id is the same as one that does not exist.
func pathID[K id.Kind](p *page, name string, missing *fault.Error) (id.ID[K], error) {
	v, err := id.Parse[K](p.R.PathValue(name))
	if err != nil {
		return v, missing
	}
	return v, nil
}

// offered are actions on what the person may read: those who lack the scope see them disabled, with the role that it takes (ui.md
// B.12). What nobody can do now keeps its own reason.
func (p *page) offered(s access.Scope, actions ...ui.Action) []ui.Action {
	if !p.Can(s) {
		for i := range actions {
			actions[i].Disabled = cmp.Or(actions[i].Disabled, needsRole(s))
		}
	}
	return actions
}

// offer is offered for one action.
func (p *page) offer(s access.Scope, a ui.Action) *ui.Action { return &p.offered(s, a)[0] }

// needsRole is why an action is not offered to somebody.
func needsRole(s access.Scope) string { return "Needs the role " + string(access.LeastRole(s)) + "." }

// takesRole is why a part of a page does not offer what it is about.
func takesRole(doing string, s access.Scope) string { return doing + " " + lowerFirst(needsRole(s)) }
