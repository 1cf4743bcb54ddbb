package queue

import "time"

const (
	// slotsWorthAClaim is how many slots are worth claiming for at once while others wait for slots, too.
	slotsWorthAClaim = 32
	// slotLinger is how long whoever has fewer waits for more.
	slotLinger = 2 * time.Millisecond
)

// slots bounds how many deliveries of a lane are under way: a claim holds one until its result is recorded. They are taken in turns, several at
// a time: if many endpoints shared each slot as it becomes free, each would claim few rows at a time, which costs more a row.
type slots struct {
	turn  chan struct{} // whoever takes slots holds it
	taken chan struct{}
}

func newSlots(n int) *slots {
	return &slots{turn: make(chan struct{}, 1), taken: make(chan struct{}, n)}
}

// take takes up to n slots, at least one, waiting as long as it takes for the first one and a moment for the others.
func (s *slots) take(n int) int {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.taken <- struct{}{}
	var late <-chan time.Time
	for got := 1; got < n; got++ {
		select {
		case s.taken <- struct{}{}:
			continue
		default:
		}
		if got >= slotsWorthAClaim {
			return got
		}
		if late == nil {
			late = time.After(slotLinger)
		}
		select {
		case s.taken <- struct{}{}:
		case <-late:
			return got
		}
	}
	return n
}

// giveBack gives a slot back.
func (s *slots) giveBack() { <-s.taken }
