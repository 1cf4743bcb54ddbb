package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/config"
	"kaylehooks/internal/org"
	"kaylehooks/migrations"
)

type serveCommand struct{ profileFlag }

// Help is shown below the usage.
func (serveCommand) Help() string {
	return "Needs DATABASE_URL, REDIS_URL and MASTER_KEYS. Deliveries are sent by `web worker`, which runs beside it."
}

// Run serves until a signal comes.
func (c serveCommand) Run(env environment) error {
	endProfile, err := c.begin()
	if err != nil {
		return err
	}
	defer endProfile()
	cfg, err := loadConfig(env, config.Everything)
	if err != nil {
		return err
	}
	log := newLogger(env.stderr, cfg)
	a, err := newApp(env.ctx, cfg, log, "web")
	if err != nil {
		return err
	}
	defer a.Close()
	listener, err := listen(env.ctx, cfg.ListenAddr)
	if err != nil {
		return err
	}
	if err := a.needRedis(env.ctx); refused(err) {
		return err
	} else if err != nil {
		log.Error("serving without Redis: what is accepted waits in Postgres and is delivered once Redis answers", "error", err)
	}
	a.cfg, a.lookupEnv = cfg.At(listener.Addr().String(), env.lookupEnv), env.lookupEnv
	token, err := a.setupToken(env)
	if err != nil {
		return err
	}
	log.Info("serving", "address", listener.Addr().String(), "public_url", a.cfg.PublicURL, "version", version())
	return a.serve(env.ctx, listener, token)
}

// setupToken makes the one-time token of the first-run setup and prints it, once, when there is nothing set up yet. The
// page asks for it, so that a fresh installation belongs to whoever can read the server's output.
func (a *app) setupToken(env environment) (func() string, error) {
	exists, err := a.orgs.Exists(env.ctx)
	if err != nil {
		return nil, err
	}
	if exists {
		return func() string { return "" }, nil
	}
	token := strings.ToLower(rand.Text())
	_, _ = fmt.Fprintf(env.stdout, "Nothing is set up yet. Open %s/setup and enter this token:\n\n    %s\n\n", a.cfg.PublicURL, token)
	return func() string {
		exists, err := a.orgs.Exists(context.WithoutCancel(env.ctx))
		if err != nil || exists {
			return ""
		}
		return token
	}, nil
}

type workerCommand struct{ profileFlag }

// Help is shown below the usage.
func (workerCommand) Help() string {
	return "Needs DATABASE_URL, REDIS_URL and MASTER_KEYS. Any number of workers can run at once. On SIGTERM it finishes what is in flight."
}

// Run works until a signal comes.
func (c workerCommand) Run(env environment) error {
	endProfile, err := c.begin()
	if err != nil {
		return err
	}
	defer endProfile()
	cfg, err := loadConfig(env, config.Everything)
	if err != nil {
		return err
	}
	log := newLogger(env.stderr, cfg)
	a, err := newApp(env.ctx, cfg, log, "worker")
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.needRedis(env.ctx); err != nil {
		return err
	}
	worker := a.newWorker()
	if err := worker.Start(env.ctx); err != nil {
		return err
	}
	log.Info("working", "worker", cfg.WorkerName, "concurrency", cfg.WorkerConcurrency, "version", version())
	<-env.ctx.Done()
	log.Info("stopping, requests in flight may end")
	worker.Stop()
	return nil
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply every migration that is missing."`
	Down   migrateDown   `cmd:"" help:"Take the newest migration back. Its data is lost."`
	Status migrateStatus `cmd:"" help:"List the migrations and whether they are applied."`
}

type (
	migrateUp     struct{}
	migrateDown   struct{}
	migrateStatus struct{}
)

// withMigrator opens the database for a migration command.
func withMigrator(env environment, f func(*goose.Provider) error) error {
	cfg, err := loadConfig(env, config.Database)
	if err != nil {
		return err
	}
	db, err := openDatabase(env.ctx, cfg, nil, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := db.Migrator(migrations.Files)
	if err != nil {
		return err
	}
	return f(m)
}

// Run applies what is missing.
func (migrateUp) Run(env environment) error {
	return withMigrator(env, func(m *goose.Provider) error {
		results, err := m.Up(env.ctx)
		for _, r := range results {
			_, _ = fmt.Fprintf(env.stdout, "applied %s in %s\n", filepath.Base(r.Source.Path), r.Duration.Round(1e6))
		}
		if err != nil {
			return fmt.Errorf("migrate up: %w", err)
		}
		if len(results) == 0 {
			_, _ = fmt.Fprintln(env.stdout, "the schema is up to date")
		}
		return nil
	})
}

// Run takes one migration back.
func (migrateDown) Run(env environment) error {
	return withMigrator(env, func(m *goose.Provider) error {
		r, err := m.Down(env.ctx)
		if err != nil {
			return fmt.Errorf("migrate down: %w", err)
		}
		_, _ = fmt.Fprintln(env.stdout, "took back", filepath.Base(r.Source.Path))
		return nil
	})
}

// Run lists the migrations.
func (migrateStatus) Run(env environment) error {
	return withMigrator(env, func(m *goose.Provider) error {
		all, err := m.Status(env.ctx)
		if err != nil {
			return fmt.Errorf("migrate status: %w", err)
		}
		for _, s := range all {
			when := "missing"
			if !s.AppliedAt.IsZero() {
				when = s.AppliedAt.UTC().Format("2006-01-02 15:04:05Z")
			}
			_, _ = fmt.Fprintf(env.stdout, "%-22s %s\n", when, filepath.Base(s.Source.Path))
		}
		return nil
	})
}

type setupCommand struct {
	Org           string `help:"Name of the organization." required:""`
	Email         string `help:"E-mail address of its owner." required:""`
	Name          string `help:"Name of its owner; the e-mail address without one."`
	PasswordStdin bool   `help:"Read the owner's password from standard input instead of making one."`
	JSON          bool   `help:"Print one JSON object." name:"json"`
}

// Help is shown below the usage.
func (setupCommand) Help() string {
	return `Needs DATABASE_URL and MASTER_KEYS. The password (only when it made one) and the API key are printed once and cannot be shown again.

Examples:
  web setup --org "Fjordpay" --email owner@example.com
  pass show kaylehooks | web setup --org "Fjordpay" --email owner@example.com --password-stdin
  export KAYLEHOOKS_API_KEY=$(web setup --org "Fjordpay" --email owner@example.com --json | jq -r .api_key)

Exit codes: 0 done; 2 the arguments, the settings or what they point to must be mended; 1 anything else.`
}

// setupResult is what setup prints.
type setupResult struct {
	OrganizationID string `json:"organization_id"`
	Email          string `json:"email"`
	Password       string `json:"password,omitempty"`
	APIKey         string `json:"api_key"`
}

// Run creates organization, owner and API key.
func (c setupCommand) Run(env environment) error {
	cfg, err := loadConfig(env, config.Database|config.Keys)
	if err != nil {
		return err
	}
	keyring, err := newKeyring(cfg)
	if err != nil {
		return err
	}
	db, err := openDatabase(env.ctx, cfg, nil, "setup")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkSchema(env.ctx, db); err != nil {
		return err
	}
	in := org.SetupInput{Organization: c.Org, Email: c.Email, Name: c.Name}
	if c.PasswordStdin {
		if in.Password, err = readPassword(env.stdin); err != nil {
			return err
		}
	}
	orgs := &org.Service{DB: db, Passwords: org.NewPasswords(org.StandardParams())}
	result, err := setup(env.ctx, orgs, apikey.New(db, keyring), in)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(result) //nolint:gosec // printing the password once is what it is for
	}
	_, _ = fmt.Fprintf(env.stdout, "organization  %s\nsign in as    %s\n", result.OrganizationID, result.Email)
	if result.Password != "" {
		_, _ = fmt.Fprintf(env.stdout, "password      %s\n", result.Password)
	}
	_, _ = fmt.Fprintf(env.stdout, "API key       %s\n", result.APIKey)
	return nil
}

// setup creates an organization, its owner and an API key with every scope. Without a password it makes one and returns
// it.
func setup(ctx context.Context, orgs *org.Service, keys *apikey.Service, in org.SetupInput) (setupResult, error) {
	var made string
	if in.Password == "" {
		made = newPassword()
		in.Password = made
	}
	if in.Name == "" {
		in.Name = in.Email
	}
	organization, owner, err := orgs.Setup(ctx, access.Actor{Type: access.System}, in)
	if err != nil {
		return setupResult{}, err
	}
	actor := access.Actor{Type: access.User, Organization: organization.ID, ID: owner.ID.String(), Name: owner.Name, Role: access.Owner}
	_, secret, err := keys.Issue(ctx, actor, apikey.Input{Name: "Setup", Scopes: access.Scopes()})
	if err != nil {
		return setupResult{}, err
	}
	return setupResult{OrganizationID: organization.ID.String(), Email: owner.Email, Password: made, APIKey: secret}, nil
}
