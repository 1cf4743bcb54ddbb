package dashboard

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/sessions"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

// Config is what the dashboard needs. Everything is required unless said otherwise.
type Config struct {
	DB         *postgres.DB
	Keyring    *seal.Keyring
	Org        *org.Service
	Login      *login.Service
	APIKeys    *apikey.Service
	Webhooks   *webhook.Service
	Deliveries *delivery.Service
	Sessions   *verification.Service
	Limiter    *ratelimit.Limiter
	// Receivers looks at the receiver of an endpoint when its URL is saved, by the rules of deliveries. A form waits as long
	// as its timeout.
	Receivers *egress.Client
	// Queue shows and steers the task queue; nil hides what only it knows.
	Queue Queue
	// QueueReadOnly is QUEUE_READ_ONLY: the queue is shown, and nobody can change it.
	QueueReadOnly bool
	Log           *slog.Logger
	// PublicURL is where browsers find the dashboard, such as "https://hooks.example.com"; empty trusts the Host header.
	PublicURL string
	// Version is shown in the footer.
	Version string
	// TrustedProxyHops is TRUSTED_PROXY_HOPS.
	TrustedProxyHops int
	// RateIPPerMinute and RateIPBurst are RATE_IP_PER_MINUTE and RATE_IP_BURST: how often an address may try a password.
	RateIPPerMinute, RateIPBurst int
	// SetupToken returns the one-time token of the first-run setup, or "" when there is nothing to set up; nil means never.
	SetupToken func() string
	// SetupCommand is the command that prints a setup token, shown to somebody who has none.
	SetupCommand string
	// Settings are the values fixed by the environment, for the settings page; secrets are left out by the caller.
	Settings []Setting
}

// Setting is a value that the environment fixes.
type Setting struct {
	Group    string // heading, such as "Server"
	Label    string
	Value    string
	Variable string // name of the environment variable; "" for what no variable changes
	Default  bool   // the variable is not set
}

// Queue is what the dashboard asks of the task queue. internal/queue stands on the same floor, so the roof adapts it. All of
// it may be called from any goroutine and need not heed the context: the pages do not wait for it longer than that.
type Queue interface {
	// Ping tells whether Redis answers before ctx ends; the error says why not.
	Ping(ctx context.Context) error
	// Snapshot describes queues and workers now.
	Snapshot(ctx context.Context) (QueueSnapshot, error)
	// SetPaused stops or resumes taking tasks from the named queue. The caller has checked queue:manage.
	SetPaused(ctx context.Context, queue string, paused bool) error
	// Names lists the queues.
	Names() []string
	// Tasks lists tasks of the named queue, the next one first; pages are counted from 1.
	Tasks(ctx context.Context, queue string, state TaskState, page, size int) ([]QueueTask, error)
	// Task finds one task, or ErrNoTask.
	Task(ctx context.Context, queue, task string) (QueueTask, error)
	// RunTask makes a task pending, ArchiveTask puts it away for somebody to run, DeleteTask removes it; ErrNoTask, or
	// ErrTaskMoved where its state does not allow that. The caller has checked queue:manage.
	RunTask(ctx context.Context, queue, task string) error
	ArchiveTask(ctx context.Context, queue, task string) error
	DeleteTask(ctx context.Context, queue, task string) error
}

// QueueSnapshot is the queue at one moment.
type QueueSnapshot struct {
	Queues  []QueueState
	Workers []WorkerState
	// Schedules are what schedulers put into the queues by themselves, the next one first.
	Schedules []QueueSchedule
	// Redis holds facts such as version and memory, in the order to show.
	Redis []QueueFact
}

// QueueSchedule is a task that a scheduler puts into a queue again and again.
type QueueSchedule struct {
	// Task is its type, Spec when it is due, as cron has it.
	Task, Spec string
	Next       time.Time
	// Last is zero when it was not due yet.
	Last time.Time
}

// QueueFact is one fact about Redis.
type QueueFact struct{ Name, Value string }

// QueueState is one queue.
type QueueState struct {
	Name, Purpose                              string
	Paused                                     bool
	Pending, Active, Scheduled, Retry, Archive int
	// Oldest is how long the oldest pending task has waited.
	Oldest                      time.Duration
	ProcessedToday, FailedToday int
	MemoryBytes                 int64
}

// WorkerState is one worker process.
type WorkerState struct {
	Name, Host string
	Queues     []string
	Busy, Size int
	StartedAt  time.Time
	// SeenAt is the last heartbeat.
	SeenAt  time.Time
	Stopped bool
}

// Handler serves the pages. It is safe for concurrent use.
type Handler struct {
	Config

	mux     *http.ServeMux
	cookies *sessions.CookieStore
	// formsOnly are the paths of forms without a page of their own, as patterns of leadBack.
	formsOnly map[string]bool
	origin    *http.CrossOriginProtection

	mu     sync.Mutex
	badges map[id.Organization]badgeCount

	remembered queueMemory
}

// New returns the handler of every page. Mount it at "/", behind more specific patterns.
func New(c Config) *Handler {
	h := &Handler{
		Config: c, mux: http.NewServeMux(), cookies: newCookieStore(c.Keyring),
		origin: http.NewCrossOriginProtection(), badges: map[id.Organization]badgeCount{}, formsOnly: map[string]bool{},
	}
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		// A proxy may rewrite Host; the public origin is ours all the same. A malformed one was refused by config.
		_ = h.origin.AddTrustedOrigin(u.Scheme + "://" + u.Host)
	}
	r := doors{h, map[string]bool{}}
	coreRoutes(r)
	activityRoutes(r)
	r.leadBack()
	return h
}

// serves reports whether there is a page at the path, so that nothing links to a feature that is not built in.
func (h *Handler) serves(path string) bool {
	_, pattern := h.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	return pattern != "" && pattern != "/" && !h.formsOnly[pattern]
}

// router takes the pages that routes.go lists.
type router interface {
	// route adds a page for signed-in users who hold the scope; an empty scope asks for a session only. Recent
	// re-authentication is left to the room, so that its refusal comes after the page has read the form.
	route(pattern string, scope access.Scope, f func(*page) error)
	// public adds a page for people without a session: sign-in, setup, an invitation.
	public(pattern string, f func(*page) error)
}

// doors puts pages behind the checks that each needs.
type doors struct {
	h     *Handler
	known map[string]bool // the patterns so far
}

func (r doors) route(pattern string, scope access.Scope, f func(*page) error) {
	r.known[pattern] = true
	r.h.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		r.h.serve(w, req, pattern, func(p *page) error { //nolint:contextcheck // a form that has begun outlives the request
			if err := p.signIn(); err != nil {
				return err
			}
			if err := p.require(scope); err != nil {
				return err
			}
			if err := p.parse(p.Session.CSRFToken); err != nil {
				return err
			}
			return p.doOnce(f)
		})
	})
}

// leadBack gives the address of every form that has no page of its own a way to one: people come there by a reload of what the
// form was answered with, by the switches of the top bar, and after a sign-in in between.
func (r doors) leadBack() {
	for pattern := range maps.Clone(r.known) {
		path, form := strings.CutPrefix(pattern, "POST ")
		if own := "GET " + path; form && !r.known[own] {
			r.h.formsOnly[own] = true
			r.route(own, "", pageAbove)
		}
	}
}

// pageAbove leads to the nearest page above the path; without one, to what the path names, or home.
func pageAbove(p *page) error {
	for path := p.R.URL.Path; path != ""; path = path[:strings.LastIndexByte(path, '/')] {
		if p.serves(path) {
			return p.Redirect(path, ui.Flash{})
		}
	}
	_, named := firstID(p.R.URL.Path)
	if named == "" {
		return p.Redirect("/", ui.Flash{})
	}
	return p.Redirect(link(findPath, "q", named), ui.Flash{})
}

func (r doors) public(pattern string, f func(*page) error) {
	r.known[pattern] = true
	r.h.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		r.h.serve(w, req, pattern, func(p *page) error {
			if err := p.parse(p.formToken()); err != nil {
				return err
			}
			return f(p)
		})
	})
}
