package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/ratelimit"
)

// bodyMax is BODY_MAX.
const bodyMax = 2 << 20

// exchange is one request on its way through the door.
type exchange struct {
	door      *door
	route     *route // nil outside the table of routes
	ip        netip.Addr
	requestID string
	path      string
	actor     access.Actor // of the API key; on public routes a subject without organization
	body      []byte
	// key is the Idempotency-Key, or "". stored and replayed are what once makes of it.
	key      string
	stored   *idempotency.Response
	replayed bool
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

func actorOf(ctx context.Context) access.Actor { return exchangeOf(ctx).actor }

// ServeHTTP answers every request exactly once. The response is held back until the handler has ended, so that a panic
// or an error on the way still gets its envelope.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{door: d, path: r.URL.Path, ip: ratelimit.ClientIP(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), d.TrustedProxyHops)}
	ctx := r.Context()
	if x.requestID = logging.Value(ctx, logging.RequestID); x.requestID == "" {
		x.requestID = "req_" + id.NewUUID(d.DB.Now()).String()
		ctx = logging.With(ctx, logging.RequestID, x.requestID)
	}
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	inner := r.Clone(ctx)
	held := &response{header: http.Header{}}
	if err := d.guard(ctx, held, w, inner, x); err != nil {
		held.replace(d.refusal(ctx, err))
	}
	if held.status == http.StatusForbidden && x.route != nil {
		d.noteDenied(ctx, x)
	}
	held.header.Set("X-Request-Id", x.requestID)
	held.send(w)
}

// guard turns a panic of serve into an error.
func (d *door) guard(ctx context.Context, held *response, w http.ResponseWriter, r *http.Request, x *exchange) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if abort, ok := p.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
			panic(p)
		}
		d.Log.LogAttrs(ctx, slog.LevelError, "request panicked", logging.Panic(p)...)
		held.reset()
		err = errPanicked
	}()
	return d.serve(held, w, r, x)
}

// errPanicked has been logged already.
var errPanicked = &doorFault{fault.Error{Code: fault.CodeInternal, Message: "Something went wrong on our side."}, http.StatusInternalServerError}

// serve is the order of checks of contract section 8.2. What it leaves to huma is validation and the operation.
func (d *door) serve(held *response, w http.ResponseWriter, r *http.Request, x *exchange) error {
	pattern, err := d.find(held, r)
	if err != nil {
		return err
	}
	rt, ok := d.routes[pattern]
	if !ok { // the document and its page
		d.mux.ServeHTTP(held, r)
		return nil
	}
	x.route = rt
	if rt.secret {
		held.header.Set("Cache-Control", "no-store")
	}
	if err := d.identify(r, x); err != nil {
		if errors.Is(err, apikey.ErrUnauthorized) {
			held.header.Set("WWW-Authenticate", "Bearer")
		}
		return err
	}
	if err := d.limit(r.Context(), held, x); err != nil {
		return err
	}
	if !rt.public() {
		if err := x.actor.Require(rt.scope, d.DB.Now()); err != nil {
			return err
		}
	}
	if err := takeBody(w, r, x); err != nil {
		return err
	}
	if err := checkParameters(r, x); err != nil {
		return err
	}
	d.mux.ServeHTTP(held, r)
	if x.stored != nil && held.status < 300 {
		held.body.Reset()
		held.body.Write(x.stored.Body)
		held.status = x.stored.Status
		if x.replayed {
			held.header.Set("Idempotent-Replayed", "true")
		}
	}
	return nil
}

// find returns the pattern that a request matches, or why there is none.
func (d *door) find(held *response, r *http.Request) (string, error) {
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path { // the mux would redirect, with a page
		return "", errNoRoute
	}
	handler, pattern := d.mux.Handler(r)
	if pattern != "" {
		return pattern, nil
	}
	probe := &response{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return "", errNoRoute
	}
	held.header.Set("Allow", probe.header.Get("Allow"))
	return "", errMethod
}

// identify sets who is acting.
func (d *door) identify(r *http.Request, x *exchange) error {
	if x.route.public() {
		x.actor = access.Actor{Type: access.Subject, IP: x.ip, RequestID: x.requestID}
		return nil
	}
	credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return apikey.ErrUnauthorized
	}
	actor, err := d.APIKeys.Authenticate(r.Context(), strings.TrimSpace(credential), apikey.Use{IP: x.ip, Route: x.route.method + " " + x.route.path})
	if err != nil {
		return err
	}
	actor.IP, actor.RequestID = x.ip, x.requestID
	x.actor = actor
	return nil
}

// limit takes a token from the bucket of the API key, or on public routes that are limited from that of the client.
func (d *door) limit(ctx context.Context, held *response, x *exchange) error {
	var got ratelimit.Result
	switch {
	case !x.route.public():
		got = d.Limiter.Allow(ctx, d.byKey, x.actor.ID)
	case x.route.limited:
		got = d.Limiter.Allow(ctx, d.byIP, ratelimit.Address(x.ip))
	default:
		return nil
	}
	if got.Allowed {
		return nil
	}
	for name, value := range retryAfter(got.RetryAfterSeconds()) {
		held.header.Set(name, value)
	}
	return errLimited
}

// takeBody reads the whole body, and leaves it for huma. A route without one ignores what is sent.
func takeBody(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if x.route.body == bodyIgnored {
		r.Body = http.NoBody
		return nil
	}
	if r.ContentLength != 0 {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		isJSON := err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
		switch {
		case r.ContentLength > 0 && !isJSON:
			return errMediaType
		case r.ContentLength > bodyMax:
			return errTooLarge
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		var tooLarge *http.MaxBytesError
		switch {
		case len(raw) > 0 && !isJSON: // a body of unannounced length
			return errMediaType
		case errors.As(err, &tooLarge):
			return errTooLarge
		case err != nil:
			return errBodyUnread
		}
		x.body = raw
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(x.body)), int64(len(x.body))
	// From here on there is one format: huma would look at these again, with rules of its own.
	r.Header.Set("Content-Type", "application/json")
	if len(x.body) == 0 && x.route.body == bodyRequired {
		if x.route.public() {
			return errPublicBody
		}
		return errBodyMissing
	}
	return nil
}

// checkParameters refuses what huma takes for absent: parameters that are there but empty, or that cannot be read; and reads
// Idempotency-Key.
func checkParameters(r *http.Request, x *exchange) error {
	r.Header.Del("Accept") // JSON is all there is
	query, err := url.ParseQuery(r.URL.RawQuery)
	var unread map[string]bool
	if err != nil {
		unread = unreadable(r.URL.RawQuery, query)
	}
	var bad []fault.Field
	for _, p := range x.route.operation.Parameters {
		message := "must not be empty"
		switch {
		case p.In != "query":
			continue
		case unread[p.Name]:
			message = "cannot be read, look at how the query is encoded"
		case !query.Has(p.Name) || query.Get(p.Name) != "":
			continue
		}
		if p.Name == "starting_after" {
			return postgres.ErrCursor
		}
		bad = append(bad, fault.Field{Name: p.Name, Message: message})
	}
	if err := fault.InvalidFields(bad...); err != nil {
		return err
	}
	if keys := r.Header.Values("Idempotency-Key"); x.route.idempotent && len(keys) > 0 {
		if len(keys) > 1 || !idempotency.ValidKey(keys[0]) {
			return fault.InvalidField("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
		}
		x.key = keys[0]
	}
	return nil
}

// unreadable are the parameters of a query that net/url left out of what it read, because of an error in them or, past some ten
// thousand, because of their number.
func unreadable(rawQuery string, read url.Values) map[string]bool {
	names := map[string]bool{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		escaped, _, _ := strings.Cut(pair, "=")
		name, _ := url.QueryUnescape(escaped) // what cannot be read is nobody's name
		if _, err := url.ParseQuery(pair); err != nil || !read.Has(name) {
			names[name] = true
		}
	}
	return names
}

// noteDenied audits a refusal for want of a scope (contract section 9.4), also when the client hangs up on it. The
// answer stands even if that fails.
func (d *door) noteDenied(ctx context.Context, x *exchange) {
	err := d.DB.InTx(context.WithoutCancel(ctx), func(tx *postgres.Tx) error {
		return audit.Record(tx, x.actor, "access.denied", audit.Target{}, audit.Metadata{
			"method": x.route.method, "route": x.route.path, "scope": x.route.scope,
		})
	})
	if err != nil {
		d.Log.ErrorContext(ctx, "refusal not audited", "error", err)
	}
}

// response holds a response back.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *response) Header() http.Header { return h.header }

func (h *response) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *response) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(b)
}

func (h *response) reset() {
	h.status = 0
	h.body.Reset()
}

// replace makes it a refusal. Headers that were set before, such as Allow, stay.
func (h *response) replace(e *errorEnvelope) {
	h.reset()
	for name, value := range e.header {
		h.header.Set(name, value)
	}
	h.header.Set("Content-Type", "application/json")
	h.status = e.status
	_ = encodeTo(&h.body, e) // strings only: cannot fail
}

func (h *response) send(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(h.status, http.StatusOK))
	_, _ = w.Write(h.body.Bytes()) // the client left: nothing to do about it
}
