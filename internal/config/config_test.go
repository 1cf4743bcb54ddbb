package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/config"
)

func lookup(pairs ...string) func(string) (string, bool) {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestLoad_Defaults(t *testing.T) {
	t.Parallel()
	got, err := config.Load(lookup("WORKER_NAME=w1"), config.Nothing)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		ListenAddr: "127.0.0.1:8080", PublicURL: "http://127.0.0.1:8080", VerificationBaseURL: "http://127.0.0.1:8080/verify",
		RetentionDays: 30, RateKeyPerSecond: 50, RateKeyBurst: 100, RateIPPerMinute: 10, RateIPBurst: 10,
		LogLevel: "info", LogFormat: "text", WorkerConcurrency: 256, WorkerName: "w1", DBMaxConns: 10,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Level() != slog.LevelInfo {
		t.Errorf("level %s", got.Level())
	}
	named, err := config.Load(lookup(), config.Nothing)
	if err != nil || !strings.Contains(named.WorkerName, "-") {
		t.Errorf("worker name %q, %v", named.WorkerName, err)
	}
}

func TestLoad_ReadsEverySetting(t *testing.T) {
	t.Parallel()
	got, err := config.Load(lookup("LISTEN_ADDR=:9000", "PUBLIC_URL=https://hooks.example.com/", "VERIFICATION_BASE_URL=https://verify.example.com/v/",
		"DATABASE_URL=postgres://u:p@db/k", "REDIS_URL=rediss://r:6379/1", "MASTER_KEYS=a:xyz", "ALLOW_PRIVATE_ENDPOINTS=true", "RETENTION_DAYS=7",
		"TRUSTED_PROXY_HOPS=2", "RATE_KEY_PER_SECOND=1", "RATE_KEY_BURST=2", "RATE_IP_PER_MINUTE=3", "RATE_IP_BURST=4", "LOG_LEVEL=debug",
		"LOG_FORMAT=json", "WORKER_CONCURRENCY=5", "WORKER_NAME= w ", "QUEUE_READ_ONLY=true", "DB_MAX_CONNS=6"), config.Everything)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		ListenAddr: ":9000", PublicURL: "https://hooks.example.com", VerificationBaseURL: "https://verify.example.com/v",
		DatabaseURL: "postgres://u:p@db/k", RedisURL: "rediss://r:6379/1", MasterKeys: "a:xyz", AllowPrivateEndpoints: true, RetentionDays: 7,
		TrustedProxyHops: 2, RateKeyPerSecond: 1, RateKeyBurst: 2, RateIPPerMinute: 3, RateIPBurst: 4, LogLevel: "debug", LogFormat: "json",
		WorkerConcurrency: 5, WorkerName: "w", QueueReadOnly: true, DBMaxConns: 6,
	}
	if got != want { // cmp.Diff would print the redacted secrets
		t.Errorf("got %+v", got)
	}
	if got.DatabaseURL.Reveal() != "postgres://u:p@db/k" {
		t.Error("the database URL does not come out")
	}
}

func TestLoad_PublicURLOfEveryInterfaceCanBeVisited(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		":8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80", "[::]:80": "http://127.0.0.1:80",
		"[::1]:80": "http://[::1]:80", "localhost:0": "http://localhost:0",
	} {
		got, err := config.Load(lookup("LISTEN_ADDR="+listen), config.Nothing)
		if err != nil || got.PublicURL != want {
			t.Errorf("%s: %q, %v", listen, got.PublicURL, err)
		}
	}
}

func TestLoad_ReportsEveryProblemOnALineOfItsOwn(t *testing.T) {
	t.Parallel()
	_, err := config.Load(lookup("LISTEN_ADDR=8080", "PUBLIC_URL=hooks.example.com", "VERIFICATION_BASE_URL=https://x/?q", "DATABASE_URL=mysql://u:hunter2@db",
		"REDIS_URL=%zz://hunter2", "MASTER_KEYS=", "ALLOW_PRIVATE_ENDPOINTS=perhaps", "RETENTION_DAYS=0", "TRUSTED_PROXY_HOPS=-1", "RATE_KEY_PER_SECOND=fast",
		"RATE_KEY_BURST=0", "RATE_IP_PER_MINUTE=1e3", "RATE_IP_BURST=100001", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "WORKER_CONCURRENCY=0", "DB_MAX_CONNS=1"),
		config.Everything)
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error repeats a secret")
	}
	lines := strings.Split(err.Error(), "\n")
	named := map[string]int{}
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, ": ")
		named[name]++
		if !strings.Contains(rest, "; ") {
			t.Errorf("no remedy: %s", line)
		}
	}
	want := map[string]int{
		"LISTEN_ADDR": 1, "PUBLIC_URL": 1, "VERIFICATION_BASE_URL": 1, "DATABASE_URL": 1, "REDIS_URL": 1, "MASTER_KEYS": 1, "ALLOW_PRIVATE_ENDPOINTS": 1,
		"RETENTION_DAYS": 1, "TRUSTED_PROXY_HOPS": 1, "RATE_KEY_PER_SECOND": 1, "RATE_KEY_BURST": 1, "RATE_IP_PER_MINUTE": 1, "RATE_IP_BURST": 1,
		"LOG_LEVEL": 1, "LOG_FORMAT": 1, "WORKER_CONCURRENCY": 1, "DB_MAX_CONNS": 1,
	}
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("%s\n%s", diff, err)
	}
}

func TestLoad_MissesOnlyWhatTheCommandNeeds(t *testing.T) {
	t.Parallel()
	for needs, want := range map[config.Needs]int{config.Nothing: 0, config.Database: 1, config.Database | config.Keys: 2, config.Everything: 3} {
		_, err := config.Load(lookup(), needs)
		got := 0
		if err != nil {
			got = len(strings.Split(err.Error(), "\n"))
		}
		if got != want {
			t.Errorf("needs %b: %v", needs, err)
		}
	}
}

func TestSecret_NeverPrints(t *testing.T) {
	t.Parallel()
	c := config.Config{MasterKeys: "id:hunter2", DatabaseURL: "postgres://u:hunter2@db"}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "config", c, "keys", c.MasterKeys)
	for _, printed := range []string{string(encoded), log.String(), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.MasterKeys, c.MasterKeys)} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("a secret prints: %s", printed)
		}
	}
}
