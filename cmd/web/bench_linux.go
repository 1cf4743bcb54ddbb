package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent ends a child whose parent is killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// logPipe is a pipe for what a child logs. Its end for reading is none that the runtime polls, which would wake this process for each line.
func logPipe() (reader, writer *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, logRoom) // with less of it a child waits now and then
	return os.NewFile(uintptr(ends[0]), "log"), os.NewFile(uintptr(ends[1]), "log"), nil
}
