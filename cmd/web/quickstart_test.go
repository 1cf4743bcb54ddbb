package main_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
)

// quickStart returns the commands of the README's section, in their order.
func quickStart(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Quick start\n")
	section, _, ends := strings.Cut(section, "\n## ")
	if !ok || !ends {
		t.Fatal("the README has no section Quick start")
	}
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		commands = append(commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	return commands
}

// checkout is a directory like a fresh clone: what the commands write stays out of the tree.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == "bin" || name == "examples" || strings.HasPrefix(name, ".") && name != ".env.example":
		default:
			if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// npm installs into it, while other tests use the tree's own.
	for _, sample := range []string{"receivers/node", "clients/curl"} {
		files, err := filepath.Glob(filepath.Join(root, "examples", sample, "*.*"))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, "examples", sample)
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// emptyDatabase is one without a schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	url := devtest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
		t.Fatal(err)
	}
	return url
}

// freePort is one that nobody listens on, outside of the range from which the system gives ports away meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); err == nil {
			_ = listener.Close()
			return strings.TrimPrefix(address, "127.0.0.1:")
		}
	}
	t.Fatal("no free port")
	return ""
}

// The README's quick start, command by command as it is written, in one shell as a reader has it.
func TestQuickStart_EndsWithAWebhookInTheNodeReceiver(t *testing.T) {
	t.Parallel()
	commands := quickStart(t)
	shell := exec.CommandContext(t.Context(), "bash")
	shell.Dir = checkout(t)
	shell.Env = append(os.Environ(), "DATABASE_URL="+emptyDatabase(t), "REDIS_URL="+devtest.Redis(t),
		"LISTEN_ADDR=127.0.0.1:"+freePort(t), "PORT="+freePort(t))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := fixture.NewProcess(t, shell).Background()
	t.Cleanup(func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGTERM) }) // what it left in the background too
	for n, command := range commands {
		if _, err := io.WriteString(input, command+"\necho \"command "+fmt.Sprint(n)+" ended with $?\"\n"); err != nil {
			t.Fatal(err)
		}
		if line := p.WaitFor(fmt.Sprintf(`^command %d ended`, n)); !strings.HasSuffix(line, " with 0") {
			t.Fatalf("%s: %s", command, line)
		}
		if strings.Contains(command, "receiver.mjs") {
			p.WaitFor(`"listening"`) // as the text tells the reader to
		}
	}
	session := strings.Fields(p.WaitFor(`^session +vs_`))[1]
	p.WaitFor(`"outcome":"accepted".*"type":"verification.session.succeeded","session_id":"` + session + `"`)
	p.WaitFor(`^delivery .*: succeeded, answered 204`)
	if len(commands) < 8 {
		t.Errorf("only %d commands were found in the README", len(commands))
	}
}
