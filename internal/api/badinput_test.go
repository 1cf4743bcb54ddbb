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
	tables  string // a query for all that is stored
	stored  string // its answer; "" once that may be another
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
	before := b.stored
	if before == "" {
		before = fixture.Scalar[string](b, b.db, b.tables)
	}
	got := b.do(b.op.method, path, body, headers...)
	b.stored = ""
	if got.status >= 400 {
		b.stored = fixture.Scalar[string](b, b.db, b.tables)
	}
	switch {
	case got.status >= 500:
		b.Errorf("%s: %d %s; log: %s", what, got.status, got.raw, b.log)
	case got.status >= 400 && b.stored != before:
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
			escaped := fmt.Sprintf("%%%02x%s", p.Name[0], p.Name[1:])
			crowd := strings.Repeat("x&", 10_000)
			for _, what := range []string{p.Name + "=%zz", p.Name + "=%", p.Name + "=1;x=2", escaped + "=%zz", "%zz=1&" + p.Name + "=%", p.Name + "=%zz&" + p.Name + "=1", crowd + p.Name + "=1"} {
				path := b.request.path + "?" + what
				what = what[max(0, len(what)-len(p.Name)-10):]
				if got := b.try(what, path, b.request.body); p.Name == "starting_after" {
					got.refused(400, "INVALID_REQUEST")
				} else {
					b.refusedBy(what, p.Name, got)
				}
			}
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
