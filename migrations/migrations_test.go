package migrations_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/postgres"
	"kaylehooks/migrations"
)

func TestMain(m *testing.M) {
	devtest.Main(m, func(context.Context, string) error { return nil })
}

// schema describes every column, constraint, index and trigger of the database as text.
func schema(t *testing.T, db *postgres.DB) []string {
	t.Helper()
	var lines []string
	err := db.Reader(t.Context()).Raw(`
		SELECT 'column ' || c.table_name || '.' || c.column_name || ' ' || c.data_type || ' null=' || c.is_nullable || ' default=' || COALESCE(c.column_default, '')
			FROM information_schema.columns c WHERE c.table_schema = 'public' AND c.table_name <> 'goose_db_version'
		UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version'
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'goose_db_version'
		UNION ALL SELECT 'trigger ' || tgrelid::regclass || ' ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		ORDER BY 1`).Scan(&lines).Error
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestMigrations_UpDownUpGivesTheSameSchema(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Options{URL: devtest.Database(t)})
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
	first := schema(t, db)
	if len(first) < 100 {
		t.Fatalf("the schema has only %d objects:\n%s", len(first), strings.Join(first, "\n"))
	}
	if _, err := m.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := schema(t, db); len(left) != 0 {
		t.Fatalf("down leaves behind:\n%s", strings.Join(left, "\n"))
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, schema(t, db)); diff != "" {
		t.Errorf("the second up gives another schema (-first +second):\n%s", diff)
	}
}

// An index of a large table takes longer than any other statement may, and waits longer for its lock.
func TestMigrations_MayTakeLong(t *testing.T) {
	const notLong = `DO $$ BEGIN IF current_setting('statement_timeout') <> '0' OR current_setting('lock_timeout') <> '1min' THEN RAISE 'limited to % and %', current_setting('statement_timeout'), current_setting('lock_timeout'); END IF; END $$;`
	db, err := postgres.Open(t.Context(), postgres.Options{URL: devtest.Database(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	m, err := db.Migrator(fstest.MapFS{
		"00001_in_a_transaction.sql": {Data: []byte("-- +goose Up\n-- +goose StatementBegin\n" + notLong + "\n-- +goose StatementEnd\n")},
		"00002_in_none.sql":          {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\n" + notLong + "\n-- +goose StatementEnd\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := m.Up(t.Context()); err != nil || len(done) != 2 {
		t.Fatalf("%d were applied: %v", len(done), err)
	}
	var after string
	if err := db.Reader(t.Context()).Raw("SHOW statement_timeout").Scan(&after).Error; err != nil || after != "30s" {
		t.Errorf("afterwards a statement may take %s: %v", after, err)
	}
}

func TestMigrations_EveryForeignKeyHasAnIndex(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Options{URL: devtest.Database(t)})
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
	var missing []struct{ Table, Name, Columns string }
	err = db.Reader(t.Context()).Raw(`
		SELECT c.conrelid::regclass::text AS table, c.conname AS name, pg_get_constraintdef(c.oid) AS columns FROM pg_constraint c
		WHERE c.contype = 'f' AND NOT EXISTS (
			SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid
				AND c.conkey <@ (i.indkey::int2[])[0:cardinality(c.conkey) - 1]
				OR i.indrelid = c.conrelid AND i.indkey[0] = ANY(c.conkey))`).Scan(&missing).Error
	if err != nil {
		t.Fatal(err)
	}
	for _, fk := range missing {
		t.Errorf("no index leads with a column of %s on %s: %s", fk.Name, fk.Table, fk.Columns)
	}
}
