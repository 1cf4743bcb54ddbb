package logging

import (
	"log/slog"
	"runtime"
)

// Panic describes a recovered panic for a log line: its stack, and its cause if that is an error of the Go runtime. The value
// of any other panic may hold anything, and is left out.
func Panic(value any) []slog.Attr {
	const most = 8 << 10
	trace := make([]byte, most)
	trace = trace[:runtime.Stack(trace, false)]
	cause := "panic"
	if known, ok := value.(runtime.Error); ok {
		cause = known.Error()
	}
	return []slog.Attr{slog.String("cause", cause), slog.String("stack", string(trace))}
}
