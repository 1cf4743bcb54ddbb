package postgres

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// givenRows is where a statement takes rows that it is given, as in "FROM GIVEN AS v(id uuid, at timestamptz)".
var givenRows = regexp.MustCompile(`\bGIVEN AS (\w+)\(([^)]*)\)`)

// statement is a statement over rows that it is given.
type statement struct {
	text  string // over arrays, one for each column
	given []given
}

// given is a set of rows that a statement is given.
type given struct {
	alias   string
	columns []column
}

type column struct{ name, kind string }

var statements sync.Map // of text to *statement

func parseStatement(text string) *statement {
	if s, ok := statements.Load(text); ok {
		return s.(*statement) //nolint:forcetypeassert // nothing else is stored
	}
	s := &statement{}
	for _, match := range givenRows.FindAllStringSubmatch(text, -1) {
		g := given{alias: match[1]}
		for part := range strings.SplitSeq(match[2], ",") {
			name, kind, _ := strings.Cut(strings.TrimSpace(part), " ")
			g.columns = append(g.columns, column{name, kind})
		}
		s.given = append(s.given, g)
	}
	s.text = overArrays(givenRows.Split(text, -1), s.given)
	statements.Store(text, s)
	return s
}

// overArrays is the statement's text over arrays, one for each column, of which between is what stands around those.
func overArrays(between []string, sets []given) string {
	var b strings.Builder
	parameter := 1
	b.WriteString(between[0])
	for i, g := range sets {
		names := make([]string, len(g.columns))
		b.WriteString("UNNEST(")
		for j, c := range g.columns {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString("$" + strconv.Itoa(parameter) + "::" + c.kind + "[]")
			names[j] = c.name
			parameter++
		}
		b.WriteString(") AS " + g.alias + "(" + strings.Join(names, ", ") + ")" + between[i+1])
	}
	return b.String()
}

// args are the arrays. Each element of rows is a slice of structs, whose fields are found by their JSON names.
func (s *statement) args(rows ...any) ([]any, error) {
	if len(rows) != len(s.given) {
		return nil, fmt.Errorf("%d sets of rows for a statement that takes %d", len(rows), len(s.given))
	}
	var args []any
	for i, set := range rows {
		g, values := s.given[i], reflect.ValueOf(set)
		paths := fieldPaths(values.Type().Elem())
		for _, c := range g.columns {
			path, ok := paths[c.name]
			if !ok {
				return nil, fmt.Errorf("%s has no field for column %s", values.Type(), c.name)
			}
			array, err := arrayOf(values, path, c.kind)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			args = append(args, array)
		}
	}
	return args, nil
}

var paths sync.Map // of a struct's type to map[string][]int

// fieldPaths maps the JSON names of a struct's fields to where they are.
func fieldPaths(of reflect.Type) map[string][]int {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if p, ok := paths.Load(of); ok {
		return p.(map[string][]int) //nolint:forcetypeassert // nothing else is stored
	}
	found := map[string][]int{}
	for _, f := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			found[name] = f.Index
		}
	}
	paths.Store(of, found)
	return found
}

var (
	uuidType = reflect.TypeFor[uuid.UUID]()
	timeType = reflect.TypeFor[time.Time]()
)

// arrayOf is a column of the rows as an array of what pgx encodes by itself: a nil pointer is NULL, and text is made valid UTF-8, which
// Postgres insists on.
func arrayOf(rows reflect.Value, path []int, kind string) (any, error) {
	n := rows.Len()
	field := func(i int) reflect.Value { return reflect.Indirect(rows.Index(i)).FieldByIndex(path) }
	if kind == "jsonb" {
		return jsonArray(n, field)
	}
	if n == 0 {
		return []string{}, nil
	}
	of := field(0).Type()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch kind := of.Kind(); {
	case of == uuidType:
		return elements(n, field, func(v reflect.Value) pgtype.UUID {
			return pgtype.UUID{Bytes: held[uuid.UUID](v), Valid: true}
		}), nil
	case of == timeType:
		return elements(n, field, func(v reflect.Value) pgtype.Timestamptz {
			return pgtype.Timestamptz{Time: held[time.Time](v), Valid: true}
		}), nil
	case kind == reflect.String:
		return elements(n, field, func(v reflect.Value) pgtype.Text {
			return pgtype.Text{String: strings.ToValidUTF8(v.String(), "\uFFFD"), Valid: true}
		}), nil
	case kind == reflect.Bool:
		return elements(n, field, func(v reflect.Value) pgtype.Bool { return pgtype.Bool{Bool: v.Bool(), Valid: true} }), nil
	case kind >= reflect.Int && kind <= reflect.Int64:
		return elements(n, field, func(v reflect.Value) pgtype.Int8 { return pgtype.Int8{Int64: v.Int(), Valid: true} }), nil
	}
	return nil, fmt.Errorf("%s cannot be stored", of)
}

// held is what v, whose type was looked at, holds. Elements of slices have an address, which spares a copy of each for an interface.
func held[T any](v reflect.Value) T {
	if v.CanAddr() {
		return *v.Addr().Interface().(*T) //nolint:forcetypeassert // see above
	}
	return v.Interface().(T) //nolint:forcetypeassert // see above
}

// elements are the values of n fields, the zero one, which is NULL, for a nil pointer.
func elements[T any](n int, field func(int) reflect.Value, value func(reflect.Value) T) pgtype.FlatArray[T] {
	out := make(pgtype.FlatArray[T], n)
	for i := range n {
		v := field(i)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		out[i] = value(v)
	}
	return out
}

func jsonArray(n int, field func(int) reflect.Value) (pgtype.FlatArray[pgtype.Text], error) {
	out := make(pgtype.FlatArray[pgtype.Text], n)
	for i := range n {
		b, err := json.Marshal(field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		if text := string(b); text != "null" {
			out[i] = pgtype.Text{String: text, Valid: true}
		}
	}
	return out, nil
}
