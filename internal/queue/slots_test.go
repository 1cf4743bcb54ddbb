package queue

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots_AreTakenManyAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3 * slotsWorthAClaim)
		if got := s.take(5 * slotsWorthAClaim); got != 3*slotsWorthAClaim {
			t.Fatalf("took %d of %d free slots", got, 3*slotsWorthAClaim)
		}
		var took []int
		var takers sync.WaitGroup
		for range 2 {
			takers.Go(func() {
				n := s.take(2 * slotsWorthAClaim)
				took = append(took, n) // in turns
			})
		}
		want := []int{slotsWorthAClaim}
		for range 2 {
			for range slotsWorthAClaim {
				time.Sleep(slotLinger / (2 * slotsWorthAClaim))
				s.giveBack()
			}
			synctest.Wait()
			if !slices.Equal(took, want) {
				t.Errorf("of two that wait for slots took %v, want %v", took, want)
			}
			want = append(want, slotsWorthAClaim)
		}
		takers.Wait()
	})
}

func TestSlots_WaitForMoreOnlyAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(8)
		s.take(8)
		for _, test := range []struct {
			want, free, got int
			waited          time.Duration
		}{
			{want: 3, free: 3, got: 3},
			{want: 1, free: 1, got: 1},
			{want: 5, free: 2, got: 2, waited: slotLinger},
		} {
			for range test.free {
				s.giveBack()
			}
			began := time.Now()
			if got := s.take(test.want); got != test.got || time.Since(began) != test.waited {
				t.Errorf("%d of %d slots after %s, want %d after %s", got, test.want, time.Since(began), test.got, test.waited)
			}
		}
	})
}
