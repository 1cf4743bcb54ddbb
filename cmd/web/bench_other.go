//go:build !linux

package main

import (
	"os"
	"syscall"
)

// endWithParent is for Linux alone: elsewhere children of a benchmark that is killed have to be ended by hand.
func endWithParent() *syscall.SysProcAttr { return nil }

// logPipe is a pipe for what a child logs.
func logPipe() (reader, writer *os.File, err error) { return os.Pipe() }
