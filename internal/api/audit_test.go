package api

import (
	"net/http"
	"testing"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// Whatever routes there are that write: the row of the audit log names who did it and the request, and without the row nothing is
// written (INV-26).
func TestAudit_EveryWriteLeavesARowOrIsNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	state := everything(h)
	h.exec("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''full''; END'")
	keyID := fixture.Scalar[id.APIKey](h, h.db, "SELECT id FROM api_keys").String()
	h.issue(h.owner, access.Scopes()...) // somebody else's
	writes := 0
	for _, op := range h.operations() {
		if op.method == http.MethodGet {
			continue
		}
		writes++
		r := h.prepare(op)
		actor, actorID := "api_key", keyID
		if op.scope == "" {
			actor, actorID = "subject", ""
		}
		h.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()")
		before := fixture.Scalar[string](h, h.db, state)
		h.do(op.method, r.path, r.body).refused(500, "INTERNAL_SERVER_ERROR")
		if fixture.Scalar[string](h, h.db, state) != before {
			t.Errorf("%s %s wrote without its audit row", op.method, op.path)
		}
		h.exec("DROP TRIGGER refuse ON audit_logs")
		got := h.do(op.method, r.path, r.body)
		if got.status >= 300 {
			t.Errorf("%s %s: %d %s", op.method, op.path, got.status, got.raw)
		}
		if n := h.count("SELECT count(*) FROM audit_logs WHERE request_id = $1 AND actor_type = $2 AND actor_id = $3", got.header.Get("X-Request-Id"), actor, actorID); n == 0 {
			t.Errorf("%s %s: no audit row of that request by %s %s", op.method, op.path, actor, actorID)
		}
	}
	if writes < 18 {
		t.Errorf("only %d routes write", writes)
	}
}
