package browser_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/queue"
)

// patience bounds every wait. The longest ones are for the next attempt of a schedule or the next look of a page, a few seconds each, which
// a busy machine makes some more.
const patience = time.Minute

// stage is the running program and what stands behind it: one installation with a week of history, and one that is empty.
type stage struct {
	t      *testing.T
	binary string
	stack  *devstack.Stack

	// The installation with a history.
	base, email, password, apiKey string
	// The empty one.
	emptyBase, setupToken string
	emptyEnv              []string
	emptyWorker           *fixture.Process
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL, Redis and Chromium")
	}
	s := &stage{t: t, binary: filepath.Join(t.TempDir(), "web")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", s.binary, "kaylehooks/cmd/web").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var err error
	if s.stack, err = devstack.Start(t.Context(), devstack.Options{Ephemeral: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.startEmpty()
	s.startLived()
	return s
}

// startLived starts the program as `web dev` does, with its history and its receivers, but without new sessions: what
// happens is what the tests make happen.
func (s *stage) startLived() {
	s.t.Helper()
	dev := s.command([]string{"DATABASE_URL=" + s.stack.DatabaseURL, "REDIS_URL=" + s.stack.RedisURL}, "dev", "--data", s.t.TempDir(), "--no-stream").Background()
	s.base = said(dev, `^Dashboard\s+(\S+)$`)
	s.email, s.password, s.apiKey = said(dev, `^Sign in\s+(\S+)$`), said(dev, `^Password\s+(\S+)$`), said(dev, `^API key\s+(\S+)$`)
	dev.WaitFor(`Ctrl-C`)
}

// startEmpty starts a web server and a worker on a database in which nobody has set up anything.
func (s *stage) startEmpty() {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.stack.DatabaseURL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	if _, err := conn.Exec(s.t.Context(), "CREATE DATABASE empty"); err != nil {
		s.t.Fatal(err)
	}
	env := []string{
		"DATABASE_URL=" + strings.Replace(s.stack.DatabaseURL, "@/postgres?", "@/empty?", 1), "REDIS_URL=" + strings.TrimSuffix(s.stack.RedisURL, "?db=0") + "?db=1",
		"MASTER_KEYS=m1:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)), "ALLOW_PRIVATE_ENDPOINTS=true", "LOG_FORMAT=json",
	}
	s.emptyEnv = env
	s.command(env, "migrate", "up").Succeed()
	var web *fixture.Process
	web, s.emptyBase = s.serveEmpty()
	s.setupToken = said(web, `^    (\w{20,})$`)
	s.emptyWorker = s.command(env, "worker").Background()
	s.emptyWorker.WaitFor(`"msg":"working"`)
}

// serveEmpty starts a web server for the empty installation.
func (s *stage) serveEmpty() (web *fixture.Process, base string) {
	s.t.Helper()
	web = s.command(s.emptyEnv, "serve").Background()
	return web, "http://" + said(web, `"msg":"serving".*"address":"([^"]+)"`)
}

func (s *stage) command(env []string, args ...string) *fixture.Process {
	// Its end comes from the cleanup, by a signal it can act on.
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), s.binary, args...)
	cmd.Env = append(append(os.Environ(), "LISTEN_ADDR=127.0.0.1:0"), env...)
	return fixture.NewProcess(s.t, cmd)
}

// said is the pattern's first group in the first line that matches.
func said(p *fixture.Process, pattern string) string {
	return regexp.MustCompile(pattern).FindStringSubmatch(p.WaitFor(pattern))[1]
}

// call sends a request to the JSON API of the installation with a history, and decodes data into out.
func (s *stage) call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, answer, err := fixture.Ask(t.Context(), s.base, s.apiKey, method, path, string(sent))
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, &struct{ Data any }{out}); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

// eventually polls until look returns something; what it waits for happens in other processes.
func eventually[T comparable](t *testing.T, what string, look func() T) T {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for {
		var nothing T
		if got := look(); got != nothing {
			return got
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s did not come true", what)
		}
	}
}

// age makes every sign-in older than it is, which is quicker than to wait.
func (s *stage) age(t *testing.T, by time.Duration) {
	t.Helper()
	s.sql(t, "UPDATE login_sessions SET reauthenticated_at = reauthenticated_at - $1::interval", by.String())
}

// holdAttempts lets no attempt begin until release is called. What is due meanwhile comes then.
func (s *stage) holdAttempts(t *testing.T) (release func()) {
	t.Helper()
	options, err := redis.ParseURL(s.stack.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	inspector := asynq.NewInspectorFromRedisClient(client)
	for _, lane := range queue.Lanes() {
		if err := inspector.PauseQueue(lane); err != nil {
			t.Errorf("pause the queue %s: %v", lane, err)
		}
	}
	return func() {
		for _, lane := range queue.Lanes() {
			if err := inspector.UnpauseQueue(lane); err != nil {
				t.Errorf("resume the queue %s: %v", lane, err)
			}
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sql changes the database of the installation with a history behind its back.
func (s *stage) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.stack.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%.80s: %v", statement, err)
	}
}
