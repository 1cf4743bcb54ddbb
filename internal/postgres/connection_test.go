package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// TestInTx_KeepsTheOrder: what waits for company is carried out in its order, and before whatever comes next.
func TestInTx_KeepsTheOrder(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	count := func(tx *postgres.Tx) (n int, err error) {
		err = tx.Each(func(row postgres.Row) error { return row.Scan(&n) }, "SELECT count(*) FROM started")
		return n, err
	}
	err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		const double = "INSERT INTO started SELECT s.n + v.n FROM started s, GIVEN AS v(n integer)"
		err := errors.Join(tx.ExecRows(insertStarted, []started{{1}}), tx.ExecRows(double, []started{{1}}), tx.ExecRows(double, []started{{2}}))
		if err != nil {
			return err
		}
		if n, err := count(tx); err != nil || n != 4 {
			t.Errorf("a query sees %d rows, %v", n, err)
		}
		if err := tx.ExecRows(double, []started{{4}}); err != nil {
			return err
		}
		return tx.Exec("DELETE FROM started WHERE n > 6").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := count(db.Reader(t.Context())); err != nil || n != 6 {
		t.Errorf("%d rows are stored, %v", n, err)
	}
}

// TestInTx_StoresNothingOfWhatFailed, wherever it failed and whether or not anybody says so. The connection stays.
func TestInTx_StoresNothingOfWhatFailed(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	before := backend(t, db)
	store := func(tx *postgres.Tx) error { return tx.ExecRows(insertStarted, []started{{1}}) }
	for name, f := range map[string]func(tx *postgres.Tx) error{
		"a statement, which is not said": func(tx *postgres.Tx) error {
			_ = tx.Exec("SELECT 1 / 0").Error
			return nil
		},
		"a query, which is not said": func(tx *postgres.Tx) error {
			_ = tx.Each(func(postgres.Row) error { return nil }, "SELECT 1 / 0")
			return nil
		},
		"what waited": func(tx *postgres.Tx) error { return store(tx) },
		"the scan of a row": func(tx *postgres.Tx) error {
			return tx.Each(func(postgres.Row) error { return errTakenBack }, "SELECT generate_series(1, 1000)")
		},
		"the caller, with nothing sent": func(*postgres.Tx) error { return errTakenBack },
	} {
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if err := store(tx); err != nil {
				return err
			}
			return f(tx)
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := countStarted(t, db); n != 0 {
			t.Errorf("%s: %d rows are stored", name, n)
		}
	}
	if after := backend(t, db); after != before {
		t.Errorf("a connection was thrown away: process %d, then %d", before, after)
	}
}

// TestInTx_EndsWithItsContext, whatever is under way: nothing is stored, and the connection whose statement was cut off is not used again.
func TestInTx_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := devtest.Database(t)
	db, other := openURL(t, url, nil), openURL(t, url, nil)
	fixture.Exec(t, other, "CREATE TABLE started (n integer PRIMARY KEY)")
	slow := func(tx *postgres.Tx) error {
		return tx.ExecRows("INSERT INTO started SELECT v.n FROM GIVEN AS v(n integer), pg_sleep(60)", []started{{2}})
	}
	for name, f := range map[string]func(tx *postgres.Tx) error{
		"a statement": func(tx *postgres.Tx) error { return tx.Exec("SELECT pg_sleep(60)").Error },
		"a query": func(tx *postgres.Tx) error {
			return tx.Each(func(postgres.Row) error { return nil }, "SELECT pg_sleep(60)")
		},
		"what was started": func(tx *postgres.Tx) error {
			defer tx.Start()
			return slow(tx)
		},
		"what goes with the commit": slow,
		"nothing":                   nil,
	} {
		before := backend(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		err := db.InTx(ctx, func(tx *postgres.Tx) error {
			if err := tx.Exec("INSERT INTO started VALUES (1)").Error; err != nil {
				return err
			}
			if f == nil {
				cancel()
				return tx.Exec("INSERT INTO started VALUES (2)").Error
			}
			watching.Go(func() {
				defer cancel()
				fixture.Until(t, name+" is under way", func() bool {
					return fixture.Scalar[int](t, other, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") == 1
				})
			})
			return f(tx)
		})
		cancel()
		watching.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := countStarted(t, other); n != 0 {
			t.Errorf("%s: %d rows are stored", name, n)
		}
		fixture.Until(t, "no connection is busy", func() bool {
			_, busy := db.Stats()
			return busy == 0
		})
		if f == nil && backend(t, db) != before {
			t.Error("the connection was thrown away, with nothing under way")
		}
		fixture.Exec(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") // Postgres looks for its client when it answers
	}
}

// TestStatements_BeginAnewOnAnotherConnection when the one they got was closed while nobody used it, in a transaction and outside: nothing has
// left yet.
func TestStatements_BeginAnewOnAnotherConnection(t *testing.T) {
	t.Parallel()
	url := devtest.Database(t)
	db, other := openURL(t, url, nil), openURL(t, url, nil)
	fixture.Exec(t, other, "CREATE TABLE started (n integer PRIMARY KEY)")
	inTx := func(f func(tx *postgres.Tx) error) error { return db.InTx(t.Context(), f) }
	alone := func(f func(tx *postgres.Tx) error) error { return f(db.Reader(t.Context())) }
	rows := func(tx *postgres.Tx) error { return tx.ExecRows(insertStarted, []started{{1}}) }
	statement := func(tx *postgres.Tx) error { return tx.Exec("INSERT INTO started VALUES (1)").Error }
	each := func(tx *postgres.Tx) error {
		return tx.Each(func(postgres.Row) error { return nil }, "INSERT INTO started VALUES (1) RETURNING n")
	}
	for _, run := range []func() error{
		func() error { return inTx(rows) }, func() error { return inTx(statement) }, func() error { return inTx(each) },
		func() error { return alone(rows) }, func() error { return alone(statement) }, func() error { return alone(each) },
	} {
		pid := backend(t, db)
		fixture.Exec(t, other, "SELECT pg_terminate_backend($1)", pid)
		fixture.Until(t, "its process has ended, and the connection with it", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
		if err := run(); err != nil {
			t.Error(err)
		}
		if n := countStarted(t, other); n != 1 {
			t.Errorf("%d rows are stored", n)
		}
		fixture.Exec(t, other, "DELETE FROM started")
	}
}

func openURL(t *testing.T, url string, log *slog.Logger) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// TestEach_ScansEveryRow, with a transaction around it and without.
func TestEach_ScansEveryRow(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	list := func(tx *postgres.Tx) error {
		var got []int
		err := tx.Each(func(row postgres.Row) error {
			var n int
			err := row.Scan(&n)
			got = append(got, n)
			return err
		}, "SELECT generate_series($1::int, 3)", 1)
		if !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("got %v", got)
		}
		return err
	}
	if err := errors.Join(list(db.Reader(t.Context())), db.InTx(t.Context(), list)); err != nil {
		t.Fatal(err)
	}
	nested := func(tx *postgres.Tx) error {
		return tx.Each(func(postgres.Row) error { return tx.Exec("SELECT 1").Error }, "SELECT 1")
	}
	if err := db.InTx(t.Context(), nested); err == nil {
		t.Error("a statement was made while a row was scanned")
	}
	broken := func(tx *postgres.Tx) error {
		return tx.Each(func(postgres.Row) error { return nil }, "SELECT 1 / (generate_series(0, 2) - 1)")
	}
	if err := broken(db.Reader(t.Context())); !postgres.IsDivisionByZero(err) {
		t.Errorf("got %v", err)
	}
	if err := db.InTx(t.Context(), broken); !postgres.IsDivisionByZero(err) {
		t.Errorf("in a transaction: got %v", err)
	}
}

// TestSlowStatements_AreLogged with their text, whoever sends them, and never with a value.
func TestSlowStatements_AreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	db := openURL(t, devtest.Database(t), slog.New(slog.NewTextHandler(&log, nil)))
	const slow = "SELECT pg_sleep(0.6), 'literal' FROM GIVEN AS v(n integer)"
	wait := func(tx *postgres.Tx) error { return tx.ExecRows(slow, []started{{424242}}) }
	each := func(tx *postgres.Tx) error {
		return tx.Each(func(postgres.Row) error { return nil }, "SELECT pg_sleep(0.6), 'literal', $1::int", 424242)
	}
	for name, run := range map[string]func() error{
		"waited for company": func() error { return db.InTx(t.Context(), wait) },
		"rows":               func() error { return wait(db.Reader(t.Context())) },
		"each":               func() error { return each(db.Reader(t.Context())) },
		"each, in company":   func() error { return db.InTx(t.Context(), each) },
	} {
		log.Reset()
		if err := run(); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); strings.Count(text, "slow query") != 1 || !strings.Contains(text, "pg_sleep(0.6)") || strings.Contains(text, "literal") || strings.Contains(text, "424242") {
			t.Errorf("%s: logged %q", name, text)
		}
	}
}
