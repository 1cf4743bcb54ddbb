package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Needs says which settings a command cannot do without.
type Needs uint

// What commands need: `web serve` and `web worker` everything, `web migrate` and `web reset-password` the database, `web setup`
// and `web rotate-master-key` also the keys, `web dev` nothing.
const (
	Database Needs = 1 << iota
	Redis
	Keys

	Nothing    Needs = 0
	Everything       = Database | Redis | Keys
)

// Secret is a setting that never prints.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config is every setting. A variable that is set to the empty string counts as not set.
type Config struct {
	// ListenAddr is host:port of the web server.
	ListenAddr string `env:"LISTEN_ADDR" envDefault:"127.0.0.1:8080"`
	// PublicURL is where browsers and API clients reach the web server; without a value http://LISTEN_ADDR.
	PublicURL string `env:"PUBLIC_URL"`
	// VerificationBaseURL precedes a session id in verification_url; without a value PUBLIC_URL/verify.
	VerificationBaseURL string `env:"VERIFICATION_BASE_URL"`
	// DatabaseURL is a postgres:// connection string.
	DatabaseURL Secret `env:"DATABASE_URL"`
	// RedisURL is a redis://, rediss:// or unix:// connection string.
	RedisURL Secret `env:"REDIS_URL"`
	// MasterKeys is a comma-separated list of id:base64(32 bytes); the first seals, all open. `web keygen --master` makes one.
	MasterKeys Secret `env:"MASTER_KEYS"`
	// AllowPrivateEndpoints lets endpoint URLs point to private addresses and plain http. For development only.
	AllowPrivateEndpoints bool `env:"ALLOW_PRIVATE_ENDPOINTS" envDefault:"false"`
	// RetentionDays is how long finished events, deliveries and sessions are kept.
	RetentionDays int `env:"RETENTION_DAYS" envDefault:"30" min:"1" max:"3650"`
	// TrustedProxyHops is how many proxies of ours append to X-Forwarded-For; 0 trusts the socket's peer alone.
	TrustedProxyHops int `env:"TRUSTED_PROXY_HOPS" envDefault:"0" min:"0" max:"10"`
	// RateKeyPerSecond is how many requests per second an API key may make, over time.
	RateKeyPerSecond int `env:"RATE_KEY_PER_SECOND" envDefault:"50" min:"1" max:"100000"`
	// RateKeyBurst is how many requests an API key may make at once.
	RateKeyBurst int `env:"RATE_KEY_BURST" envDefault:"100" min:"1" max:"100000"`
	// RateIPPerMinute is how many sign-ins, and separately public cancels, an address may try per minute, over time.
	RateIPPerMinute int `env:"RATE_IP_PER_MINUTE" envDefault:"10" min:"1" max:"100000"`
	// RateIPBurst is how many of those an address may try at once.
	RateIPBurst int `env:"RATE_IP_BURST" envDefault:"10" min:"1" max:"100000"`
	// LogLevel is the least level that is logged: debug, info, warn or error.
	LogLevel string `env:"LOG_LEVEL" envDefault:"info" oneof:"debug info warn error"`
	// LogFormat is text or json.
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" oneof:"text json"`
	// WorkerConcurrency is how many requests a worker has in flight at most in each of its lanes.
	WorkerConcurrency int `env:"WORKER_CONCURRENCY" envDefault:"256" min:"1" max:"10000"`
	// WorkerName names this process in attempts; without a value host name and process id.
	WorkerName string `env:"WORKER_NAME"`
	// QueueReadOnly takes the switches off the queue page and the monitor, for everybody.
	QueueReadOnly bool `env:"QUEUE_READ_ONLY" envDefault:"false"`
	// DBMaxConns bounds the connections to Postgres, per process.
	DBMaxConns int `env:"DB_MAX_CONNS" envDefault:"10" min:"2" max:"1000"`
}

// Level returns LogLevel as slog knows it.
func (c Config) Level() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel)) // Load accepts known names only
	return l
}

// Load reads and checks every setting. The error has one line per problem, each naming the variable and the remedy; it
// never repeats the value of a secret.
func Load(lookup func(string) (string, bool), needs Needs) (Config, error) {
	var c Config
	environment, err := gather(&c, lookup)
	if err != nil {
		return Config{}, err
	}
	bad := parse(&c, environment)
	bad = append(bad, c.missing(needs)...)
	bad = append(bad, c.wrong()...)
	if len(bad) > 0 {
		return Config{}, errors.Join(bad...)
	}
	return c, c.complete()
}

// At returns the configuration of a server that listens on address, which matters where LISTEN_ADDR named port 0 or was
// taken: the addresses that were not set follow it.
func (c Config) At(address string, lookup func(string) (string, bool)) Config {
	set := func(name string) bool {
		value, ok := lookup(name)
		return ok && strings.TrimSpace(value) != ""
	}
	if !set("PUBLIC_URL") {
		c.PublicURL = "http://" + address
	}
	if !set("VERIFICATION_BASE_URL") {
		c.VerificationBaseURL = c.PublicURL + "/verify"
	}
	return c
}

// gather looks up exactly the variables that Config names.
func gather(c *Config, lookup func(string) (string, bool)) (map[string]string, error) {
	params, err := env.GetFieldParams(c)
	if err != nil {
		return nil, fmt.Errorf("read the settings' tags: %w", err)
	}
	environment := map[string]string{}
	for _, p := range params {
		if value, ok := lookup(p.Key); ok && strings.TrimSpace(value) != "" {
			environment[p.Key] = strings.TrimSpace(value)
		}
	}
	return environment, nil
}

// parse fills c and returns a problem per value that does not have the field's type.
func parse(c *Config, environment map[string]string) []error {
	err := env.ParseWithOptions(c, env.Options{Environment: environment})
	var all env.AggregateError
	if !errors.As(err, &all) {
		if err != nil {
			return []error{err}
		}
		return nil
	}
	var bad []error
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			bad = append(bad, err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		name := field.Tag.Get("env")
		want := "true or false"
		if field.Type.Kind() == reflect.Int {
			want = "a whole number from " + field.Tag.Get("min") + " to " + field.Tag.Get("max")
		}
		bad = append(bad, problem(name, fmt.Sprintf("%q is not %s", environment[name], want),
			"set "+name+"="+field.Tag.Get("envDefault")+" or leave it out for the default"))
		// Keeps the range check from complaining about the same variable.
		value := reflect.ValueOf(c).Elem().FieldByName(parse.Name)
		if least, err := strconv.ParseInt(field.Tag.Get("min"), 10, 64); err == nil {
			value.SetInt(least)
		}
	}
	return bad
}

func (c *Config) missing(needs Needs) []error {
	var bad []error
	for _, n := range []struct {
		bit    Needs
		name   string
		value  Secret
		remedy string
	}{
		{Database, "DATABASE_URL", c.DatabaseURL, "set it to postgres://user:password@host:5432/database"},
		{Redis, "REDIS_URL", c.RedisURL, "set it to redis://host:6379/0"},
		{Keys, "MASTER_KEYS", c.MasterKeys, "make one with `web keygen --master` and keep it safe: without it nothing sealed can be read"},
	} {
		if needs&n.bit != 0 && n.value == "" {
			bad = append(bad, problem(n.name, "is not set", n.remedy))
		}
	}
	return bad
}

// wrong checks what the types do not say.
func (c *Config) wrong() []error {
	var bad []error
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		field, name := v.Type().Field(i), v.Type().Field(i).Tag.Get("env")
		if known := field.Tag.Get("oneof"); known != "" {
			if !slices.Contains(strings.Fields(known), v.Field(i).String()) {
				bad = append(bad, problem(name, fmt.Sprintf("%q is not known", v.Field(i).String()),
					"use one of: "+strings.ReplaceAll(known, " ", ", ")))
			}
		}
		if field.Tag.Get("max") != "" {
			least, most := number(field.Tag.Get("min")), number(field.Tag.Get("max"))
			if n := v.Field(i).Int(); n < least || n > most {
				bad = append(bad, problem(name, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use a number from %d to %d", least, most)))
			}
		}
	}
	if host, port, err := net.SplitHostPort(c.ListenAddr); err != nil || !isPort(port) || strings.Contains(host, "/") {
		bad = append(bad, problem("LISTEN_ADDR", fmt.Sprintf("%q is not an address", c.ListenAddr), "use host:port such as 127.0.0.1:8080, or :8080 for every interface"))
	}
	for _, u := range []struct{ name, value string }{{"PUBLIC_URL", c.PublicURL}, {"VERIFICATION_BASE_URL", c.VerificationBaseURL}} {
		if u.value != "" && !isBaseURL(u.value) {
			bad = append(bad, problem(u.name, "is not an absolute http or https URL without query and credentials", "use for example https://hooks.example.com"))
		}
	}
	if c.DatabaseURL != "" && !hasScheme(c.DatabaseURL, "postgres", "postgresql") {
		bad = append(bad, problem("DATABASE_URL", "is not a postgres:// URL", "use postgres://user:password@host:5432/database"))
	}
	if c.RedisURL != "" && !hasScheme(c.RedisURL, "redis", "rediss", "unix") {
		bad = append(bad, problem("REDIS_URL", "is not a redis:// URL", "use redis://host:6379/0, rediss:// for TLS or unix:///path/to.sock?db=0"))
	}
	return bad
}

// complete fills in the defaults that depend on other settings.
func (c *Config) complete() error {
	if c.PublicURL == "" {
		host, port, err := net.SplitHostPort(c.ListenAddr)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1" // every interface is no address to visit
		}
		c.PublicURL = "http://" + net.JoinHostPort(host, port)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.VerificationBaseURL == "" {
		c.VerificationBaseURL = c.PublicURL + "/verify"
	}
	c.VerificationBaseURL = strings.TrimRight(c.VerificationBaseURL, "/")
	if c.WorkerName == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		c.WorkerName = host + "-" + strconv.Itoa(os.Getpid())
	}
	return nil
}

func problem(name, what, remedy string) error { return fmt.Errorf("%s: %s; %s", name, what, remedy) }

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // a constant of this file
	return n
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" &&
		!u.ForceQuery && u.Fragment == ""
}

// hasScheme says no more than that: an error of url.Parse would repeat the value.
func hasScheme(s Secret, schemes ...string) bool {
	u, err := url.Parse(s.Reveal())
	return err == nil && slices.Contains(schemes, u.Scheme)
}
