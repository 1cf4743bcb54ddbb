package verification

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kaylehooks/internal/batch"
)

// TestLingerInCrowd_GathersEverybody has clients report one success after the other, who take different times to be back.
func TestLingerInCrowd_GathersEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		reports := batch.NewGroup(successGroup, func(_ context.Context, in []int) ([]int, error) {
			time.Sleep(5 * time.Millisecond)
			sizes = append(sizes, len(in))
			return in, nil
		})
		reports.Linger = lingerInCrowd
		report := func() {
			if _, err := reports.Do(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}
		const clients = 16
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				for range 20 {
					report()
					time.Sleep(time.Duration(i) * 500 * time.Microsecond)
				}
			})
		}
		all.Wait()
		for i, n := range sizes[3:20] {
			if n != clients {
				t.Errorf("group %d is of %d, want all %d: %v", i+3, n, clients, sizes)
				break
			}
		}
		report() // when the others have gone one waits for them once, not again
		began := time.Now()
		report()
		if took := time.Since(began); took != 5*time.Millisecond {
			t.Errorf("one alone waited for %s", took)
		}
	})
}
