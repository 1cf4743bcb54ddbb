package devtest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack/devtest"
)

func TestMain(m *testing.M) {
	devtest.Main(m, func(ctx context.Context, databaseURL string) error {
		conn, err := pgx.Connect(ctx, databaseURL)
		if err != nil {
			return err
		}
		// Left open on purpose: a session on the template must not spoil the clones.
		_, err = conn.Exec(ctx, "CREATE TABLE migrated (n int)")
		return err
	})
}

func TestDatabase_EveryTestHasItsOwnMigratedOne(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		dsn := devtest.Database(t)
		if seen[dsn] {
			t.Errorf("%s was given out twice", dsn)
		}
		seen[dsn] = true
		conn := connect(t, dsn)
		if _, err := conn.Exec(t.Context(), "INSERT INTO migrated VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM migrated").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("%d rows in a fresh database, want the one just written", n)
		}
	}
}

func TestDatabase_IsDroppedWithItsTestAndItsSessions(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("user", func(t *testing.T) {
		dsn = devtest.Database(t)
		if _, err := pgx.Connect(t.Context(), dsn); err != nil { // never closed
			t.Fatal(err)
		}
	})
	_, err := pgx.Connect(t.Context(), dsn)
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("connecting after the test: %v", err)
	}
}

func TestRedis_EveryTestHasItsOwnEmptyOne(t *testing.T) {
	t.Parallel()
	for range 3 {
		o, err := redis.ParseURL(devtest.Redis(t))
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(o)
		t.Cleanup(func() { _ = client.Close() })
		size, err := client.DBSize(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if size != 0 {
			t.Errorf("database %d has %d keys", o.DB, size)
		}
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	// t.Context has ended by the time of cleanup; closing in it just drops the connection.
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}
