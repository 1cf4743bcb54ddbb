package migrations_test

import (
	"context"
	"io/fs"
	"path"
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

// statementsOf are the statements of one direction of a migration, as goose runs them.
func statementsOf(t *testing.T, file string, up bool) []string {
	t.Helper()
	raw, err := fs.ReadFile(migrations.Files, file)
	if err != nil {
		t.Fatal(err)
	}
	ups, downs, _ := strings.Cut(string(raw), "-- +goose Down")
	text := downs
	if up {
		_, text, _ = strings.Cut(ups, "-- +goose Up")
	}
	var found []string
	for i, part := range strings.Split(text, "-- +goose StatementBegin") {
		if i > 0 {
			block, rest, _ := strings.Cut(part, "-- +goose StatementEnd")
			found, part = append(found, block), rest
		}
		for statement := range strings.SplitSeq(part, ";\n") {
			if strings.TrimSpace(statement) != "" {
				found = append(found, statement)
			}
		}
	}
	return found
}

// downAgain is the first migration whose way back can be interrupted, too.
const downAgain = 27

// A migration that runs without a transaction can be interrupted anywhere, and is run again then.
func TestMigrations_CanBeRunAgainAfterAnInterruption(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Options{URL: devtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	m, err := db.Migrator(migrations.Files)
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	interrupted := 0
	for _, source := range m.ListSources() {
		file := path.Base(source.Path)
		before := schema(t, db)
		must(m.UpByOne(t.Context()))
		raw, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), "NO TRANSACTION") {
			continue
		}
		after := schema(t, db)
		for _, up := range []bool{true, false} {
			if !up && source.Version < downAgain {
				continue
			}
			statements := statementsOf(t, file, up)
			for n := 1; n <= len(statements); n++ {
				if up {
					must(m.Down(t.Context()))
				}
				for _, statement := range statements[:n] {
					if err := db.Reader(t.Context()).Exec(statement).Error; err != nil {
						t.Fatalf("%s: %v\n%s", file, err, statement)
					}
				}
				if !up {
					must(m.Down(t.Context()))
					if diff := cmp.Diff(before, schema(t, db)); diff != "" {
						t.Errorf("%s: back again after %d of its statements (-want +got):\n%s", file, n, diff)
					}
				}
				must(m.UpByOne(t.Context()))
				if diff := cmp.Diff(after, schema(t, db)); diff != "" {
					t.Errorf("%s: again after %d of its statements (-want +got):\n%s", file, n, diff)
				}
				interrupted++
			}
		}
	}
	if interrupted < 50 {
		t.Errorf("only %d interruptions were tried", interrupted)
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
