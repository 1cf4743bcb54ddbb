package server

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kaylehooks/internal/id"
	"kaylehooks/internal/logging"
	"kaylehooks/web/static"
)

// Config is what New puts under one roof.
type Config struct {
	// API serves /v1, /openapi and /reference; Pages everything else.
	API, Pages http.Handler
	// Assets serves /static.
	Assets http.Handler
	// Monitor serves /monitor, already behind sign-in; nil leaves it out.
	Monitor http.Handler
	// Needs are the servers that /readyz asks, in this order.
	Needs []Need
	// Metrics is served at /metrics to callers on this machine only; nil leaves it out.
	Metrics prometheus.Gatherer
	// HTTPS adds Strict-Transport-Security.
	HTTPS bool
	Log   *slog.Logger
	Now   func() time.Time
}

// Need is another server that this process uses.
type Need struct {
	Name string
	// Ask returns nil if it answers.
	Ask func(ctx context.Context) error
	// Spare is one that requests can be served without: a balancer must not take this process away when only that is missing.
	Spare bool
}

// New returns the root handler.
func New(c Config) http.Handler {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/v1", "/v1/", "/openapi", "/reference", "/reference/"} {
		mux.Handle(pattern, c.API)
	}
	mux.Handle(static.Prefix, c.Assets)
	mux.Handle("/favicon.ico", static.Favicon())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", c.ready)
	if c.Metrics != nil {
		mux.Handle("GET /metrics", onThisMachine(promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{})))
	}
	if c.Monitor != nil {
		mux.Handle(monitorRoot, http.RedirectHandler(monitorRoot+"/", http.StatusSeeOther))
		mux.Handle(monitorRoot+"/", c.Monitor)
	}
	// The page where people finish a check is somebody else's (VERIFICATION_BASE_URL). Its links carry a cancel token, so a
	// stray one must not come near the sign-in page, which keeps addresses.
	mux.HandleFunc("/verify/", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusNotFound, "There is no verification page here; VERIFICATION_BASE_URL says where it is.\n")
	})
	mux.Handle("/", compressed(c.Pages))
	// Not the mux alone: it would clean paths such as /v1//x with a redirect of its own, and /v1 answers in its envelope.
	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1" || strings.HasPrefix(r.URL.Path, "/v1/") {
			c.API.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return c.logged(c.headed(root))
}

// compressed packs pages, not files: exports stream. Pages hold secrets beside text that a caller chose, such as a search, so
// their packed size is blurred: it must not tell how well the two match.
func compressed(next http.Handler) http.Handler {
	const blur, smallest = 32, 1 << 10
	wrap, err := gzhttp.NewWrapper(gzhttp.ContentTypes([]string{"text/html"}), gzhttp.MinSize(smallest), gzhttp.RandomJitter(blur, 0, false), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return wrap(next)
}

// headed sets the headers that every response has (contract section 8.9); a handler may narrow the policy further.
func (c Config) headed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		if c.HTTPS {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// tokenPath matches the paths that carry a secret; the log must not.
var tokenPath = regexp.MustCompile(`^(/invitations/).+`)

// logged writes one line per request: never the query, a body or a header.
func (c Config) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := c.Now()
		// Ours alone: a caller's own id could be anything.
		requestID := "req_" + id.NewUUID(started).String()
		ctx := logging.With(r.Context(), logging.RequestID, requestID)
		r = r.WithContext(ctx)
		w.Header().Set("X-Request-Id", requestID)
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		aborted := true // an answer that is broken off has its line, too
		defer func() { c.logRequest(ctx, r, rec, started, aborted) }()
		next.ServeHTTP(rec, r)
		aborted = false
	})
}

func (c Config) logRequest(ctx context.Context, r *http.Request, rec *recorder, started time.Time, aborted bool) {
	level := slog.LevelInfo
	switch {
	case rec.status >= 500 || aborted:
		level = slog.LevelError
	case strings.HasPrefix(r.URL.Path, "/static/"), r.URL.Path == "/healthz", r.URL.Path == "/readyz", r.URL.Path == "/metrics":
		level = slog.LevelDebug
	}
	line := []any{
		"method", short(r.Method), "path", tokenPath.ReplaceAllString(short(r.URL.Path), "${1}…"), "status", rec.status,
		"bytes", rec.bytes, "duration_ms", c.Now().Sub(started).Milliseconds(),
	}
	if aborted {
		line = append(line, "aborted", true)
	}
	c.Log.Log(ctx, level, "request", line...)
}

// short bounds what anybody can have us write into the log with one request. No path of ours is as long.
func short(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// ready says whether the process can serve, and by name what does not answer. The reasons stay in the log.
func (c Config) ready(w http.ResponseWriter, r *http.Request) {
	const patience, patienceSpare = 2 * time.Second, 500 * time.Millisecond
	status, text := http.StatusOK, ""
	for _, need := range c.Needs {
		wait := patience
		if need.Spare {
			wait = patienceSpare
		}
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		err := need.Ask(ctx)
		cancel()
		if err == nil {
			continue
		}
		c.Log.WarnContext(r.Context(), "no answer", "from", need.Name, "error", err)
		text += need.Name + " does not answer\n"
		if !need.Spare {
			status = http.StatusServiceUnavailable
		}
	}
	if status == http.StatusOK {
		text = "ready\n" + text
	}
	plain(w, status, text)
}
