package api

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// envelope is every success that is not a list (contract section 8.1).
type envelope[T any] struct {
	Data  T    `json:"data"`
	Error null `json:"error"`
}

// listEnvelope is every list.
type listEnvelope[T any] struct {
	Data       []T        `json:"data"`
	Error      null       `json:"error"`
	Pagination pagination `json:"pagination"`
}

type pagination struct {
	Limit      int     `json:"limit" minimum:"1" maximum:"100"`
	HasMore    bool    `json:"has_more"`
	NextCursor *string `json:"next_cursor" doc:"Pass it as starting_after to get the next page; null on the last one."`
}

// errorEnvelope is every failure. It is the error that huma writes.
type errorEnvelope struct {
	Data null      `json:"data"`
	Err  errorBody `json:"error"`

	status int
	header map[string]string
}

type errorBody struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Hint    *string      `json:"hint"`
	Docs    *string      `json:"docs"`
	Fields  []errorField `json:"fields,omitempty" doc:"With BAD_REQUEST: what is wrong with which input. A value is never repeated."`
}

type errorField struct {
	Field   string `json:"field" doc:"A dotted path such as jwk.n, the name of a parameter or header, or body."`
	Message string `json:"message"`
}

// Error and GetStatus make it a huma.StatusError.
func (e *errorEnvelope) Error() string  { return e.Err.Message }
func (e *errorEnvelope) GetStatus() int { return e.status }

// null is always null.
type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func (*null) UnmarshalJSON([]byte) error { return nil }

// Schema describes it.
func (null) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Extensions: map[string]any{"type": "null"}}
}

// one is the response of a handler for a single thing.
type one[T any] struct{ Body envelope[T] }

func oneOf[T any](data T) *one[T] { return &one[T]{Body: envelope[T]{Data: data}} }

// many is the response of a handler for a list.
type many[T any] struct{ Body listEnvelope[T] }

// nothing is the response with status 204.
type nothing struct{}

// encodeTo is how everything is encoded: compact, and without the escapes that only HTML needs.
func encodeTo(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := encodeTo(&b, v)
	return b.Bytes(), err
}

// stampFormat has three digits; Format cuts what is finer (contract section 8.1).
const stampFormat = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(stampFormat) }

func stampPtr(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

// textPtr returns the text of an id or constant behind a pointer, or nil.
func textPtr[T interface{ String() string }](p *T) *string {
	if p == nil {
		return nil
	}
	s := (*p).String()
	return &s
}

// stringPtr is textPtr for named string types.
func stringPtr[T ~string](p *T) *string {
	if p == nil {
		return nil
	}
	s := string(*p)
	return &s
}
