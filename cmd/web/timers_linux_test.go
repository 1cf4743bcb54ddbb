package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// The program starts anew once, with its arguments and surroundings, and then all of its threads have the slack.
func TestRelaxTimers(t *testing.T) {
	const started = "KAYLEHOOKS_TEST_STARTED"
	const defaultSlack = 50_000 // whatever that of the tests is
	if _, child := os.LookupEnv(started); child {
		if err := os.Setenv(started, os.Getenv(started)+"x"); err != nil {
			t.Fatal(err)
		}
		relaxTimers()
		if got := os.Getenv(started); got != "xx" {
			t.Errorf("started %d times, want 2", len(got))
		}
		var threads sync.WaitGroup
		for range 10 {
			threads.Go(func() {
				runtime.LockOSThread() // and never unlocked, so that each has a thread of its own
				if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || slack != timerSlack {
					t.Errorf("a thread has %d ns, want %d (%v)", slack, timerSlack, err)
				}
			})
		}
		threads.Wait()
		return
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, defaultSlack, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRelaxTimers$", "-test.v")
	cmd.Env = append(os.Environ(), started+"=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestRelaxTimers") {
		t.Errorf("%v\n%s", err, out)
	}
}
