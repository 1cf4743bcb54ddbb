package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/idempotency"
)

// doorFault is a refusal that only this door knows: it has a status of its own instead of a kind.
type doorFault struct {
	is     fault.Error
	status int
}

func (e *doorFault) Error() string { return e.is.Message }

// errNotOneObject is what decodeBody tells huma, which passes its text on.
var errNotOneObject = errors.New("must be exactly one JSON object")

// The refusals of the door itself (contract section 8.2).
var (
	errNoRoute     = fault.New(fault.NotFound, fault.CodeNotFound, "No such route.")
	errMethod      = &doorFault{fault.Error{Code: fault.CodeMethodNotAllowed, Message: "This path does not have this method."}, http.StatusMethodNotAllowed}
	errTooLarge    = &doorFault{fault.Error{Code: fault.CodePayloadTooLarge, Message: "The request body is larger than 2 MiB."}, http.StatusRequestEntityTooLarge}
	errMediaType   = &doorFault{fault.Error{Code: fault.CodeUnsupportedMediaType, Message: "The request body must be JSON.", Hint: "Send the header Content-Type: application/json."}, http.StatusUnsupportedMediaType}
	errLimited     = fault.New(fault.RateLimited, fault.CodeRateLimited, "Too many requests.").WithHint("Wait as long as Retry-After says.")
	errBodyMissing = fault.InvalidField("body", "is required")
	errBodyUnread  = fault.InvalidField("body", "could not be read")

	errPublicBody = fault.New(fault.Invalid, fault.CodeInvalidRequest, "The request body must be a JSON object with cancel_token, 48 characters of a-z and 0-9.")
	errPublicID   = fault.New(fault.Invalid, fault.CodeInvalidSessionID, "This is not a session id.")
)

// statusOf is the HTTP status of a kind.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.RateLimited:
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError
}

// refusal turns any error into the envelope. One that is not expected is logged here and answered as a fault of ours;
// its text never leaves.
func (d *door) refusal(ctx context.Context, err error) *errorEnvelope {
	var ready *errorEnvelope
	if errors.As(err, &ready) {
		return ready
	}
	var own *doorFault
	if errors.As(err, &own) {
		return d.envelopeOf(&own.is, own.status)
	}
	if f, ok := fault.As(err); ok {
		e := d.envelopeOf(f, statusOf(f.Kind))
		if f == idempotency.ErrRunning {
			e.header = map[string]string{"Retry-After": "1"}
		}
		return e
	}
	if !errors.Is(err, context.Canceled) { // the client left: nobody's fault
		d.Log.ErrorContext(ctx, "request failed", "error", err)
	}
	internal := fault.Error{Code: fault.CodeInternal, Message: "Something went wrong on our side.", Hint: "Try again; if it keeps failing, report the X-Request-Id."}
	return d.envelopeOf(&internal, http.StatusInternalServerError)
}

func (d *door) envelopeOf(f *fault.Error, status int) *errorEnvelope {
	docs := d.PublicURL + "/reference"
	e := &errorEnvelope{status: status, Err: errorBody{Code: f.Code, Message: f.Message, Docs: &docs}}
	if f.Hint != "" {
		e.Err.Hint = &f.Hint
	}
	if f.Code != fault.CodeBadRequest {
		return e
	}
	for _, field := range f.Fields {
		e.Err.Fields = append(e.Err.Fields, errorField{field.Name, field.Message})
	}
	if len(e.Err.Fields) == 0 {
		e.Err.Fields = []errorField{{"body", f.Message}}
	}
	return e
}

// init replaces huma's error format. The hooks are variables of that package; no other package of ours uses it.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, message string, _ ...error) huma.StatusError {
		return &errorEnvelope{status: status, Err: errorBody{Message: message}}
	}
	huma.NewErrorWithContext = func(c huma.Context, status int, _ string, errs ...error) huma.StatusError {
		x := exchangeOf(c.Context())
		var e *errorEnvelope
		if status == http.StatusInternalServerError && len(errs) == 1 {
			e = x.door.refusal(c.Context(), errs[0])
		} else {
			e = x.door.refusal(c.Context(), invalid(x.route, errs))
		}
		for name, value := range e.header {
			c.SetHeader(name, value)
		}
		return e
	}
}

// invalid turns huma's findings into a fault. Only location and message are taken over: the findings also carry the
// value, which may be a secret or a claim.
func invalid(r *route, findings []error) error {
	var fields []fault.Field
	publicID := false
	for _, finding := range findings {
		var detail *huma.ErrorDetail
		if errors.As(finding, &detail) {
			where, name, _ := strings.Cut(detail.Location, ".")
			publicID = publicID || where == "path"
			if name == "" {
				name = "body"
			}
			fields = append(fields, fault.Field{Name: name, Message: detail.Message})
		}
	}
	switch {
	case r.public() && publicID:
		return errPublicID
	case r.public():
		return errPublicBody
	case len(fields) == 0:
		return fault.InvalidField("body", errNotOneObject.Error())
	}
	return fault.InvalidFields(fields...)
}

// echoable is what may be repeated of a member's name (contract section 4.7).
var echoable = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

func retryAfter(seconds int) map[string]string {
	return map[string]string{"Retry-After": strconv.Itoa(seconds)}
}
