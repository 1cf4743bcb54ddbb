package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kaylehooks/internal/fixture"
)

// Web server and worker start anew for their timers, other commands do not. Who starts anew does so by the program's own name instead of the
// one it was called by, which tells.
func TestServers_RelaxTheirTimers(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()                                                      // and never unlocked: the thread ends with the test
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 50_000, 0, 0, 0); err != nil { // the default, whatever that of the tests is
		t.Fatal(err)
	}
	i := install(t)
	called := filepath.Join(t.TempDir(), "called")
	if err := os.Symlink(binary, called); err != nil {
		t.Fatal(err)
	}
	key, _ := i.keyPair("k1")
	for _, c := range []struct {
		ready, want string
		args        []string
	}{
		{`"msg":"serving"`, "web", []string{"serve"}},
		{`"msg":"working"`, "web", []string{"worker"}},
		{"listening on", "called", []string{"listen", "--addr", "127.0.0.1:0", "--secret", "whsec_" + strings.Repeat("x", 32), "--key", "k1=" + key}},
	} {
		cmd := exec.CommandContext(t.Context(), called, c.args...)
		cmd.Env = i.env
		fixture.NewProcess(t, cmd).Background().WaitFor(c.ready)
		name, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/comm")
		if got := strings.TrimSpace(string(name)); err != nil || got != c.want {
			t.Errorf("%v runs as %q, want %q (%v)", c.args, got, c.want, err)
		}
	}
}
