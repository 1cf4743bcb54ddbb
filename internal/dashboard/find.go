package dashboard

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const findPath = "/find"

// anyID finds an id inside other text: a header line, a log line, an address of this dashboard.
var anyID = regexp.MustCompile(`\b(vs|evt|whd|wha|whe|whk|aud|org|usr|key|job|inv)_[0-7][0-9a-hjkmnp-tv-z]{25}\b`)

// findMax bounds what is searched for an id; whole log lines fit.
const findMax = 4000

// firstID returns the first id in a text, and its prefix; both are "" when there is none. Letters may be upper case, as
// some tools print headers.
func firstID(text string) (kind, found string) {
	if len(text) > findMax {
		text = text[:findMax]
	}
	found = anyID.FindString(strings.ToLower(text))
	kind, _, _ = strings.Cut(found, "_")
	return kind, found
}

// find leads from an id, or any text that holds one, to the page of what it names.
func find(p *page) error {
	text := p.Query("q")
	kind, found := firstID(text)
	if found != "" {
		to, err := p.whereIs(kind, found)
		if f, ok := fault.As(err); ok && (f.Kind == fault.NotFound || f.Kind == fault.Invalid) {
			to, err = "", nil
		}
		if err != nil {
			return err
		}
		if to != "" {
			return p.Redirect(to, ui.Flash{})
		}
	}
	v := pages.Problem{Status: http.StatusNotFound, Icon: "search", Search: true, Query: cutText(text, 200)}
	switch {
	case text == "":
		v.Status, v.Title = http.StatusOK, "Find anything by its id"
		v.Text = "Paste the id of a delivery, event, attempt, session, endpoint, key or person, or a line that holds one, such as a request header."
	case found == "":
		v.Title = "There is no id in that"
		v.Text = "An id has a prefix and 26 letters and digits, for example whd_01h455vb4pex5vsknk084sn02q. Paste all of it."
	default:
		v.Title = "Nothing here has that id"
		v.Text = "There is no " + kindWord(kind) + " " + found + " in " + p.Session.Organization.Name + "."
		v.Sub = "It may belong to another organization or environment, or be older than what is kept."
	}
	return p.problem(v)
}

// whereIs is the page of an id; the rooms see to it that it belongs to the organization and may be read.
func (p *page) whereIs(kind, text string) (string, error) {
	switch kind {
	case "whd":
		whd, err := id.Parse[id.DeliveryKind](text)
		if err == nil {
			_, err = p.Deliveries.Get(p.Ctx, p.Actor, whd)
		}
		return deliveriesPath + "/" + text, err
	case "wha":
		wha, err := id.Parse[id.AttemptKind](text)
		if err != nil {
			return "", err
		}
		whd, err := p.Deliveries.FindAttempt(p.Ctx, p.Actor, wha)
		return attemptPath(whd, wha) + "#" + text, err
	case "evt":
		evt, err := id.Parse[id.EventKind](text)
		if err == nil {
			_, err = event.Get(p.Ctx, p.DB, p.Actor, evt)
		}
		return eventsPath + "/" + text, err
	case "vs":
		vs, err := id.Parse[id.SessionKind](text)
		if err == nil {
			_, err = p.Sessions.Get(p.Ctx, p.Actor, vs)
		}
		return sessionsPath + "/" + text, err
	case "whe":
		whe, err := id.Parse[id.EndpointKind](text)
		if err != nil {
			return "", err
		}
		all, err := p.endpointsByID() // deleted ones have a page too
		if _, ok := all[whe]; err == nil && !ok {
			return "", nil
		}
		return endpointPath(whe), err
	case "whk":
		whk, err := id.Parse[id.KeyKind](text)
		if err != nil {
			return "", err
		}
		k, err := p.keyOf(whk)
		path := endpointPath(k.WebhookEndpointID) + "/keys"
		if err != nil || k.IsActive {
			return path, err
		}
		return anchored(path, text, keysMax, postgres.Position{At: k.CreatedAt, ID: k.ID.UUID}, func(at postgres.Page) (postgres.List[webhook.Key], error) {
			return p.Webhooks.ListKeys(p.Ctx, p.Actor, k.WebhookEndpointID, nil, at)
		}, func(k webhook.Key) string { return k.ID.String() })
	}
	return p.whereIsPerson(kind, text)
}

// whereIsPerson is the page of an id that names somebody or what they did.
func (p *page) whereIsPerson(kind, text string) (string, error) {
	switch kind {
	case "usr":
		usr, err := id.Parse[id.UserKind](text)
		if err != nil {
			return "", err
		}
		m, err := p.Org.Member(p.Ctx, p.Actor, usr)
		if err != nil {
			return "", err
		}
		return anchored(membersPath, text, listMax, postgres.Position{At: m.CreatedAt, ID: m.ID.UUID}, func(at postgres.Page) (postgres.List[org.Member], error) {
			return p.Org.Members(p.Ctx, p.Actor, org.MemberFilter{}, at)
		}, func(m org.Member) string { return m.ID.String() })
	case "key":
		key, err := id.Parse[id.APIKeyKind](text)
		if err != nil {
			return "", err
		}
		k, err := p.APIKeys.Get(p.Ctx, p.Actor, key)
		if err != nil {
			return "", err
		}
		return anchored(apiKeysPath, text, listMax, postgres.Position{At: k.CreatedAt, ID: k.ID.UUID}, func(at postgres.Page) (postgres.List[apikey.Key], error) {
			return p.APIKeys.List(p.Ctx, p.Actor, at)
		}, func(k apikey.Key) string { return k.ID.String() })
	case "job":
		job, err := id.Parse[id.JobKind](text)
		if err == nil {
			_, err = p.Deliveries.GetJob(p.Ctx, p.Actor, job)
		}
		return jobsPath + "/" + text, err
	case "aud":
		if !p.Can(access.AuditRead) {
			return "", nil
		}
		aud, err := id.Parse[id.AuditKind](text)
		if err != nil {
			return "", err
		}
		var at *postgres.Position
		if at, err = audit.Position(p.Ctx, p.DB, p.Actor, aud); err != nil {
			return "", err
		}
		moment := at.At.Format(time.RFC3339Nano)
		return link(auditPath, "from", moment, "to", moment) + "#" + text, nil
	case "org":
		if text == p.Actor.Organization.String() {
			return settingsPath, nil
		}
	}
	return "", nil
}

// anchored is the address of the page of a list that has the row: the first page, or else the one that begins with it. It asks for
// a page of newer rows, since one would not tell whether the first page has it: of a short list, people want to see all.
func anchored[T any](path, row string, size int, at postgres.Position, list func(postgres.Page) (postgres.List[T], error), idOf func(T) string) (string, error) {
	newer, err := list(postgres.Page{Limit: size, Before: &at})
	if err != nil {
		return "", err
	}
	if n := len(newer.Rows); n == size {
		path = link(path, "after", idOf(newer.Rows[n-1]))
	}
	return path + "#" + row, nil
}

// kindWord names what an id of the prefix stands for.
func kindWord(prefix string) string {
	switch prefix {
	case "whd":
		return "delivery"
	case "wha":
		return "attempt"
	case "evt":
		return "event"
	case "vs":
		return "session"
	case "whe":
		return "endpoint"
	case "whk":
		return "encryption key"
	case "usr":
		return "member"
	case "key":
		return "API key"
	case "aud":
		return "audit row"
	case "org":
		return "organization"
	case "job":
		return "bulk retry"
	}
	return "record"
}

// cutText keeps at most n bytes of valid text.
func cutText(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

func trimSlash(s string) string { return strings.TrimRight(s, "/") }

// isLoopback reports whether a Host header names this machine, where the dashboard may run without TLS.
func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.IsLoopback()
}
