package dashboard

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"gorm.io/gorm"

	"kaylehooks/internal/fixture"
)

// TestExport_BrokenOffNeverLooksComplete: the database goes away after the first batch. The connection is cut, so that whatever reads
// the file knows; before the first batch there is a page that says so instead of a file.
func TestExport_BrokenOffNeverLooksComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", true)
	w.fail()
	tx := w.db.Reader(t.Context())
	rows := 2*exportBatch + 1
	w.check(tx.Exec(`INSERT INTO verification_sessions SELECT (json_populate_record(s, json_build_object('id', md5('s' || n)::uuid))).* FROM verification_sessions s, generate_series(1, $1) n WHERE s.id = $2`, rows-1, w.open().ID).Error)
	w.check(tx.Exec(`INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
		SELECT gen_random_uuid(), $1, 'webhook.test', 'webhook_endpoint', $2, $3 FROM generate_series(1, $4) n`, w.org, e.ID, w.clock.Now(), rows).Error)
	w.check(tx.Exec(`INSERT INTO webhook_deliveries SELECT (json_populate_record(d, json_build_object('id', gen_random_uuid(), 'event_id', e.id))).*
		FROM webhook_deliveries d, events e WHERE e.type = 'webhook.test'`).Error)
	w.check(tx.Exec(`INSERT INTO audit_logs (id, organization_id, actor_type, event, metadata, created_at) SELECT gen_random_uuid(), $1, 'system', 'test.done', '{}', $2 FROM generate_series(1, $3) n`, w.org, w.clock.Now(), rows).Error)
	b := w.as(w.owner)
	for _, c := range []struct{ list, table string }{{"/deliveries", "webhook_deliveries AS d"}, {"/events", "events AS e"}, {"/sessions", "verification_sessions AS s"}, {"/audit", "audit_logs AS a"}} {
		for _, format := range []string{"", "?format=jsonl"} {
			path := c.list + "/export" + format
			whole := b.get(path).is(http.StatusOK)
			if n := strings.Count(whole.body, "\n"); n < rows {
				t.Fatalf("%s has %d lines, want %d", path, n, rows)
			}
			for batches, sees := range []string{"a page", "a part"} {
				left := batches
				w.queries(func(statement string) error {
					if !strings.Contains(statement, c.table) || !strings.Contains(statement, "created_at DESC") {
						return nil
					}
					if left--; left < 0 {
						return io.ErrUnexpectedEOF
					}
					return nil
				})
				res, err := b.http.Do(b.request(http.MethodGet, path, nil))
				w.check(err)
				body, err := io.ReadAll(res.Body)
				w.check(res.Body.Close())
				w.queries(nil)
				switch {
				case sees == "a page" && (res.StatusCode != http.StatusServiceUnavailable || err != nil || res.Header.Get("Content-Disposition") != ""):
					t.Errorf("%s before its first row: status %d, %v, as %q", path, res.StatusCode, err, res.Header.Get("Content-Disposition"))
				case sees == "a part" && (res.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF)):
					t.Errorf("%s after its first rows: status %d, %d of %d bytes, and reading ends with %v", path, res.StatusCode, len(body), len(whole.body), err)
				case sees == "a part" && (len(body) == 0 || len(body) >= len(whole.body)):
					t.Errorf("%s after its first rows: %d of %d bytes", path, len(body), len(whole.body))
				}
			}
		}
	}
	if n := fixture.Audited(t, w.db, w.org, "export.created"); n != 16 {
		t.Errorf("%d exports are in the log, want those that gave rows away: 16", n)
	}
}

// queries lets what reads from Postgres fail with the error that judge gives it; nil ends that.
func (w *world) queries(judge func(statement string) error) {
	w.t.Helper()
	callbacks := w.db.Reader(w.t.Context()).Callback().Query()
	if judge == nil {
		w.check(callbacks.Remove("judge"))
		return
	}
	w.check(callbacks.After("gorm:query").Register("judge", func(tx *gorm.DB) {
		if err := judge(tx.Statement.SQL.String()); err != nil {
			_ = tx.AddError(err)
		}
	}))
}
