package devstack

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
)

// Options says what to start and where.
type Options struct {
	// Dir is where data, sockets and logs live between runs, for example ".data/dev". It is created when missing.
	// When we are root and the postgres user cannot reach it, or when it is too long for a socket path, a directory
	// of the system's temporary folder takes its place; see [Stack.Dir]. Ignored when Ephemeral.
	Dir string

	// Ephemeral makes an empty stack that trades durability for speed and is removed by Stop. Its files are in memory where
	// there is room, else in the temporary folder; TMPDIR chooses another place. Any number of them run at once.
	Ephemeral bool

	// Log receives one line per child started, and an error when a child ends unasked. Nil discards.
	Log *slog.Logger

	// DatabaseURL and RedisURL, when set, are used as they are: nothing is started for that one.
	DatabaseURL, RedisURL string
}

// Stack is a running pair of servers. Its URLs never change, restarts included.
type Stack struct {
	// DatabaseURL is for pgx: postgres://postgres@/postgres?host=/socket/dir&port=5432 (no password, superuser).
	DatabaseURL string
	// RedisURL is for go-redis: unix:///socket/path?db=0.
	RedisURL string

	log       *slog.Logger
	ephemeral bool
	place     place
	lock      *os.File // nil when nothing was started

	mu       sync.Mutex // guards what follows
	postgres *postgresServer
	redis    *redisServer
	stopped  bool
}

// Start brings up what o asks for and returns once both servers answer. The stack outlives ctx, which limits only
// the start itself. Errors are one line and name the remedy. A directory can be used by one stack at a time: a second Start
// on it fails and leaves the first alone. Servers left over by a process that died are stopped first.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{DatabaseURL: o.DatabaseURL, RedisURL: o.RedisURL, log: o.Log, ephemeral: o.Ephemeral}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.DatabaseURL != "" && o.RedisURL != "" {
		return s, nil
	}
	if !o.Ephemeral && o.Dir == "" {
		return nil, errors.New("devstack: no directory given for a lasting stack")
	}
	if err := s.start(ctx, o); err != nil {
		// What did start is stopped again; only the first failure is worth telling.
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, o Options) error {
	needPostgres, needRedis := o.DatabaseURL == "", o.RedisURL == ""
	var pg *postgresServer
	var rd *redisServer
	var err error
	// Programs are looked up before anything is created, so that a fresh machine gets its answer at once.
	if needPostgres {
		if pg, err = findPostgres(); err != nil {
			return err
		}
	}
	if needRedis {
		if rd, err = findRedis(); err != nil {
			return err
		}
	}

	if o.Ephemeral {
		s.place, s.lock, err = openEphemeral(ctx, pg)
	} else {
		s.place, s.lock, err = openLasting(o.Dir)
	}
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	failed := make(chan error, 2)
	running := 0
	if needRedis {
		rd.place, rd.ephemeral, rd.log = s.place, o.Ephemeral, s.log
		s.redis, s.RedisURL = rd, rd.url()
		running++
		go func() { failed <- rd.start(ctx) }()
	}
	if needPostgres {
		pg.place, pg.ephemeral, pg.log = s.place, o.Ephemeral, s.log
		s.postgres, s.DatabaseURL = pg, pg.url()
		running++
		go func() { failed <- pg.start(ctx) }()
	}
	for range running {
		if e := <-failed; e != nil && err == nil {
			err = e
			cancel()
		}
	}
	return err
}

// Stop ends the servers that Start started, cleanly for a lasting stack, and removes an ephemeral one from disk.
// Later calls do nothing.
func (s *Stack) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true

	var wg sync.WaitGroup
	if s.postgres != nil {
		wg.Go(s.postgres.stop)
	}
	if s.redis != nil {
		wg.Go(s.redis.stop)
	}
	wg.Wait()

	if s.lock == nil {
		return nil
	}
	var err error
	if s.ephemeral {
		err = removeEphemeral(s.place.dir)
	}
	// Closing releases the lock; it comes last so that nobody finds the directory half gone.
	return errors.Join(err, s.lock.Close())
}

// Dir is where the data, the sockets and the logs postgres.log and redis.log are. Empty when nothing was started.
func (s *Stack) Dir() string { return s.place.dir }

// PostgresPID is the process id of the postmaster, for fault tests. 0 when it is not ours or not running.
func (s *Stack) PostgresPID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postgres == nil {
		return 0
	}
	return s.postgres.child.pid()
}

// RedisPID is the process id of Redis, for fault tests. 0 when it is not ours or not running.
func (s *Stack) RedisPID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.redis == nil {
		return 0
	}
	return s.redis.child.pid()
}

// RestartPostgres stops PostgreSQL if it still runs, cutting its sessions, and starts it again on the same data.
func (s *Stack) RestartPostgres(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postgres == nil || s.stopped {
		return errors.New("devstack: PostgreSQL was not started here")
	}
	s.postgres.stop()
	return s.postgres.start(ctx)
}

// RestartRedis stops Redis if it still runs and starts it again. An ephemeral stack's Redis comes back empty.
func (s *Stack) RestartRedis(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.redis == nil || s.stopped {
		return errors.New("devstack: Redis was not started here")
	}
	s.redis.stop()
	return s.redis.start(ctx)
}
