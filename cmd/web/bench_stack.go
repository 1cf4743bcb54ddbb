package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack"
	"kaylehooks/internal/webhook"
	"kaylehooks/receiver"
)

// benchSettings are the settings of the measured processes that differ from the defaults: rate limits would measure
// themselves, and the sink is on this machine.
var benchSettings = []string{
	"RATE_KEY_PER_SECOND=100000", "RATE_KEY_BURST=100000", "ALLOW_PRIVATE_ENDPOINTS=true", "LISTEN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "RETENTION_DAYS=365",
}

// benchStack is the servers that every scenario shares, and a database to copy.
type benchStack struct {
	env     environment
	program string
	dir     string
	stack   *devstack.Stack
	admin   *pgxpool.Pool
	redis   *redis.Client
	sink    *benchProcess
	sinkURL string
	setup   setupResult // of the template database
	jwk     json.RawMessage
	masters string
	names   int
	profile string // directory; empty profiles nothing
}

// benchPatience is how long a request of the bench may take: what takes longer hangs.
const benchPatience = time.Minute

// benchTemplate is the database that sites copy: migrated, with one organization.
const benchTemplate = "bench_template"

func startBenchStack(env environment, profile string) (_ *benchStack, err error) {
	s := &benchStack{env: env, profile: profile}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.program, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if s.dir, err = os.MkdirTemp("", "kaylehooks-bench-"); err != nil {
		return nil, usagef("no temporary folder: %w", err)
	}
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // the postgres user passes through; the servers would keep their files elsewhere
		return nil, fmt.Errorf("open temporary folder: %w", err)
	}
	if s.stack, err = devstack.Start(env.ctx, devstack.Options{Dir: filepath.Join(s.dir, "stack")}); err != nil {
		return nil, usageError{err}
	}
	if s.admin, err = pgxpool.New(env.ctx, s.stack.DatabaseURL); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := s.watchStatements(); err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(s.stack.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("parse URL of Redis: %w", err)
	}
	s.redis = redis.NewClient(options)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	s.masters = "m1:" + base64.StdEncoding.EncodeToString(key)
	const bits = 2048
	if _, s.jwk, err = receiver.GenerateKeyPair("bench", bits); err != nil {
		return nil, err
	}
	if err := s.makeTemplate(); err != nil {
		return nil, err
	}
	if s.sink, err = s.start(nil, "sink", "bench-sink"); err != nil {
		return nil, err
	}
	s.sinkURL, err = s.sink.waitFor("http://")
	return s, err
}

func (s *benchStack) stop() {
	if s.sink != nil {
		s.sink.stop()
	}
	if s.redis != nil {
		_ = s.redis.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.stack != nil {
		_ = s.stack.Stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *benchStack) makeTemplate() error {
	if _, err := s.admin.Exec(s.env.ctx, "CREATE DATABASE "+benchTemplate); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	environ := s.environ(benchTemplate)
	if _, err := s.output(environ, "migrate", "up"); err != nil {
		return err
	}
	out, err := s.output(environ, "setup", "--org", "Bench", "--email", "bench@example.com", "--json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, &s.setup); err != nil {
		return fmt.Errorf("read what setup printed: %w", err)
	}
	return nil
}

func (s *benchStack) environ(database string) []string {
	url := strings.Replace(s.stack.DatabaseURL, "/postgres?", "/"+database+"?", 1)
	return append(append(os.Environ(), benchSettings...), "DATABASE_URL="+url, "REDIS_URL="+s.stack.RedisURL, "MASTER_KEYS="+s.masters)
}

func (s *benchStack) output(environ []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(s.env.ctx, s.program, args...) //nolint:gosec // this very program
	cmd.Env = environ
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("web %s: %w: %s", args[0], err, stderr.String())
	}
	return out, nil
}

// benchProcess is a measured child.
type benchProcess struct {
	name  string
	cmd   *exec.Cmd
	lines chan string
}

func (s *benchStack) start(environ []string, name string, args ...string) (*benchProcess, error) {
	cmd := exec.CommandContext(s.env.ctx, s.program, args...) //nolint:gosec // this very program
	cmd.Env = environ
	cmd.SysProcAttr = endWithParent()
	reader, writer, err := logPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	_ = writer.Close()
	const atStart = 100 // more lines than a child logs before it is ready
	p := &benchProcess{name, cmd, make(chan string, atStart)}
	go func() {
		defer func() { _ = reader.Close() }()
		defer close(p.lines)
		log := bufio.NewReaderSize(leisurely{reader}, logRoom)
		for scanner := bufio.NewScanner(log); scanner.Scan(); {
			select {
			case p.lines <- scanner.Text():
			default: // nobody waits for a line any more: logs are only read away
			}
		}
		_, _ = log.WriteTo(io.Discard) // a line too long for the scanner ends it; the child must not wait for a reader
	}()
	return p, nil
}

// logRoom is room for what a child logs while nobody reads: a fifth of a second at 10,000 lines a second.
const logRoom = 1 << 20

// leisurely reads a log now and then: whoever wakes for each line takes a share of what is measured.
type leisurely struct{ io.Reader }

func (l leisurely) Read(p []byte) (int, error) {
	const pause = 10 * time.Millisecond
	time.Sleep(pause)
	return l.Reader.Read(p)
}

// waitFor returns the next line that has the text.
func (p *benchProcess) waitFor(text string) (string, error) {
	const patience = 30 * time.Second
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s ended early", p.name)
			}
			if strings.Contains(line, text) {
				return line, nil
			}
		case <-timeout:
			return "", fmt.Errorf("%s did not start", p.name)
		}
	}
}

func (p *benchProcess) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// site is one installation under measurement: a database of its own, a web server, and workers.
type site struct {
	*benchStack
	ctx       context.Context
	database  string
	environ   []string
	db        *pgxpool.Pool
	base      string
	http      *http.Client
	web       *benchProcess
	worker    *benchProcess
	endpoints []string // UUIDs
}

// newSite copies the template, starts the web server and creates endpoints with a key each. Workers are started apart.
func (b *bench) newSite(endpoints int) (*site, error) {
	s, err := b.copySite(benchTemplate)
	if err != nil {
		return nil, err
	}
	for i := range endpoints {
		if err := s.addEndpoint(fmt.Sprintf("%s/hook/%d", b.sinkURL, i)); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// copySite copies a database with its endpoints, and starts the web server.
func (b *bench) copySite(template string) (*site, error) {
	b.names++
	database := fmt.Sprintf("bench_%d", b.names)
	if _, err := b.admin.Exec(b.ctx, "CREATE DATABASE "+database+" STRATEGY file_copy TEMPLATE "+template); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	return b.openSite(database)
}

// openSite starts a web server on a database, with nothing in Redis.
func (b *bench) openSite(database string) (_ *site, err error) {
	s := &site{benchStack: b.benchStack, ctx: b.ctx, database: database}
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	if err := b.redis.FlushAll(b.ctx).Err(); err != nil {
		return nil, fmt.Errorf("empty Redis: %w", err)
	}
	if err := b.forget(); err != nil {
		return nil, err
	}
	s.environ = b.environ(s.database)
	if s.db, err = pgxpool.New(b.ctx, strings.Replace(b.stack.DatabaseURL, "/postgres?", "/"+s.database+"?", 1)); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if s.web, err = b.start(s.environ, "web", s.profiled("serve")...); err != nil {
		return nil, err
	}
	line, err := s.web.waitFor(`"msg":"serving"`)
	if err != nil {
		return nil, err
	}
	var serving struct{ Address string }
	if err := json.Unmarshal([]byte(line), &serving); err != nil {
		return nil, fmt.Errorf("read address of the web server: %w", err)
	}
	s.base = "http://" + serving.Address
	const connections = 64
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}, Timeout: benchPatience}
	rows, err := s.db.Query(s.ctx, "SELECT id::text FROM webhook_endpoints ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	if s.endpoints, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	return s, nil
}

func (s *site) addEndpoint(url string) error {
	var created struct{ Endpoint struct{ ID string } }
	body := map[string]any{"url": url, "enabled": true, "subscribed_event_types": []string{"verification.session.succeeded", "verification.session.failed", "verification.session.expired", "verification.session.cancelled"}}
	if err := s.post("/v1/webhooks/endpoints", body, &created); err != nil {
		return err
	}
	if err := s.post("/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"jwk": s.jwk, "key_id": "bench", "algorithm": webhook.KeyAlgorithm, "key_type": webhook.KeyType}, nil); err != nil {
		return err
	}
	var native string
	err := s.db.QueryRow(s.ctx, "SELECT id::text FROM webhook_endpoints WHERE url = $1", url).Scan(&native)
	s.endpoints = append(s.endpoints, native)
	return err
}

// startWorker starts a worker and returns once it works.
func (s *site) startWorker() (err error) {
	if s.worker, err = s.start(s.environ, "worker", s.profiled("worker")...); err != nil {
		return err
	}
	_, err = s.worker.waitFor(`"msg":"working"`)
	return err
}

// close ends the processes and drops the database.
func (s *site) close() {
	s.end()
	_, _ = s.admin.Exec(context.WithoutCancel(s.ctx), "DROP DATABASE IF EXISTS "+s.database+" WITH (FORCE)")
}

// keep ends the processes and gives the database a name to find it by.
func (s *site) keep(name string) error {
	s.end()
	if _, err := s.admin.Exec(s.ctx, "ALTER DATABASE "+s.database+" RENAME TO "+name); err != nil {
		return fmt.Errorf("keep the database: %w", err)
	}
	return nil
}

// end ends the processes.
func (s *site) end() {
	for _, p := range []*benchProcess{s.worker, s.web} {
		if p != nil {
			p.stop()
		}
	}
	if s.db != nil {
		_ = s.saveStatements()
		s.db.Close()
	}
}

// post calls the JSON API and reads data into out; nil ignores it.
func (s *site) post(path string, body, out any) error {
	return s.call(http.MethodPost, path, body, out)
}

func (s *site) call(method, path string, body, out any) error {
	return client{base: s.base, key: s.setup.APIKey, http: s.http}.call(s.ctx, method, path, body, out)
}

// forget empties the sink's memory.
func (s *benchStack) forget() error {
	_, err := s.askSink(http.MethodDelete, "/arrivals")
	return err
}

// arrived returns how many deliveries have reached the sink, and how many requests were repeats.
func (s *benchStack) arrived() (first, again int, err error) {
	raw, err := s.askSink(http.MethodGet, "/count")
	if err == nil {
		_, err = fmt.Sscan(string(raw), &first, &again)
	}
	return first, again, err
}

func (s *benchStack) askSink(method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(s.env.ctx, method, s.sinkURL+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the sink: %w", err)
	}
	res, err := (&http.Client{Timeout: benchPatience}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the sink: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	return io.ReadAll(res.Body)
}
