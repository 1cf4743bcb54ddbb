package main

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is by how many nanoseconds the kernel may be late to end a sleep; its default is 50,000. Go's timers wait in whole
// milliseconds, but its monitor thread sleeps for 20 µs at a time while there is something to do, and each waking takes a processor. Other
// sleeps of the runtime that are as short are rare.
const timerSlack = 500_000

// relaxTimers gives all threads of this process timerSlack. A thread has that of the thread that made it, and the monitor is made before
// main, so the program starts anew, once. Where that cannot be, it goes on as it is.
func relaxTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || slack >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0) != nil {
		return
	}
	slack, err = unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || slack < timerSlack { // a thread of a real-time class has none, whatever it asks for
		return
	}
	_ = syscall.Exec(program, os.Args, os.Environ()) //nolint:gosec // this program itself, as it was started
}
