package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

var (
	errPanic  = errors.New("panic")
	errNoPage = fault.New(fault.NotFound, fault.CodeNotFound, "This page does not exist.").
			WithHint("The address may be mistyped, or what it showed is gone. Paste an id to look for it.")
)

// statuses is the one place where an expected failure gets its HTTP status.
var statuses = map[fault.Kind]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Gone:            http.StatusGone,
	fault.RateLimited:     http.StatusTooManyRequests,
}

// showError answers with the page, redirect or message that stands for err. A client sees the text of expected failures
// only.
func (p *page) showError(err error) {
	if p.W.begun { // too late for a page; closing the connection tells the browser that this is not all
		p.Log.LogAttrs(p.Ctx, slog.LevelError, "answer broken off", slog.String("route", p.pattern), slog.String("error", err.Error()))
		panic(http.ErrAbortHandler)
	}
	if p.Ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return // the browser left
	}
	f, expected := fault.As(err)
	var gone deletedEndpoint
	switch {
	case errors.As(err, &gone):
		err = p.showTombstone(gone.Endpoint)
	case expected && f.Kind == fault.Unauthenticated:
		err = p.toSignIn()
	case expected && errors.Is(err, access.ErrReauthenticate):
		err = p.toPassword()
	case expected:
		err = p.refuse(f)
	case postgres.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded):
		p.Log.LogAttrs(p.Ctx, slog.LevelError, "database unavailable", slog.String("route", p.pattern), slog.String("error", err.Error()))
		err = p.unavailable()
	default:
		if !errors.Is(err, errPanic) { // that was logged with its stack
			p.Log.LogAttrs(p.Ctx, slog.LevelError, "page failed", slog.String("route", p.pattern), slog.String("error", err.Error()))
		}
		err = p.broken()
	}
	if err != nil && errors.Is(p.R.Context().Err(), context.Canceled) {
		return // the browser left while the page was made
	}
	if err != nil { // even the error page failed
		p.Log.LogAttrs(p.Ctx, slog.LevelError, "error page failed", slog.String("route", p.pattern), slog.String("error", err.Error()))
		http.Error(p.W, "Kaylehooks could not answer. Request "+p.RequestID, http.StatusInternalServerError)
	}
}

// here is the local path to come back to after a detour: this page, or for a form the page it was sent from.
func (p *page) here() string {
	if p.Fragment() {
		return p.pathOf(p.R.Header.Get("HX-Current-URL"))
	}
	if p.R.Method == http.MethodGet || p.R.Method == http.MethodHead {
		return localPath(p.R.URL.RequestURI(), "/")
	}
	return p.pathOf(p.R.Referer())
}

// pathOf is path and query of an address on this site, else "/".
func (p *page) pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host != p.R.Host {
		return "/"
	}
	return localPath(u.RequestURI(), "/")
}

// toSignIn sends somebody without a session to the sign-in form, which knows whether there is anybody who could sign in.
func (p *page) toSignIn() error {
	kept := p.keep()
	if kept != nil && p.Fragment() { // app.js sends it once more without htmx: the answer to that is a page, which keeps what was entered
		p.W.Header().Set("HX-Trigger", "lost")
		p.W.Header().Set("HX-Reswap", "none")
		p.W.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	if kept != nil {
		return p.renderSignIn(http.StatusUnauthorized, pages.SignIn{Next: p.here(), Kept: kept, Note: "Your session has ended. Sign in to go on; what you entered is kept until then."})
	}
	next := p.here()
	if next == "/" {
		next = ""
	}
	to := link("/sign-in", "next", next)
	if p.Fragment() {
		p.W.Header().Set("HX-Redirect", to)
		p.W.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	http.Redirect(p.W, p.R, to, http.StatusSeeOther)
	return nil
}

// toPassword asks for the password again and comes back.
func (p *page) toPassword() error {
	return p.Redirect(link("/reauthenticate", "next", p.here()), ui.Flash{})
}

// refuse shows an expected failure.
func (p *page) refuse(f *fault.Error) error {
	status := statuses[f.Kind]
	switch {
	case f.Code == fault.CodePayloadTooLarge:
		status = http.StatusRequestEntityTooLarge
	case f.Is(errQueueAway), f.Is(errUnconfirmed):
		status = http.StatusServiceUnavailable
		p.W.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	v := pages.Problem{Status: status, Title: f.Message, Text: f.Hint, Icon: "warn"}
	if len(f.Fields) > 0 && v.Text == "" {
		v.Text = sentence(f.Fields[0].Name + " " + f.Fields[0].Message)
	}
	switch status {
	case http.StatusForbidden:
		v.Icon = "lock"
		p.recordDenial(p.Ctx, f)
		p.explainForbidden(&v, f)
	case http.StatusNotFound:
		v.Icon, v.Search, v.RequestID = "search", true, ""
		if v.Text == "" {
			v.Text = "It was never here, belongs to another organization, or its time is over. Paste an id to look for it."
		}
	case http.StatusConflict:
		v.Text = strings.TrimSpace("Nothing was changed. " + v.Text)
	case http.StatusTooManyRequests:
		v.Icon = "hourglass"
	}
	if status != http.StatusNotFound && p.signedIn() {
		back := ui.Action{Label: "Back to the page", Href: p.here(), Kind: "primary"}
		if back.Href == p.R.URL.RequestURI() { // it would be refused again
			back.Label, back.Href = "Go to the overview", "/"
		}
		if len(v.Actions) > 0 { // one of them leads on
			back.Kind = ""
		}
		v.Actions = append(v.Actions, back)
	}
	if !p.signedIn() {
		v.Search = false
		v.Actions = append(v.Actions, ui.Action{Label: "Go to sign-in", Href: "/sign-in", Kind: "primary"})
	}
	return p.problem(v)
}

// explainForbidden names the role that is needed and who holds it.
func (p *page) explainForbidden(v *pages.Problem, f *fault.Error) {
	switch {
	case f.Is(errStaleForm):
		v.Icon = "clock"
		v.Text = "It was opened in an earlier session or has been open for too long. Go back, reload the page and send the form again."
		if !p.signedIn() && p.formToken() == "" {
			v.Text = "Your browser did not send our cookie back. Open the page again; the dashboard needs https, or http on localhost, for its cookies."
		}
		return
	case f.Is(errForeignForm):
		v.Text = "Forms of the dashboard work from its own pages only. If you did not expect this, close the page that sent you here."
		return
	case f.Is(errQueueReadOnly):
		v.Text = "QUEUE_READ_ONLY is set where the server runs, so nobody can change it here, whatever their role."
		return
	case f.Is(errQueueShared):
		v.Text = "Pause your endpoints instead: what waits for them is parked. Whoever runs the servers can stop the workers."
		v.Actions = append(v.Actions, ui.Action{Label: "Open endpoints", Href: "/endpoints", Kind: "primary"})
		return
	case f.Is(errMonitorShared):
		v.Text = "The queue page names your organization's tasks only."
		v.Actions = append(v.Actions, ui.Action{Label: "Open the queue page", Href: queuePath, Kind: "primary"})
		return
	case !p.signedIn():
		return
	}
	least := access.Owner
	if p.missing != "" {
		least = access.LeastRole(p.missing)
	} else if strings.Contains(f.Message, "role "+string(access.Admin)) {
		least = access.Admin
	}
	v.Text = fmt.Sprintf("You are signed in as %s, %s.", p.Session.User.Name, p.Session.Role)
	if holders := p.holders(least); holders != "" {
		v.Sub = holders + " can do this, or give you the role."
	}
}

// holders names up to five people who hold at least the role.
func (p *page) holders(least access.Role) string {
	active := false
	members, err := p.Org.Members(p.Ctx, p.Actor, org.MemberFilter{Suspended: &active}, postgres.Page{Limit: 100})
	if err != nil {
		return "" // the page stands without them
	}
	var names []string
	for _, m := range members.Rows {
		if m.Role.AtLeast(least) && len(names) < 5 {
			names = append(names, fmt.Sprintf("%s (%s)", m.Name, m.Role))
		}
	}
	return listed(names, "or")
}

// recordDenial leaves a trace of every refusal to somebody we know (contract section 9.4), also of one that nobody waits for
// any more.
func (p *page) recordDenial(ctx context.Context, f *fault.Error) {
	if !p.signedIn() {
		return
	}
	metadata := audit.Metadata{"method": p.R.Method, "route": p.pattern}
	switch {
	case p.missing != "":
		metadata["missing"] = p.missing
	default:
		metadata["reason"] = f.Message
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), formLimit)
	defer cancel()
	err := p.DB.InTx(ctx, func(tx *postgres.Tx) error {
		return audit.Record(tx, p.Actor, "access.denied", audit.Target{}, metadata)
	})
	if err != nil {
		p.Log.LogAttrs(ctx, slog.LevelError, "denial not audited", slog.String("error", err.Error()))
	}
}

// problem shows an error: as a page, or to htmx as a message, since a whole page has no place in a part of one.
func (p *page) problem(v pages.Problem) error {
	if p.Fragment() {
		p.W.Header().Set("HX-Retarget", "#toasts")
		p.W.Header().Set("HX-Reswap", "beforeend")
		message := ui.Flash{Tone: ui.Bad, Text: v.Title, Sub: strings.TrimSpace(v.Text + " " + v.Sub)}
		if v.RequestID != "" {
			message.Sub += " Request " + v.RequestID + "."
		}
		return p.Render(v.Status, ui.FlashView(message, p.Session.CSRFToken))
	}
	v.Shell = p.Shell(v.Title, "")
	return p.Render(v.Status, pages.ProblemPage(v))
}

// broken stands for a fault of ours.
func (p *page) broken() error {
	return p.problem(pages.Problem{
		Status: http.StatusInternalServerError, Icon: "warn", RequestID: p.RequestID,
		Title:   "This page could not be made",
		Text:    "The fault is ours and has been logged under the request id below. Nothing you sent was changed by showing this page.",
		Actions: []ui.Action{{Label: "Try again", Icon: "loop", Href: p.here(), Kind: "primary"}},
	})
}

// retryAfter is how soon the 503 page loads again, in seconds.
const retryAfter = 5

// redisRule says whether Redis answers, also when ctx is over.
func (p *page) redisRule(ctx context.Context) ui.Rule {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queuePatience)
	defer cancel()
	if err := p.Queue.Ping(ctx); err != nil {
		p.Log.LogAttrs(ctx, slog.LevelWarn, "redis does not answer", slog.String("error", err.Error()))
		return ui.Rule{State: "fail", Text: "Redis", Got: "no answer", Sub: "Check that the server named by REDIS_URL runs and accepts connections."}
	}
	return ui.Rule{State: "pass", Text: "Redis", Got: "reachable"}
}

// unavailable stands for a database that does not answer. It uses no session: there is none without the database.
func (p *page) unavailable() error {
	p.W.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	switch {
	case p.poll():
		p.W.WriteHeader(http.StatusServiceUnavailable) // htmx keeps what it shows and app.js says that it is stale
		return nil
	case p.Fragment(): // somebody waits for it
		return p.problem(pages.Problem{Status: http.StatusServiceUnavailable, Title: "The database does not answer", Text: "What you see is as it was before. Try again in a moment.", RequestID: p.RequestID})
	}
	v := pages.Unavailable{
		Bare:  ui.Bare{Title: "Database away", Version: p.footer(), Status: "Database not reachable", StatusBad: true},
		Title: "The database does not answer",
		Text:  "Nothing is lost: deliveries wait in the database and go on by themselves when it is back.",
		Checks: []ui.Rule{
			{State: "pass", Text: "Dashboard", Got: "running"},
			{State: "fail", Text: "Postgres", Got: "no answer", Sub: "Check that the server named by DATABASE_URL runs and accepts connections."},
		},
		RequestID: p.RequestID, RetryHref: p.here(),
	}
	if p.Queue != nil { // where both are away, the fault is likelier in the network than in either
		v.Checks = append(v.Checks, p.redisRule(p.Ctx))
	}
	if p.R.Method == http.MethodPost {
		v.Text = "What you sent may not have been carried out. When the database is back, reload this page to send it again: what was carried out is not done twice. " + v.Text
	}
	if p.R.Method == http.MethodGet {
		v.Refresh = retryAfter
		p.W.Header().Set("Refresh", strconv.Itoa(retryAfter)) // a form must not be sent again by itself
	}
	return p.Render(http.StatusServiceUnavailable, pages.UnavailablePage(v))
}
