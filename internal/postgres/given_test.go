package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

func TestMain(m *testing.M) { fixture.Main(m) }

type word string

type inner struct {
	Flag bool `json:"flag"`
	N    int  `json:"n"`
}

type givenRow struct {
	inner
	ID    uuid.UUID      `json:"id"`
	Other *uuid.UUID     `json:"other"`
	Word  word           `json:"word"`
	Maybe *word          `json:"maybe"`
	At    time.Time      `json:"at"`
	Until *time.Time     `json:"until"`
	Count *int64         `json:"count"`
	Meta  map[string]any `json:"meta"`
}

const insertGiven = `INSERT INTO given_rows SELECT v.id, v.other, v.word, v.maybe, v.at, v.until, v.flag, v.n, v.count, v.meta FROM GIVEN AS v(id uuid, other uuid,
	word text, maybe text, at timestamptz, until timestamptz, flag boolean, n smallint, count bigint, meta jsonb)`

// storeGiven makes a table and runs f with it in one transaction, then reads the rows as text.
func storeGiven(t *testing.T, f func(tx *postgres.Tx) error) []string {
	t.Helper()
	db := fixture.DB(t)
	var got []string
	err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.Exec(`CREATE TABLE given_rows (id uuid, other uuid, word text, maybe text, at timestamptz, until timestamptz, flag boolean, n smallint, count bigint, meta jsonb)`).Error; err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.Raw("SELECT r::text FROM given_rows r ORDER BY n").Scan(&got).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExecRows_StoresEveryKindOfField(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)
	other, maybe, count := uuid.MustParse("00000000-0000-0000-0000-000000000002"), word("m"), int64(1)<<40
	rows := []givenRow{
		{inner: inner{N: 1}, ID: uuid.MustParse("00000000-0000-0000-0000-000000000001"), Word: "a\xffb", At: at},
		{inner: inner{Flag: true, N: 2}, Other: &other, Word: `"{},'`, Maybe: &maybe, At: at, Until: &at, Count: &count, Meta: map[string]any{"k": []int{1}}},
	}
	got := storeGiven(t, func(tx *postgres.Tx) error {
		if err := tx.ExecRows(insertGiven, []givenRow{}); err != nil {
			return err
		}
		return tx.ExecRows(insertGiven, rows)
	})
	want := []string{
		`(00000000-0000-0000-0000-000000000001,,a�b,,"2026-03-02 12:00:00.123456+00",,f,1,,)`,
		`(00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000002,"""{},'",m,"2026-03-02 12:00:00.123456+00","2026-03-02 12:00:00.123456+00",t,2,1099511627776,"{""k"": [1]}")`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExecRows_TakesSeveralSetsOfRows(t *testing.T) {
	t.Parallel()
	type pair struct {
		N    int  `json:"n"`
		Word word `json:"word"`
	}
	got := storeGiven(t, func(tx *postgres.Tx) error {
		return tx.ExecRows(`WITH a AS (INSERT INTO given_rows (n) SELECT x.n FROM GIVEN AS x(n smallint))
			INSERT INTO given_rows (n, word) SELECT y.n, y.word FROM GIVEN AS y(word text, n smallint)`, []pair{{N: 1}, {N: 2}}, []*pair{{N: 3, Word: "three"}})
	})
	if diff := cmp.Diff([]string{"(,,,,,,,1,,)", "(,,,,,,,2,,)", "(,,three,,,,,3,,)"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestExecRows_RefusesWhatItCannotHandOver(t *testing.T) {
	t.Parallel()
	tx := fixture.DB(t).Reader(t.Context())
	for text, want := range map[string]string{
		"SELECT FROM GIVEN AS v(nobody uuid)": "encode rows: []postgres_test.givenRow has no field for column nobody",
		"SELECT FROM GIVEN AS v(meta text)":   "encode rows: column meta: map[string]interface {} cannot be stored",
		"SELECT":                              "encode rows: 1 sets of rows for a statement that takes 0",
	} {
		if err := tx.ExecRows(text, []givenRow{{}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
