package server

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
)

const monitorRoot = "/monitor"

// NewMonitor returns asynq's web monitor for /monitor; who may see it is the caller's affair. readOnly leaves out every
// action. Its pages carry inline scripts and links to a font host: the links are removed and the scripts get a nonce, so
// that it runs under a strict policy.
func NewMonitor(redis asynq.RedisConnOpt, readOnly bool) http.Handler {
	inner := asynqmon.New(asynqmon.Options{RootPath: monitorRoot, RedisConnOpt: redis, ReadOnly: readOnly})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if strings.HasPrefix(r.URL.Path, monitorRoot+"/api/") || strings.HasPrefix(r.URL.Path, monitorRoot+"/static/") {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			inner.ServeHTTP(w, r)
			return
		}
		servePage(w, r, inner)
	})
}

var (
	// Browsers fetch a manifest without our cookie, and would read the sign-in page instead.
	foreignLink = regexp.MustCompile(`<link[^>]+(?:href="https?://|rel="manifest")[^>]*>`)
	scriptTag   = regexp.MustCompile(`<script(\s|>)`)
	headTag     = regexp.MustCompile(`<head(\s[^>]*)?>`)
)

func servePage(w http.ResponseWriter, r *http.Request, inner http.Handler) {
	page := &buffered{header: http.Header{}, status: http.StatusOK}
	inner.ServeHTTP(page, r)
	body := page.body.Bytes()
	if strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<!")) {
		nonce := rand.Text()
		body = foreignLink.ReplaceAll(body, nil)
		body = scriptTag.ReplaceAll(body, []byte(`<script nonce="`+nonce+`"$1`))
		// Where the page's own style injection looks for the nonce.
		body = headTag.ReplaceAll(body, []byte(`$0<meta property="csp-nonce" content="`+nonce+`">`))
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+
			"'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		page.header.Set("Content-Type", "text/html; charset=utf-8")
	}
	for name, values := range page.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(page.status)
	_, _ = w.Write(body)
}

// buffered keeps a response in memory.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
