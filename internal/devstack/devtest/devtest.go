package devtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack"
)

const (
	template       = "kaylehooks_template"
	redisDatabases = 1024             // as many as an ephemeral stack's Redis has; number 0 is nobody's
	patience       = 30 * time.Second // for anything done between tests
)

// servers are those of this test binary.
type servers struct {
	migrate func(ctx context.Context, databaseURL string) error

	once    sync.Once
	err     error // why they did not start
	stack   *devstack.Stack
	fileCpy bool // the server knows CREATE DATABASE … STRATEGY

	mu        sync.Mutex // guards what follows; clones made one after the other are as fast as side by side
	admin     *pgx.Conn
	clones    int
	freeRedis []int
}

// shared is nil until Main has run: a test binary is one process with one set of servers.
var shared *servers

// Main runs the tests of a package and exits with their result. Call it from TestMain. The servers start when the
// first test asks for them, so that a run which needs none is not slowed down. migrate brings the empty database at
// databaseURL up to date, once, and must leave no connection to it open; nil means no schema.
func Main(m *testing.M, migrate func(ctx context.Context, databaseURL string) error) {
	os.Exit(Run(m, migrate))
}

// AtOnce lets n tests of a package run side by side instead of one per processor, for those that mostly wait. Call it before Main;
// the flag -parallel overrides it.
func AtOnce(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(n, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
}

// Run is Main for a TestMain that has something to do afterwards, before it exits with the code.
func Run(m *testing.M, migrate func(ctx context.Context, databaseURL string) error) (code int) {
	shared = &servers{migrate: migrate}
	defer func() {
		if err := shared.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "devtest:", err)
			code = max(code, 1)
		}
	}()
	return m.Run()
}

// Database returns the URL, for pgx, of a fresh migrated database that is dropped at the end of the test.
func Database(tb testing.TB) string {
	tb.Helper()
	s := begin(tb)
	// A test that fails meanwhile must not cut the connection that all tests share.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
	defer cancel()
	name, err := s.clone(ctx)
	if err != nil {
		tb.Fatalf("devtest: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			tb.Errorf("devtest: %v", err)
		}
	})
	return s.databaseURL(name)
}

// Redis returns the URL, for go-redis, of an empty Redis database that no other test has until this one ends.
// Published messages and commands such as FLUSHALL or CONFIG SET reach beyond it: a test that
// needs those, or that breaks Redis, starts an ephemeral [devstack.Stack] of its own.
func Redis(tb testing.TB) string {
	tb.Helper()
	s := begin(tb)
	number, err := s.takeRedis(tb.Context())
	if err != nil {
		tb.Fatalf("devtest: %v", err)
	}
	tb.Cleanup(func() { s.giveBackRedis(number) })
	return s.redisURL(number)
}

// begin returns the running servers, starting them for the first caller.
func begin(tb testing.TB) *servers {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs PostgreSQL and Redis")
	}
	if shared == nil {
		tb.Fatal("devtest: no TestMain calls devtest.Main in this package")
	}
	// The servers serve later tests too, so they must not start under this test's context.
	shared.once.Do(func() { shared.err = shared.start(context.WithoutCancel(tb.Context())) })
	if shared.err != nil {
		tb.Fatalf("devtest: %v", shared.err)
	}
	return shared
}

func (s *servers) start(ctx context.Context) error {
	var err error
	if s.stack, err = devstack.Start(ctx, devstack.Options{Ephemeral: true}); err != nil {
		return err
	}
	for number := redisDatabases - 1; number > 0; number-- {
		s.freeRedis = append(s.freeRedis, number)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if s.admin, err = pgx.Connect(ctx, s.stack.DatabaseURL); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := s.admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int >= 150000").Scan(&s.fileCpy); err != nil {
		return fmt.Errorf("read server version: %w", err)
	}
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+template); err != nil {
		return fmt.Errorf("create template database: %w", err)
	}
	if s.migrate != nil {
		if err := s.migrate(ctx, s.databaseURL(template)); err != nil {
			return fmt.Errorf("migrate template database: %w", err)
		}
	}
	return s.seal(ctx)
}

// seal closes the template to sessions: a single one would make every clone fail.
func (s *servers) seal(ctx context.Context) error {
	for _, sql := range []string{
		"ALTER DATABASE " + template + " IS_TEMPLATE true ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + template + "'",
	} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("close template database: %w", err)
		}
	}
	return nil
}

func (s *servers) stop() error {
	if s.stack == nil {
		return nil
	}
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.admin.Close(ctx) // the server is about to be ended anyway
	}
	return s.stack.Stop()
}

func (s *servers) clone(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clones++
	name := fmt.Sprintf("test_%d", s.clones)
	sql := "CREATE DATABASE " + name + " TEMPLATE " + template
	if s.fileCpy {
		sql += " STRATEGY file_copy" // twice as fast as the default where nothing is made durable
	}
	if _, err := s.admin.Exec(ctx, sql); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return name, nil
}

// drop ends whatever sessions the test left.
func (s *servers) drop(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

func (s *servers) databaseURL(name string) string {
	return strings.Replace(s.stack.DatabaseURL, "@/postgres?", "@/"+name+"?", 1)
}

func (s *servers) takeRedis(ctx context.Context) (int, error) {
	s.mu.Lock()
	if len(s.freeRedis) == 0 {
		s.mu.Unlock()
		return 0, errors.New("all Redis databases are in use")
	}
	number := s.freeRedis[len(s.freeRedis)-1]
	s.freeRedis = s.freeRedis[:len(s.freeRedis)-1]
	s.mu.Unlock()

	// Emptied when taken, not when given back: a client that outlives its test may still write until then.
	options, err := redis.ParseURL(s.redisURL(number))
	if err != nil {
		return 0, fmt.Errorf("redis address: %w", err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.FlushDB(ctx).Err(); err != nil {
		return 0, fmt.Errorf("empty Redis database %d: %w", number, err)
	}
	return number, nil
}

// giveBackRedis puts a number at the far end, to be used again as late as possible.
func (s *servers) giveBackRedis(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeRedis = append([]int{number}, s.freeRedis...)
}

func (s *servers) redisURL(number int) string {
	u, err := url.Parse(s.stack.RedisURL)
	if err != nil {
		return s.stack.RedisURL // devstack made it from a url.URL
	}
	u.RawQuery = fmt.Sprintf("db=%d", number)
	return u.String()
}
