package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresServer is one PostgreSQL cluster and the process that serves it.
type postgresServer struct {
	bin       string // directory of the programs
	place     place
	ephemeral bool
	blank     string // data directory to copy instead of running initdb; empty for none
	log       *slog.Logger
	child     *child
}

// postgresDirs are where packages put the server's programs when not on PATH, as on Debian.
var postgresDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/opt/homebrew/opt/postgresql/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql/bin",
	"/usr/local/pgsql/bin",
}

// findPostgres locates initdb and postgres; the newest version wins unless PATH has one.
func findPostgres() (*postgresServer, error) {
	for _, bin := range postgresBins() {
		return &postgresServer{bin: bin}, nil
	}
	return nil, errors.New("PostgreSQL is not installed (no initdb and postgres on PATH or in the usual places); run scripts/bootstrap")
}

// postgresBins lists the directories that hold both programs, best first.
func postgresBins() []string {
	var bins []string
	add := func(dir string) {
		for _, program := range []string{"initdb", "postgres"} {
			if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
				return
			}
		}
		if !slices.Contains(bins, dir) {
			bins = append(bins, dir)
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		add(filepath.Dir(resolve(path)))
	}
	for _, pattern := range postgresDirs {
		dirs, _ := filepath.Glob(pattern)
		slices.SortFunc(dirs, func(a, b string) int { return majorIn(b) - majorIn(a) })
		for _, dir := range dirs {
			add(dir)
		}
	}
	return bins
}

// majorIn is the first number in a text, 0 when there is none.
func majorIn(text string) int {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	text = text[max(0, strings.IndexFunc(text, digit)):]
	if end := strings.IndexFunc(text, func(r rune) bool { return !digit(r) }); end >= 0 {
		text = text[:end]
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// version is what the server program says it is, for example "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func (s *postgresServer) version(ctx context.Context) (string, error) {
	out, err := command(ctx, account{}, 0, filepath.Join(s.bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("postgres --version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (p place) pgData() string { return filepath.Join(p.dir, "postgres") }

func (s *postgresServer) url() string {
	// The port is spelled out because pgx would otherwise take PGPORT from the environment.
	return "postgres://postgres@/postgres?host=" + strings.ReplaceAll(url.QueryEscape(s.place.dir), "%2F", "/") + "&port=5432"
}

// endPostgres stops a server that still uses the place's data; its own process is given signals in turn.
func (p place) endPostgres(ctx context.Context, signals ...syscall.Signal) error {
	return endLeftover(ctx, filepath.Join(p.pgData(), "postmaster.pid"), p.pgData(), signals...)
}

// start makes the data directory if there is none, and returns when the server takes queries.
func (s *postgresServer) start(ctx context.Context) error {
	data := s.place.pgData()
	if err := s.place.endPostgres(ctx, syscall.SIGINT, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		if s.blank != "" {
			err = copyTree(s.blank, data, s.place.acct)
		} else {
			s.log.Info("creating a database cluster", "dir", data)
			err = s.initdb(ctx, data, s.place.acct, s.ephemeral)
		}
		if err != nil {
			return err
		}
	}
	if err := s.matchVersion(ctx); err != nil {
		return err
	}

	logPath := filepath.Join(s.place.dir, "postgres.log")
	for began := time.Now(); ; {
		offset := logSize(logPath)
		// The child outlives the start, so ctx must not end it.
		cmd := command(context.WithoutCancel(ctx), s.place.acct, syscall.SIGINT, filepath.Join(s.bin, "postgres"), s.args()...)
		c, err := startChild("postgres", cmd, logPath, s.log)
		if err != nil {
			return err
		}
		err = c.awaitReady(ctx, s.probe)
		if err == nil {
			s.child = c
			s.log.Info("postgres started", "pid", c.pid(), "dir", s.place.dir)
			return nil
		}
		c.stop(os.Interrupt)
		if !errors.Is(err, errEnded) {
			return fmt.Errorf("PostgreSQL: %w; see %s", err, logPath)
		}
		why := complaint(logPath, offset, "FATAL:", "PANIC:")
		// After a kill, sessions and the memory they share may need a moment to go.
		inTheWay := strings.Contains(why, "lock file") || strings.Contains(why, "shared memory block")
		if !inTheWay || time.Since(began) > settleTime {
			return fmt.Errorf("PostgreSQL did not start: %s; see %s", why, logPath)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}

// stop ends the server: a fast, clean shutdown for data that matters, an immediate one otherwise.
func (s *postgresServer) stop() {
	if s.ephemeral {
		s.child.stop(syscall.SIGQUIT)
		return
	}
	s.child.stop(syscall.SIGINT, syscall.SIGQUIT)
}

func (s *postgresServer) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.url())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// args are the server's settings. It has no network address, so the port only names the socket.
func (s *postgresServer) args() []string {
	settings := []string{
		"listen_addresses=", "port=5432",
		"unix_socket_directories=" + `"` + strings.ReplaceAll(s.place.dir, `"`, `""`) + `"`, "unix_socket_permissions=0700",
		"timezone=UTC", "log_timezone=UTC", "max_connections=200",
	}
	if s.ephemeral {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off",
			"wal_level=minimal", "max_wal_senders=0", "max_wal_size=128MB", "shared_buffers=64MB")
	}
	args := []string{"-D", s.place.pgData()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// initArgs are the arguments of initdb apart from the directory.
func (s *postgresServer) initArgs(ephemeral bool) []string {
	args := []string{"--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8"}
	if ephemeral {
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	return args
}

// initdb makes a data directory. It is made under another name first, so that one which exists is complete.
func (s *postgresServer) initdb(ctx context.Context, data string, acct account, ephemeral bool) error {
	draft := data + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("remove unfinished data directory: %w", err)
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := os.Chown(draft, int(acct.uid), int(acct.gid)); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	runtime.LockOSThread() // the parent-death signal hangs on this thread
	defer runtime.UnlockOSThread()
	cmd := command(ctx, acct, syscall.SIGTERM, filepath.Join(s.bin, "initdb"), append(s.initArgs(ephemeral), "-D", draft)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("initdb failed: %s", firstError(string(out), err))
	}
	if err := os.Rename(draft, data); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// firstError picks the line of initdb's output that tells what is wrong.
func firstError(out string, err error) string {
	for line := range strings.Lines(out) {
		if _, what, ok := strings.Cut(line, "error: "); ok {
			return strings.TrimSpace(what)
		}
	}
	return err.Error()
}

// matchVersion switches to the installed programs that fit the data, which after an upgrade of the system need not
// be the newest.
func (s *postgresServer) matchVersion(ctx context.Context) error {
	raw, err := os.ReadFile(filepath.Join(s.place.pgData(), "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("read version of the data: %w", err)
	}
	want := majorIn(string(raw))
	for _, bin := range append([]string{s.bin}, postgresBins()...) {
		candidate := &postgresServer{bin: bin}
		if have, err := candidate.version(ctx); err == nil && majorIn(have) == want {
			s.bin = bin
			return nil
		}
	}
	return fmt.Errorf("the data in %s needs PostgreSQL %d; install it, or remove that directory to start afresh", s.place.dir, want)
}
