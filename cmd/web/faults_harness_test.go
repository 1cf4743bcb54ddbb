package main_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kaylehooks/internal/devstack"
)

// installAlone is an installation on servers of its own, which the test may break and search. settings are put on the
// database before anything connects.
func installAlone(t *testing.T, settings ...string) (*installation, *devstack.Stack) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Redis")
	}
	stack, err := devstack.Start(t.Context(), devstack.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn := connect(t, stack)
	for _, setting := range settings {
		if _, err := conn.Exec(t.Context(), "ALTER DATABASE postgres SET "+setting); err != nil {
			t.Fatal(err)
		}
	}
	master := make([]byte, 32)
	_, _ = rand.Read(master)
	i := &installation{t: t, env: append(os.Environ(),
		"DATABASE_URL="+stack.DatabaseURL, "REDIS_URL="+stack.RedisURL, "MASTER_KEYS=m1:"+base64.StdEncoding.EncodeToString(master),
		"ALLOW_PRIVATE_ENDPOINTS=true", "LISTEN_ADDR=127.0.0.1:0", "LOG_FORMAT=json")}
	i.command("migrate", "up").mustRun()
	var result struct {
		Email, Password string
		APIKey          string `json:"api_key"`
	}
	decode(t, i.command("setup", "--org", "Fjordpay", "--email", "Owner@Example.com", "--json").mustRun(), &result)
	i.apiKey, i.email, i.password = result.APIKey, result.Email, result.Password
	return i, stack
}

func connect(t *testing.T, stack *devstack.Stack) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), stack.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// web starts the web server and returns it.
func (i *installation) web() *process {
	i.t.Helper()
	web := i.command("serve").start()
	var serving struct{ Address string }
	if err := json.Unmarshal([]byte(web.waitFor(`"msg":"serving"`)), &serving); err != nil {
		i.t.Fatal(err)
	}
	i.base = "http://" + serving.Address
	return web
}

// worker starts a worker and returns it.
func (i *installation) worker(env ...string) *process {
	i.t.Helper()
	other := *i
	other.env = append(append([]string{}, i.env...), env...)
	w := other.command("worker").start()
	w.waitFor(`"msg":"working"`)
	return w
}

// output is everything the process has printed.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}
