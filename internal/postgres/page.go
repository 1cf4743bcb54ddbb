package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/fault"
)

// Position is a place in a list ordered by time and id.
type Position struct {
	At time.Time
	ID uuid.UUID
}

// Page asks for a part of a list ordered newest first. At most one of After and Before is set.
type Page struct {
	// Limit is the greatest number of rows, at least 1.
	Limit int
	// After is the last row of the page before: rows older than it follow.
	After *Position
	// Before is the first row of the page after: rows newer than it come, the nearest ones.
	Before *Position
}

// List is one page, newest first.
type List[T any] struct {
	Rows []T
	// HasOlder and HasNewer tell whether there are rows beyond the last and before the first one. With After set
	// HasNewer is true, since the cursor row itself is newer.
	HasOlder, HasNewer bool
}

// Fetch runs the query for one page. The query must not be ordered yet; column is the table or alias that holds
// created_at and id, and is never user input.
func Fetch[T any](q *gorm.DB, column string, p Page) (List[T], error) {
	at, pk := column+".created_at", column+".id"
	backwards := p.Before != nil
	switch {
	case p.After != nil:
		q = q.Where(fmt.Sprintf("(%s, %s) < (?, ?)", at, pk), p.After.At, p.After.ID)
	case backwards:
		q = q.Where(fmt.Sprintf("(%s, %s) > (?, ?)", at, pk), p.Before.At, p.Before.ID)
	}
	order := fmt.Sprintf("%s DESC, %s DESC", at, pk)
	if backwards {
		order = fmt.Sprintf("%s ASC, %s ASC", at, pk)
	}
	var rows []T
	if err := q.Order(order).Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return List[T]{}, err
	}
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	if backwards {
		slices.Reverse(rows)
		return List[T]{Rows: rows, HasOlder: true, HasNewer: more}, nil
	}
	return List[T]{Rows: rows, HasOlder: more, HasNewer: p.After != nil}, nil
}

// Arrange makes the page that Fetch would, out of all rows of a list that is known to be short.
func Arrange[T any](rows []T, position func(T) Position, p Page) List[T] {
	newestFirst := func(a, b T) int { return position(b).compare(position(a)) }
	slices.SortFunc(rows, newestFirst)
	// Rows from start on follow the cursor, rows up to end precede it.
	start, end := 0, len(rows)
	if p.After != nil {
		start = countFunc(rows, func(row T) bool { return position(row).compare(*p.After) >= 0 })
	}
	if p.Before != nil {
		end = countFunc(rows, func(row T) bool { return position(row).compare(*p.Before) > 0 })
		return List[T]{Rows: rows[max(end-p.Limit, 0):end], HasOlder: true, HasNewer: end > p.Limit}
	}
	page := rows[start:min(start+p.Limit, end)]
	return List[T]{Rows: page, HasOlder: start+len(page) < end, HasNewer: p.After != nil}
}

func countFunc[T any](rows []T, f func(T) bool) (n int) {
	for _, row := range rows {
		if f(row) {
			n++
		}
	}
	return n
}

// compare orders by time, then id, as Postgres does.
func (p Position) compare(o Position) int {
	if c := p.At.Compare(o.At); c != 0 {
		return c
	}
	return bytes.Compare(p.ID[:], o.ID[:])
}

// ErrCursor reports a cursor that names no row of this list (contract section 8.4).
var ErrCursor = fault.New(fault.Invalid, fault.CodeInvalidRequest, "The cursor does not belong to this list.")

// FindPosition looks a cursor row up. scope must already be limited to the organization and the parent of the list, and
// to nothing else. A row that is not there is ErrCursor.
func FindPosition(scope *gorm.DB, row uuid.UUID) (*Position, error) {
	var found struct {
		ID        uuid.UUID
		CreatedAt time.Time
	}
	err := scope.Select("id", "created_at").Where("id = ?", row).Take(&found).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, ErrCursor
	}
	if err != nil {
		return nil, err
	}
	return &Position{At: found.CreatedAt, ID: found.ID}, nil
}
