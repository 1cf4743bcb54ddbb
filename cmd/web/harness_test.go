package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kaylehooks-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "web")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v\n%s", err, out))
	}
	const tests = 6 // some wait half a minute for what other processes do
	devtest.AtOnce(tests)
	code := devtest.Run(m, func(ctx context.Context, url string) error {
		migrate := exec.CommandContext(ctx, binary, "migrate", "up")
		migrate.Env = append(os.Environ(), "DATABASE_URL="+url)
		if out, err := migrate.CombinedOutput(); err != nil {
			return fmt.Errorf("migrate: %w\n%s", err, out)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// installation is a database, a Redis and the settings that go with them.
type installation struct {
	t        *testing.T
	env      []string
	base     string // of the web server
	apiKey   string
	email    string
	password string
}

// configure is an installation on the servers that the settings name, where nothing is set up yet.
func configure(t *testing.T, settings ...string) *installation {
	t.Helper()
	return &installation{t: t, env: slices.Concat(os.Environ(), []string{"ALLOW_PRIVATE_ENDPOINTS=true", "LISTEN_ADDR=127.0.0.1:0", "LOG_FORMAT=json"}, settings)}
}

// masterKeys is the setting; each name has a key of its own.
func masterKeys(names ...string) string {
	var keys []string
	for _, name := range names {
		key := sha256.Sum256([]byte(name))
		keys = append(keys, name+":"+base64.StdEncoding.EncodeToString(key[:]))
	}
	return "MASTER_KEYS=" + strings.Join(keys, ",")
}

// install is an installation with an organization, its owner and an API key.
func install(t *testing.T) *installation {
	t.Helper()
	i := configure(t, "DATABASE_URL="+devtest.Database(t), "REDIS_URL="+devtest.Redis(t), masterKeys("m1"))
	i.setUp()
	return i
}

func (i *installation) setUp() {
	i.t.Helper()
	var result struct {
		OrganizationID string `json:"organization_id"`
		Email          string
		Password       string
		APIKey         string `json:"api_key"`
	}
	decode(i.t, i.command("setup", "--org", "Fjordpay", "--email", "Owner@Example.com", "--name", "Ana Lindqvist", "--json").Succeed(), &result)
	if result.Password == "" || !strings.HasPrefix(result.OrganizationID, "org_") {
		i.t.Fatalf("setup printed %+v", result)
	}
	i.apiKey, i.email, i.password = result.APIKey, result.Email, result.Password
}

// start runs web server and worker, and returns the former.
func (i *installation) start() *fixture.Process {
	i.t.Helper()
	web := i.web()
	i.worker()
	return web
}

// web runs the web server.
func (i *installation) web() *fixture.Process {
	i.t.Helper()
	web := i.command("serve").Background()
	var serving struct{ Address string }
	decode(i.t, web.WaitFor(`"msg":"serving"`), &serving)
	i.base = "http://" + serving.Address
	return web
}

// worker runs a worker; env are settings of its own.
func (i *installation) worker(env ...string) *fixture.Process {
	i.t.Helper()
	other := *i
	other.env = slices.Concat(i.env, env)
	w := other.command("worker").Background()
	w.WaitFor(`"msg":"working"`)
	return w
}

// database is the installation's, behind its back.
func (i *installation) database() *postgres.DB {
	i.t.Helper()
	db, err := postgres.Open(i.t.Context(), postgres.Options{URL: i.setting("DATABASE_URL")})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(db.Close)
	return db
}

func (i *installation) command(args ...string) *fixture.Process {
	cmd := exec.CommandContext(i.t.Context(), binary, args...)
	cmd.Env = i.env
	return fixture.NewProcess(i.t, cmd)
}

const patience = 60 * time.Second

// ask is fixture.Ask with the installation's address and key.
func (i *installation) ask(ctx context.Context, method, path, body string, header ...string) (*http.Response, []byte, error) {
	return fixture.Ask(ctx, i.base, i.apiKey, method, path, body, header...)
}

// retry makes a delivery due now, unless its schedule was faster.
func (i *installation) retry(delivery string) {
	i.t.Helper()
	if status, answer := i.patiently(http.MethodPost, "/v1/webhooks/deliveries/"+delivery+"/retry", ""); status >= http.StatusMultipleChoices && status != http.StatusConflict {
		i.t.Fatalf("retry %s: %d %s", delivery, status, answer)
	}
}

// patiently is ask that waits out the rate limit.
func (i *installation) patiently(method, path, body string) (status int, answer []byte) {
	i.t.Helper()
	for {
		res, answer, err := i.ask(i.t.Context(), method, path, body)
		if err != nil {
			i.t.Fatal(err)
		}
		if res.StatusCode != http.StatusTooManyRequests {
			return res.StatusCode, answer
		}
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		if err != nil {
			i.t.Fatalf("%s %s: 429 with %v", method, path, res.Header)
		}
		<-time.After(time.Duration(seconds) * time.Second)
	}
}

// call sends a request to the JSON API and decodes data into out. It waits out the rate limit.
func (i *installation) call(method, path string, body, out any) {
	i.t.Helper()
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			i.t.Fatal(err)
		}
	}
	status, answer := i.patiently(method, path, string(sent))
	if status >= http.StatusMultipleChoices {
		i.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if out == nil {
		return
	}
	envelope := struct{ Data any }{out}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		i.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
}

type endpointJSON struct {
	Endpoint struct {
		ID  string `json:"id"`
		URL string `json:"url"`
	} `json:"endpoint"`
	SigningSecret string `json:"signing_secret"`
}

type deliveryJSON struct {
	ID                     string  `json:"id"`
	EndpointID             string  `json:"webhook_endpoint_id"`
	Status                 string  `json:"status"`
	AttemptCount           int     `json:"attempt_count"`
	PayloadRetentionReason *string `json:"payload_retention_reason"`
	LastStatusCode         *int    `json:"last_status_code"`
}

// keyPair makes a key pair with the program and returns the private key's path and the public JWK.
func (i *installation) keyPair(kid string) (privatePath string, publicJWK json.RawMessage) {
	i.t.Helper()
	dir := i.t.TempDir()
	i.command("keygen", "--kid", kid, "--bits", "2048", "--out", dir).Succeed()
	b, err := os.ReadFile(filepath.Join(dir, "public.jwk.json"))
	if err != nil {
		i.t.Fatal(err)
	}
	return filepath.Join(dir, "private.pem"), b
}

// eventually polls until ok holds; what it waits for happens in other processes and sends no signal to this one.
func eventually[T any](t *testing.T, what string, look func() T, ok func(T) bool) T {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for {
		got := look()
		if ok(got) {
			return got
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s did not come true; last seen: %+v", what, got)
		}
	}
}
