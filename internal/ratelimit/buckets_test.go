package ratelimit

import (
	"strconv"
	"testing"
	"time"
)

func TestBuckets_StayBounded(t *testing.T) {
	t.Parallel()
	b, now := newBuckets(), time.Unix(1_700_000_000, 0)
	rule := Rule{Name: "r", Rate: 1, Per: time.Minute, Burst: 2}
	for i := range bucketsMax + 1000 {
		b.take(now, rule, strconv.Itoa(i))
	}
	if n := len(b.byKey); n > bucketsMax {
		t.Errorf("%d buckets while none is full", n)
	}
	now = now.Add(time.Hour)
	for i := range bucketsMax {
		b.take(now, rule, "later "+strconv.Itoa(i))
	}
	if n := len(b.byKey); n > bucketsMax {
		t.Errorf("%d buckets", n)
	}
}
