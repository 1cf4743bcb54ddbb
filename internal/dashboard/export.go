package dashboard

import (
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/postgres"
)

const (
	// exportMax is the most rows in one file, exportBatch how many are read at a time.
	exportMax   = 10_000
	exportBatch = 500
)

// exportOf is the address of the export of what a list shows: the same filters without the cursor.
func exportOf(p *page, path string) string {
	q := p.R.URL.Query()
	for _, name := range []string{"after", "before", "limit", "live"} {
		q.Del(name)
	}
	return address(path, q)
}

// exportCSV streams a filtered list as CSV, newest first, times in UTC. That somebody took the rows is audited before the
// first one leaves.
func exportCSV[T any](p *page, name string, empty bool, head []string, list func(postgres.Page) (postgres.List[T], error), row func(T) ([]string, postgres.Position)) error {
	at := postgres.Page{Limit: exportBatch}
	var batch postgres.List[T]
	var err error
	if !empty {
		if batch, err = list(at); err != nil { // an error can still become a page
			return err
		}
	}
	filters := slices.Sorted(maps.Keys(p.R.URL.Query())) // their names only: what people type does not belong into the log
	err = p.DB.InTx(p.Ctx, func(tx *postgres.Tx) error {
		return audit.Record(tx, p.Actor, "export.created", audit.Target{}, audit.Metadata{"list": name, "filters": filters, "most_rows": exportMax})
	})
	if err != nil {
		return err
	}
	header := p.W.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, name, p.Now.UTC().Format("20060102T150405Z")))
	p.W.WriteHeader(http.StatusOK)
	out := csv.NewWriter(p.W)
	_ = out.Write(head) // a broken connection shows at Flush
	for n := 0; ; {
		for _, r := range batch.Rows {
			cells, position := row(r)
			for i := range cells {
				cells[i] = inertCell(cells[i])
			}
			_ = out.Write(cells)
			at.After = &position
			n++
		}
		out.Flush()
		if failed(out) || len(batch.Rows) == 0 || !batch.HasOlder || n >= exportMax {
			return nil
		}
		if batch, err = list(at); err != nil {
			return err // the connection is cut, so that the file does not look complete
		}
	}
}

// failed reports whether the browser has left; nobody is there to tell then.
func failed(out *csv.Writer) bool { return out.Error() != nil }

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
	return exportCSV(p, "deliveries", impossible, head,
		func(at postgres.Page) (postgres.List[delivery.Delivery], error) {
			return p.Deliveries.List(p.Ctx, p.Actor, f, at)
		},
		func(d delivery.Delivery) ([]string, postgres.Position) {
			code := ""
			if d.LastStatusCode != nil {
				code = strconv.Itoa(*d.LastStatusCode)
			}
			return []string{
				d.ID.String(), stamp(&d.CreatedAt), string(d.State()), string(d.Status), d.WebhookEndpointID.String(), endpoints[d.WebhookEndpointID].DisplayName(),
				d.EventID.String(), string(d.EventType), strconv.Itoa(d.Run), strconv.Itoa(d.AttemptCount), code, string(lastKind(d)), stamp(d.LastAttemptAt),
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
