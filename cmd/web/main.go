// Command web is the one binary of Kaylehooks: web server, worker, and the tools around them. Run it with --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"kaylehooks/internal/fault"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1 // something went wrong that the person at the keyboard did not cause
	exitUsage = 2 // wrong arguments, settings or surroundings; the message says what to do
	// exitReceiver: a receiver did not do its part, which `web trigger --wait` was asked to find out.
	exitReceiver = 3
)

// usageError is a problem that the person at the keyboard can mend; its text says how.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// receiverError is what a receiver did not do.
type receiverError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// environment is what a command may use of the world outside.
type environment struct {
	ctx       context.Context
	lookupEnv func(string) (string, bool)
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
}

// commands is the command line.
type commands struct {
	Dev             devCommand             `cmd:"" help:"Run everything with private Postgres and Redis, demo data and receivers, until Ctrl-C."`
	Serve           serveCommand           `cmd:"" help:"Run the web server: JSON API and dashboard."`
	Worker          workerCommand          `cmd:"" help:"Run a delivery worker."`
	Migrate         migrateCommand         `cmd:"" help:"Bring the database schema up, down, or show where it is."`
	Setup           setupCommand           `cmd:"" help:"Create an organization, its owner, and an API key with every scope."`
	ResetPassword   resetPasswordCommand   `cmd:"" help:"Give somebody who cannot sign in a new password."`
	Keygen          keygenCommand          `cmd:"" help:"Make a receiver's key pair, or a master key."`
	RotateMasterKey rotateMasterKeyCommand `cmd:"" help:"Move everything sealed to the first master key, while all runs."`
	Trigger         triggerCommand         `cmd:"" help:"Send a test event, or play a session to its result, through the API."`
	Listen          listenCommand          `cmd:"" help:"Run a local receiver that verifies, decrypts and prints webhooks."`
	Bench           benchCommand           `cmd:"" help:"Measure this machine: speed, latency, cost, growth."`
	BenchSink       benchSinkCommand       `cmd:"" hidden:""`
	Version         versionCommand         `cmd:"" help:"Print the version."`
}

// gcPercent lets the heap grow to five times what is in use before it is collected: the processes use little memory, and collecting
// took a tenth of their processor time. GOGC overrides it.
const gcPercent = 400

func main() {
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "worker"}, os.Args[1]) {
		relaxTimers()
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(environment{ctx, os.LookupEnv, os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(env environment, args []string) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("web"), kong.Description("Kaylehooks delivers identity-check results as encrypted, signed webhooks.\n\n"+
			"Exit codes: 0 done; 1 a fault; 2 something that you can mend, and the message says what; 3 a receiver did not do its part."),
		kong.Writers(env.stdout, env.stderr), kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(), kong.BindTo(env.ctx, (*context.Context)(nil)))
	if err != nil {
		_, _ = fmt.Fprintln(env.stderr, "web:", err)
		return exitFault
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help was served
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(env.stderr, "web: %v (web --help lists the commands)\n", err)
		return exitUsage
	}
	return report(env, parsed.Run(env))
}

// report prints the error and chooses the exit code. Interrupting a command is not an error.
func report(env environment, err error) int {
	var usage usageError
	var receiver receiverError
	switch {
	case err == nil, errors.Is(err, context.Canceled) && env.ctx.Err() != nil:
		return exitOK
	case errors.As(err, &usage):
		for _, line := range strings.Split(usage.Error(), "\n") {
			_, _ = fmt.Fprintln(env.stderr, "web:", line)
		}
		return exitUsage
	case errors.As(err, &receiver):
		_, _ = fmt.Fprintln(env.stderr, "web:", receiver)
		return exitReceiver
	}
	if f, ok := fault.As(err); ok {
		_, _ = fmt.Fprintln(env.stderr, "web:", f.Message)
		for _, field := range f.Fields {
			_, _ = fmt.Fprintf(env.stderr, "web: %s %s\n", field.Name, field.Message)
		}
		return exitUsage
	}
	_, _ = fmt.Fprintln(env.stderr, "web:", err)
	return exitFault
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(env environment) error {
	_, err := fmt.Fprintln(env.stdout, version())
	return err
}

// userAgent is what receivers see.
func userAgent() string { return "Kaylehooks/" + version() }

// version is the module's version as the Go tool stamped it, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return strings.TrimPrefix(v, "v")
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "dev"
}
