package apikey_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// call uses the key n times.
func call(t *testing.T, s *apikey.Service, secret string, n int) {
	t.Helper()
	for range n {
		if _, err := s.Authenticate(t.Context(), secret, use); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, s *apikey.Service) {
	t.Helper()
	if err := s.FlushCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// callsOf is what the actor sees of the keys, by day.
func callsOf(t *testing.T, s *apikey.Service, actor access.Actor, keys ...id.APIKey) map[string]int64 {
	t.Helper()
	days, err := s.Calls(t.Context(), actor, keys)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int64{}
	for _, d := range days {
		if !slices.Contains(keys, d.APIKeyID) || d.Day.Location() != time.UTC {
			t.Errorf("asked for %s, got %+v", keys, d)
		}
		seen[d.Day.Format("01-02 15:04")] += d.Calls
	}
	return seen
}

func TestCalls_ProcessesAddUp(t *testing.T) {
	t.Parallel()
	first, db, clock := newService(t)
	second := apikey.New(db, fixture.Keyring())
	tenant, owner := fixture.Organization(t, db)
	clock.Set(time.Date(2026, 3, 2, 23, 59, 59, 0, time.UTC))
	key, secret := issue(t, first, owner, readOnly)
	other, otherSecret := issue(t, first, owner, readOnly)

	call(t, first, secret, 3)
	call(t, second, secret, 4)
	call(t, second, otherSecret, 1)
	for _, refused := range []string{"kk_" + strings.Repeat("a", 32), "nonsense"} {
		_, err := first.Authenticate(t.Context(), refused, use)
		fixture.WantFault(t, err, apikey.ErrUnauthorized)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM api_key_calls"); n != 0 {
		t.Errorf("%d rows before anything was flushed", n)
	}
	flush(t, first)
	flush(t, second)
	flush(t, second) // nothing is left
	clock.Advance(time.Second)
	call(t, first, secret, 5) // after midnight
	flush(t, first)

	if diff := cmp.Diff(map[string]int64{"03-02 00:00": 7, "03-03 00:00": 5}, callsOf(t, first, owner, key.ID)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int64{"03-02 00:00": 8, "03-03 00:00": 5}, callsOf(t, second, owner, key.ID, other.ID)); diff != "" {
		t.Error(diff)
	}

	_, stranger := fixture.Organization(t, db)
	if seen := callsOf(t, first, stranger, key.ID); len(seen) != 0 {
		t.Errorf("another organization sees %v", seen)
	}
	_, err := first.Calls(t.Context(), fixture.User(t, db, tenant, access.Member), []id.APIKey{key.ID})
	fixture.WantKind(t, err, fault.Forbidden)
}

func TestCalls_OneStatementForManyKeys(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	fixture.Exec(t, db, "CREATE TABLE writes (n int)")
	fixture.Exec(t, db, "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO writes VALUES (1); RETURN NULL; END'")
	fixture.Exec(t, db, "CREATE TRIGGER note AFTER INSERT ON api_key_calls FOR EACH STATEMENT EXECUTE FUNCTION note()")
	const keys, each = 5, 20
	var calling sync.WaitGroup
	for range keys {
		_, secret := issue(t, s, owner, readOnly)
		for range each {
			calling.Go(func() {
				if _, err := s.Authenticate(t.Context(), secret, use); err != nil {
					t.Error(err)
				}
			})
		}
	}
	calling.Wait()
	flush(t, s)
	if n := fixture.Scalar[int](t, db, "SELECT sum(calls) FROM api_key_calls"); n != keys*each {
		t.Errorf("%d calls are written, want %d", n, keys*each)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM writes"); n != 1 {
		t.Errorf("written by %d statements", n)
	}
}

func TestCalls_AKeyThatStops(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	today := clock.Now().Format("01-02") + " 00:00"
	key, secret := issue(t, s, owner, readOnly)
	gone, goneSecret := issue(t, s, owner, readOnly)
	call(t, s, secret, 2)
	call(t, s, goneSecret, 2)
	flush(t, s)
	call(t, s, secret, 1)
	call(t, s, goneSecret, 1)

	// What was counted of a disabled key stays, and refusals are no calls of it.
	if _, err := s.Update(t.Context(), owner, key.ID, apikey.Update{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
	// What was counted of a deleted one goes with it, also what no process has written yet, and keeps nothing else back.
	if err := s.Delete(t.Context(), owner, gone.ID); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	if diff := cmp.Diff(map[string]int64{today: 3}, callsOf(t, s, owner, key.ID, gone.ID)); diff != "" {
		t.Error(diff)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM api_key_calls"); n != 1 {
		t.Errorf("%d rows remain, want 1", n)
	}
}

func TestFlushCalls_AfterAnErrorAllIsCountedStill(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, readOnly)
	call(t, s, secret, 2)
	fixture.Exec(t, db, "ALTER TABLE api_key_calls RENAME TO away")
	if err := s.FlushCalls(t.Context()); err == nil {
		t.Error("a failed flush says nothing")
	}
	call(t, s, secret, 1)
	fixture.Exec(t, db, "ALTER TABLE away RENAME TO api_key_calls")
	flush(t, s)
	if diff := cmp.Diff(map[string]int64{clock.Now().Format("01-02") + " 00:00": 3}, callsOf(t, s, owner, key.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestKeepCalls_WritesNowAndThenAndAtTheEnd(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	_, secret := issue(t, s, owner, readOnly)
	written := func() int { return fixture.Scalar[int](t, db, "SELECT COALESCE(sum(calls), 0) FROM api_key_calls") }
	keep := func(every time.Duration, log *slog.Logger) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.KeepCalls(ctx, every, log)
		}()
		return func() { cancel(); <-ended }
	}

	stop := keep(time.Millisecond, slog.New(slog.DiscardHandler))
	call(t, s, secret, 2)
	fixture.Until(t, "the calls are written while it runs", func() bool { return written() == 2 })
	stop()

	stop = keep(time.Hour, slog.New(slog.DiscardHandler))
	call(t, s, secret, 3)
	stop()
	if n := written(); n != 5 {
		t.Errorf("%d calls are written when it has ended, want 5", n)
	}

	var log bytes.Buffer
	stop = keep(time.Hour, slog.New(slog.NewTextHandler(&log, nil)))
	call(t, s, secret, 1)
	fixture.Exec(t, db, "ALTER TABLE api_key_calls RENAME TO away")
	stop()
	if line := log.String(); !strings.Contains(line, "calls of API keys not written") || strings.Contains(line, secret) {
		t.Errorf("the log says %q", line)
	}
}

func TestPurgeCalls_KeepsThirtyDays(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	key, _ := issue(t, s, owner, readOnly)
	today := clock.Now().Truncate(24 * time.Hour)
	for age := range 35 {
		fixture.Exec(t, db, "INSERT INTO api_key_calls VALUES ($1, $2, $3, 1)", tenant, key.ID, today.AddDate(0, 0, -age))
	}
	if seen := callsOf(t, s, owner, key.ID); len(seen) != apikey.CallDays || seen[today.AddDate(0, 0, 1-apikey.CallDays).Format("01-02 15:04")] != 1 {
		t.Errorf("%d days are shown: %v", len(seen), seen)
	}
	for _, want := range []int64{3, 2, 0} {
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			n, err := apikey.PurgeCalls(tx, 3)
			if n != want {
				t.Errorf("%d rows went, want %d", n, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(callsOf(t, s, owner, key.ID)); n != apikey.CallDays {
		t.Errorf("%d days are left", n)
	}
}

func TestAuthenticate_SaysWhereFromAndForWhat(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, readOnly)
	for _, step := range []struct {
		after           time.Duration
		use             apikey.Use
		wantIP, wantFor string
	}{
		{0, use, "192.0.2.7", use.Route},
		{time.Second, apikey.Use{Route: "GET /v1/sessions"}, "192.0.2.7", use.Route}, // not in the same minute
		{time.Minute, apikey.Use{Route: "GET /v1/sessions"}, "", "GET /v1/sessions"}, // never the address of one call with the route of another
		{time.Minute, apikey.Use{IP: use.IP, Route: "GET /v1/events"}, "192.0.2.7", "GET /v1/events"},
	} {
		clock.Advance(step.after)
		if _, err := s.Authenticate(t.Context(), secret, step.use); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), owner, key.ID); err != nil || got.LastUsedIP != step.wantIP || got.LastUsedRoute != step.wantFor {
			t.Errorf("at %s: used from %q for %q, %v", clock.Now(), got.LastUsedIP, got.LastUsedRoute, err)
		}
	}
	// A new master key changes the hash, nothing else.
	if _, err := apikey.New(db, fixture.KeyringOf("new", "test")).Authenticate(t.Context(), secret, use); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), owner, key.ID); err != nil || got.LastUsedIP != "192.0.2.7" || got.LastUsedRoute != "GET /v1/events" {
		t.Errorf("a new hash changes the last use to one from %q for %q, %v", got.LastUsedIP, got.LastUsedRoute, err)
	}
}
