package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// bucketsMax bounds the memory of the fallback.
const bucketsMax = 20_000

type bucketKey struct{ rule, subject string }

// buckets are those of one process.
type buckets struct {
	mu    sync.Mutex
	byKey map[bucketKey]*rate.Limiter
}

func newBuckets() *buckets { return &buckets{byKey: map[bucketKey]*rate.Limiter{}} }

func (b *buckets) take(now time.Time, rule Rule, subject string) Result {
	key := bucketKey{rule.Name, subject}
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket := b.byKey[key]
	if bucket == nil {
		if len(b.byKey) >= bucketsMax {
			b.makeRoom(now)
		}
		bucket = rate.NewLimiter(rate.Limit(float64(rule.Rate)/rule.Per.Seconds()), rule.Burst)
		b.byKey[key] = bucket
	}
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return Result{Allowed: true}
	}
	r.CancelAt(now)
	return Result{RetryAfter: wait}
}

// makeRoom drops the buckets that are full again, which is what a new one is; if there are too few of those, also others.
func (b *buckets) makeRoom(now time.Time) {
	for key, bucket := range b.byKey {
		if bucket.TokensAt(now) >= float64(bucket.Burst()) {
			delete(b.byKey, key)
		}
	}
	for key := range b.byKey {
		if len(b.byKey) <= bucketsMax*9/10 {
			return
		}
		delete(b.byKey, key)
	}
}
