package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// Config is what the door needs. Every field is required, except that TrustedProxyHops may be 0.
type Config struct {
	DB         *postgres.DB
	Keyring    *seal.Keyring
	APIKeys    *apikey.Service
	Webhooks   *webhook.Service
	Deliveries *delivery.Service
	Sessions   *verification.Service
	Limiter    *ratelimit.Limiter
	Log        *slog.Logger
	// PublicURL is where clients reach the server; it precedes /reference in error.docs.
	PublicURL string
	// VerificationBaseURL precedes a session id in verification_url.
	VerificationBaseURL string
	// Version is shown in the OpenAPI document.
	Version string
	// TrustedProxyHops is TRUSTED_PROXY_HOPS (contract section 8.9).
	TrustedProxyHops int
	// RateKeyPerSecond and RateKeyBurst limit each API key (RATE_KEY).
	RateKeyPerSecond, RateKeyBurst int
	// RateIPPerMinute and RateIPBurst limit public cancels by client address (RATE_IP).
	RateIPPerMinute, RateIPBurst int
}

// door is the handler behind New.
type door struct {
	Config
	mux    *http.ServeMux
	api    huma.API
	routes map[string]*route // by pattern of the mux
	byKey  ratelimit.Rule
	byIP   ratelimit.Rule
}

// New returns the handler for /v1/, /openapi and /reference. It answers every request in the envelope of contract
// section 8.1, so it can be mounted on a prefix that has further paths below it.
func New(c Config) http.Handler { return newDoor(c) }

func newDoor(c Config) *door {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	c.VerificationBaseURL = strings.TrimSuffix(c.VerificationBaseURL, "/")
	d := &door{
		Config: c, mux: http.NewServeMux(), routes: map[string]*route{},
		byKey: ratelimit.Rule{Name: "key", Rate: c.RateKeyPerSecond, Per: time.Second, Burst: c.RateKeyBurst},
		byIP:  ratelimit.Rule{Name: "cancel", Rate: c.RateIPPerMinute, Per: time.Minute, Burst: c.RateIPBurst},
	}
	d.api = humago.New(d.mux, d.humaConfig())
	d.endpointRoutes()
	d.keyRoutes()
	d.eventRoutes()
	d.deliveryRoutes()
	d.jobRoutes()
	d.sessionRoutes()
	d.verifyRoutes()
	d.analyticsRoutes()
	d.documentRoutes()
	d.referenceRoutes()
	return d
}

// bodyRule says what a route does with a request body.
type bodyRule int

const (
	bodyIgnored bodyRule = iota
	bodyOptional
	bodyRequired
)

// route is one line of the table in contract section 8.6.
type route struct {
	method, path string
	// id is the operation's name in the OpenAPI document.
	id, summary string
	// scope is what the API key must carry; "" makes the route public.
	scope access.Scope
	body  bodyRule
	// idempotent marks the routes that honour Idempotency-Key.
	idempotent bool
	// secret marks responses that must not be stored anywhere.
	secret bool
	// limited counts calls per client address.
	limited bool
	// status is that of a success; 0 means 200.
	status int
	// errors are the statuses beyond those that every route can answer.
	errors []int

	operation *huma.Operation
}

func (r *route) public() bool { return r.scope == "" }

// add registers a route with its handler. I and O are the structs that huma reads and writes.
func add[I, O any](d *door, r route, handler func(context.Context, *I) (*O, error)) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{tagOf(r.path)},
		DefaultStatus: r.status, MaxBodyBytes: bodyMax + 1, Errors: r.statuses(),
		// The body's shape is checked by body.UnmarshalJSON, whose messages never repeat what was sent.
		SkipValidateBody: true,
	}
	describe(&op, r)
	pattern := r.method + " " + r.path
	d.routes[pattern] = &r
	huma.Register(d.api, op, handler)
	r.operation = operationAt(d.api.OpenAPI(), r.method, r.path)
	if r.operation.RequestBody != nil {
		r.operation.RequestBody.Required = r.body == bodyRequired
	}
}

// statuses are all errors that the route can answer.
func (r *route) statuses() []int {
	all := []int{http.StatusBadRequest, http.StatusInternalServerError}
	if !r.public() {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden)
	}
	if !r.public() || r.limited {
		all = append(all, http.StatusTooManyRequests)
	}
	if r.body != bodyIgnored {
		all = append(all, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if r.idempotent {
		all = append(all, http.StatusConflict)
	}
	return append(all, r.errors...)
}

// tagOf groups operations in the document by noun.
func tagOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	switch {
	case parts[0] == "webhooks" && len(parts) > 3 && parts[3] == "keys":
		return "keys"
	case parts[0] == "webhooks":
		return parts[1]
	}
	return parts[0]
}
