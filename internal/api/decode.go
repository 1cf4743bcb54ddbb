package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"kaylehooks/internal/fault"
)

// body is a request body of the shape T, a struct. The struct is both the documented schema and the rules: a member is
// required unless its tag says omitempty, null is refused unless its type says otherwise, and members that T does not
// have are ignored unless T says additionalProperties:"false". Names match by case, unlike in encoding/json, so that a
// member which is to be ignored cannot overwrite another.
type body[T any] struct {
	Value    T
	problems []fault.Field
}

// Schema is that of T.
func (body[T]) Schema(r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }

// Resolve reports what UnmarshalJSON found, together with what is wrong with the parameters.
func (b *body[T]) Resolve(huma.Context) []error {
	findings := make([]error, len(b.problems))
	for i, p := range b.problems {
		findings[i] = &huma.ErrorDetail{Location: "body." + p.Name, Message: p.Message}
	}
	return findings
}

// UnmarshalJSON reads the members that T has. It leaves problems with them to Resolve.
func (b *body[T]) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return errNotOneObject
	}
	complain := func(name, message string) {
		b.problems = append(b.problems, fault.Field{Name: name, Message: message})
	}
	value := reflect.ValueOf(&b.Value).Elem()
	strict := false
	for field := range value.Type().Fields() {
		if field.Name == "_" {
			strict = field.Tag.Get("additionalProperties") == "false"
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		raw, given := members[name]
		delete(members, name)
		target := value.FieldByIndex(field.Index).Addr().Interface()
		custom, judgesItself := target.(anyJSON)
		switch {
		case !given && options != "omitempty":
			complain(name, "is required")
		case !given:
		case string(raw) == "null" && !judgesItself:
			complain(name, "must not be null")
		case decodeMember(raw, target) != nil && judgesItself:
			complain(name, "must be "+custom.wanted())
		case decodeMember(raw, target) != nil:
			complain(name, "must be "+wanted(field.Type))
		}
	}
	if strict {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if !echoable.MatchString(name) {
				name = "body"
			}
			complain(name, "is not a member of this request")
		}
	}
	return nil
}

// anyJSON marks types that take null too; wanted names in words what they take.
type anyJSON interface{ wanted() string }

// decodeMember accepts every spelling of a whole number, such as 72.0.
func decodeMember(raw json.RawMessage, target any) error {
	if n, ok := target.(**int); ok {
		var f float64
		if err := json.Unmarshal(raw, &f); err != nil {
			return err
		}
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return errors.New("not a whole number")
		}
		whole := int(f)
		*n = &whole
		return nil
	}
	return json.Unmarshal(raw, target)
}

// wanted names a type in words.
func wanted(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "an array of strings"
	case reflect.Map:
		return "an object"
	default:
		return "of another type"
	}
}

// decodeBody is how huma reads bodies. Its errors repeat nothing of the body, as those of encoding/json do.
func decodeBody(data []byte, target any) error {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' || !utf8.Valid(data) {
		return errNotOneObject
	}
	// Not by json.Unmarshal, which would read all of it twice to find out that target reads it by itself.
	if err := target.(json.Unmarshaler).UnmarshalJSON(data); err != nil { //nolint:forcetypeassert // every Body is a body[T]
		return errNotOneObject
	}
	return nil
}

// clearable is an optional string that null clears.
type clearable struct {
	given bool
	text  *string
}

func (*clearable) wanted() string { return "a string or null" }

// UnmarshalJSON notes that the member was there.
func (c *clearable) UnmarshalJSON(data []byte) error {
	c.given = true
	return json.Unmarshal(data, &c.text)
}

// Schema describes it.
func (clearable) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Nullable: true}
}
