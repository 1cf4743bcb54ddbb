package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// expirySoon is how near the end of a payload's time is shown in lists.
const expirySoon = 6 * time.Hour

const (
	// watchSoon is how near an attempt is when what shows it begins to look after itself: once when the attempt is due, but every watchRest
	// at least; from watchNow on all the time.
	watchSoon = 30 * time.Minute
	watchRest = 5 * time.Minute
	watchNow  = 30 * time.Second
)

// endpointsByID returns the organization's endpoints, deleted ones included, for pages that name them.
func (p *page) endpointsByID() (map[id.Endpoint]webhook.Endpoint, error) {
	return webhook.FindAll(p.DB.Reader(p.Ctx), p.Actor.Organization)
}

// keysIfBlocked are the active keys of the endpoints, read only where a delivery was blocked.
func (p *page) keysIfBlocked(deliveries ...delivery.Delivery) (map[id.Endpoint]webhook.Key, error) {
	if !slices.ContainsFunc(deliveries, func(d delivery.Delivery) bool { return d.State() == delivery.StateBlocked }) {
		return nil, nil
	}
	return webhook.ActiveKeys(p.DB.Reader(p.Ctx), p.Actor.Organization)
}

// wantsKey tells whether the endpoint of a blocked delivery needs a key before the next one: it has none, or the one that
// it has could not be encrypted to.
func wantsKey(d delivery.Delivery, e webhook.Endpoint, keys map[id.Endpoint]webhook.Key) bool {
	active, keyed := keys[d.WebhookEndpointID]
	return d.State() == delivery.StateBlocked && e.DeletedAt == nil && (!keyed || d.WebhookEncryptionKeyID != nil && *d.WebhookEncryptionKeyID == active.ID)
}

// deliveryRow is one delivery in any list; keys are of keysIfBlocked.
func (p *page) deliveryRow(d delivery.Delivery, endpoints map[id.Endpoint]webhook.Endpoint, keys map[id.Endpoint]webhook.Key) pages.DeliveryRow {
	text := d.ID.String()
	row := pages.DeliveryRow{
		ID: text, Short: ui.ShortID(text), Href: "/deliveries/" + text, Status: statusBadge(d), Test: d.EventType == event.Test,
		Type: string(d.EventType), TypeShort: d.EventType.Short(), Strip: attemptStrip(d), Result: lastResult(d), Created: p.Past(d.CreatedAt),
	}
	e, known := endpoints[d.WebhookEndpointID]
	if known {
		row.Endpoint, row.EndpointHref = e.DisplayName(), endpointPath(e.ID)
	}
	if d.LastDurationMS != nil {
		row.Latency = ui.Millis(int(*d.LastDurationMS))
	}
	switch d.State() {
	case delivery.StateInFlight:
		row.ResultText = "sending"
	case delivery.StateScheduled, delivery.StateRetrying:
		if d.NextAttemptAt.Sub(p.Now) >= time.Second { // less would read "in 0 s"
			row.NextTime = p.AtPtr(d.NextAttemptAt)
		} else {
			row.Next = "due now"
		}
	case delivery.StateParked:
		row.Next = "when resumed"
	case delivery.StateBlocked:
		row.Next = "never"
		if known && wantsKey(d, e, keys) && p.Can(access.WebhooksWrite) {
			row.Next, row.NextHref = "Add a key", endpointPath(d.WebhookEndpointID)+"/keys"
		}
	case delivery.StateFailed:
		s := story{Delivery: d, Now: p.Now, Paused: !e.Enabled, Gone: e.DeletedAt != nil}
		if known && s.retryRefusal() == "" {
			row.RetryHref, row.Run = link(row.Href+"/retry", "live", p.Query("live")), strconv.Itoa(d.Run)
			if !p.Can(access.WebhooksWrite) {
				row.RetryRefused = needsRole(access.WebhooksWrite)
			}
		}
	case delivery.StateSucceeded, delivery.StateExpired, delivery.StateWithdrawn, delivery.StateEndpointDeleted:
	}
	if row.PollEvery = p.watch(d); row.PollEvery != "" {
		row.PollHref = link(row.Href+"/row", "live", p.Query("live"))
	}
	if d.PayloadHeld(p.Now) {
		row.Selectable = d.Status == delivery.Failed || d.Status == delivery.Pending
		if left := d.PayloadExpiresAt.Sub(p.Now); left < expirySoon {
			row.Expiry = &ui.Chip{Text: "payload expires in " + ui.Span(left), Tone: ui.Warn}
		}
	}
	return row
}

// watch is how often a page that is live looks after what shows the deliveries, as a trigger of htmx: every three seconds while something
// happens to one at any moment, else when the next attempt is due. It is empty when nothing happens for long.
func (p *page) watch(deliveries ...delivery.Delivery) string {
	if !p.live() {
		return ""
	}
	wait := watchSoon
	for _, d := range deliveries {
		switch {
		case d.Status == delivery.Delivering:
			wait = 0
		case d.NextAttemptAt != nil:
			wait = min(wait, d.NextAttemptAt.Sub(p.Now))
		}
	}
	switch {
	case wait >= watchSoon:
		return ""
	case wait < watchNow:
		return ui.Every(3 * time.Second)
	}
	return ui.Every(min(wait+time.Second, watchRest))
}

// withoutEndpoint is a row for a list that has no endpoint column, also when it is asked for by itself.
func withoutEndpoint(row pages.DeliveryRow) pages.DeliveryRow { return asksWith(row, "endpoint", "0") }

// choosable is a row of a list with boxes, also when it is asked for by itself; readable is one of the same list for those who may only read.
func choosable(row pages.DeliveryRow) pages.DeliveryRow { return retriesWith(row, "1") }
func readable(row pages.DeliveryRow) pages.DeliveryRow  { return retriesWith(row, "0") }

func retriesWith(row pages.DeliveryRow, choose string) pages.DeliveryRow {
	row.Retries = true
	return asksWith(row, "choose", choose)
}

// asksWith adds a parameter to the addresses whose answer is the row.
func asksWith(row pages.DeliveryRow, name, value string) pages.DeliveryRow {
	for _, href := range []*string{&row.PollHref, &row.RetryHref} {
		if *href != "" {
			*href = link(*href, name, value)
		}
	}
	return row
}

// auditRow is one row of the audit log.
func (p *page) auditRow(e audit.Entry, on auditTarget) pages.AuditRow {
	row := pages.AuditRow{
		ID: e.ID.String(), Time: p.Past(e.CreatedAt), Actor: e.ActorName, Event: e.Event, Tone: auditTone(e.Event),
		Target: ui.NewID(e.TargetID, "", on.href), TargetName: on.name, TargetSub: targetKind(e.TargetType, on.gone),
		Address: e.ClientIP, RequestID: e.RequestID,
	}
	if p.Can(access.AuditRead) {
		row.Href = link(findPath, "q", row.ID)
	}
	switch e.ActorType {
	case access.User:
		row.ActorKind, row.ActorIcon = "user", "user"
	case access.APIKey:
		row.ActorKind, row.ActorIcon = "API key", "key"
	case access.Subject:
		row.ActorKind, row.ActorIcon = "subject", "session"
		row.Actor = cmp.Or(row.Actor, "The person checked") // nobody knows who that is
	case access.System:
		row.ActorKind, row.ActorIcon = "system", "settings"
		row.Actor = cmp.Or(row.Actor, "Kaylehooks")
	}
	row.Actor = cmp.Or(row.Actor, row.ActorKind)
	var metadata map[string]any
	if json.Unmarshal(e.Metadata, &metadata) == nil {
		row.Details, row.Summary = metadataFacts(e.Event, metadata)
	}
	// Columns of the log that a narrow window has no room for.
	for _, fact := range []ui.Fact{{Term: "address", Text: e.ClientIP, Mono: true}, {Term: "request", Text: e.RequestID, Mono: true}} {
		if fact.Text != "" {
			row.Details = append(row.Details, fact)
		}
	}
	return row
}

// metadataFacts lists what an audit row tells, and its first three members as one line. A field whose values before and
// after are known is written as "before → after", and one of which only the name is known as "changed".
func metadataFacts(event string, metadata map[string]any) (facts []ui.Fact, summary string) {
	texts := map[string]string{}
	for name, value := range metadata {
		texts[name] = metadataText(value)
	}
	if from, known := texts["from"]; known && event == "member.role_changed" {
		texts["role"] = from + " → " + texts["to"]
		delete(texts, "from")
		delete(texts, "to")
	}
	changes, compared := metadata[audit.ChangesField].(map[string]any)
	if fields, ok := metadata["updated_fields"].([]any); ok {
		delete(texts, "updated_fields")
		for _, field := range fields {
			if name := metadataText(field); compared { // what was sent as it was has not changed
				delete(texts, name)
			} else if texts[name] == "" {
				texts[name] = changed
			}
		}
	}
	delete(texts, audit.ChangesField)
	for name, value := range changes {
		if change, ok := value.(map[string]any); ok {
			texts[name] = metadataText(change["from"]) + " → " + metadataText(change["to"])
			if from, to, _ := strings.Cut(texts[name], " → "); from == to { // told in part only
				texts[name] = from + ", " + changed
			}
		}
	}
	if compared && len(texts) == 0 {
		return nil, "nothing was changed"
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		term := strings.ReplaceAll(name, "_", " ")
		facts = append(facts, ui.Fact{Term: term, Text: texts[name], Mono: true})
		if len(words) < 3 {
			words = append(words, term+" "+texts[name])
		}
	}
	return facts, strings.Join(words, ", ")
}

const (
	// changed is said of a field whose values are not told.
	changed = "changed"
	// none is said of one that has no value.
	none = "none"
)

// metadataText writes a value of an audit row's metadata.
func metadataText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		if len(v) == 0 {
			return none
		}
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = metadataText(item)
		}
		return strings.Join(parts, ", ")
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case nil:
		return none
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// auditTone marks what deserves a second look.
func auditTone(name string) ui.Tone {
	switch {
	case name == "access.denied", name == "auth.sign_in_failed", strings.HasSuffix(name, ".deleted"):
		return ui.Bad
	case strings.HasSuffix(name, ".revealed"), strings.HasSuffix(name, ".rotated"), strings.HasSuffix(name, ".deactivated"),
		strings.HasSuffix(name, ".suspended"), strings.HasSuffix(name, ".removed"), strings.HasSuffix(name, ".role_changed"):
		return ui.Warn
	}
	return ui.Neutral
}

func endpointPath(e id.Endpoint) string { return "/endpoints/" + e.String() }
