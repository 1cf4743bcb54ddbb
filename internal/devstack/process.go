package devstack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute           // crash recovery of a large data directory included
	pollEvery    = 3 * time.Millisecond  // how often a starting server is asked whether it is ready
	stopGrace    = 10 * time.Second      // how long a polite signal may take before the next, ruder one
	maxLogFile   = 8 << 20               // bytes; a longer log file is started afresh
	dialTimeout  = time.Second           // one readiness probe
	reapGrace    = 5 * time.Second       // how long a dead process may stay a zombie before its pid file is ignored
	settleTime   = 5 * time.Second       // how long remains of a killed server may still be in a new one's way
	settleEvery  = 50 * time.Millisecond // between two tries in that time
)

// child is a server process that ends with us. The zero of *child is "not running".
type child struct {
	cmd      *exec.Cmd
	stopping atomic.Bool
	done     chan struct{} // closed once the process has been reaped
}

// startChild starts cmd and watches it. Output goes to logPath.
func startChild(name string, cmd *exec.Cmd, logPath string, log *slog.Logger) (*child, error) {
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer logFile.Close() // the process has its own copy by then
	cmd.Stdout, cmd.Stderr = logFile, logFile

	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// On Linux the parent-death signal fires when the *thread* that started the child ends, so this goroutine
		// keeps a thread to itself for the child's whole life and never gives it back.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		waitErr := cmd.Wait()
		if !c.stopping.Load() {
			log.Error("child process ended unasked", "process", name, "log_file", logPath, "error", waitErr)
		}
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// pid is 0 when the process is not running.
func (c *child) pid() int {
	if c == nil || c.ended() {
		return 0
	}
	return c.cmd.Process.Pid
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// stop sends the signals one after the other, each after the grace of the one before has passed, then kills. It
// returns when the process is gone.
func (c *child) stop(signals ...os.Signal) {
	if c == nil {
		return
	}
	c.stopping.Store(true)
	for _, sig := range append(signals, os.Kill) {
		// An error means that the process has ended already, which done tells as well.
		_ = c.cmd.Process.Signal(sig)
		select {
		case <-c.done:
			return
		case <-time.After(stopGrace):
		}
	}
	<-c.done
}

// awaitReady asks probe until it succeeds. It fails when the process ends or ctx does.
func (c *child) awaitReady(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not ready in time (last answer: %w)", err)
		case <-tick.C:
		}
	}
}

// errEnded says that a server ended before it was ready; its log tells why.
var errEnded = errors.New("ended at once")

// command builds a command that runs as acct, in a group of its own so that a Ctrl-C reaches only us.
func command(ctx context.Context, acct account, deathSignal syscall.Signal, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/" // the working directory may be one that acct cannot enter
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = procAttr(deathSignal)
	if acct.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: acct.uid, Gid: acct.gid}
	}
	return cmd
}

// endLeftover makes sure that no server of an earlier run still uses dir. pidFile holds the process id on its first
// line; belongs is found in the command line of a process that is really the one meant, as ids are reused.
func endLeftover(ctx context.Context, pidFile, belongs string, signals ...syscall.Signal) error {
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	if pid == 0 {
		return nil
	}
	began, sent := time.Now(), 0
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for alive(pid) {
		cmdline := commandLine(ctx, pid)
		switch waited := time.Since(began); {
		case cmdline == "" && waited < reapGrace:
			// A zombie that its parent has not collected yet: servers take it for a live rival, so wait.
		case cmdline == "" || !strings.Contains(cmdline, belongs):
			// Somebody else got the number. The server would refuse to start because of it.
			return os.Remove(pidFile)
		case sent < len(signals) && waited >= time.Duration(sent)*stopGrace:
			if err := syscall.Kill(pid, signals[sent]); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d of an earlier run still uses the data and cannot be stopped: %w", pid, err)
			}
			sent++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d of an earlier run still uses the data; stop it first", pid)
		case <-tick.C:
		}
	}
	return nil
}

// readPID returns the number on the first line of a file, 0 when there is no such file or number.
func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read process id: %w", err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0, nil //nolint:nilerr // an empty or torn file names no process
	}
	return pid, nil
}

// alive tells whether a process with this id exists, zombies included.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// logSize empties a log that has grown long and returns where the next output will begin.
func logSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if info.Size() > maxLogFile && os.Truncate(path, 0) == nil {
		return 0
	}
	return info.Size()
}

// complaint finds the line of a server's log, from offset on, that says why it gave up: the first one marked as
// fatal, or else the last one.
func complaint(path string, offset int64, marks ...string) string {
	f, err := os.Open(path)
	if err != nil {
		return "no log"
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return "no log"
	}
	last := "no output"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := string(bytes.TrimSpace(lines.Bytes()))
		for _, mark := range marks {
			if i := strings.Index(line, mark); i >= 0 {
				return strings.TrimSpace(line[i+len(mark):])
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}
