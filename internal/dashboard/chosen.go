package dashboard

import (
	"fmt"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// chosenMax is how many rows can be chosen by hand: a full page of a list.
const chosenMax = 100

func (p *page) chosenDeliveries(ids []string) ([]delivery.Delivery, error) {
	return chosen(ids, func(d id.Delivery) (delivery.Delivery, error) { return p.Deliveries.Get(p.Ctx, p.Actor, d) })
}

func (p *page) chosenEvents(ids []string) ([]event.Event, error) {
	return chosen(ids, func(e id.Event) (event.Event, error) { return event.Get(p.Ctx, p.DB, p.Actor, e) })
}

// chosen loads the rows of a list that were chosen, each once; ids of anything else, and of what is not there, are left out.
func chosen[K id.Kind, T any](ids []string, get func(id.ID[K]) (T, error)) ([]T, error) {
	if len(ids) > chosenMax {
		return nil, fault.New(fault.Invalid, fault.CodeBadRequest, fmt.Sprintf("At most %d rows can be chosen at once.", chosenMax)).WithHint("Use a filter and a bulk retry for more.")
	}
	seen := map[id.ID[K]]bool{}
	var rows []T
	for _, text := range ids {
		row, err := id.Parse[K](text)
		if err != nil || seen[row] {
			continue
		}
		seen[row] = true
		got, err := get(row)
		if f, ok := fault.As(err); ok && f.Kind == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, got)
	}
	return rows, nil
}

// eachAlone does something with each of the rows. One with which it cannot be done any more is left and stops no other; a fault of ours
// stops all.
func eachAlone[T any](rows []T, do func(T) error) (done, left int, err error) {
	for _, row := range rows {
		err := do(row)
		switch f, ok := fault.As(err); {
		case err == nil:
			done++
		case ok && (f.Kind == fault.Conflict || f.Kind == fault.Gone || f.Kind == fault.NotFound):
			left++
		default:
			return done, left, err
		}
	}
	return done, left, nil
}
