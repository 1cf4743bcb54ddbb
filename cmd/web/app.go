package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/access"
	"kaylehooks/internal/api"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/config"
	"kaylehooks/internal/dashboard"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/queue"
	"kaylehooks/internal/ratelimit"
	"kaylehooks/internal/retention"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/server"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/migrations"
	"kaylehooks/web/static"
)

// lookTimeout is how long saving an endpoint waits for its receiver.
const lookTimeout = 5 * time.Second

// callsEvery is how often a process writes down how often API keys were used.
const callsEvery = time.Minute

// app is every room, built by hand from the lowest floor up.
type app struct {
	cfg        config.Config
	lookupEnv  func(string) (string, bool) // where cfg is from, for the page that says so
	log        *slog.Logger
	db         *postgres.DB
	redis      *redis.Client
	keyring    *seal.Keyring
	orgs       *org.Service
	logins     *login.Service
	keys       *apikey.Service
	webhooks   *webhook.Service
	deliveries *delivery.Service
	sessions   *verification.Service
	bell       *queue.Bell
	limiter    *ratelimit.Limiter
	assets     http.Handler
}

// loadConfig reads the settings; the error has one line per problem.
func loadConfig(env environment, needs config.Needs) (config.Config, error) {
	cfg, err := config.Load(env.lookupEnv, needs)
	if keys, _ := env.lookupEnv("MASTER_KEYS"); keys != "" && needs&config.Keys != 0 {
		_, malformed := newKeyring(config.Config{MasterKeys: config.Secret(keys)})
		err = errors.Join(err, malformed)
	}
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// newLogger also silences the standard logger, into which net/http writes what a receiver sends out of turn: that may be
// what it decrypted. go-redis repeats itself during an outage; who uses it says that there is one.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	stdlog.SetOutput(io.Discard)
	l := logging.New(w, logging.Options{JSON: cfg.LogFormat == "json", Level: cfg.Level()})
	redis.SetLogger(redisLog{l})
	return l
}

// redisLog turns go-redis' log lines into ours.
type redisLog struct{ log *slog.Logger }

// Printf implements the logger of go-redis.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis", "detail", fmt.Sprintf(format, args...))
}

// newKeyring reads MASTER_KEYS.
func newKeyring(cfg config.Config) (*seal.Keyring, error) {
	masters, err := seal.ParseMasterKeys(cfg.MasterKeys.Reveal())
	if err != nil {
		return nil, usagef("MASTER_KEYS: %w; make one with: web keygen --master", err)
	}
	return seal.NewKeyring(masters), nil
}

// openDatabase connects and checks that Postgres answers.
func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger, name string) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, postgres.Options{URL: cfg.DatabaseURL.Reveal(), MaxConns: cfg.DBMaxConns, Name: name, Log: log})
	if err != nil {
		return nil, usagef("DATABASE_URL: %w; it looks like postgres://user:password@host:5432/database", err)
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := db.Ping(ctx); err != nil {
		db.Close()
		return nil, usagef("Postgres is not reachable (%s); check DATABASE_URL and that the server runs", firstLine(err))
	}
	return db, nil
}

// checkSchema refuses to work on a schema that lacks migrations this program knows.
func checkSchema(ctx context.Context, db *postgres.DB) error {
	m, err := db.Migrator(migrations.Files)
	if err != nil {
		return err
	}
	pending, err := m.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if pending {
		return usagef("the database schema is too old for this program; run: web migrate up")
	}
	return nil
}

// newRedis makes a client, which connects when it is first used.
func newRedis(cfg config.Config) (*redis.Client, error) {
	options, err := redis.ParseURL(cfg.RedisURL.Reveal())
	if err != nil {
		return nil, usagef("REDIS_URL is not a Redis connection string; it looks like redis://host:6379/0")
	}
	options.PoolSize = 64
	options.ContextTimeoutEnabled = true // one that hangs is waited for as long as the caller has patience, not as long as the client has
	options.Protocol = 2                 // with the newer one, every command first looks for messages that nobody asked for
	return redis.NewClient(options), nil
}

// needRedis checks that Redis answers.
func (a *app) needRedis(ctx context.Context) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.redis.Ping(ctx).Err(); err != nil {
		return usagef("Redis is not reachable (%w); check REDIS_URL and that the server runs", err)
	}
	return nil
}

// refused reports whether Redis answered, and will say the same again: a password that is wrong, say.
func refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && !strings.HasPrefix(answer.Error(), "LOADING ")
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// newApp opens Postgres and builds the rooms. Close it. Whoever cannot do without Redis asks needRedis.
func newApp(ctx context.Context, cfg config.Config, log *slog.Logger, name string) (_ *app, err error) {
	a := &app{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.keyring, err = newKeyring(cfg); err != nil {
		return nil, err
	}
	if a.db, err = openDatabase(ctx, cfg, log, name); err != nil {
		return nil, err
	}
	if err = checkSchema(ctx, a.db); err != nil {
		return nil, err
	}
	if a.redis, err = newRedis(cfg); err != nil {
		return nil, err
	}
	if cfg.AllowPrivateEndpoints {
		log.Warn("ALLOW_PRIVATE_ENDPOINTS is on: endpoints may point to private addresses and plain http. Never use this in production.")
	}
	a.limiter = ratelimit.New(a.redis, a.db.Now, log)
	a.bell = queue.NewBell(a.redis, a.db.Now, log)
	a.orgs = &org.Service{DB: a.db, Passwords: org.NewPasswords(org.StandardParams())}
	a.keys = apikey.New(a.db, a.keyring)
	a.logins = &login.Service{DB: a.db, Org: a.orgs}
	a.deliveries = delivery.New(delivery.Config{
		DB: a.db, Keyring: a.keyring, Log: log, AllowPrivate: cfg.AllowPrivateEndpoints, Worker: cfg.WorkerName, Ring: a.bell.Ring,
		Sender: egress.New(egress.Options{
			Policy: egress.Policy{AllowPrivate: cfg.AllowPrivateEndpoints}, UserAgent: userAgent(),
			Timeout: delivery.HTTPTimeout, MaxIdlePerHost: cfg.WorkerConcurrency,
		}),
	})
	a.webhooks = &webhook.Service{DB: a.db, Keyring: a.keyring, AllowPrivate: cfg.AllowPrivateEndpoints, Deliveries: a.deliveries}
	a.sessions = &verification.Service{DB: a.db, Keyring: a.keyring, Deliveries: a.deliveries}
	a.deliveries.Settler = a.sessions
	a.assets = static.Handler()
	return a, nil
}

// Close ends what newApp began.
func (a *app) Close() {
	if a.bell != nil {
		a.bell.Close()
	}
	if a.redis != nil {
		_ = a.redis.Close()
	}
	if a.db != nil {
		a.db.Close()
	}
}

// handler returns the web server's root handler. setupToken is the one-time token of the first-run setup.
func (a *app) handler(setupToken func() string) http.Handler {
	receivers := egress.New(egress.Options{
		Policy: egress.Policy{AllowPrivate: a.cfg.AllowPrivateEndpoints}, UserAgent: userAgent(),
		Timeout: lookTimeout, MaxIdlePerHost: -1, // every look is a new connection
	})
	pages := dashboard.New(dashboard.Config{
		DB: a.db, Keyring: a.keyring, Org: a.orgs, Login: a.logins, APIKeys: a.keys, Webhooks: a.webhooks, Deliveries: a.deliveries,
		Sessions: a.sessions, Limiter: a.limiter, Receivers: receivers, Queue: newQueueView(a.redis), QueueReadOnly: a.cfg.QueueReadOnly, Log: a.log, PublicURL: a.cfg.PublicURL, Version: version(),
		TrustedProxyHops: a.cfg.TrustedProxyHops, RateIPPerMinute: a.cfg.RateIPPerMinute, RateIPBurst: a.cfg.RateIPBurst, SetupToken: setupToken, SetupCommand: "web serve", Settings: lockedSettings(a.cfg, a.lookupEnv),
	})
	redisOptions := sharedRedis{a.redis}
	look, change := server.NewMonitor(redisOptions, true), server.NewMonitor(redisOptions, false)
	return server.New(server.Config{
		API: api.New(api.Config{
			DB: a.db, Keyring: a.keyring, APIKeys: a.keys, Webhooks: a.webhooks, Deliveries: a.deliveries, Sessions: a.sessions,
			Limiter: a.limiter, Log: a.log, PublicURL: a.cfg.PublicURL, VerificationBaseURL: a.cfg.VerificationBaseURL, Version: version(),
			TrustedProxyHops: a.cfg.TrustedProxyHops, RateKeyPerSecond: a.cfg.RateKeyPerSecond, RateKeyBurst: a.cfg.RateKeyBurst,
			RateIPPerMinute: a.cfg.RateIPPerMinute, RateIPBurst: a.cfg.RateIPBurst,
		}),
		Pages: pages, Assets: a.assets,
		Monitor: pages.GuardMonitor(func(actor access.Actor) http.Handler {
			if actor.Can(access.QueueManage) && !a.cfg.QueueReadOnly {
				return change
			}
			return look
		}),
		Needs: []server.Need{
			{Name: "postgres", Ask: a.db.Ping},
			{Name: "redis", Ask: func(ctx context.Context) error { return a.redis.Ping(ctx).Err() }, Spare: true}, // what is due waits in Postgres
		},
		Metrics: server.NewMetrics(a.db, a.deliveries), HTTPS: strings.HasPrefix(a.cfg.PublicURL, "https://"), Log: a.log, Now: a.db.Now,
	})
}

// sharedRedis lets asynq's monitor use our connection pool.
type sharedRedis struct{ client *redis.Client }

// MakeRedisClient implements asynq.RedisConnOpt.
func (s sharedRedis) MakeRedisClient() interface{} { return s.client }

var _ asynq.RedisConnOpt = sharedRedis{}

// serve answers HTTP on the listener until ctx ends. Meanwhile it writes down how often API keys are used, the last time when no request
// is under way any more.
func (a *app) serve(ctx context.Context, listener net.Listener, setupToken func() string) error {
	counting, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan struct{})
	go func() {
		defer close(written)
		a.keys.KeepCalls(counting, callsEvery, a.log)
	}()
	err := serve(ctx, listener, a.handler(setupToken), a.log)
	stop()
	<-written
	return err
}

// serve answers HTTP on the listener until ctx ends, and then lets the requests under way finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	const (
		readHeader = 10 * time.Second
		whole      = 60 * time.Second
		idle       = 2 * time.Minute
		farewell   = 10 * time.Second
	)
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeader, ReadTimeout: whole, WriteTimeout: whole, IdleTimeout: idle,
		DisableGeneralOptionsHandler: true, // net/http would answer OPTIONS * without our headers and without a line in the log
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// listen opens the address of the web server.
func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, usagef("cannot listen on %s (%s); stop what uses it, or set LISTEN_ADDR", address, reason(err))
	}
	return listener, nil
}

// reason is the innermost cause of a network error.
func reason(err error) string {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err.Error()
	}
	return firstLine(err)
}

// newWorker builds the worker of this process with all its sweeps.
func (a *app) newWorker() *queue.Worker {
	const (
		leaseBatch, expiryBatch, payloadBatch = 500, 1000, 500 // per run (contract section 1)
		jobBatch                              = 500            // deliveries visited per step, of all bulk jobs
	)
	old := &retention.Service{DB: a.db, Days: a.cfg.RetentionDays}
	return queue.NewWorker(queue.Config{
		Redis: a.redis, Bell: a.bell, DB: a.db, Deliveries: a.deliveries, Concurrency: a.cfg.WorkerConcurrency, Log: a.log,
		Sweeps: []queue.Sweep{
			{Name: "leases", Every: 5 * time.Second, Run: func(ctx context.Context) (int, error) { return a.deliveries.SweepLeases(ctx, leaseBatch) }},
			{Name: "bulk jobs", Every: 500 * time.Millisecond, Run: func(ctx context.Context) (int, error) { return a.deliveries.RunJobs(ctx, jobBatch) }},
			{Name: "retention", Every: time.Minute, Run: old.RunDue},
			{Name: "session expiry", Every: time.Minute, Run: func(ctx context.Context) (int, error) { return a.sessions.ExpireOverdue(ctx, expiryBatch) }},
			{Name: "payloads", Every: time.Minute, Run: func(ctx context.Context) (int, error) { return a.deliveries.SweepPayloads(ctx, payloadBatch) }},
			{Name: "signing secrets", Every: time.Minute, Run: a.inTx(webhook.EraseExpiredSecrets)},
			{Name: "sign-ins", Every: 10 * time.Minute, Run: a.inTx(func(tx *postgres.Tx) (int64, error) { return login.Purge(tx, payloadBatch) })},
		},
	})
}

func (a *app) inTx(f func(tx *postgres.Tx) (int64, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		var did int64
		err := a.db.InTx(ctx, func(tx *postgres.Tx) (err error) {
			did, err = f(tx)
			return err
		})
		return int(did), err
	}
}
