package ratelimit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/ratelimit"
)

func TestMain(m *testing.M) { devtest.Main(m, nil) }

var rule = ratelimit.Rule{Name: "test", Rate: 1, Per: time.Minute, Burst: 3}

func newRedis(t *testing.T) redis.UniversalClient {
	t.Helper()
	options, err := redis.ParseURL(devtest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// spend takes tokens until one is refused and returns how many there were.
func spend(t *testing.T, l *ratelimit.Limiter, subject string) (int, ratelimit.Result) {
	t.Helper()
	for n := range 100 {
		if got := l.Allow(t.Context(), rule, subject); !got.Allowed {
			return n, got
		}
	}
	t.Fatal("the bucket has no bottom")
	return 0, ratelimit.Result{}
}

func TestAllow_ABucketHoldsItsBurst(t *testing.T) {
	t.Parallel()
	limiters := map[string]*ratelimit.Limiter{
		"redis": ratelimit.New(newRedis(t), fixture.NewClock().Now, slog.New(slog.DiscardHandler)),
		"local": ratelimit.New(nil, fixture.NewClock().Now, slog.New(slog.DiscardHandler)),
	}
	for name, l := range limiters {
		for _, subject := range []string{"a", "b"} {
			n, refused := spend(t, l, subject)
			if n != rule.Burst || refused.RetryAfter <= 0 || refused.RetryAfter > time.Minute || refused.RetryAfterSeconds() < 1 {
				t.Errorf("%s, %s: %d tokens, then %+v", name, subject, n, refused)
			}
		}
		other := rule
		other.Name = "other"
		if !l.Allow(t.Context(), other, "a").Allowed {
			t.Errorf("%s: two rules share a bucket", name)
		}
	}
}

func TestAllow_TwoProcessesShareABucketInRedis(t *testing.T) {
	t.Parallel()
	client, clock := newRedis(t), fixture.NewClock()
	one, two := ratelimit.New(client, clock.Now, slog.New(slog.DiscardHandler)), ratelimit.New(client, clock.Now, slog.New(slog.DiscardHandler))
	one.Allow(t.Context(), rule, "a")
	if n, _ := spend(t, two, "a"); n != rule.Burst-1 {
		t.Errorf("%d tokens were left", n)
	}
	if n, _ := spend(t, one, "a"); n != 0 {
		t.Errorf("%d tokens came back", n)
	}
}

func TestAllow_LocalBucketRefillsWithTheClock(t *testing.T) {
	t.Parallel()
	clock := fixture.NewClock()
	l := ratelimit.New(nil, clock.Now, slog.New(slog.DiscardHandler))
	_, refused := spend(t, l, "a")
	clock.Advance(refused.RetryAfter - time.Millisecond)
	if l.Allow(t.Context(), rule, "a").Allowed {
		t.Error("a token came early")
	}
	clock.Advance(time.Millisecond)
	if n, _ := spend(t, l, "a"); n != 1 {
		t.Errorf("%d tokens after the wait", n)
	}
	clock.Advance(time.Hour)
	if n, _ := spend(t, l, "a"); n != rule.Burst {
		t.Errorf("%d tokens after an hour", n)
	}
}

func TestAllow_WithoutRedisTheProcessDecides(t *testing.T) {
	t.Parallel()
	var dials int
	client := redis.NewClient(&redis.Options{
		Addr: "redis.invalid:6379", MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, fmt.Errorf("refused")
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	clock := fixture.NewClock()
	var log strings.Builder
	l := ratelimit.New(client, clock.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if n, _ := spend(t, l, "a"); n != rule.Burst {
		t.Errorf("%d tokens", n)
	}
	asked := dials
	if asked == 0 {
		t.Error("redis was not asked")
	}
	l.Allow(t.Context(), rule, "a")
	if dials != asked {
		t.Error("redis was asked again at once")
	}
	clock.Advance(3 * time.Second)
	l.Allow(t.Context(), rule, "a")
	if dials == asked {
		t.Error("redis was given up for good")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("one outage was logged %d times", n)
	}
}

func TestAllow_ComesBackToRedis(t *testing.T) {
	t.Parallel()
	options, err := redis.ParseURL(devtest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	away := true
	options.MaxRetries = -1
	options.ContextTimeoutEnabled = true
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if away {
			return nil, fmt.Errorf("refused")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	clock := fixture.NewClock()
	l := ratelimit.New(client, clock.Now, slog.New(slog.DiscardHandler))
	if n, _ := spend(t, l, "a"); n != rule.Burst {
		t.Fatalf("%d tokens", n)
	}
	mu.Lock()
	away = false
	mu.Unlock()
	clock.Advance(2 * time.Second)
	if n, _ := spend(t, l, "a"); n != rule.Burst {
		t.Errorf("%d tokens in the bucket of redis", n)
	}
	if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
}

func TestAllow_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	l := ratelimit.New(newRedis(t), time.Now, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 20 {
		wg.Go(func() {
			if l.Allow(t.Context(), rule, "a").Allowed {
				mu.Lock()
				allowed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if allowed != rule.Burst {
		t.Errorf("%d of 20 were allowed", allowed)
	}
}

// counter counts how often Redis is asked for tokens.
type counter struct{ commands atomic.Int32 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" { // a new connection says more
			c.commands.Add(1)
		}
		return next(ctx, cmd)
	}
}

func TestAllow_RequestsThatComeTogetherAskTogether(t *testing.T) {
	t.Parallel()
	client := newRedis(t)
	wide := ratelimit.Rule{Name: "wide", Rate: 1, Per: time.Minute, Burst: 20}
	l := ratelimit.New(client, time.Now, slog.New(slog.DiscardHandler))
	l.Allow(t.Context(), wide, "script loaded")
	c := &counter{}
	client.(*redis.Client).AddHook(c) //nolint:forcetypeassert // newRedis makes one
	for _, step := range []struct {
		name              string
		subjects          []string
		allowed, commands int
	}{
		{"enough for all", slices.Repeat([]string{"a"}, 17), 17, 1},
		{"two buckets", []string{"a", "b", "a", "b"}, 4, 2},
		{"not enough for all", slices.Repeat([]string{"a"}, 40), 1, 3},
		{"none left", slices.Repeat([]string{"a"}, 64), 0, 2},
	} {
		c.commands.Store(0)
		allowed := 0
		for _, got := range l.AllowTogether(t.Context(), wide, step.subjects...) {
			if got.Allowed {
				allowed++
			} else if got.RetryAfter <= 0 || got.RetryAfter > time.Minute {
				t.Errorf("%s: refused for %s", step.name, got.RetryAfter)
			}
		}
		if n := int(c.commands.Load()); allowed != step.allowed || n != step.commands {
			t.Errorf("%s: %d allowed with %d commands, want %d with %d", step.name, allowed, n, step.allowed, step.commands)
		}
	}
}

func TestAddress_GroupsIPv6ByNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := ratelimit.Address(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestClientIP_TrustsAsManyHopsAsConfigured(t *testing.T) {
	t.Parallel()
	const peer = "10.0.0.1:4711"
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		hops      int
		want      string
	}{
		"no proxy":            {peer, []string{"203.0.113.9"}, 0, "10.0.0.1"},
		"one proxy":           {peer, []string{"198.51.100.1, 203.0.113.9"}, 1, "203.0.113.9"},
		"two proxies":         {peer, []string{"1.1.1.1, 203.0.113.9", "10.0.0.2"}, 2, "203.0.113.9"},
		"too short":           {peer, []string{"203.0.113.9"}, 2, "10.0.0.1"},
		"no header":           {peer, nil, 1, "10.0.0.1"},
		"not an address":      {peer, []string{"unknown"}, 1, "10.0.0.1"},
		"with port":           {peer, []string{"203.0.113.9:80"}, 1, "203.0.113.9"},
		"IPv6":                {"[2001:db8::1]:80", []string{"[2001:db8::2]"}, 1, "2001:db8::2"},
		"IPv4 in IPv6":        {"[::ffff:192.0.2.1]:80", nil, 0, "192.0.2.1"},
		"unix socket":         {"@", nil, 0, "invalid IP"},
		"spoofed to the left": {peer, []string{"6.6.6.6,203.0.113.9"}, 1, "203.0.113.9"},
	} {
		if got := ratelimit.ClientIP(tc.remote, tc.forwarded, tc.hops).String(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
