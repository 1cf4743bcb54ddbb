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

// memoryFolder is a folder whose files are in memory and have room for the servers of several test binaries; empty if there is none.
func memoryFolder() string {
	const (
		folder = "/dev/shm"
		tmpfs  = 0x01021994 // statfs(2)
		room   = 4 << 30
	)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil || fs.Type != tmpfs || fs.Bavail*uint64(fs.Bsize) < room { //nolint:gosec // sizes are positive
		return ""
	}
	return folder
}

// commandLine returns how a process was called; empty for a zombie or a process that is gone.
func commandLine(_ context.Context, pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte{' '}))
}
