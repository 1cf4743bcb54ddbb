package postgres_test

import (
	"errors"
	"testing"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

type started struct {
	N int `json:"n"`
}

const insertStarted = "INSERT INTO started SELECT v.n FROM GIVEN AS v(n integer)"

func startedTable(t *testing.T) *postgres.DB {
	t.Helper()
	db := fixture.DB(t)
	fixture.Exec(t, db, "CREATE TABLE started (n integer PRIMARY KEY)")
	return db
}

// backend is the process in Postgres that serves the pool's only connection.
func backend(t *testing.T, db *postgres.DB) int {
	t.Helper()
	return fixture.Scalar[int](t, db, "SELECT pg_backend_pid()")
}

func countStarted(t *testing.T, db *postgres.DB) int {
	t.Helper()
	return fixture.Scalar[int](t, db, "SELECT count(*) FROM started")
}

// TestStart_GoesOnMeanwhile: what was started waits for a row that is free only after Start has returned.
func TestStart_GoesOnMeanwhile(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	began, free := make(chan struct{}), make(chan struct{})
	blocker := make(chan error, 1)
	go func() {
		blocker <- db.InTx(t.Context(), func(tx *postgres.Tx) error {
			err := tx.Exec("INSERT INTO started VALUES (1)").Error
			close(began)
			<-free
			return errors.Join(err, errTakenBack)
		})
	}()
	<-began
	err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.ExecRows(insertStarted, []started{{1}, {2}}); err != nil {
			return err
		}
		tx.Start()
		fixture.AwaitLocks(t, db, 1)
		close(free)
		var n int
		if err := tx.Raw("SELECT count(*) FROM started").Scan(&n).Error; err != nil || n != 2 {
			t.Errorf("the next statement sees %d rows, %v", n, err)
		}
		if err := tx.ExecRows(insertStarted, []started{{3}}); err != nil {
			return err
		}
		tx.Start()
		tx.Start() // nothing waits
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-blocker; !errors.Is(err, errTakenBack) {
		t.Fatal(err)
	}
	if n := countStarted(t, db); n != 3 {
		t.Errorf("%d rows are stored", n)
	}
}

var errTakenBack = errors.New("taken back")

// TestStart_ShowsItsError: with the next statement, or at the commit. Nothing is stored.
func TestStart_ShowsItsError(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	for name, next := range map[string]func(tx *postgres.Tx) error{
		"commit":    func(*postgres.Tx) error { return nil },
		"statement": func(tx *postgres.Tx) error { return tx.Exec("SELECT 1").Error },
		"rows":      func(tx *postgres.Tx) error { return tx.ExecRows(insertStarted, []started{{3}}) },
		"start":     func(tx *postgres.Tx) error { tx.Start(); return nil },
	} {
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if err := tx.ExecRows(insertStarted, []started{{1}, {1}}); err != nil {
				return err
			}
			tx.Start()
			return next(tx)
		})
		if !postgres.IsUnique(err, "started_pkey") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := countStarted(t, db); n != 0 {
		t.Errorf("%d rows are stored", n)
	}
}

// TestStart_IsTakenBack: with the rest of a transaction that gives up or panics while it is under way, and the connection is good afterwards.
func TestStart_IsTakenBack(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	begin := func(tx *postgres.Tx) {
		if err := tx.ExecRows("INSERT INTO started SELECT v.n FROM GIVEN AS v(n integer), pg_sleep(0.05)", []started{{1}}); err != nil {
			t.Error(err)
		}
		tx.Start()
	}
	before := backend(t, db)
	for range 20 { // more than there may be connections
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			begin(tx)
			return errTakenBack
		})
		if !errors.Is(err, errTakenBack) {
			t.Fatal(err)
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing panicked")
			}
		}()
		_ = db.InTx(t.Context(), func(tx *postgres.Tx) error {
			begin(tx)
			panic("on purpose")
		})
	}()
	if n := countStarted(t, db); n != 0 {
		t.Errorf("%d rows are stored", n)
	}
	if open, busy := db.Stats(); open != 1 || busy != 0 {
		t.Errorf("%d connections, %d of them busy, want one that is idle", open, busy)
	}
	if after := backend(t, db); after != before {
		t.Errorf("a connection was thrown away: process %d, then %d", before, after)
	}
}

func TestStart_OutsideATransactionDoesNothing(t *testing.T) {
	t.Parallel()
	db := startedTable(t)
	tx := db.Reader(t.Context())
	if err := tx.ExecRows(insertStarted, []started{{1}}); err != nil {
		t.Fatal(err)
	}
	tx.Start()
	if n := countStarted(t, db); n != 1 {
		t.Errorf("%d rows are stored", n)
	}
}
