package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/config"
	"kaylehooks/internal/devstack"
	"kaylehooks/internal/postgres"
	"kaylehooks/migrations"
	"kaylehooks/web/static"
)

type devCommand struct {
	Data     string `help:"Directory for the private servers' data." default:".data" type:"path"`
	Assets   string `help:"Read styles and scripts from this directory at each request, such as web/static, instead of those built in." type:"existingdir"`
	NoStream bool   `help:"Do not run new sessions; the history is there all the same."`
}

// Help is shown below the usage.
func (devCommand) Help() string {
	return "Everything stays on this machine. DATABASE_URL and REDIS_URL use servers of yours instead of private ones; delete the data directory to start over."
}

// Run starts the whole system and keeps it running until a signal comes.
func (c devCommand) Run(env environment) error {
	const ownerDir = 0o700
	if err := os.MkdirAll(c.Data, ownerDir); err != nil {
		return usagef("--data: %w", err)
	}
	say := printer(env)
	cfg, err := loadConfig(env, config.Nothing)
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(c.Data, "web.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return usagef("--data: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	log := newLogger(logFile, cfg)

	say("Starting Postgres and Redis …")
	stack, err := devstack.Start(env.ctx, devstack.Options{
		Dir: filepath.Join(c.Data, "dev"), Log: log, DatabaseURL: cfg.DatabaseURL.Reveal(), RedisURL: cfg.RedisURL.Reveal(),
	})
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = stack.Stop() }()
	cfg.DatabaseURL, cfg.RedisURL, cfg.AllowPrivateEndpoints = config.Secret(stack.DatabaseURL), config.Secret(stack.RedisURL), true
	if cfg.MasterKeys == "" {
		key, err := masterKey(c.Data)
		if err != nil {
			return err
		}
		cfg.MasterKeys = config.Secret(key)
	}
	listener, err := devListener(env, &cfg, say)
	if err != nil {
		return err
	}
	if err := migrateUpTo(env.ctx, cfg); err != nil {
		return err
	}
	a, err := newApp(env.ctx, cfg, log, "dev")
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.needRedis(env.ctx); err != nil {
		return err
	}
	a.lookupEnv = env.lookupEnv
	if c.Assets != "" {
		a.assets = static.FromDisk(os.DirFS(c.Assets))
	}
	return c.run(env.ctx, a, listener, say)
}

func (c devCommand) run(ctx context.Context, a *app, listener net.Listener, say func(string, ...any)) error {
	d, err := openDemo(ctx, a, c.Data, say)
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	worker := a.newWorker()
	if err := worker.Start(ctx); err != nil {
		return err
	}
	all.Go(func() error {
		return a.serve(ctx, listener, func() string { return "" })
	})
	all.Go(func() error {
		<-ctx.Done()
		worker.Stop()
		return nil
	})
	say("\nDashboard   %s\nSign in     %s\nPassword    %s\nAPI key     %s\nLog         %s\n", a.cfg.PublicURL, d.state.Setup.Email, d.state.Setup.Password, d.state.Setup.APIKey, filepath.Join(c.Data, "web.log"))
	for _, e := range d.state.Endpoints {
		say("  %-8s %s", e.Role, demoNotes[e.Role])
	}
	say("\nCtrl-C ends everything.\n")
	if !c.NoStream {
		say("New sessions run through the JSON API now:")
		all.Go(func() error { return d.stream(ctx, "http://"+listener.Addr().String()) })
	}
	err = all.Wait()
	say("Stopped. %d webhooks were verified and decrypted in this run.", d.seen.Load())
	return err
}

// demoNotes say what to expect of each endpoint.
var demoNotes = map[string]string{
	demoHealthy: "KYC core: takes everything",
	demoFlaky:   "Onboarding CRM: fails the first attempt of every delivery, takes the second 5 s later",
	demoBroken:  "Risk engine: answers 503 after 3 s, always",
	demoKeyless: "Data warehouse: has no key, so nothing is ever sent (no_active_key)",
}

// devListener listens on LISTEN_ADDR, or on a free port when that is taken.
func devListener(env environment, cfg *config.Config, say func(string, ...any)) (net.Listener, error) {
	listener, err := listen(env.ctx, cfg.ListenAddr)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(cfg.ListenAddr)
		if splitErr != nil {
			return nil, err
		}
		if listener, err = listen(env.ctx, net.JoinHostPort(host, "0")); err != nil {
			return nil, err
		}
		say("%s is taken, so the dashboard is at %s", cfg.ListenAddr, listener.Addr())
	}
	*cfg = cfg.At(listener.Addr().String(), env.lookupEnv)
	return listener, nil
}

func migrateUpTo(ctx context.Context, cfg config.Config) error {
	db, err := postgres.Open(ctx, postgres.Options{URL: cfg.DatabaseURL.Reveal(), Name: "migrate"})
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := db.Migrator(migrations.Files)
	if err != nil {
		return err
	}
	if _, err := m.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// printer returns a function that prints whole lines, from any goroutine, with the time in front of the stream's.
func printer(env environment) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		line := fmt.Sprintf(format, args...)
		if len(line) > 0 && (line[0] == ' ' || line[0] != '\n' && []rune(line)[0] == '→') {
			line = time.Now().Format("15:04:05") + " " + line
		}
		_, _ = fmt.Fprintln(env.stdout, line)
	}
}
