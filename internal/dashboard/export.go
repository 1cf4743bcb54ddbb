package dashboard

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/web/templates/ui"
)

const (
	// exportMax is the most rows in one file, exportBatch how many are read at a time.
	exportMax   = 10_000
	exportBatch = 500
)

// listFilters are the parameters by which lists choose their rows.
var listFilters = []string{
	"actor", "attempts", "code", "delivery", "due_from", "due_to", "endpoint", "error", "event", "failed_from", "from", "held", "job", "key", "label", "next",
	"outcome", "q", "status", "target", "to", "took", "trigger", "type",
}

// noFilters are the parameters of a list that choose none of its rows.
var noFilters = []string{"after", "before", "limit", "live"}

// exportActions are the links to the export of what a list shows, one for each form: the same filters without the cursor.
func exportActions(p *page, path, things string) []ui.Action {
	q := p.R.URL.Query()
	for _, name := range noFilters {
		q.Del(name)
	}
	action := func(label string) ui.Action {
		return ui.Action{Label: label, Icon: "down", Href: address(path, q), Download: true, Export: exportMax, Name: "Export these " + things + " as " + label + ", " + ui.Count(exportMax) + " rows at most"}
	}
	table := action("CSV")
	q.Set("format", jsonLines)
	return []ui.Action{table, action("JSONL")}
}

// jsonLines is the form of an export with one JSON object a line; without it the form is CSV.
const jsonLines = "jsonl"

// writer takes the rows of an export; the cells are in the order of its head.
type writer interface {
	// row fails for a cell that cannot be written in this form.
	row(cells []any) error
	// flush reports whether the browser still reads.
	flush() bool
}

// exportList streams a filtered list, newest first, times in UTC. That somebody took the rows is audited before the first
// one leaves.
func exportList[T any](p *page, name string, empty bool, head []string, list func(postgres.Page) (postgres.List[T], error), row func(T) ([]any, postgres.Position)) error {
	if p.R.Method == http.MethodHead { // takes no rows
		p.exportTo(name, head)
		return nil
	}
	at := postgres.Page{Limit: exportBatch}
	var batch postgres.List[T]
	var err error
	if !empty {
		if batch, err = list(at); err != nil { // an error can still become a page
			return err
		}
	}
	// Their names only, and only those that lists know: what people type does not belong into the log.
	filters := slices.DeleteFunc(slices.Clone(listFilters), func(name string) bool { return p.Query(name) == "" })
	err = p.DB.InTx(p.Ctx, func(tx *postgres.Tx) error {
		return audit.Record(tx, p.Actor, "export.created", audit.Target{}, audit.Metadata{"list": name, "filters": filters, "most_rows": exportMax})
	})
	if err != nil {
		return err
	}
	out := p.exportTo(name, head)
	for n := 0; ; {
		for _, r := range batch.Rows {
			cells, position := row(r)
			if err := out.row(cells); err != nil {
				return err // as below
			}
			at.After = &position
			n++
		}
		if !out.flush() || len(batch.Rows) == 0 || !batch.HasOlder || n >= exportMax {
			return nil
		}
		if batch, err = list(at); err != nil {
			return err // the connection is cut, so that the file does not look complete
		}
	}
}

// exportTo begins the file in the form that the address asks for.
func (p *page) exportTo(name string, head []string) writer {
	kind, suffix := "text/csv; charset=utf-8", "csv"
	if p.Query("format") == jsonLines {
		kind, suffix = "application/x-ndjson", jsonLines
	}
	header := p.W.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, name, p.Now.UTC().Format("20060102T150405Z"), suffix))
	p.W.WriteHeader(http.StatusOK)
	if suffix == jsonLines {
		return &lines{head: head, out: bufio.NewWriter(p.W)}
	}
	out := table{csv.NewWriter(p.W)}
	_ = out.Write(head) // a broken connection shows at flush
	return out
}

// table writes CSV.
type table struct{ *csv.Writer }

func (t table) row(cells []any) error {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		switch cell := cell.(type) {
		case nil:
		case json.RawMessage:
			texts[i] = inertCell(string(cell))
		default:
			texts[i] = inertCell(fmt.Sprint(cell))
		}
	}
	_ = t.Write(texts) // as for the head
	return nil
}

func (t table) flush() bool {
	t.Flush()
	return t.Error() == nil
}

// lines writes JSON Lines, the names in the order of the head.
type lines struct {
	head []string
	out  *bufio.Writer
}

func (l *lines) row(cells []any) error {
	line := []byte{'{'}
	for i, cell := range cells {
		if i > 0 {
			line = append(line, ',')
		}
		if cell == "" {
			cell = nil
		}
		value, err := json.Marshal(cell)
		if err != nil {
			return fmt.Errorf("export %s: %w", l.head[i], err)
		}
		line = append(strconv.AppendQuote(line, l.head[i]), ':')
		line = append(line, value...)
	}
	_, _ = l.out.Write(append(line, '}', '\n')) // as for the head of a table
	return nil
}

func (l *lines) flush() bool { return l.out.Flush() == nil }

// inertCell keeps a spreadsheet from taking a cell for a formula.
func inertCell(s string) string {
	if s == "" {
		return s
	}
	switch s[0] {
	case '=', '+', '-', '@', '\t', '\r':
		return "'" + s
	}
	return s
}

// exportDeliveries streams the filtered deliveries.
func exportDeliveries(p *page) error {
	f, _, impossible := p.searchedDeliveries()
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	head := []string{
		"id", "created_utc", "state", "status", "endpoint_id", "endpoint", "event_id", "event_type", "run", "attempts",
		"last_status_code", "last_error", "last_attempt_utc", "next_attempt_utc", "payload", "payload_expires_utc",
	}
	return exportList(p, "deliveries", impossible, head,
		func(at postgres.Page) (postgres.List[delivery.Delivery], error) {
			return p.Deliveries.List(p.Ctx, p.Actor, f, at)
		},
		func(d delivery.Delivery) ([]any, postgres.Position) {
			var code any
			if d.LastStatusCode != nil {
				code = *d.LastStatusCode
			}
			return []any{
				d.ID.String(), stamp(&d.CreatedAt), string(d.State()), string(d.Status), d.WebhookEndpointID.String(), endpoints[d.WebhookEndpointID].DisplayName(),
				d.EventID.String(), string(d.EventType), d.Run, d.AttemptCount, code, string(lastKind(d)), stamp(d.LastAttemptAt),
				stamp(d.NextAttemptAt), payloadWords(d, p.Now), stamp(d.PayloadExpiresAt),
			}, postgres.Position{At: d.CreatedAt, ID: d.ID.UUID}
		})
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// exportEvents streams the filtered events and how far each one came.
func exportEvents(p *page) error {
	f, err := p.eventFilter()
	if err != nil {
		return err
	}
	head := []string{"id", "created_utc", "type", "subject", "outcome", "delivered", "retrying", "waiting", "failed", "withdrawn", "skipped", "payloads_held"}
	reached := map[string]reach{}
	return exportList(p, "events", f.impossible || f.jump != "", head,
		func(at postgres.Page) (postgres.List[event.Event], error) {
			list, err := event.List(p.Ctx, p.DB, p.Actor, f.Filter, at)
			if err != nil {
				return list, err
			}
			deliveries, err := p.deliveriesOf(list.Rows)
			clear(reached)
			for _, e := range list.Rows {
				reached[e.ID.String()] = reachOf(e.Routing, deliveries[e.ID], p.Now)
			}
			return list, err
		},
		func(e event.Event) ([]any, postgres.Position) {
			r := reached[e.ID.String()]
			return []any{
				e.ID.String(), stamp(&e.CreatedAt), string(e.Type), e.TriggerText(), r.badge().Label, r.Delivered, r.Retrying, r.Waiting, r.Failed, r.Withdrawn, r.Skipped, r.Held,
			}, postgres.Position{At: e.CreatedAt, ID: e.ID.UUID}
		})
}

// exportSessions streams the filtered sessions and what became of their events: nothing of a person, nor of the share
// contract.
func exportSessions(p *page) error {
	f, jump, impossible := p.sessionFilter()
	head := []string{
		"id", "created_utc", "status", "failure_code", "targeted_endpoints", "completed_utc", "expires_utc",
		"event_id", "outcome", "delivered", "retrying", "waiting", "failed", "withdrawn", "skipped",
	}
	last, reached := map[id.Session]event.Event{}, map[id.Session]reach{}
	return exportList(p, "sessions", impossible || jump != "", head,
		func(at postgres.Page) (postgres.List[verification.Session], error) {
			list, err := p.Sessions.List(p.Ctx, p.Actor, f, at)
			if err != nil {
				return list, err
			}
			clear(last)
			clear(reached)
			_, err = p.lastEvents(list.Rows, last, reached)
			return list, err
		},
		func(s verification.Session) ([]any, postgres.Position) {
			var code any
			if s.FailureCode != nil {
				code = string(*s.FailureCode)
			}
			cells := []any{s.ID.String(), stamp(&s.CreatedAt), string(s.Status), code, len(s.WebhookEndpointIDs), stamp(s.CompletedAt), stamp(&s.ExpiresAt)}
			if e, ok := last[s.ID]; ok {
				r := reached[s.ID]
				cells = append(cells, e.ID.String(), r.badge().Label, r.Delivered, r.Retrying, r.Waiting, r.Failed, r.Withdrawn, r.Skipped)
			} else {
				cells = append(cells, "", "", nil, nil, nil, nil, nil, nil)
			}
			return cells, postgres.Position{At: s.CreatedAt, ID: s.ID.UUID}
		})
}
