package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperDir names the directory of the lasting stack that this test binary, when run again as a child, starts and
// holds until it is killed.
const helperDir = "KAYLEHOOKS_TEST_DEVSTACK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		runHelper(dir)
	}
	os.Exit(m.Run())
}

func runHelper(dir string) {
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(s.PostgresPID(), s.RedisPID())
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or until the test is gone
	_ = s.Stop()
	os.Exit(0)
}

func TestStart_LastingStackSurvivesWhateverHappensToItsOwner(t *testing.T) {
	t.Parallel()
	needServers(t)
	dir := filepath.Join(openTempDir(t), "project", ".data", "dev")
	s := start(t, Options{Dir: dir})
	if s.Dir() != resolve(dir) {
		t.Fatalf("stack is in %s, want %s", s.Dir(), dir)
	}
	exec1(t, s.DatabaseURL, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
	setRedis(t, s.RedisURL, "kept", "1")

	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Fatalf("second start on the same directory: %v", err)
	}
	checkOneLine(t, err)

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("second stop: %v", err)
	}

	// An owner that is killed takes its servers with it, or else leaves them to be found.
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	if _, err := helper.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	var pgPID, redisPID int
	if _, err := fmt.Fscan(out, &pgPID, &redisPID); err != nil {
		t.Fatalf("helper did not start its stack: %v", err)
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()

	s = start(t, Options{Dir: dir})
	for _, pid := range []int{pgPID, redisPID} {
		if strings.Contains(commandLine(t.Context(), pid), s.Dir()) {
			t.Errorf("process %d of the killed owner still runs", pid)
		}
	}
	if n := query1(t, s.DatabaseURL, "SELECT n FROM kept"); n != 1 {
		t.Errorf("row after the kill: %d, want 1", n)
	}
	if got := getRedis(t, s.RedisURL, "kept"); got != "1" {
		t.Errorf("redis key after the kill: %q, want 1", got)
	}

	// A server that lost its owner and got no signal, as after a kill on macOS.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	orphan := startOrphan(t, s.postgres)
	s = start(t, Options{Dir: dir})
	select {
	case <-orphan:
	case <-time.After(10 * time.Second):
		t.Error("the orphan still runs")
	}
	if n := query1(t, s.DatabaseURL, "SELECT n FROM kept"); n != 1 {
		t.Errorf("row after the orphan: %d, want 1", n)
	}

	// The server itself is killed: the stale process id file and remains of its sessions are in the way.
	if err := syscall.Kill(s.PostgresPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.RestartPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := query1(t, s.DatabaseURL, "SELECT n FROM kept"); n != 1 {
		t.Errorf("row after the crash: %d, want 1", n)
	}
}

func TestStart_ReusedProcessIDIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "postmaster.pid")
	if err := os.WriteFile(file, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endLeftover(t.Context(), file, "/nowhere/postgres", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale file is still there (%v)", err)
	}
}

func TestStart_EphemeralStacksAreSeparateAndLeaveNothing(t *testing.T) {
	t.Parallel()
	needServers(t)
	a, b := start(t, Options{Ephemeral: true}), start(t, Options{Ephemeral: true})
	exec1(t, a.DatabaseURL, "CREATE TABLE only_here (n int)")
	if n := query1(t, b.DatabaseURL, "SELECT count(*)::int FROM pg_tables WHERE tablename = 'only_here'"); n != 0 {
		t.Error("a table of one stack shows in the other")
	}
	setRedis(t, a.RedisURL, "only", "here")
	if got := getRedis(t, b.RedisURL, "only"); got != "" {
		t.Error("a key of one stack shows in the other")
	}

	if err := a.RestartRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := getRedis(t, a.RedisURL, "only"); got != "" {
		t.Errorf("key after the restart of an ephemeral Redis: %q, want none", got)
	}
	pgPID, redisPID := a.PostgresPID(), a.RedisPID()
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if a.PostgresPID() != 0 || a.RedisPID() != 0 || alive(pgPID) || alive(redisPID) {
		t.Error("a server runs after Stop")
	}
	if _, err := os.Stat(a.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", a.Dir(), err)
	}
}

func TestStart_AbandonedEphemeralStackIsClearedAway(t *testing.T) {
	t.Parallel()
	needServers(t)
	first := start(t, Options{Ephemeral: true})
	abandoned := filepath.Join(filepath.Dir(first.Dir()), "run-abandoned")
	if err := os.MkdirAll(filepath.Join(abandoned, "postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := start(t, Options{Ephemeral: true})
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned directory is still there (%v)", err)
	}
	for _, s := range []*Stack{first, second} {
		if n := query1(t, s.DatabaseURL, "SELECT 1"); n != 1 {
			t.Error("a live stack was cleared away")
		}
	}
}

func TestStart_GivenURLsAreUsedAsTheyAre(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Dir: "unused", DatabaseURL: "postgres://db/x", RedisURL: "redis://r:1/0"})
	if err != nil {
		t.Fatal(err)
	}
	if s.DatabaseURL != "postgres://db/x" || s.RedisURL != "redis://r:1/0" || s.Dir() != "" || s.PostgresPID() != 0 {
		t.Errorf("got %q, %q in %q", s.DatabaseURL, s.RedisURL, s.Dir())
	}
	if err := s.RestartPostgres(t.Context()); err == nil {
		t.Error("restarted a server that is not ours")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestStart_OneGivenURLStartsOnlyTheOther(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := start(t, Options{Ephemeral: true, DatabaseURL: "postgres://db/x"})
	setRedis(t, s.RedisURL, "a", "b")
	if s.DatabaseURL != "postgres://db/x" || s.PostgresPID() != 0 {
		t.Errorf("postgres was started although its URL was given")
	}
}

func TestStart_FailureNamesTheReasonInOneLine(t *testing.T) {
	t.Parallel()
	needServers(t)
	dir := openTempDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.MkdirAll(filepath.Join(other, "postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "postgres", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	handOver(t, other)
	for name, tc := range map[string]struct{ dir, want string }{
		"no directory":       {"", "no directory given"},
		"a file":             {file, "not a directory; move it away"},
		"data of PostgreSQL": {other, "needs PostgreSQL 9; install it, or remove"},
	} {
		s, err := Start(t.Context(), Options{Dir: tc.dir})
		if err == nil {
			_ = s.Stop()
			t.Errorf("%s: started", name)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %q, want it to say %q", name, err, tc.want)
		}
		checkOneLine(t, err)
	}
}

func TestStart_CancelledContextEndsTheStart(t *testing.T) {
	t.Parallel()
	needServers(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Start(ctx, Options{Ephemeral: true, RedisURL: "redis://r:1/0"})
	if err == nil {
		_ = s.Stop()
		t.Fatal("started")
	}
}
