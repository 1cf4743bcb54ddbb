package delivery_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// Every page of a list that has several rows of the same moment, from every cursor, in both directions.
func TestArrange_MakesThePagesThatFetchMakes(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	type row struct {
		ID        uuid.UUID
		CreatedAt time.Time
	}
	var rows []row
	fixture.Exec(t, db, "CREATE TABLE arranged (id uuid, created_at timestamptz)")
	for n := range 9 {
		r := row{uuid.UUID{byte(n * 41 % 7), byte(n)}, time.Date(2026, 1, 1, 0, 0, n/4, 0, time.UTC)}
		rows = append(rows, r)
		fixture.Exec(t, db, "INSERT INTO arranged VALUES ($1, $2)", r.ID, r.CreatedAt)
	}
	position := func(r row) postgres.Position { return postgres.Position{At: r.CreatedAt, ID: r.ID} }
	for limit := 1; limit <= len(rows)+1; limit++ {
		pages := []postgres.Page{{Limit: limit}}
		for _, r := range rows {
			cursor := position(r)
			pages = append(pages, postgres.Page{Limit: limit, After: &cursor}, postgres.Page{Limit: limit, Before: &cursor})
		}
		for _, page := range pages {
			want, err := postgres.Fetch[row](db.Reader(t.Context()).Table("arranged"), "arranged", page)
			if err != nil {
				t.Fatal(err)
			}
			all := append([]row{}, rows...)
			got := postgres.Arrange(all, position, page)
			if diff := cmp.Diff(append([]row{}, want.Rows...), append([]row{}, got.Rows...)); diff != "" || want.HasOlder != got.HasOlder || want.HasNewer != got.HasNewer {
				t.Errorf("%+v: %+v, want %+v", page, got, want)
			}
		}
	}
}
