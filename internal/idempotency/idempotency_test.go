package idempotency_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// ledger is a database with an API key.
type ledger struct {
	*testing.T
	clock *fixture.Clock
	db    *postgres.DB
	key   id.APIKey
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	clock := fixture.NewClock()
	l := &ledger{T: t, clock: clock, db: fixture.DBAt(t, clock)}
	org, _ := fixture.Organization(t, l.db)
	l.key = id.APIKey{UUID: id.NewUUID(clock.Now())}
	fixture.Exec(t, l.db, `INSERT INTO api_keys (id, organization_id, name, key_hash, master_key_id, hint, scopes, created_at, updated_at)
		VALUES ($1, $2, 'test', repeat('a', 64), 'test', 'aaaa', ARRAY['sessions:read'], $3, $3)`, l.key, org, clock.Now())
	return l
}

func (l *ledger) request(key, body string) idempotency.Request {
	return idempotency.Request{APIKey: l.key, Key: key, Method: "POST", Path: "/v1/x", Body: []byte(body)}
}

// once runs a request whose answer is text; ran tells whether it had to.
func (l *ledger) once(keyring *seal.Keyring, req idempotency.Request, text string) (answer string, replayed, ran bool, err error) {
	l.Helper()
	err = l.db.InTx(l.Context(), func(tx *postgres.Tx) error {
		response, again, err := idempotency.Once(tx, keyring, req, func() (idempotency.Response, error) {
			ran = true
			return idempotency.Response{Status: 200, Body: []byte(text)}, nil
		})
		answer, replayed = string(response.Body), again
		return err
	})
	return answer, replayed, ran, err
}

func (l *ledger) want(keyring *seal.Keyring, req idempotency.Request, text, answer string, replayed bool) {
	l.Helper()
	got, again, ran, err := l.once(keyring, req, text)
	if err != nil || got != answer || again != replayed || ran == replayed {
		l.Errorf("got %q, replayed %t, ran %t, error %v; want %q, replayed %t", got, again, ran, err, answer, replayed)
	}
}

func TestOnce_GivesTheFirstAnswerUntilItIsTooOld(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	req := l.request("a", "{}")
	l.want(keyring, req, "one", "one", false)
	l.want(keyring, req, "two", "one", true)
	l.clock.Advance(idempotency.TTL - time.Microsecond)
	l.want(keyring, req, "two", "one", true)
	l.clock.Advance(time.Microsecond)
	l.want(keyring, req, "two", "two", false)
	l.want(keyring, l.request("b", "{}"), "three", "three", false)
}

func TestOnce_RefusesAnotherRequestUnderTheKey(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	l.want(keyring, l.request("a", "{}"), "one", "one", false)
	for name, req := range map[string]idempotency.Request{
		"body":   l.request("a", "{ }"),
		"method": {APIKey: l.key, Key: "a", Method: "PUT", Path: "/v1/x", Body: []byte("{}")},
		"path":   {APIKey: l.key, Key: "a", Method: "POST", Path: "/v1/y", Body: []byte("{}")},
	} {
		_, _, ran, err := l.once(keyring, req, "two")
		fixture.WantFault(t, err, idempotency.ErrReused)
		if ran {
			t.Errorf("%s: the operation ran", name)
		}
	}
}

func TestOnce_AFailureLeavesTheKeyFree(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	failure := errors.New("refused")
	err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		_, _, err := idempotency.Once(tx, keyring, l.request("a", "{}"), func() (idempotency.Response, error) {
			return idempotency.Response{}, failure
		})
		return err
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	l.want(keyring, l.request("a", "{other}"), "one", "one", false)
}

func TestOnce_SecondRequestIsRefusedWhileTheFirstRuns(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		_, _, err := idempotency.Once(tx, keyring, l.request("a", "{}"), func() (idempotency.Response, error) {
			_, _, ran, err := l.once(keyring, l.request("a", "{}"), "two")
			fixture.WantFault(t, err, idempotency.ErrRunning)
			if ran {
				t.Error("the operation ran twice")
			}
			l.want(keyring, l.request("b", "{}"), "other", "other", false)
			return idempotency.Response{Status: 200, Body: []byte("one")}, nil
		})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	l.want(keyring, l.request("a", "{}"), "two", "one", true)
}

func TestStoredResponse_IsSealedForItsRow(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	l.want(keyring, l.request("a", "secret request"), "secret answer", "secret answer", false)
	l.want(keyring, l.request("b", "secret request"), "other answer", "other answer", false)
	row := fixture.Scalar[string](t, l.db, "SELECT string_agg(to_json(i)::text, '') FROM idempotency_keys i")
	if strings.Contains(row, "secret") || strings.Contains(row, "answer") {
		t.Errorf("stored in the clear: %s", row)
	}
	fixture.Exec(t, l.db, "UPDATE idempotency_keys SET sealed_response = (SELECT sealed_response FROM idempotency_keys WHERE idempotency_key = 'b')")
	if _, _, _, err := l.once(keyring, l.request("a", "secret request"), ""); !errors.Is(err, seal.ErrSubject) {
		t.Errorf("a blob of another row opens: %v", err)
	}
}

func TestPurge_DropsOldRecordsOnly(t *testing.T) {
	t.Parallel()
	l, keyring := newLedger(t), fixture.Keyring()
	l.want(keyring, l.request("a", ""), "one", "one", false)
	l.clock.Advance(time.Hour)
	l.want(keyring, l.request("b", ""), "two", "two", false)
	l.clock.Advance(idempotency.TTL - time.Hour)
	for _, want := range []int64{1, 0} {
		err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
			n, err := idempotency.Purge(tx, 10)
			if n != want {
				t.Errorf("%d records were dropped, want %d", n, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.want(keyring, l.request("b", ""), "", "two", true)
}

func TestValidKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"a": true, "a b~!": true, strings.Repeat("k", 255): true,
		"": false, strings.Repeat("k", 256): false, "a\n": false, "é": false, "\x7f": false,
	} {
		if got := idempotency.ValidKey(key); got != want {
			t.Errorf("%q: %t", key, got)
		}
	}
}
