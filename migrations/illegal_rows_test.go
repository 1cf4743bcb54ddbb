package migrations_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/postgres"
	"kaylehooks/migrations"
)

// legal is one row of everything: an API key that was used, an ended session with its event, and a delivery of it to one endpoint that is
// pending again after an attempt, and two that did not count.
const legal = `
INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('00000000-0000-7000-8000-0000000000a1', 'A', now(), now()), ('00000000-0000-7000-8000-0000000000a2', 'B', now(), now());
INSERT INTO api_keys (id, organization_id, name, key_hash, master_key_id, hint, scopes, created_at, updated_at)
	VALUES ('00000000-0000-7000-8000-000000000091', '00000000-0000-7000-8000-0000000000a1', 'k', repeat('0', 64), 'm1', 'h', '{webhooks:read}', now(), now());
INSERT INTO api_key_calls (organization_id, api_key_id, day, calls) VALUES ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-000000000091', now(), 1);
INSERT INTO webhook_endpoints (id, organization_id, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
	VALUES ('00000000-0000-7000-8000-0000000000e1', '00000000-0000-7000-8000-0000000000a1', 'https://a.example/', '{verification.session.failed}', 's', now(), now(), now());
INSERT INTO webhook_encryption_keys (id, organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, is_active, activated_at, created_at, updated_at)
	VALUES ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000e1', 'k1', 'm', 'e', 2048, 't', 's', true, now(), now(), now());
INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
	VALUES ('00000000-0000-7000-8000-0000000000c1', '00000000-0000-7000-8000-0000000000a1', 'succeeded', '{}', repeat('0', 64), 'm1', now(), now(), now(), now());
INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
	VALUES ('00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-0000000000a1', 'verification.session.succeeded', 'verification_session', '00000000-0000-7000-8000-0000000000c1', now());
INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_retention_reason, next_attempt_at, created_at, updated_at)
	VALUES ('00000000-0000-7000-8000-0000000000f1', '00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-0000000000e1',
		'verification.session.succeeded', 'pending', 'x', now(), 'pending_delivery', now(), now(), now());
INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, error_kind, created_at)
	SELECT ('00000000-0000-7000-8000-00000000008' || n)::uuid, '00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000f1', 1, 1, n = 1, 'failed', 'automatic', now(), 'refused', now()
	FROM generate_series(1, 3) n -- those that do not count may share a number`

// TestSchema_RefusesIllegalRows breaks each rule that the schema is the last to hold, and wants its constraint to say no.
func TestSchema_RefusesIllegalRows(t *testing.T) {
	url := devtest.Database(t)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	m, err := db.Migrator(migrations.Files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	if _, err := conn.Exec(t.Context(), legal); err != nil {
		t.Fatal(err)
	}
	again := func(table, columns, values string) string {
		return "INSERT INTO " + table + " (id, " + columns + ") SELECT gen_random_uuid(), " + values + " FROM " + table + " LIMIT 1"
	}
	const delivery = "organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_retention_reason, created_at, updated_at"
	const attempt = "organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, error_kind, created_at"
	for constraint, statement := range map[string]string{
		"events_one_original":                                         again("events", "organization_id, type, trigger_type, trigger_id, created_at", "organization_id, 'verification.session.failed', trigger_type, trigger_id, created_at"),
		"events_one_replacement":                                      "INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, replaces_event_id, created_at) SELECT gen_random_uuid(), organization_id, 'verification.session.cancelled', trigger_type, trigger_id, id, created_at FROM events, generate_series(1, 2)",
		"webhook_endpoints_retention":                                 "UPDATE webhook_endpoints SET undelivered_payload_retention_hours = 48",
		"api_keys_key_hash_key":                                       again("api_keys", "organization_id, name, key_hash, master_key_id, hint, scopes, created_at, updated_at", "organization_id, name, key_hash, master_key_id, hint, scopes, created_at, updated_at"),
		"webhook_deliveries_event_endpoint":                           again("webhook_deliveries", delivery, delivery),
		"webhook_deliveries_webhook_encryption_key_id_fkey":           "UPDATE webhook_deliveries SET webhook_encryption_key_id = gen_random_uuid()",
		"webhook_delivery_attempts_number":                            again("webhook_delivery_attempts", attempt, strings.Replace(attempt, "counted", "true", 1)),
		"webhook_encryption_keys_one_active":                          again("webhook_encryption_keys", "organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, is_active, activated_at, created_at, updated_at", "organization_id, webhook_endpoint_id, 'k2', modulus, exponent, bits, thumbprint, spki_sha256, is_active, activated_at, created_at, updated_at"),
		"webhook_encryption_keys_key_id_key":                          again("webhook_encryption_keys", "organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, is_active, disabled_at, created_at, updated_at", "organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, false, now(), created_at, updated_at"),
		"webhook_encryption_keys_bits":                                "UPDATE webhook_encryption_keys SET bits = 1024",
		"webhook_encryption_keys_activated":                           "UPDATE webhook_encryption_keys SET activated_at = NULL",
		"webhook_encryption_keys_challenge":                           "UPDATE webhook_encryption_keys SET challenge_hash = 'h'",
		"webhook_encryption_keys_verified_by":                         "UPDATE webhook_encryption_keys SET verified_by = 'somebody'",
		"webhook_encryption_keys_algorithm":                           "UPDATE webhook_encryption_keys SET algorithm = 'RSA1_5'",
		"webhook_deliveries_succeeded_has_none":                       "UPDATE webhook_deliveries SET status = 'succeeded', next_attempt_at = NULL",
		"webhook_deliveries_open_has_payload":                         "UPDATE webhook_deliveries SET payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = now()",
		"webhook_deliveries_payload_expiry":                           "UPDATE webhook_deliveries SET payload_expires_at = NULL",
		"webhook_deliveries_scrubbed":                                 "UPDATE webhook_deliveries SET payload_scrubbed_at = now()",
		"webhook_deliveries_lease":                                    "UPDATE webhook_deliveries SET status = 'delivering', next_attempt_at = NULL",
		"webhook_deliveries_next_attempt":                             "UPDATE webhook_deliveries SET status = 'failed'",
		"webhook_deliveries_attempt_count":                            "UPDATE webhook_deliveries SET attempt_count = 9",
		"webhook_deliveries_withdrawn":                                "UPDATE webhook_deliveries SET withdrawn_at = now()",
		"webhook_deliveries_status":                                   "UPDATE webhook_deliveries SET status = 'lost', next_attempt_at = NULL",
		"webhook_deliveries_organization_id_event_id_fkey":            "UPDATE webhook_deliveries SET organization_id = '00000000-0000-7000-8000-0000000000a2'",
		"webhook_deliveries_organization_id_webhook_endpoint_id_fkey": "UPDATE webhook_deliveries SET webhook_endpoint_id = gen_random_uuid()",
		"verification_sessions_completed":                             "UPDATE verification_sessions SET completed_at = NULL",
		"verification_sessions_failure_code":                          "UPDATE verification_sessions SET failure_code = 'liveness_failed'",
		"verification_sessions_tries":                                 "UPDATE verification_sessions SET nfc_tries_used = 4",
		"verification_sessions_token_hash":                            "UPDATE verification_sessions SET cancel_token_hash = 'plain'",
		"organizations_environment_color":                             "UPDATE organizations SET environment_color = 'url(x)'",
		"api_keys_replaced":                                           "UPDATE api_keys SET replaced_at = now()",
		"api_key_calls_calls":                                         "UPDATE api_key_calls SET calls = 0",
		"api_key_calls_organization_id_api_key_id_fkey":               "UPDATE api_key_calls SET organization_id = '00000000-0000-7000-8000-0000000000a2'",
		"webhook_endpoints_secret":                                    "UPDATE webhook_endpoints SET deleted_at = now()",
		"webhook_endpoints_disabled_at":                               "UPDATE webhook_endpoints SET enabled = false",
		"":                                                            "UPDATE webhook_deliveries SET payload = 'another'", // a trigger: a payload is written once
	} {
		_, err := conn.Exec(t.Context(), statement)
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || refusal.ConstraintName != constraint {
			t.Errorf("%s\ngave %v, want the refusal of %q", statement, err, constraint)
		}
	}
	for _, hash := range []string{"", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("A", 64), strings.Repeat("g", 64), strings.Repeat("0", 63) + " ", strings.Repeat("é", 32)} {
		if _, err := conn.Exec(t.Context(), "UPDATE verification_sessions SET cancel_token_hash = $1", hash); err == nil {
			t.Errorf("%q is stored as the hash of a token", hash)
		}
	}
}
