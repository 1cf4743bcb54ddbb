package event

import (
	"fmt"
	"strings"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Outcome sorts events by what became of their deliveries.
type Outcome string

// The outcomes that can be filtered by. An event of which one delivery failed and another one waits has both.
const (
	AllDelivered Outcome = "delivered"
	AnyFailed    Outcome = "failed"
	AnyWaiting   Outcome = "waiting"
	// NoDelivery is an event that no endpoint was to receive.
	NoDelivery Outcome = "none"
)

// Outcomes lists the outcomes.
func Outcomes() []Outcome { return []Outcome{AllDelivered, AnyFailed, AnyWaiting, NoDelivery} }

// Unreached is the condition, in SQL, that event e was to go to no endpoint: the one that the index events_unreached is of.
const Unreached = "NOT jsonb_path_match(e.routing, '$[*].delivery_id != null')"

// outcomeConditions select events by deliveries that most events have, or by the record of routing, for which there is an
// index of its own (events_unreached).
var outcomeConditions = map[Outcome]string{
	AllDelivered: "EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id) " +
		"AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status <> 'succeeded')",
	NoDelivery: Unreached,
}

// rareOutcome is an outcome that few events have: they are found by way of their deliveries, whose index knows the status.
type rareOutcome struct {
	statuses []string
	// delivery narrows the deliveries d that make the outcome.
	delivery string
}

// rareOutcomes are found so. A failure is what a person may have to act on: what was withdrawn is none.
var rareOutcomes = map[Outcome]rareOutcome{
	AnyFailed:  {[]string{"failed"}, "d.payload_retention_reason IS DISTINCT FROM 'privacy_request'"},
	AnyWaiting: {[]string{"pending", "delivering"}, "true"},
}

// listRare answers a page of a rare outcome. The deliveries of an event carry its time, so those of one status are in the
// order of their events, but for ties; each status is read until the page is full. The one kind of delivery that comes
// later than its event belongs to the replacement of an event whose delivery was in flight when consent was withdrawn:
// replacements, few as they are, have an index of their own and are looked through.
func listRare(tx *postgres.Tx, org id.Organization, f Filter, page postgres.Page) (postgres.List[Event], error) {
	rare, order, beyond, cursor := rareOutcomes[f.Outcome], "DESC", "<", page.After
	if page.Before != nil {
		order, beyond, cursor = "ASC", ">", page.Before
	}
	var branches []string
	var args []any
	// at and key are the columns that order the rows of a branch, kind is their type.
	branch := func(from, at, key, kind, where string, given ...any) {
		conditions := []string{where}
		narrow := func(condition string, values ...any) {
			conditions = append(conditions, condition)
			given = append(given, values...)
		}
		if f.Type != "" {
			narrow(kind+" = ?", f.Type)
		}
		if !f.From.IsZero() {
			narrow(at+" >= ?", f.From)
		}
		if !f.To.IsZero() {
			narrow(at+" <= ?", f.To)
		}
		if cursor != nil {
			narrow(at+" "+beyond+"= ?", cursor.At)
			narrow("("+at+", "+key+") "+beyond+" (?, ?)", cursor.At, cursor.ID)
		}
		// Put in order first, which Postgres does as far as the page needs: it would sort all there is for DISTINCT ON by itself.
		branches = append(branches, fmt.Sprintf("(SELECT DISTINCT ON (b.at, b.id) b.* FROM (SELECT e.*, %[1]s AS at FROM %[3]s WHERE %[4]s ORDER BY %[1]s %[5]s, %[2]s %[5]s) AS b ORDER BY b.at %[5]s, b.id %[5]s LIMIT %[6]d)",
			at, key, from, strings.Join(conditions, " AND "), order, page.Limit+1))
		args = append(args, given...)
	}
	for _, status := range rare.statuses {
		// A delivery is never older than its event: this is "at the same time", in a form that Postgres does not take to be rare.
		branch("webhook_deliveries d JOIN events e ON e.id = d.event_id AND e.created_at >= d.created_at", "d.created_at", "d.event_id", "d.event_type",
			"d.organization_id = ? AND d.status = ? AND "+rare.delivery, org, status)
	}
	branch("events e", "e.created_at", "e.id", "e.type", "e.organization_id = ? AND e.replaces_event_id IS NOT NULL AND EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status IN ? AND "+
		rare.delivery+")", org, rare.statuses)
	union := "SELECT DISTINCT ON (u.created_at, u.id) u.* FROM (" + strings.Join(branches, " UNION ALL ") + ") AS u"
	return postgres.Fetch[Event](tx.Table("(?) AS e", tx.Raw(union, args...)), "e", page)
}
