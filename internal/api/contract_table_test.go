package api

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kaylehooks/internal/access"
)

// promise is what the contract says of a route.
type promise struct {
	scope      access.Scope // "" when public
	idempotent bool
	query      []string // parameters, sorted
	success    int
	codes      map[int][]string // error codes by status
}

// sections are the error codes that the table of routes leaves to other sections.
var sections = map[string][]string{
	"409":         {"CONFLICT"},
	"409 (§7.10)": {"CONFLICT", "WEBHOOK_PAYLOAD_EXPIRED"},
	"409 (§4.7)":  {"SESSION_NOT_ACTIVE"},
	"410 (§4.7)":  {"SESSION_EXPIRED"},
	"404":         {"NOT_FOUND"},
	"429":         {"RATE_LIMITED"},
	"500":         {"INTERNAL_SERVER_ERROR"},
	"400 (§4.6)": {
		"INVALID_REDIRECT_URL", "INVALID_SHARE_FIELDS", "UNKNOWN_CLAIM_KEY", "INVALID_AGE_GATE_KEY", "MULTIPLE_AGE_GATES_NOT_ALLOWED", "REASON_REQUIRED", "REASON_TOO_LONG",
		"TOO_MANY_SHARE_FIELDS", "WEBHOOK_ENDPOINT_UNAVAILABLE",
	},
}

// readContract reads the tables of testdata/contract.md: the routes by method and path, and all error codes.
func readContract(t testing.TB) (map[string]promise, []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	table, codes, _ := strings.Cut(string(text), "### 8.8")
	scopes := map[string]access.Scope{
		"R": access.WebhooksRead, "W": access.WebhooksWrite, "X": access.WebhooksSecrets, "SR": access.SessionsRead, "SW": access.SessionsWrite,
		"C": access.ChecksWrite, "A": access.AnalyticsRead, "public": "",
	}
	routes := map[string]promise{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for _, m := range regexp.MustCompile("(GET|POST|PATCH|DELETE) `(/v1/[^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			method, path := m[1], m[2]
			scope, known := scopes[strings.TrimSpace(cells[1])]
			success, err := strconv.Atoi(strings.TrimSpace(cells[3])[:3])
			if !known || err != nil {
				t.Fatalf("cannot read %q", line)
			}
			p := promise{scope: scope, idempotent: strings.Contains(cells[0], "◆"), success: success, codes: map[int][]string{400: nil, 500: {"INTERNAL_SERVER_ERROR"}, 405: {"METHOD_NOT_ALLOWED"}}}
			if scope != "" {
				p.add(401, "UNAUTHORIZED")
				p.add(403, "FORBIDDEN")
				p.add(429, "RATE_LIMITED")
				p.add(400, "BAD_REQUEST")
			}
			if method == "GET" {
				p.query = parametersIn(cells[2])
			}
			if strings.Contains(cells[3], "list of") {
				p.add(400, "INVALID_REQUEST")
				p.query = append(p.query, "limit", "starting_after")
			}
			slices.Sort(p.query)
			if method != "GET" && cells[2] != "—" {
				p.add(413, "PAYLOAD_TOO_LARGE")
				p.add(415, "UNSUPPORTED_MEDIA_TYPE")
			}
			if p.idempotent {
				p.add(409, "IDEMPOTENCY_CONFLICT")
			}
			// Errors are separated by commas or semicolons; a code without a status belongs to the status before it.
			status := 0
			for part := range strings.FieldsFuncSeq(cells[4], func(r rune) bool { return r == ',' || r == ';' || r == '|' }) {
				if part = strings.TrimSpace(part); part == "—" || part == "" {
					continue
				}
				if n, err := strconv.Atoi(part[:3]); err == nil {
					status = n
				}
				// What follows in parentheses is said of all statuses before it: 404, 409, 410 (§4.7).
				section := part
				if cited := regexp.MustCompile(`\(§[0-9.]+\)`).FindString(cells[4]); cited == "(§4.7)" && status != 404 {
					section = strconv.Itoa(status) + " " + cited
				}
				if code := regexp.MustCompile("`([A-Z_]+)`").FindStringSubmatch(part); code != nil {
					p.add(status, code[1])
				} else if given := sections[section]; given != nil {
					p.add(status, given...)
				} else {
					t.Fatalf("what does %q mean in %q?", part, line)
				}
			}
			routes[method+" "+path] = p
			if alias, ok := strings.CutPrefix(path, "/v1/webhooks/events"); ok {
				routes[method+" /v1/events"+alias] = p
			}
		}
	}
	var all []string
	for line := range strings.Lines(codes) {
		first, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for _, code := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(first, -1) {
			all = append(all, code[1])
		}
	}
	return routes, all
}

// parametersIn reads those of a list. Section 8.3 names all that deliveries have.
func parametersIn(cell string) (names []string) {
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	if strings.TrimSpace(cell) == "§8.3" {
		names = []string{"status", "type", "created_from", "created_to", "endpoint_id", "event_id"}
	}
	return names
}

func (p promise) add(status int, codes ...string) {
	for _, code := range codes {
		if !slices.Contains(p.codes[status], code) {
			p.codes[status] = append(p.codes[status], code)
		}
	}
}
