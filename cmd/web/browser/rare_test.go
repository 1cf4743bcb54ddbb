package browser_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// meetRareStates looks at what pages say when something is so that it takes long to come about, or should never be.
func meetRareStates(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)

	link := s.invite(b, "late@fjordpay.example", "admin")
	s.sql(t, "UPDATE invitations SET expires_at = created_at WHERE email = 'late@fjordpay.example'")
	b.visit("/members")
	b.see("#invitations", "Expired")
	b.check("members, an invitation expired")
	late := s.open(t, s.base)
	late.expect(http.StatusNotFound).visit(link)
	late.see("main", "no longer valid")
	late.check("invitation expired")

	s.sql(t, `INSERT INTO organizations (id, name, created_at, updated_at) VALUES (gen_random_uuid(), 'Nordlicht', now(), now())`)
	b.visit("/queue")
	b.see("main", "every organization")
	b.check("queue, shared")
	b.expect(http.StatusForbidden).visit("/queue/fresh/pause")
	b.check("queue, shared: nobody pauses it")
	b.expect()
	s.sql(t, "DELETE FROM organizations WHERE name = 'Nordlicht'")

	s.sql(t, `INSERT INTO audit_logs (id, organization_id, actor_type, event, created_at)
		SELECT gen_random_uuid(), m.organization_id, 'system', 'webhook_key.verified', now() - n * interval '1 second' FROM memberships m JOIN users u ON u.id = m.user_id, generate_series(1, 10001) n WHERE u.email = $1`, s.email)
	b.visit("/audit?q=nothing+like+it")
	b.see("main", "Only the latest")
	b.check("log, searched in part")
	b.expect(http.StatusBadRequest).visit("/audit/export?q=nothing+like+it")
	b.check("log, an export that would be incomplete")
	b.expect()

	s.sql(t, `WITH like_it AS (SELECT d.*, e.trigger_type, e.routing, gen_random_uuid() AS fresh FROM generate_series(1, 1001) n,
			(SELECT * FROM webhook_deliveries WHERE status = 'failed' AND payload IS NOT NULL LIMIT 1) d JOIN events e ON e.id = d.event_id),
		made AS (INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at)
			SELECT fresh, organization_id, event_type, trigger_type, gen_random_uuid(), routing, created_at FROM like_it)
		INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload, payload_bytes, payload_expires_at,
			payload_retention_reason, attempt_count, last_error_kind, last_status_code, last_attempt_at, created_at, updated_at)
		SELECT fresh, organization_id, fresh, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload, payload_bytes, now() + interval '1 day',
			payload_retention_reason, attempt_count, last_error_kind, last_status_code, last_attempt_at, created_at, updated_at FROM like_it`)
	b.visit("/jobs/new?status=failed")
	b.see("main", "to confirm")
	b.check("bulk retry of more than a thousand")
	b.fill("[name=confirm]", "1")
	b.expect(http.StatusUnprocessableEntity)
	b.leave("confirm another number", chromedp.Submit("[name=confirm]"))
	b.check("bulk retry, another number confirmed")
	b.expect()

	endpoint := b.link("/endpoints?q=KYC", "#results a.lead")
	b.visit(endpoint + "/keys")
	garbage := filepath.Join(t.TempDir(), "notes.pem")
	if err := os.WriteFile(garbage, []byte("no key at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.expect(http.StatusUnprocessableEntity)
	b.do("choose a file that is no key", chromedp.SetUploadFiles("#keyfile", []string{garbage}))
	b.see("#check", "No public key") // it is checked as soon as it is chosen
	b.expect(http.StatusUnprocessableEntity)
	b.press("#keyform button", "Add")
	b.see("main", "No public key")
	b.check("key file refused")
	b.expect()

	s.sql(t, "ALTER TABLE jobs RENAME TO lost_jobs")
	b.expect(http.StatusInternalServerError).visit("/jobs")
	b.see("main", "Request ")
	b.check("a fault of ours")
	b.expect()
	s.sql(t, "ALTER TABLE lost_jobs RENAME TO jobs")
	b.visit("/jobs")
}
