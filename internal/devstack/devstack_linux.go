package devstack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"syscall"
)

// procAttr puts a child into its own process group and has the kernel signal it when the thread that started it
// ends, that is when we die in whatever way.
func procAttr(deathSignal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal}
}

// commandLine returns how a process was called; empty for a zombie or a process that is gone.
func commandLine(_ context.Context, pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte{' '}))
}
