package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/postgres"
)

func TestTextArray_ReadsWhatPostgresWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src  any
		want postgres.TextArray
	}{
		{"{}", postgres.TextArray{}}, // empty, not NULL
		{[]byte("{}"), postgres.TextArray{}},
		{nil, nil},
		{`{a,"b c","{}"}`, postgres.TextArray{"a", "b c", "{}"}},
	} {
		got := postgres.TextArray{"what was there"}
		if err := got.Scan(c.src); err != nil {
			t.Errorf("%s: %v", c.src, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.src, diff)
		}
	}
}
