package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
)

// hostile are texts that somebody else's program might trip over.
var hostile = []string{
	"\x00", "a\x00b", "\u202egnp.exe", "\u200b", "\ufeff", "e\u0301\u0301\u0301", "\U0001F468\u200d\U0001F469", "\u2028", "\uffff", "\x1b[31m",
	"'; DROP TABLE webhook_endpoints; --", "' OR '1'='1", `" OR ""="`, "1); SELECT pg_sleep(9)--", "$1", "%s%n", "?", "\\", "%00", "%27",
	"<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{7*7}}", "${jndi:ldap://x}", "../../etc/passwd", "a\r\nX-Injected: 1", " ", "\t\n",
}

// brokenBodies are no JSON object, or more than one.
var brokenBodies = []string{
	`{`, `}`, `[]`, `[{}]`, `null`, `"x"`, `7`, `true`, `{}{}`, `{} x`, `{"a":}`, `{'a':1}`, `{"a":1,}`, "{\"a\":\"\xff\"}", "\x00", "\xef\xbb\xbf{}",
	`{"a":` + strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 20_000), `{"a":1e999999`, `<a/>`, `a=b`,
}

// codeFields are the members that the codes beside BAD_REQUEST are about.
var codeFields = map[string]string{
	"WEBHOOK_URL_REJECTED": "url", "WEBHOOK_ENDPOINT_UNAVAILABLE": "webhook_endpoint_id", "INVALID_REDIRECT_URL": "redirect_url", "INVALID_REQUEST": "cancel_token",
	"INVALID_SHARE_FIELDS": "share_fields", "UNKNOWN_CLAIM_KEY": "share_fields", "INVALID_AGE_GATE_KEY": "share_fields", "REASON_REQUIRED": "share_fields", "REASON_TOO_LONG": "share_fields",
}

// badInput tries what is bad on one route.
type badInput struct {
	*harness
	op      operation
	request request
	good    map[string]any // the body of request
	foreign map[string]string
	tables  string
	cases   *int
}

// TestBadInput_IsRefusedByNameAndLeavesNothing walks the document: each route, each parameter and each member of each body, whatever
// routes and members there are.
func TestBadInput_IsRefusedByNameAndLeavesNothing(t *testing.T) {
	t.Parallel()
	shared := newHarness(t)
	total := 0
	for _, op := range shared.operations() {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			h := newHarness(t)
			b := &badInput{harness: h, op: op, cases: &total, tables: everything(h)}
			_, stranger := fixture.Organization(t, h.db)
			other := h.as(h.issue(stranger, access.Scopes()...))
			event, delivery, endpoint := other.newEvent()
			session, _ := other.newSession()
			b.foreign = map[string]string{
				"endpoint_id": endpoint, "event_id": event, "delivery_id": delivery, "id": session, "webhook_endpoint_id": endpoint,
				"key_id": other.do("GET", "/v1/webhooks/endpoints/"+endpoint+"/keys", nil).ids()[0], "job_id": other.newJob(),
			}
			b.renew()
			b.parameters()
			if op := h.doc.Paths.Find(op.path).GetOperation(op.method); op.RequestBody != nil {
				b.bodies(op.RequestBody.Value.Content["application/json"].Schema.Value)
			}
			b.repeated()
			if log := h.log.String(); strings.Contains(log, "panicked") || strings.Contains(log, "request failed") {
				t.Errorf("the log says: %s", log)
			}
		})
	}
	t.Logf("%d bad requests", total)
}

// everything is a query that gives one hash over all rows of all tables.
func everything(h *harness) string {
	names := fixture.Scalar[string](h, h.db, "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'")
	var parts []string
	for name := range strings.FieldsSeq(names) {
		parts = append(parts, fmt.Sprintf("(SELECT md5(coalesce(string_agg(r::text, '' ORDER BY r::text), '')) FROM %s r)", name))
	}
	return "SELECT concat(" + strings.Join(parts, ", ") + ")"
}

func (b *badInput) renew() {
	b.Helper()
	if old := b.request.ids["{endpoint_id}"]; old != "" { // there is an end to how many an organization has
		b.do("DELETE", "/v1/webhooks/endpoints/"+old, nil)
	}
	b.request = b.prepare(b.op)
	b.good = map[string]any{}
	if text, ok := b.request.body.(string); ok {
		if err := json.Unmarshal([]byte(text), &b.good); err != nil {
			b.Fatal(err)
		}
	} else if b.request.body != nil {
		b.good = clone(b.request.body.(map[string]any))
	}
}

func clone(body map[string]any) (copied map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return copied
}

// try sends one request. What is refused must leave no row changed; what is accepted is made anew.
func (b *badInput) try(what, path string, body any, headers ...string) answer {
	b.Helper()
	*b.cases++
	before := fixture.Scalar[string](b, b.db, b.tables)
	got := b.do(b.op.method, path, body, headers...)
	switch {
	case got.status >= 500:
		b.Errorf("%s: %d %s; log: %s", what, got.status, got.raw, b.log)
	case got.status >= 400 && fixture.Scalar[string](b, b.db, b.tables) != before:
		b.Errorf("%s: %d, and yet something was stored", what, got.status)
	case got.status < 300 && b.op.method != http.MethodGet:
		if created := text2(got.data, "endpoint", "id"); created != "" {
			b.do("DELETE", "/v1/webhooks/endpoints/"+created, nil).ok(http.StatusOK)
		}
		b.renew()
	}
	return got
}

// refusedBy wants a 400 that names the field.
func (b *badInput) refusedBy(what, field string, got answer) {
	b.Helper()
	code, _ := got.err["code"].(string)
	message, _ := got.err["message"].(string)
	about := got.fields()
	if special, ok := codeFields[code]; ok && code != "BAD_REQUEST" {
		about = []string{special}
		if !strings.Contains(strings.ToLower(message), special) {
			b.Errorf("%s: the message does not name %s: %s", what, special, got.raw)
		}
	}
	within := func(a, b string) bool { return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(a, b+"[") }
	if got.status != http.StatusBadRequest || !slices.ContainsFunc(about, func(named string) bool { return within(named, field) || within(field, named) }) {
		b.Errorf("%s: got %d %.300s, want a 400 about %s", what, got.status, got.raw, field)
	}
}

func (b *badInput) parameters() {
	b.Helper()
	long := strings.Repeat("a", 10_000)
	for _, ref := range b.doc.Paths.Find(b.op.path).GetOperation(b.op.method).Parameters {
		p := ref.Value
		try := func(value string) (string, answer) {
			what := fmt.Sprintf("%s %.40q", p.Name, value)
			switch p.In {
			case "path":
				return what, b.try(what, strings.ReplaceAll(fill(b.op.path, without(b.request.ids, "{"+p.Name+"}")), "{"+p.Name+"}", url.PathEscape(value)), b.request.body)
			case "header":
				return what, b.try(what, b.request.path, b.request.body, p.Name, value)
			default:
				return what, b.try(what, b.request.path+"?"+url.Values{p.Name: {value}}.Encode(), b.request.body)
			}
		}
		for _, value := range append([]string{long}, hostile...) {
			what, got := try(value)
			switch {
			case p.In == "path" && b.op.scope == "":
				if code := got.err["code"]; code != "INVALID_SESSION_ID" && code != "NOT_FOUND" && code != "SESSION_NOT_FOUND" {
					b.Errorf("%s: %d %s", what, got.status, got.raw)
				}
			case p.In == "path" && got.status == http.StatusNotFound: // such as "../..": that is another route
			case p.Name == "starting_after":
				got.refused(400, "INVALID_REQUEST")
			case p.In == "header" && printable(value):
				if got.status >= 300 {
					b.Errorf("%s: %d %s", what, got.status, got.raw)
				}
			default:
				b.refusedBy(what, p.Name, got)
			}
		}
		if p.In == "query" {
			if _, got := try(""); p.Name != "starting_after" {
				b.refusedBy(p.Name+" is empty", p.Name, got)
			}
		}
		if id, ok := b.foreign[p.Name]; ok || p.Name == "starting_after" {
			b.elsewhere(p, id, try)
		}
	}
}

// elsewhere tries ids that name nothing here. Filters then match nothing, cursors are no cursors, and in a path nothing is found.
func (b *badInput) elsewhere(p *openapi3.Parameter, foreign string, try func(string) (string, answer)) {
	b.Helper()
	ids := []string{foreign, unknown["{"+p.Name+"}"], "whe_x", "x"}
	if p.Name == "starting_after" {
		ids = []string{"whe_x"}
		for _, id := range b.foreign {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		what, got := try(id)
		switch {
		case p.Name == "starting_after":
			got.refused(400, "INVALID_REQUEST")
		case p.In == "path" && b.op.scope == "": // public: any session may be asked for
		case p.In == "path":
			got.refused(404, "NOT_FOUND")
		default:
			rows, list := got.data.([]any)
			if buckets, ok := got.data.(map[string]any); ok {
				rows, list = buckets["buckets"].([]any)
			}
			if got.status != http.StatusOK || !list || len(rows) != 0 {
				b.Errorf("%s: %d %s", what, got.status, got.raw)
			}
		}
	}
}

func without(ids map[string]string, name string) map[string]string {
	rest := map[string]string{}
	for key, id := range ids {
		if key != name {
			rest[key] = id
		}
	}
	return rest
}

func printable(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
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
		for name := range value {
			properties[name] = each.Value
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
	if s.Type == nil && len(s.OneOf) == 0 {
		return // anything goes here, and the room's own tests say what that means
	}
	refuse := func(value any) {
		b.Helper()
		what := fmt.Sprintf("%s = %.60v", path, value)
		b.refusedBy(what, path, b.with(path, value, false))
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
	body := clone(b.good)
	object := body
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		object = object[step].(map[string]any)
	}
	if last := steps[len(steps)-1]; remove {
		delete(object, last)
	} else {
		object[last] = value
	}
	if jwk, ok := body["jwk"].(map[string]any); ok && path == "key_id" {
		jwk["kid"] = value // the two must be equal, which is not what is tried here
	}
	return b.try(fmt.Sprintf("%s = %.60v", path, value), b.request.path, body)
}

func lookup(body map[string]any, path string) (value any) {
	value = body
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

// repeated sends the good request three times, and at once: whatever comes is documented and no fault of ours.
func (b *badInput) repeated() {
	b.Helper()
	b.renew()
	for n := range 3 {
		if got := b.do(b.op.method, b.request.path, b.request.body); got.status >= 500 || n == 0 && got.status >= 300 {
			b.Errorf("sent %d times: %d %s", n+1, got.status, got.raw)
		}
	}
}
