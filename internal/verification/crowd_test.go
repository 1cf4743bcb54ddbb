package verification

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kaylehooks/internal/batch"
)

// commit is how long a group takes in these tests, which is never over at the moment at which somebody reports.
const commit = 5137 * time.Microsecond

// gathered is a group of reports that takes its time, and what is seen of it.
type gathered struct {
	*batch.Group[int, int]
	sizes []int
	back  []bool
}

func newGathered() *gathered {
	var c crowd
	g := &gathered{}
	g.Group = batch.NewGroup(successGroup, func(_ context.Context, in []int) ([]int, error) {
		g.sizes, g.back = append(g.sizes, len(in)), append(g.back, c.isBack(len(in)))
		time.Sleep(commit)
		return in, nil
	})
	g.Linger = c.linger
	return g
}

func (g *gathered) report(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := g.Do(t.Context(), 0); err != nil {
		t.Error(err)
	}
	return time.Since(began)
}

// TestCrowd_IsGathered has clients report one success after the other, who take different times to be back.
func TestCrowd_IsGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGathered()
		for _, clients := range []int{16, 8} { // the second crowd is not taken for what is left of the first one
			began := len(g.sizes)
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					for range 20 {
						g.report(t)
						time.Sleep(time.Duration(i) * 500 * time.Microsecond)
					}
				})
			}
			all.Wait()
			for i := began + 3; i < began+20; i++ {
				if g.sizes[i] != clients || !g.back[i] {
					t.Fatalf("group %d is of %d, want all %d, and known to be back: %v, %v", i, g.sizes[i], clients, g.sizes, g.back)
				}
			}
			time.Sleep(time.Second)
			g.report(t)
		}
		g.report(t) // when the others have gone one waits for them once, not again
		if took := g.report(t); took != commit {
			t.Errorf("one alone waited for %s", took)
		}
		if n := len(g.back); g.back[n-2] || g.back[n-1] {
			t.Error("one alone is a crowd that is back")
		}
	})
}

// TestCrowd_IsWaitedForInVainNowAndThenOnly has reports come at a pace of their own, one every millisecond.
func TestCrowd_IsWaitedForInVainNowAndThenOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGathered()
		const reports = 2000
		took := make([]time.Duration, reports)
		var all sync.WaitGroup
		for i := range reports {
			all.Go(func() { took[i] = g.report(t) })
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		time.Sleep(time.Second) // the group waits for nobody any more
		var sum time.Duration
		for _, d := range took {
			sum += d
		}
		// Waiting for anybody, a report waits for 4.5 ms before its group leaves; waiting for everybody, for 8.5.
		if mean := sum / reports; mean < commit+4*time.Millisecond || mean > commit+5500*time.Microsecond {
			t.Errorf("a report takes %s on average", mean)
		}
		back := 0
		for _, b := range g.back {
			if b {
				back++
			}
		}
		if back > len(g.back)/5 {
			t.Errorf("%d of %d groups are taken for a crowd that is back", back, len(g.back))
		}
		some, everybody := 0, 0
		for _, n := range g.sizes {
			switch {
			case n >= int((commit+crowdLinger)/time.Millisecond):
				everybody++
			case n >= int((commit+someLinger)/time.Millisecond) && n <= int((commit+someLinger)/time.Millisecond)+1:
				some++
			}
		}
		if everybody < 3 || some < len(g.sizes)/2 {
			t.Errorf("%d groups waited for the crowd and %d for anybody: %v", everybody, some, g.sizes)
		}
	})
}
