package devstack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// needServers skips what cannot run in -short mode.
func needServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts PostgreSQL and Redis")
	}
}

// start starts a stack that stops with the test at the latest.
func start(t *testing.T, o Options) *Stack {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openTempDir is a t.TempDir that the postgres user can pass through; those of the testing package are closed to it.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "devstack")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// handOver gives a tree to the account of the servers.
func handOver(t *testing.T, dir string) {
	t.Helper()
	acct, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, int(acct.uid), int(acct.gid))
	}); err != nil {
		t.Fatal(err)
	}
}

// startOrphan runs a postmaster on the data of s as its killed owner would leave it without a parent-death signal.
// The channel closes when it has ended.
func startOrphan(t *testing.T, s *postgresServer) <-chan struct{} {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.bin, "postgres"), s.args()...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if s.place.acct.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.place.acct.uid, Gid: s.place.acct.gid}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	deadline := time.Now().Add(10 * time.Second)
	for s.probe(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the orphan does not answer")
		}
	}
	return ended
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query1(t *testing.T, url, sql string) (n int) {
	t.Helper()
	conn := connect(t, url)
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func setRedis(t *testing.T, url, key, value string) {
	t.Helper()
	if err := redisClient(t, url).Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// getRedis returns an empty string for a key that is not there.
func getRedis(t *testing.T, url, key string) string {
	t.Helper()
	keys, err := redisClient(t, url).MGet(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	value, _ := keys[0].(string)
	return value
}

func checkOneLine(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}
