package ratelimit

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/batch"
)

const (
	// redisPatience is how long a request waits for Redis before its process decides alone.
	redisPatience = 250 * time.Millisecond
	// redisPause is how long Redis is left alone after it failed, so that not every request waits.
	redisPause = 2 * time.Second
)

// Rule is a kind of bucket: it holds Burst tokens and gains Rate tokens per Per. All fields are required.
type Rule struct {
	// Name keeps the buckets of different rules apart, such as "key" or "sign-in".
	Name  string
	Rate  int
	Per   time.Duration
	Burst int
}

// Result is the answer for one request.
type Result struct {
	Allowed bool
	// RetryAfter is when the next token comes; zero when Allowed.
	RetryAfter time.Duration
}

// RetryAfterSeconds is RetryAfter in whole seconds, at least 1, for the header of that name.
func (r Result) RetryAfterSeconds() int { return max(1, int(math.Ceil(r.RetryAfter.Seconds()))) }

// Limiter takes tokens. It is safe for concurrent use.
type Limiter struct {
	redis *redis_rate.Limiter
	asks  *batch.Group[ask, answer]
	local *buckets
	now   func() time.Time
	log   *slog.Logger

	mu   sync.Mutex
	away time.Time // Redis is not asked before this time
	down bool      // the outage has been logged
}

// New returns a limiter on the client, or one that is local to the process when client is nil. The client should have
// ContextTimeoutEnabled, or a Redis that hangs is waited for as long as the client's own time-outs. now is the clock.
func New(client redis.UniversalClient, now func() time.Time, log *slog.Logger) *Limiter {
	l := &Limiter{local: newBuckets(), now: now, log: log}
	if client != nil {
		l.redis = redis_rate.NewLimiter(client)
		l.asks = batch.NewGroup(asksTogether, l.askAll)
	}
	return l
}

// Allow takes a token from the subject's bucket. The subject is an id or an address (Address), never a credential. It
// always answers: the process decides alone when Redis does not.
func (l *Limiter) Allow(ctx context.Context, rule Rule, subject string) Result {
	now := l.now()
	if l.redis != nil && l.mayAsk(now) {
		if got, err := l.asks.Do(ctx, ask{rule, subject}); err == nil && got.err == nil {
			return got.Result
		}
	}
	return l.local.take(now, rule, subject)
}

// ask is for one token, answer what Redis said.
type (
	ask struct {
		rule    Rule
		subject string
	}
	answer struct {
		Result
		err error
	}
)

var errAway = errors.New("redis is left alone for a while")

// asksTogether is the most requests that ask Redis at once.
const asksTogether = 64

// askAll takes a token for each of the requests, which usually want them from one bucket: a round trip to Redis costs as much as the
// rest of a limit. Errors are in the answers, and noted.
func (l *Limiter) askAll(ctx context.Context, asks []ask) ([]answer, error) {
	answers := make([]answer, len(asks))
	if !l.mayAsk(l.now()) { // it failed while these waited
		for i := range answers {
			answers[i].err = errAway
		}
		return answers, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	wanted := map[ask][]int{}
	for i, a := range asks {
		wanted[a] = append(wanted[a], i)
	}
	var buckets errgroup.Group
	for a, requests := range wanted {
		buckets.Go(func() error {
			got := l.take(ctx, a, len(requests))
			oneByOne := got.err == nil && !got.Allowed && len(requests) > 1 // there are not enough for all
			for _, i := range requests {
				if oneByOne {
					got = l.take(ctx, a, 1)
					oneByOne = got.Allowed // when there is none left, there is none for the rest
				}
				answers[i] = got
			}
			return got.err
		})
	}
	if err := buckets.Wait(); err != nil {
		l.failed(ctx, l.now(), err)
	} else {
		l.recovered(ctx)
	}
	return answers, nil
}

// take takes n tokens, or none.
func (l *Limiter) take(ctx context.Context, a ask, n int) answer {
	limit := redis_rate.Limit{Rate: a.rule.Rate, Period: a.rule.Per, Burst: a.rule.Burst}
	got, err := l.redis.AllowN(ctx, a.rule.Name+":"+a.subject, limit, n)
	if err != nil {
		return answer{err: err}
	}
	return answer{Result: Result{Allowed: got.Allowed > 0, RetryAfter: max(0, got.RetryAfter)}}
}

func (l *Limiter) mayAsk(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.away)
}

func (l *Limiter) failed(ctx context.Context, now time.Time, err error) {
	l.mu.Lock()
	l.away = now.Add(redisPause)
	first := !l.down
	l.down = true
	l.mu.Unlock()
	if first {
		l.log.WarnContext(ctx, "rate limits are kept per process", "error", err)
	}
}

func (l *Limiter) recovered(ctx context.Context) {
	l.mu.Lock()
	was := l.down
	l.down = false
	l.mu.Unlock()
	if was {
		l.log.InfoContext(ctx, "rate limits are shared again")
	}
}
