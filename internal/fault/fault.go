package fault

import "errors"

// Kind says what sort of failure it is. Each door maps it to one status.
type Kind string

// The kinds of expected failures.
const (
	Invalid         Kind = "invalid"         // the input breaks a rule
	Unauthenticated Kind = "unauthenticated" // the caller is not known
	Forbidden       Kind = "forbidden"       // the caller is known and may not do this
	NotFound        Kind = "not_found"       // absent, deleted, or of another organization
	Conflict        Kind = "conflict"        // the state of the resource does not allow it
	Gone            Kind = "gone"            // it was possible once and never will be again
	RateLimited     Kind = "rate_limited"    // too many requests
)

// Error codes of the JSON API (contract section 8.8).
const (
	CodeBadRequest                 = "BAD_REQUEST"
	CodeInvalidRequest             = "INVALID_REQUEST"
	CodeInvalidSessionID           = "INVALID_SESSION_ID"
	CodeURLRejected                = "WEBHOOK_URL_REJECTED"
	CodeEndpointUnavailable        = "WEBHOOK_ENDPOINT_UNAVAILABLE"
	CodeInvalidRedirectURL         = "INVALID_REDIRECT_URL"
	CodeInvalidShareFields         = "INVALID_SHARE_FIELDS"
	CodeUnknownClaimKey            = "UNKNOWN_CLAIM_KEY"
	CodeInvalidAgeGateKey          = "INVALID_AGE_GATE_KEY"
	CodeMultipleAgeGatesNotAllowed = "MULTIPLE_AGE_GATES_NOT_ALLOWED"
	CodeReasonRequired             = "REASON_REQUIRED"
	CodeReasonTooLong              = "REASON_TOO_LONG"
	CodeTooManyShareFields         = "TOO_MANY_SHARE_FIELDS"
	CodeUnauthorized               = "UNAUTHORIZED"
	CodeCancelTokenInvalid         = "CANCEL_TOKEN_INVALID"
	CodeCancelTokenUsed            = "CANCEL_TOKEN_USED"
	CodeForbidden                  = "FORBIDDEN"
	CodeNotFound                   = "NOT_FOUND"
	CodeSessionNotFound            = "SESSION_NOT_FOUND"
	CodeMethodNotAllowed           = "METHOD_NOT_ALLOWED"
	CodeConflict                   = "CONFLICT"
	CodePayloadExpired             = "WEBHOOK_PAYLOAD_EXPIRED"
	CodeSessionNotActive           = "SESSION_NOT_ACTIVE"
	CodeIdempotencyConflict        = "IDEMPOTENCY_CONFLICT"
	CodeSessionExpired             = "SESSION_EXPIRED"
	CodePayloadTooLarge            = "PAYLOAD_TOO_LARGE"
	CodeUnsupportedMediaType       = "UNSUPPORTED_MEDIA_TYPE"
	CodeRateLimited                = "RATE_LIMITED"
	CodeInternal                   = "INTERNAL_SERVER_ERROR"
)

// Field names one input that broke a rule. Name is a dotted path such as "jwk.n"; Message never holds the value.
type Field struct {
	Name    string
	Message string
}

// Error is an expected failure. Message and Hint are safe to show to whoever made the request.
type Error struct {
	Kind    Kind
	Code    string
	Message string
	Hint    string
	Fields  []Field
}

// Error returns the safe message.
func (e *Error) Error() string { return e.Message }

// Is matches another fault of the same kind, code and message, so that a copy with a hint or fields still matches its
// variable and two refusals that share a code stay apart.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Kind == e.Kind && other.Code == e.Code && other.Message == e.Message
}

// New returns a fault.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// WithHint returns a copy that carries a hint.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// WithMessage returns a copy with another message.
func (e *Error) WithMessage(message string) *Error {
	c := *e
	c.Message = message
	return &c
}

// MaxFields bounds an answer to a request with thousands of members; it is more than any good request has.
const MaxFields = 64

// InvalidFields returns a BAD_REQUEST that names the fields, MaxFields of them at most, or nil when there are none.
func InvalidFields(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	fields = fields[:min(len(fields), MaxFields)]
	return &Error{Kind: Invalid, Code: CodeBadRequest, Message: "The request is not valid.", Fields: fields}
}

// InvalidField is InvalidFields for a single field.
func InvalidField(name, message string) error { return InvalidFields(Field{name, message}) }

// As returns the fault inside err, if there is one.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Missing is the NOT_FOUND fault for a thing such as "endpoint".
func Missing(thing string) *Error {
	return New(NotFound, CodeNotFound, "No such "+thing+".")
}
