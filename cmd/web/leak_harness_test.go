package main_test

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/devstack"
	"kaylehooks/internal/fixture"
	"kaylehooks/receiver"
)

// source is something that was written or answered.
type source struct {
	where    string
	data     []byte
	handsOut bool // the answer that hands a secret out; claims must not be in it either
}

// leaks is an installation under watch.
type leaks struct {
	*installation
	stack   *devstack.Stack
	secrets searcher // what may be in an answer that hands it out
	claims  searcher // what may be nowhere
	mu      sync.Mutex
	sources []source
	browser *http.Client
}

func (l *leaks) keep(s source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = append(l.sources, s)
}

// ask sends a request to the API and keeps the answer, headers included.
func (l *leaks) ask(method, path, body string, handsOut bool, header ...string) []byte {
	l.t.Helper()
	res, answer, err := l.installation.ask(l.t.Context(), method, path, body, header...)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.keepAnswer(res, answer, handsOut)
}

// browse sends a request as the browser.
func (l *leaks) browse(req *http.Request) []byte {
	l.t.Helper()
	res, err := l.browser.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.keepAnswer(res, answer, false)
}

func (l *leaks) keepAnswer(res *http.Response, answer []byte, handsOut bool) []byte {
	var all bytes.Buffer
	_ = res.Header.Write(&all)
	all.Write(answer)
	l.keep(source{fmt.Sprintf("answer %d to %s %s", res.StatusCode, res.Request.Method, res.Request.URL.Path), all.Bytes(), handsOut})
	return answer
}

// data decodes the data of an answer.
func data[T any](t *testing.T, answer []byte) (out T) {
	t.Helper()
	if err := json.Unmarshal(answer, &struct{ Data any }{&out}); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return out
}

// crawl signs in as the owner and follows every link of the dashboard. It returns the paths it saw.
func (l *leaks) crawl(seeds ...string) map[string]bool {
	l.t.Helper()
	get := func(path string) string {
		req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.base+path, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		return string(l.browse(req))
	}
	form := signInForm(l.t, get("/sign-in"), l.email, l.password)
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.base+"/sign-in", strings.NewReader(form.Encode()))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	l.browse(req)
	const most = 600
	seen, links := map[string]bool{}, regexp.MustCompile(`(?:href|hx-get)="(/[^"#]*)`)
	for queue := append([]string{"/"}, seeds...); len(queue) > 0 && len(seen) < most; queue = queue[1:] {
		path := queue[0]
		if seen[path] || strings.HasPrefix(path, "/static/") || strings.HasPrefix(path, "/sign-out") {
			continue
		}
		seen[path] = true
		for _, link := range links.FindAllStringSubmatch(get(path), -1) {
			queue = append(queue, html.UnescapeString(link[1]))
		}
	}
	return seen
}

// watchRedis returns everything Redis is told from now on.
func watchRedis(t *testing.T, stack *devstack.Stack) (output func() []byte) {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimSuffix(strings.TrimPrefix(stack.RedisURL, "unix://"), "?db=0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var mu sync.Mutex
	var all bytes.Buffer
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewReader(conn); ; {
			line, err := lines.ReadBytes('\n')
			mu.Lock()
			all.Write(line)
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all.Bytes())
	}
}

// keepRedis writes the dump file, uncompressed, and reads every key.
func (l *leaks) keepRedis(when string) {
	l.t.Helper()
	ctx := l.t.Context()
	options, err := redis.ParseURL(l.stack.RedisURL)
	if err != nil {
		l.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := client.ConfigSet(ctx, "rdbcompression", "no").Err(); err != nil {
		l.t.Fatal(err)
	}
	if err := client.Save(ctx).Err(); err != nil {
		l.t.Fatal(err)
	}
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, key := range keys {
		var value any
		switch client.Type(ctx, key).Val() {
		case "string":
			value = client.Get(ctx, key).Val()
		case "hash":
			value = client.HGetAll(ctx, key).Val()
		case "list":
			value = client.LRange(ctx, key, 0, -1).Val()
		case "set":
			value = client.SMembers(ctx, key).Val()
		case "zset":
			value = client.ZRange(ctx, key, 0, -1).Val()
		}
		l.keep(source{where: "redis key " + key + " " + when, data: fmt.Appendf(nil, "%s %s", key, value)})
	}
}

// keepPostgres reads every row of every table: a page of the data directory may hold it compressed.
func (l *leaks) keepPostgres() {
	l.t.Helper()
	conn := connect(l.t, l.stack)
	if _, err := conn.Exec(l.t.Context(), "CHECKPOINT"); err != nil {
		l.t.Fatal(err)
	}
	rows, err := conn.Query(l.t.Context(), "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		l.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			l.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	for _, table := range tables {
		var all string
		if err := conn.QueryRow(l.t.Context(), "SELECT coalesce(string_agg(t::text, chr(10)), '') FROM "+table+" t").Scan(&all); err != nil {
			l.t.Fatal(err)
		}
		l.keep(source{where: "table " + table, data: []byte(all)})
	}
}

// keepFiles reads data directories, write-ahead log, dumps and logs of the servers.
func (l *leaks) keepFiles() {
	l.t.Helper()
	err := filepath.WalkDir(l.stack.Dir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a temporary file of the server
		}
		name, _ := filepath.Rel(l.stack.Dir(), path)
		l.keep(source{where: "file " + name, data: content})
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// echo is a receiver that gives back what it decrypted, in one of many ways.
type echo struct {
	t       *testing.T
	how     string
	secret  string
	opens   *receiver.Handler
	noticed chan struct{} // closed when the sender has seen what came behind the answer

	mu    sync.Mutex
	event *receiver.Event
	once  sync.Once
}

var echoes = []string{"accept", "refuse", "redirect", "no HTTP", "status line", "bad chunk", "behind the answer"}

func newEcho(t *testing.T, how string, key *rsa.PrivateKey) (*echo, string) {
	t.Helper()
	e := &echo{t: t, how: how, noticed: make(chan struct{})}
	e.opens = receiver.New(receiver.Options{
		Keys: map[string]*rsa.PrivateKey{"k1": key}, OnRequest: func(r receiver.Receipt) { e.event = r.Event },
	})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return e, server.URL
}

// ServeHTTP implements http.Handler.
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.event = nil
	e.opens.ServeHTTP(httptest.NewRecorder(), r)
	event := e.event
	e.mu.Unlock()
	if event == nil {
		e.t.Errorf("%s: the request cannot be verified or decrypted", e.how)
		return
	}
	if event.Type != receiver.SessionSucceeded {
		w.WriteHeader(http.StatusNoContent) // what others answer is captured by design
		return
	}
	plain := string(event.Plaintext)
	name, _ := event.Succeeded.Claims["family_name"].(string)
	header := w.Header()
	for _, field := range []string{"Content-Type", "Date", "Server", "Set-Cookie", "Retry-After", "X-Echo", "Www-Authenticate"} {
		header.Set(field, plain)
	}
	switch e.how {
	case "accept":
		_, _ = io.WriteString(w, plain)
	case "refuse":
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, plain)
	case "redirect":
		header.Set("Location", "http://"+name+".example/"+name)
		w.WriteHeader(http.StatusFound)
	case "no HTTP":
		e.raw(w, plain+"\r\n\r\n", "")
	case "status line":
		e.raw(w, "HTTP/1.1 500 "+name+"\r\n"+name+" without colon: "+plain+"\r\n\r\n", "")
	case "bad chunk":
		e.raw(w, "HTTP/1.1 200 "+name+"\r\nTransfer-Encoding: chunked\r\n\r\n"+plain+"\r\n", "")
	case "behind the answer":
		e.raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", plain)
	}
}

// raw writes bytes that no well-behaved server would.
func (e *echo) raw(w http.ResponseWriter, text, behind string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		e.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, text)
	if behind == "" {
		return
	}
	// The bytes must come while the connection is idle: whatever is asked on it until then is answered the same way.
	const idle = 300 * time.Millisecond
	for requests := bufio.NewReader(conn); ; {
		_ = conn.SetReadDeadline(time.Now().Add(idle))
		r, err := http.ReadRequest(requests)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, text)
	}
	_, _ = io.WriteString(conn, behind)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		e.t.Errorf("%s: the sender does not hang up: %v", e.how, err)
	}
	e.once.Do(func() { close(e.noticed) })
}

func newBrowserClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return fixture.Client(jar)
}

// wait polls the API until no delivery is under way.
func (l *leaks) wait(what string, n int) []deliveryJSON {
	l.t.Helper()
	return eventually(l.t, what, func() []deliveryJSON {
		return data[[]deliveryJSON](l.t, l.ask("GET", "/v1/webhooks/deliveries?limit=100", "", false))
	}, func(all []deliveryJSON) bool {
		return len(all) == n && !slices.ContainsFunc(all, func(d deliveryJSON) bool {
			return d.Status == "delivering" || d.Status == "pending" && d.AttemptCount == 0
		})
	})
}
