package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroup_CallsThatArriveMeanwhileLeaveTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		gate := make(chan struct{})
		g := NewGroup(3, func(_ context.Context, batch []int) ([]int, error) {
			<-gate
			batches = append(batches, batch)
			out := make([]int, len(batch))
			for i, n := range batch {
				out[i] = 10 * n
			}
			return out, nil
		})
		var calls sync.WaitGroup
		for n := 1; n <= 5; n++ {
			calls.Go(func() {
				if got, err := g.Do(t.Context(), n); got != 10*n || err != nil {
					t.Errorf("%d gave %d, %v", n, got, err)
				}
			})
			synctest.Wait() // one after the other: the first leaves alone, the others wait for it
		}
		close(gate)
		calls.Wait()
		sizes := []int{}
		for _, b := range batches {
			sizes = append(sizes, len(b))
		}
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 3 || sizes[2] != 1 {
			t.Errorf("batches of %v, want 1, 3 and 1", sizes)
		}
	})
}

func TestGroup_WhatIsHandedInTogetherLeavesTogether(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	g := NewGroup(10, func(_ context.Context, batch []int) ([]int, error) {
		if slices.Contains(batch, 2) {
			return nil, bad
		}
		return batch, nil
	})
	if got, err := g.DoAll(t.Context(), []int{3, 1, 4}); err != nil || !slices.Equal(got, []int{3, 1, 4}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := g.DoAll(t.Context(), []int{1, 2, 3}); !errors.Is(err, bad) || !slices.Equal(got, []int{1, 0, 3}) {
		t.Errorf("%v, %v: the others' results do not stand", got, err)
	}
	if got, err := g.DoAll(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("nothing gave %v, %v", got, err)
	}
}

func TestGroup_LingersForCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		var given [][2]int
		g := NewGroup(10, func(_ context.Context, batch []int) ([]int, error) {
			batches = append(batches, len(batch))
			return batch, nil
		})
		g.Linger = func(before, since int) (time.Duration, int) {
			given = append(given, [2]int{before, since})
			return 10 * time.Millisecond, 10
		}
		var calls sync.WaitGroup
		for _, wait := range []time.Duration{0, 9 * time.Millisecond, 11 * time.Millisecond} {
			calls.Go(func() {
				time.Sleep(wait)
				_, _ = g.Do(t.Context(), 1)
			})
		}
		calls.Wait()
		time.Sleep(time.Second) // nobody waits any more
		if !slices.Equal(batches, []int{2, 1}) || !slices.Equal(given[:3], [][2]int{{0, 0}, {2, 0}, {1, 0}}) {
			t.Errorf("batches of %v, given the one before and who came meanwhile: %v", batches, given)
		}
	})
}

func TestGroup_EnoughDoNotLinger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ most, enough int }{"a full batch": {2, 3}, "as many as are enough": {3, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				left := map[int]time.Duration{}
				g := NewGroup(c.most, func(_ context.Context, batch []int) ([]int, error) {
					for _, n := range batch {
						left[n] = time.Since(began)
					}
					return batch, nil
				})
				g.Linger = func(int, int) (time.Duration, int) { return time.Second, c.enough }
				var calls sync.WaitGroup
				for n, at := range []time.Duration{0, 10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 40 * time.Millisecond} {
					calls.Go(func() {
						time.Sleep(at)
						_, _ = g.Do(t.Context(), n)
					})
				}
				calls.Wait()
				time.Sleep(time.Minute) // nobody waits any more
				for n, want := range []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 30 * time.Millisecond, 1030 * time.Millisecond} {
					if left[n] != want {
						t.Errorf("call %d left after %s, want %s", n, left[n], want)
					}
				}
			})
		})
	}
}

func TestGroup_OneBadCallFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		gate := make(chan struct{})
		g := NewGroup(10, func(_ context.Context, batch []int) ([]int, error) {
			<-gate
			for _, n := range batch {
				if n == 3 {
					return nil, bad
				}
			}
			return batch, nil
		})
		var calls sync.WaitGroup
		for n := 1; n <= 4; n++ {
			calls.Go(func() {
				if _, err := g.Do(t.Context(), n); (n == 3) != errors.Is(err, bad) {
					t.Errorf("%d gave %v", n, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		calls.Wait()
	})
}

func TestGroup_ACallerMayGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := NewGroup(1, func(_ context.Context, batch []int) ([]int, error) { <-gate; return batch, nil })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Do(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("gave %v", err)
		}
		close(gate)
		if got, err := g.Do(t.Context(), 2); got != 2 || err != nil {
			t.Errorf("the next call gave %d, %v", got, err)
		}
	})
}
