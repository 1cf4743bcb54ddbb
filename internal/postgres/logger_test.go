package postgres

import "testing"

func TestMasked_LeavesNoValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`SELECT 1`: `SELECT 1`,
		`INSERT INTO t VALUES ('secret', 'it''s', 3)`: `INSERT INTO t VALUES ('…', '…', 3)`,
		`UPDATE t SET a = 'cut off`:                   `UPDATE t SET a = '…'`,
	} {
		if got := masked(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
