//go:build !linux

package devstack

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// procAttr puts a child into its own process group. There is no parent-death signal here: children of a killed
// process stay until the next Start ends them.
func procAttr(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// memoryFolder is empty: there is no folder in memory that is always there.
func memoryFolder() string { return "" }

// commandLine returns how a process was called; empty for a zombie or a process that is gone.
func commandLine(ctx context.Context, pid int) string {
	//nolint:gosec // the only variable part is a number
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil || strings.Contains(string(out), "<defunct>") {
		return ""
	}
	return strings.TrimSpace(string(out))
}
