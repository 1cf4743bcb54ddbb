package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// redisServer is one Redis process.
type redisServer struct {
	program   string
	place     place
	ephemeral bool
	log       *slog.Logger
	child     *child
}

// redisDirs are where package managers put redis-server when PATH does not say.
var redisDirs = []string{"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"}

// findRedis locates redis-server.
func findRedis() (*redisServer, error) {
	if path, err := exec.LookPath("redis-server"); err == nil {
		return &redisServer{program: path}, nil
	}
	for _, dir := range redisDirs {
		if path, err := exec.LookPath(filepath.Join(dir, "redis-server")); err == nil {
			return &redisServer{program: path}, nil
		}
	}
	return nil, errors.New("redis-server is not installed; run scripts/bootstrap")
}

func (p place) redisSocket() string { return filepath.Join(p.dir, "redis.sock") }
func (p place) redisPID() string    { return filepath.Join(p.dir, "redis.pid") }
func (p place) redisData() string   { return filepath.Join(p.dir, "redis") }

func (s *redisServer) url() string {
	u := url.URL{Scheme: "unix", Path: s.place.redisSocket(), RawQuery: "db=0"}
	return u.String()
}

// endRedis stops a server that still uses the place; two of them on one append-only file would ruin it.
func (p place) endRedis(ctx context.Context, signals ...syscall.Signal) error {
	return endLeftover(ctx, p.redisPID(), p.redisSocket(), signals...)
}

// start returns when the server answers.
func (s *redisServer) start(ctx context.Context) error {
	if err := s.place.endRedis(ctx, syscall.SIGTERM, syscall.SIGKILL); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	data := s.place.redisData()
	switch err := os.Mkdir(data, 0o700); {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return fmt.Errorf("make directory for Redis: %w", err)
	case s.place.acct.switched:
		if err := os.Chown(data, int(s.place.acct.uid), int(s.place.acct.gid)); err != nil {
			return fmt.Errorf("make directory for Redis: %w", err)
		}
	}

	logPath := filepath.Join(s.place.dir, "redis.log")
	offset := logSize(logPath)
	// The child outlives the start, so ctx must not end it.
	cmd := command(context.WithoutCancel(ctx), s.place.acct, syscall.SIGTERM, s.program, s.args()...)
	c, err := startChild("redis", cmd, logPath, s.log)
	if err != nil {
		return err
	}
	if err := c.awaitReady(ctx, s.probe); err != nil {
		c.stop(syscall.SIGTERM)
		if errors.Is(err, errEnded) {
			return fmt.Errorf("redis did not start: %s; see %s", complaint(logPath, offset, "# Fatal", "FATAL"), logPath)
		}
		return fmt.Errorf("redis: %w; see %s", err, logPath)
	}
	s.child = c
	s.log.Info("redis started", "pid", c.pid(), "dir", s.place.dir)
	return nil
}

func (s *redisServer) stop() {
	if s.ephemeral {
		s.child.stop(os.Kill)
		return
	}
	s.child.stop(syscall.SIGTERM)
}

// args are the server's settings. Nothing may be evicted: the queue's own bookkeeping lives there.
func (s *redisServer) args() []string {
	args := []string{
		"--port", "0", "--unixsocket", s.place.redisSocket(), "--unixsocketperm", "600",
		"--dir", s.place.redisData(), "--pidfile", s.place.redisPID(), "--daemonize", "no",
		"--maxmemory-policy", "noeviction", "--save", "",
	}
	if s.ephemeral {
		return append(args, "--appendonly", "no", "--databases", "1024")
	}
	return append(args, "--appendonly", "yes", "--appendfsync", "everysec")
}

// probe asks for a PONG. A server that is still loading its file answers with an error instead.
func (s *redisServer) probe(ctx context.Context) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", s.place.redisSocket())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != "+PONG\r\n" {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}
