package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/getkin/kin-openapi/openapi3"

	"kaylehooks/internal/access"
)

// brokenBodies are no JSON object, or more than one.
var brokenBodies = []string{
	`{`, `}`, `[]`, `[{}]`, `null`, `"x"`, `7`, `true`, `{}{}`, `{} x`, `{"a":}`, `{'a':1}`, `{"a":1,}`, "{\"a\":\"\xff\"}", "\x00", "\xef\xbb\xbf{}",
	`{"a":` + strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 20_000), `{"a":1e999999`, `<a/>`, `a=b`,
}

func (b *badInput) bodies(schema *openapi3.Schema) {
	b.Helper()
	public := b.op.scope == ""
	body := func(what string, got answer) {
		b.Helper()
		if public {
			got.refused(400, "INVALID_REQUEST")
		} else {
			b.refusedBy(what, "body", got)
		}
	}
	for _, text := range brokenBodies {
		body(fmt.Sprintf("body %.40q", text), b.try(fmt.Sprintf("body %.40q", text), b.request.path, text))
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data; boundary=x"} {
		b.try("type "+kind, b.request.path, b.good, "Content-Type", kind).refused(415, "UNSUPPORTED_MEDIA_TYPE")
	}
	b.try("huge", b.request.path, `{"x":"`+strings.Repeat("x", bodyMax)+`"}`).refused(413, "PAYLOAD_TOO_LARGE")
	if b.door.routes[b.op.method+" "+b.op.path].body == bodyRequired {
		body("no body", b.try("no body", b.request.path, nil))
	}
	b.members("", schema, b.good)
	extra := clone(b.good)
	extra["surplus"] = "x"
	got := b.try("a member that is not known", b.request.path, extra)
	if strict := b.op.scope == access.ChecksWrite; strict {
		b.refusedBy("a member that is not known", "surplus", got)
	} else if got.status >= 300 {
		b.Errorf("a member that is not known: %d %s", got.status, got.raw)
	}
}

// members spoils every member of an object, and those of the objects in it.
func (b *badInput) members(prefix string, schema *openapi3.Schema, value map[string]any) {
	b.Helper()
	properties := map[string]*openapi3.Schema{}
	for name, property := range schema.Properties {
		properties[name] = property.Value
		if _, ok := value[name]; !ok {
			b.Errorf("the good request lacks %s%s: add it to prepare, or it is not tried", prefix, name)
		}
	}
	if each := schema.AdditionalProperties.Schema; each != nil {
		var known string
		for name := range value {
			properties[name], known = each.Value, name
		}
		for _, name := range append([]string{"", strings.Repeat("x", 10_000)}, hostile...) {
			path := strings.TrimSuffix(prefix, ".")
			what := fmt.Sprintf("%s has %.40q", path, name)
			b.refusedBy(what, path, b.changed(what, path, func(_, object map[string]any) { object[name] = value[known] }))
		}
	}
	for name, property := range properties {
		path := prefix + name
		if slices.Contains(schema.Required, name) {
			b.refusedBy(path+" is missing", path, b.with(path, nil, true))
		}
		b.values(path, property)
		if inner, ok := lookup(b.good, path).(map[string]any); ok {
			b.members(path+".", property, inner)
		}
	}
}

// values gives one member what it must not be.
func (b *badInput) values(path string, s *openapi3.Schema) {
	b.Helper()
	name := path[strings.LastIndex(path, ".")+1:]
	alternatives := append([]*openapi3.Schema{s}, schemas(s.OneOf)...)
	takes := func(kind string) bool {
		return slices.ContainsFunc(alternatives, func(a *openapi3.Schema) bool {
			return a.Type.Includes(kind) || kind == "null" && a.Nullable || kind == "number" && a.Type.Includes("integer")
		})
	}
	refuse := func(value any) {
		b.Helper()
		what := fmt.Sprintf("%s = %.60v", path, value)
		b.refusedBy(what, path, b.with(path, value, false))
	}
	if s.Type == nil && len(s.OneOf) == 0 { // the document says nothing: a claim, whose form its key decides
		for _, text := range hostile {
			refuse(text)
		}
	}
	for kind, value := range map[string]any{"null": nil, "string": "x", "number": 7.5, "boolean": true, "array": []any{map[string]any{}}, "object": map[string]any{"x": []any{}}} {
		if !takes(kind) || kind == "number" {
			refuse(value)
		}
	}
	if len(s.Enum) > 0 {
		refuse(wrongLike(s.Enum[0]))
	}
	if s.Min != nil {
		refuse(*s.Min - 1)
	}
	if s.Max != nil {
		refuse(*s.Max + 1)
	}
	if takes("string") {
		refuse(strings.Repeat("x", 10_000))
		refuse("")
		for _, text := range hostile {
			b.text(path, text)
		}
		if id := b.foreign[name]; id != "" && name != "key_id" {
			b.elsewhereIn(path, id)
		}
	}
	if takes("array") {
		b.arrays(path)
	}
}

// arrays spoils the items of a member that takes an array of strings.
func (b *badInput) arrays(path string) {
	b.Helper()
	many := make([]any, 1000)
	for i := range many {
		many[i] = fmt.Sprint("item-", i)
	}
	good, ok := lookup(b.good, path).([]any)
	if !ok {
		good = []any{lookup(b.good, path)}
	}
	for _, value := range [][]any{{nil}, {7}, {true}, {[]any{}}, {map[string]any{}}, {strings.Repeat("x", 10_000)}, {""}, many, append(slices.Clone(good), 7)} {
		b.refusedBy(fmt.Sprintf("%s = %.60v", path, value), path, b.with(path, value, false))
	}
	for _, text := range hostile {
		got := b.with(path, []any{text}, false)
		b.kept(fmt.Sprintf("%s = [%q]", path, text), path, text, got)
	}
}

// text gives a member a hostile text: it is refused, or kept as it is.
func (b *badInput) text(path, text string) {
	b.Helper()
	b.kept(fmt.Sprintf("%s = %q", path, text), path, text, b.with(path, text, false))
}

func (b *badInput) kept(what, path, text string, got answer) {
	b.Helper()
	if got.status == http.StatusBadRequest {
		b.refusedBy(what, path, got)
		return
	}
	if strings.TrimSpace(text) == "" {
		b.Errorf("%s: %d, though it is blank: %.400s", what, got.status, got.raw)
		return
	}
	shown, err := encode(strings.TrimSpace(text))
	if err != nil {
		b.Fatal(err)
	}
	inside := strings.Trim(strings.TrimSpace(string(shown)), `"`)
	if got.status >= 300 || !strings.Contains(got.raw, inside) && !strings.Contains(got.raw, strings.Join(strings.Fields(text), " ")) && !strings.Contains(got.raw, url.PathEscape(text)) {
		b.Errorf("%s: %d, neither refused nor kept: %.400s", what, got.status, got.raw)
	}
}

// elsewhereIn gives a member ids that name nothing here.
func (b *badInput) elsewhereIn(path, foreign string) {
	b.Helper()
	for _, id := range []string{foreign, unknown["{endpoint_id}"], "whe_x"} {
		got := b.with(path, id, false)
		job, _ := got.data.(map[string]any)
		if nothing, isJob := job["matched_count"]; isJob && nothing == 0.0 {
			continue // a filter that matches nothing
		}
		b.refusedBy(path+" = "+id, path, got)
	}
}

// with sends the good request with one member changed.
func (b *badInput) with(path string, value any, remove bool) answer {
	b.Helper()
	parent, name := "", path
	if dot := strings.LastIndex(path, "."); dot >= 0 {
		parent, name = path[:dot], path[dot+1:]
	}
	return b.changed(fmt.Sprintf("%s = %.60v", path, value), parent, func(body, object map[string]any) {
		if object[name] = value; remove {
			delete(object, name)
		}
		if jwk, ok := body["jwk"].(map[string]any); ok && path == "key_id" {
			jwk["kid"] = value // the two must be equal, which is not what is tried here
		}
	})
}

// changed sends the good request after a change of one object in it.
func (b *badInput) changed(what, path string, change func(body, object map[string]any)) answer {
	b.Helper()
	body := clone(b.good)
	object, ok := lookup(body, path).(map[string]any)
	if !ok {
		b.Fatalf("%s is no object", path)
	}
	change(body, object)
	return b.try(what, b.request.path, body)
}

// lookup finds what is at a path; the empty one is the whole.
func lookup(body map[string]any, path string) (value any) {
	value = body
	if path == "" {
		return value
	}
	for step := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[step]
	}
	return value
}

func schemas(refs openapi3.SchemaRefs) (all []*openapi3.Schema) {
	for _, ref := range refs {
		all = append(all, ref.Value)
	}
	return all
}

func wrongLike(value any) any {
	if text, ok := value.(string); ok {
		return strings.ToUpper(text) + "X"
	}
	return 31337
}

// repeated sends the good request again and again, and ten times at once: whatever comes is documented and no fault of ours.
func (b *badInput) repeated() {
	b.Helper()
	b.renew()
	for n := range 3 {
		if got := b.do(b.op.method, b.request.path, b.request.body); got.status >= 500 || n == 0 && got.status >= 300 {
			b.Errorf("sent %d times: %d %s", n+1, got.status, got.raw)
		}
	}
	b.renew()
	var wg sync.WaitGroup
	var good atomic.Int32
	for range 10 {
		wg.Go(func() {
			switch got := b.do(b.op.method, b.request.path, b.request.body); {
			case got.status >= 500:
				b.Errorf("sent at once: %d %s", got.status, got.raw)
			case got.status < 300:
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() == 0 {
		b.Errorf("sent at once, none succeeds")
	}
}
