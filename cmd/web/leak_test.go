package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"kaylehooks/receiver"
)

// searcher looks for secrets in every spelling in which they could leak.
type searcher struct {
	buckets map[uint16][]spelling // by their first two bytes
	filter  [1 << 16]bool
}

type spelling struct {
	what string
	text []byte
}

// hide adds a value to look for: as it is, in hex, in both alphabets of base64 at every alignment, and, if it is hex or
// base64 itself, all that for what it stands for.
func (s *searcher) hide(what, value string) {
	s.add(what, []byte(value))
	if raw, err := hex.DecodeString(value); err == nil {
		s.add(what+" (bytes)", raw)
	}
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil && strings.HasSuffix(value, "=") {
		s.add(what+" (bytes)", raw)
	}
}

func (s *searcher) add(what string, value []byte) {
	if s.buckets == nil {
		s.buckets = map[uint16][]spelling{}
	}
	put := func(how string, text []byte) {
		first := uint16(text[0])<<8 | uint16(text[1])
		s.filter[first] = true
		s.buckets[first] = append(s.buckets[first], spelling{what + ", " + how, text})
	}
	put("plain", value)
	put("hex", []byte(hex.EncodeToString(value)))
	put("upper-case hex", []byte(strings.ToUpper(hex.EncodeToString(value))))
	for shift := range 3 {
		// Whole groups of three bytes only: the edges depend on what stands beside the value.
		inner := value[(3-shift)%3:]
		inner = inner[:len(inner)/3*3]
		put(fmt.Sprintf("base64 at %d", shift), []byte(base64.StdEncoding.EncodeToString(inner)))
		put(fmt.Sprintf("base64url at %d", shift), []byte(base64.URLEncoding.EncodeToString(inner)))
	}
}

// find names each spelling that occurs in the data.
func (s *searcher) find(data []byte) []string {
	var found []string
	for i := 0; i+1 < len(data); i++ {
		first := uint16(data[i])<<8 | uint16(data[i+1])
		if !s.filter[first] {
			continue
		}
		for _, c := range s.buckets[first] {
			if bytes.HasPrefix(data[i:], c.text) && !slices.Contains(found, c.what) {
				found = append(found, c.what)
			}
		}
	}
	return found
}

func TestSearcher_FindsEverySpelling(t *testing.T) {
	t.Parallel()
	canary := rand.Text()
	document := hex.EncodeToString([]byte(rand.Text()))
	var s searcher
	s.hide("canary", canary)
	s.hide("document", document)
	raw, _ := hex.DecodeString(document)
	for _, value := range [][]byte{[]byte(canary), []byte(document), raw} {
		for pad := range 4 {
			noise := []byte(strings.Repeat("~", pad))
			plain := slices.Concat(noise, value, noise)
			for how, text := range map[string][]byte{
				"plain": plain, "hex": []byte(hex.EncodeToString(plain)), "upper-case hex": []byte(strings.ToUpper(hex.EncodeToString(plain))),
				"base64": []byte(base64.StdEncoding.EncodeToString(plain)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(plain)),
			} {
				if len(s.find(slices.Concat([]byte{0, 255}, text, []byte("K~")))) == 0 {
					t.Errorf("%s of %q after %d bytes is not found", how, value, pad)
				}
			}
		}
	}
	if found := s.find([]byte(strings.Repeat(canary[:20]+document[:30], 100))); len(found) > 0 {
		t.Errorf("found %v where there is nothing", found)
	}
}

// The whole way through the real program, with receivers that give back what they decrypted in every way they can. Then
// everything that anything wrote or answered is searched (INV-21, contract section 9.5).
func TestLeak_ClaimsAndSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	// Postgres writes every statement with its parameters into its log: what a rolled-back transaction carried counts too.
	i, stack := installAlone(t, "log_statement = 'all'")
	i.env = append(i.env, "LOG_LEVEL=debug", "RATE_KEY_PER_SECOND=5000", "RATE_KEY_BURST=5000", "RATE_IP_PER_MINUTE=5000", "RATE_IP_BURST=5000")
	l := &leaks{installation: i, stack: stack, browser: newBrowserClient(t)}
	told := watchRedis(t, stack)
	web, worker := i.web(), i.worker()

	l.secrets.hide("API key", i.apiKey)
	l.secrets.hide("password", i.password)
	for _, setting := range i.env {
		if _, key, ok := strings.Cut(setting, "MASTER_KEYS=m1:"); ok {
			l.secrets.hide("master key", key)
		}
	}
	claims := map[string]string{
		"family_name": rand.Text(), "given_names": rand.Text() + rand.Text(), "document_number": rand.Text(), "mrz_optional_data": rand.Text(),
		"kayle_document_id": hex.EncodeToString([]byte(rand.Text() + "123456")),
	}
	for name, value := range claims {
		l.claims.hide(name, value)
	}
	const planted = "this is planted and must be found"
	l.claims.hide("planted", planted)

	endpoints := l.endpoints()
	// One result that stays, one that is withdrawn, one that is refused.
	var sessions []string
	for n := range 2 {
		session, token := l.session(n)
		sessions = append(sessions, session)
		if answer := l.succeed(session, claims); !bytes.Contains(answer, []byte(`"status":"succeeded"`)) {
			t.Fatalf("the result was refused: %s", answer)
		}
		l.wait("every result is attempted", (n+1)*len(echoes))
		l.keepRedis(fmt.Sprint("after result ", n))
		if n == 1 {
			l.ask("POST", "/v1/verify/session/"+session+"/cancel", `{"cancel_token":"`+token+`x"}`, false)
			l.ask("POST", "/v1/verify/session/"+session+"/cancel", `{"cancel_token":"`+token+`"}`, false)
			l.ask("GET", "/verify/"+session+"?cancel_token="+token, "", true) // the sign-in page carries the whole address on
		}
		l.succeed(session, claims) // refused: it has ended
	}
	refused, _ := l.session(2)
	l.ask("POST", "/v1/sessions/"+refused+"/success", `{"claims":{"family_name":["`+claims["family_name"]+`"],"`+claims["document_number"]+`":1},"selected_field_keys":["family_name"]}`, false)
	l.ask("POST", "/v1/sessions/"+refused+"/success", `{"claims":{"family_name":"`+claims["family_name"]+`"},"selected_field_keys":["`+claims["given_names"]+`"]}`, false)
	l.ask("POST", "/v1/sessions/"+refused+"/success", `{"claims":{"family_name":"`+claims["family_name"]+`",`, false)
	l.ask("POST", "/v1/sessions/"+refused+"/success", `{"claims":"`+claims["family_name"]+`"}`, false)

	// Retry, replay, rotation, reveal.
	for _, d := range data[[]deliveryJSON](t, l.ask("GET", "/v1/webhooks/deliveries?limit=100&status=pending", "", false)) {
		l.ask("POST", "/v1/webhooks/deliveries/"+d.ID+"/retry", "", false)
	}
	for _, e := range data[[]struct{ ID string }](t, l.ask("GET", "/v1/webhooks/events?limit=100", "", false)) {
		l.ask("POST", "/v1/webhooks/events/"+e.ID+"/replay", "", false)
	}
	for id := range endpoints {
		rotated := data[endpointJSON](t, l.ask("POST", "/v1/webhooks/endpoints/"+id+"/signing-secret/rotate", `{"overlap_hours":24}`, true))
		l.secrets.hide("rotated signing secret", rotated.SigningSecret)
		endpoints[id].opens.SetSecrets(rotated.SigningSecret, endpoints[id].secret)
		l.ask("POST", "/v1/webhooks/endpoints/"+id+"/signing-secret/reveal", "", true)
		l.ask("POST", "/v1/webhooks/endpoints/"+id+"/test", "", false)
	}
	for _, e := range endpoints {
		if e.how == "behind the answer" {
			<-e.noticed
		}
	}
	l.readAll(sessions)

	// What is planted proves that the search sees each place.
	conn := connect(t, stack)
	for _, sql := range []string{"CREATE TABLE planted (v text)", "INSERT INTO planted VALUES ('" + planted + "')"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	options, err := redis.ParseURL(stack.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Set(t.Context(), "planted", planted, 0).Err(); err != nil {
		t.Fatal(err)
	}
	l.ask("GET", "/metrics", "", false)
	l.keepRedis("at the end")
	l.keepPostgres()
	l.keepFiles()
	l.keep(source{where: "redis commands", data: told()})
	l.keep(source{where: "log of the web server", data: []byte(web.Output())})
	l.keep(source{where: "log of the worker", data: []byte(worker.Output())})
	l.search(t)
}

// endpoints makes one endpoint for each way to echo.
func (l *leaks) endpoints() map[string]*echo {
	l.t.Helper()
	pemText, jwk, err := receiver.GenerateKeyPair("k1", 2048)
	if err != nil {
		l.t.Fatal(err)
	}
	key, err := receiver.ParsePrivateKey(pemText)
	if err != nil {
		l.t.Fatal(err)
	}
	all := map[string]*echo{}
	for _, how := range echoes {
		e, address := newEcho(l.t, how, key)
		// Under an Idempotency-Key the answer with the secret is stored, sealed, and given again.
		var created endpointJSON
		for range 2 {
			created = data[endpointJSON](l.t, l.ask("POST", "/v1/webhooks/endpoints", `{"url":"`+address+`/hook","name":"`+how+`"}`, true, "Idempotency-Key", "make "+how))
		}
		l.secrets.hide("signing secret", created.SigningSecret)
		e.secret = created.SigningSecret
		e.opens.SetSecrets(e.secret)
		l.ask("POST", "/v1/webhooks/endpoints/"+created.Endpoint.ID+"/keys", fmt.Sprintf(`{"key_id":"k1","algorithm":"RSA-OAEP-256","key_type":"RSA","jwk":%s}`, jwk), false)
		all[created.Endpoint.ID] = e
	}
	return all
}

func (l *leaks) session(n int) (session, cancelToken string) {
	l.t.Helper()
	created := data[struct {
		ID          string
		CancelToken string `json:"cancel_token"`
	}](l.t, l.ask("POST", "/v1/sessions", "{}", true, "Idempotency-Key", fmt.Sprint("session ", n)))
	if created.CancelToken == "" {
		l.t.Fatal("the session has no cancel token")
	}
	l.secrets.hide("cancel token", created.CancelToken)
	l.ask("POST", "/v1/sessions/"+created.ID+"/start", "", false)
	return created.ID, created.CancelToken
}

// succeed reports all claims.
func (l *leaks) succeed(session string, claims map[string]string) []byte {
	l.t.Helper()
	body, err := json.Marshal(map[string]any{"claims": claims, "selected_field_keys": slices.Sorted(maps.Keys(claims))})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.ask("POST", "/v1/sessions/"+session+"/success", string(body), false)
}

// readAll asks for everything that can be read, through both doors.
func (l *leaks) readAll(sessions []string) {
	l.t.Helper()
	for _, list := range []string{"/v1/webhooks/endpoints", "/v1/webhooks/events", "/v1/webhooks/deliveries", "/v1/sessions"} {
		for _, row := range data[[]struct{ ID string }](l.t, l.ask("GET", list+"?limit=100", "", false)) {
			l.ask("GET", list+"/"+row.ID, "", false)
			switch list {
			case "/v1/webhooks/endpoints":
				l.ask("GET", list+"/"+row.ID+"/keys", "", false)
			case "/v1/webhooks/deliveries":
				l.ask("GET", list+"/"+row.ID+"/attempts?limit=100", "", false)
			}
		}
	}
	for _, session := range sessions {
		l.ask("GET", "/v1/verify/session/"+session+"/status", "", false)
		l.ask("GET", "/v1/verify/session/"+session+"/privacy-context", "", false)
	}
	l.ask("GET", "/v1/analytics/deliveries", "", false)
	l.ask("GET", "/openapi", "", false)
	seen := l.crawl("/deliveries/export", "/audit/export", "/audit", "/members", "/settings", "/queue", "/api-keys", "/monitor/", "/monitor/api/queues", "/monitor/api/servers",
		"/monitor/api/queues/fresh/pending_tasks", "/monitor/api/queues/fresh/completed_tasks", "/monitor/api/queues/retry/pending_tasks", "/monitor/api/redis_info")
	for _, page := range []string{"/deliveries/whd_", "/events/evt_", "/sessions/vs_", "/endpoints/whe_"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(path string) bool { return strings.HasPrefix(path, page) }) {
			l.t.Errorf("no page %s… was read", page)
		}
	}
}

// search fails the test for every secret in every source, and unless it found what was planted.
func (l *leaks) search(t *testing.T) {
	t.Helper()
	plantedIn := map[string]bool{}
	size := 0
	for _, s := range l.sources {
		size += len(s.data)
		found := l.claims.find(s.data)
		if !s.handsOut {
			found = append(found, l.secrets.find(s.data)...)
		}
		for _, what := range found {
			if strings.HasPrefix(what, "planted") {
				kind, _, _ := strings.Cut(s.where, "/")
				plantedIn[kind] = true
				continue
			}
			t.Errorf("%s is in %s", what, s.where)
		}
	}
	t.Logf("searched %d sources, %d MB", len(l.sources), size>>20)
	for _, kind := range []string{"table planted", "redis key planted at the end", "redis commands", "file redis", "file postgres", "file postgres.log"} {
		if !plantedIn[kind] {
			t.Errorf("what was planted is not found in %q, so nothing else would be", kind)
		}
	}
}
