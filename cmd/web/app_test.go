package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
)

// The whole way, as a customer sees it: the Node receiver shares no code with us, and what it printed is what counts.
func TestEndToEnd_NodeReceiverVerifiesAndDecrypts(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	privatePath, jwk := i.keyPair("node-1")

	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": "http://127.0.0.1:9/", "name": "Node"}, &created)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"key_id": "node-1", "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)
	var keyless endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": "http://127.0.0.1:9/"}, &keyless)

	node, url := startReceiver(t, "node", created.SigningSecret, "node-1="+privatePath)
	i.call("PATCH", "/v1/webhooks/endpoints/"+created.Endpoint.ID, map[string]any{"url": url}, nil)

	session := i.openSession()
	claims := map[string]any{"family_name": "LINDQVIST", "kayle_document_id": strings.Repeat("ab", 32)}
	i.call("POST", "/v1/sessions/"+session+"/success", map[string]any{"claims": claims, "selected_field_keys": []string{"family_name", "kayle_document_id"}}, nil)
	var got nodeLine
	decode(t, node.WaitFor(`accepted.*`+session), &got)
	if got.Type != "verification.session.succeeded" || got.Data.Claims["family_name"] != "LINDQVIST" || len(got.Data.Claims) != 12 {
		t.Errorf("the receiver got %+v", got)
	}

	failed := i.openSession()
	for range 3 {
		i.call("POST", "/v1/sessions/"+failed+"/check-failures", map[string]any{"failure_code": "selfie_face_mismatch"}, nil)
	}
	decode(t, node.WaitFor(`accepted.*`+failed), &got)
	if got.Type != "verification.session.failed" || got.Data.FailureCode != "selfie_face_mismatch" || got.Data.LivenessTriesUsed != 3 {
		t.Errorf("the receiver got %+v", got)
	}

	cancelled := i.openSession()
	i.call("POST", "/v1/sessions/"+cancelled+"/cancel", nil, nil)
	node.WaitFor(`accepted.*session.cancelled.*` + cancelled)

	// The receiver's word and ours agree, and the endpoint without a key failed closed.
	deliveries := eventually(t, "every delivery is recorded", func() []deliveryJSON {
		var all []deliveryJSON
		i.call("GET", "/v1/webhooks/deliveries?limit=100", nil, &all)
		return all
	}, func(all []deliveryJSON) bool {
		for _, d := range all {
			if d.Status != "succeeded" && d.Status != "failed" {
				return false
			}
		}
		return len(all) == 6
	})
	for _, d := range deliveries {
		want, reason := "succeeded", "delivered"
		if d.EndpointID == keyless.Endpoint.ID {
			want, reason = "failed", "no_active_key"
		}
		if d.Status != want || d.PayloadRetentionReason == nil || *d.PayloadRetentionReason != reason {
			t.Errorf("delivery %+v, want %s because of %s", d, want, reason)
		}
	}

	// A rotated secret: the receiver that knows only the new one refuses nothing, since both sign.
	var rotated struct {
		SigningSecret string `json:"signing_secret"`
	}
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/signing-secret/rotate", map[string]any{"overlap_hours": 24}, &rotated)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/test", nil, nil)
	node.WaitFor(`accepted.*webhook.test`)
}

type nodeLine struct {
	Outcome, Type string
	Data          struct {
		Claims            map[string]any
		FailureCode       string `json:"failure_code"`
		LivenessTriesUsed int    `json:"liveness_tries_used"`
	}
}

func decode(t *testing.T, line string, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), out); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
}

func (i *installation) openSession() string {
	i.t.Helper()
	var s struct{ ID string }
	i.call("POST", "/v1/sessions", map[string]any{}, &s)
	i.call("POST", "/v1/sessions/"+s.ID+"/start", nil, nil)
	return s.ID
}

// nodeReceiver is the path of examples/receivers/node, with what it needs installed.
func nodeReceiver(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../examples/receivers/node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--prefix", dir, "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	return filepath.Join(dir, "receiver.mjs")
}

func TestCommands_SayWhatIsMissingAndExitWithTwo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	i := install(t)
	good := func(change ...string) []string { return append(append([]string{}, i.env...), change...) }
	for name, c := range map[string]struct {
		args []string
		env  []string
		want []string
	}{
		"nothing set":        {[]string{"serve"}, []string{"PATH=" + os.Getenv("PATH")}, []string{"DATABASE_URL", "REDIS_URL", "MASTER_KEYS"}},
		"all wrong at once":  {[]string{"serve"}, good("RETENTION_DAYS=x", "LOG_LEVEL=loud", "DB_MAX_CONNS=0", "MASTER_KEYS=m1:c2hvcnQ="), []string{"RETENTION_DAYS", "LOG_LEVEL", "DB_MAX_CONNS", "MASTER_KEYS"}},
		"short master key":   {[]string{"serve"}, good("MASTER_KEYS=m1:c2hvcnQ="), []string{"MASTER_KEYS", "keygen --master"}},
		"no Postgres":        {[]string{"serve"}, good("DATABASE_URL=postgres://x@127.0.0.1:1/x"), []string{"Postgres is not reachable", "DATABASE_URL"}},
		"no Redis":           {[]string{"worker"}, good("REDIS_URL=redis://127.0.0.1:1/0"), []string{"Redis is not reachable", "REDIS_URL"}},
		"no such Redis":      {[]string{"serve"}, good("REDIS_URL=" + devtest.Redis(t) + "99999"), []string{"Redis", "out of range", "REDIS_URL"}},
		"port taken":         {[]string{"serve"}, good("LISTEN_ADDR=" + taken.Addr().String()), []string{"cannot listen", "LISTEN_ADDR"}},
		"unknown command":    {[]string{"srve"}, good(), []string{"web --help"}},
		"bad key id":         {[]string{"keygen", "--kid", " a", "--bits", "2048"}, good(), []string{"key_id"}},
		"bad key size":       {[]string{"keygen", "--bits", "512"}, good(), []string{"--bits"}},
		"setup for nobody":   {[]string{"setup"}, good(), []string{"--org", "--email"}},
		"bad e-mail address": {[]string{"setup", "--org", "X", "--email", "nobody"}, good(), []string{"email"}},
		"nobody's password":  {[]string{"reset-password", "--email", "nobody@example.com"}, good(), []string{"user"}},
		"listen to nothing":  {[]string{"listen"}, good(), []string{"--secret", "--key"}},
		"no key id":          {[]string{"listen", "--secret", "whsec_x", "--key", "private.pem"}, good(), []string{"--key"}},
		"no such status":     {[]string{"listen", "--secret", "whsec_x", "--key", "k=x", "--status", "42"}, good(), []string{"--status"}},
		"no such key file":   {[]string{"listen", "--secret", "whsec_x", "--key", "k=/does/not/exist"}, good(), []string{"--key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary, c.args...)
			cmd.Env = c.env
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Fatalf("%v, want exit code 2; it printed:\n%s", err, stderr.String())
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("the message does not name %s:\n%s", want, stderr.String())
				}
			}
		})
	}
}

func TestServe_RefusesAnOldSchema(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.command("migrate", "down").Succeed()
	cmd := exec.CommandContext(t.Context(), binary, "serve")
	cmd.Env = i.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "web migrate up") {
		t.Errorf("%v: %s", err, out)
	}
	if status := i.command("migrate", "status").Succeed(); !strings.Contains(status, "missing") || !strings.Contains(status, "00001_organizations.sql") {
		t.Errorf("status printed:\n%s", status)
	}
	i.command("migrate", "up").Succeed()
}

// While a release is rolled out, the program before it works on the schema after it.
func TestServe_WorksOnANewerSchema(t *testing.T) {
	t.Parallel()
	i := install(t)
	db := i.database()
	fixture.Exec(t, db, "INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version")
	i.start()
	i.call("GET", "/v1/webhooks/endpoints", nil, nil)
}

// Results are accepted while Redis is away, also by a server that was started meanwhile, and are delivered by a worker that has it.
func TestServe_StartsWithoutRedis(t *testing.T) {
	t.Parallel()
	i := install(t)
	redis := i.setting("REDIS_URL")
	i.env = append(i.env, "REDIS_URL=redis://127.0.0.1:1/0")
	if log := i.web().Output(); !strings.Contains(log, "serving without Redis") || !strings.Contains(log, "REDIS_URL") {
		t.Errorf("it logged:\n%s", log)
	}
	if res, body, err := i.ask(t.Context(), "GET", "/readyz", ""); err != nil || res.StatusCode != http.StatusOK || string(body) != "ready\nredis does not answer\n" {
		t.Errorf("%v %s", err, body)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(receiver.Close)
	_, jwk := i.keyPair("k1")
	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": receiver.URL}, &created)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"key_id": "k1", "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)
	i.call("POST", "/v1/sessions/"+i.openSession()+"/success", map[string]any{"claims": map[string]any{"family_name": "LINDQVIST", "kayle_document_id": strings.Repeat("ab", 32)}, "selected_field_keys": []string{"family_name", "kayle_document_id"}}, nil)

	i.worker("REDIS_URL=" + redis)
	eventually(t, "it is delivered", func() []deliveryJSON {
		var all []deliveryJSON
		i.call("GET", "/v1/webhooks/deliveries", nil, &all)
		return all
	}, func(all []deliveryJSON) bool { return len(all) == 1 && all[0].Status == "succeeded" })
}

// What must never be on in production is said at every start, by each program (contract section 5.2).
func TestStart_WarnsOfPrivateEndpoints(t *testing.T) {
	t.Parallel()
	i := install(t)
	const warning = `"level":"WARN","msg":"ALLOW_PRIVATE_ENDPOINTS is on`
	started := func() map[string]string {
		return map[string]string{"serve": i.web().Output(), "worker": i.worker().Output()}
	}
	for range 2 {
		for name, log := range started() {
			if strings.Count(log, warning) != 1 {
				t.Errorf("%s does not warn:\n%s", name, log)
			}
		}
	}
	i.env = append(i.env, "ALLOW_PRIVATE_ENDPOINTS=false")
	for name, log := range started() {
		if strings.Contains(log, "ALLOW_PRIVATE_ENDPOINTS") {
			t.Errorf("%s warns of what is off:\n%s", name, log)
		}
	}
}

// A receiver recognises us by the program's name and version (contract section 7.4).
func TestEndToEnd_TheReceiverSeesWhoSends(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	seen := make(chan http.Header, 8) // at least once
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	_, jwk := i.keyPair("k1")
	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": receiver.URL}, &created)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"key_id": "k1", "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/test", nil, nil)
	select {
	case got := <-seen:
		version := strings.TrimSpace(i.command("version").Succeed())
		if want := "Kaylehooks/" + version; version == "" || got.Get("User-Agent") != want {
			t.Errorf("User-Agent %q, want %q", got.Get("User-Agent"), want)
		}
		// Of the rest only what HTTP needs: no Accept-Encoding, cookie or trace header.
		names := slices.Sorted(maps.Keys(got))
		if want := []string{"Content-Length", "Content-Type", "User-Agent", "X-Kayle-Delivery-Id", "X-Kayle-Event", "X-Kayle-Signature"}; !slices.Equal(names, want) {
			t.Errorf("headers %v, want %v", names, want)
		}
	case <-time.After(patience):
		t.Fatal("the receiver got nothing")
	}
}

// A Redis that takes connections and never answers is not waited for: neither a probe nor a request takes as long as its client would.
func TestServe_DoesNotWaitForAFrozenRedis(t *testing.T) {
	t.Parallel()
	i := install(t)
	frozen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = frozen.Close() })
	i.env = append(i.env, "REDIS_URL=redis://"+frozen.Addr().String()+"/0?read_timeout=1h")
	i.web()
	for _, path := range []string{"/readyz", "/v1/webhooks/endpoints"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if res, body, err := i.ask(ctx, "GET", path, ""); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %s", path, err, body)
		}
		cancel()
	}
}

// RATE_IP_* is for passwords, too.
func TestServe_LimitsSignInsAsItIsTold(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.env = append(i.env, "RATE_IP_PER_MINUTE=1", "RATE_IP_BURST=2")
	i.web()
	for _, try := range []struct {
		password string
		in       bool
	}{{"a wrong password", false}, {i.password, true}, {i.password, false}} {
		if in := i.person().signsIn(i.email, try.password); in != try.in {
			t.Errorf("the password %q lets in: %t, want %t", try.password, in, try.in)
		}
	}
}

// Two servers count what an API key is used for; nothing of it is lost when they stop, and a refused call is none.
func TestServe_WritesTheCallsOfAPIKeysDownWhenItStops(t *testing.T) {
	t.Parallel()
	i := install(t)
	db := i.database()
	for range 2 {
		web := i.web()
		for range 3 {
			i.call("GET", "/v1/webhooks/endpoints", nil, nil)
		}
		if res, _, err := fixture.Ask(t.Context(), i.base, "kk_"+strings.Repeat("a", 32), "GET", "/v1/webhooks/endpoints", ""); err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a key that does not exist: %v, %v", res, err)
		}
		if err := web.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both servers wrote their calls down", func() int {
		return fixture.Scalar[int](t, db, "SELECT COALESCE(sum(calls), 0) FROM api_key_calls")
	}, func(n int) bool { return n == 6 })
	if use := fixture.Scalar[string](t, db, "SELECT last_used_ip || ' ' || last_used_route FROM api_keys"); use != "127.0.0.1 GET /v1/webhooks/endpoints" {
		t.Errorf("the key was last used from and for %q", use)
	}
}

func TestListen_VerifiesDecryptsAndPrints(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	privatePath, jwk := i.keyPair("cli=1")
	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": "http://127.0.0.1:9/"}, &created)
	i.call("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", map[string]any{"key_id": "cli=1", "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)
	listen := i.command("listen", "--addr", "127.0.0.1:0", "--secret", created.SigningSecret, "--key", "cli=1="+privatePath, "--json").Background()
	var line struct{ Listening string }
	decode(t, listen.WaitFor(`"listening"`), &line)
	i.call("PATCH", "/v1/webhooks/endpoints/"+created.Endpoint.ID, map[string]any{"url": line.Listening + "hook"}, nil)
	session := i.openSession()
	i.call("POST", "/v1/sessions/"+session+"/cancel", nil, nil)
	text := listen.WaitFor(session)
	if !strings.Contains(text, `"outcome":"accepted"`) || !strings.Contains(text, `"key_id":"cli=1"`) || strings.Contains(text, `"data"`) {
		t.Errorf("listen printed %s", text)
	}
}
