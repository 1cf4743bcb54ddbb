package logging

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Keys of the ids that a context carries into every line.
const (
	RequestID = "request_id"
	TaskID    = "task_id"
)

// Options configure New.
type Options struct {
	// JSON writes one object per line instead of key=value text.
	JSON bool
	// Level is the least level that is written.
	Level slog.Leveler
}

// New returns a logger that writes to w. Times are UTC.
func New(w io.Writer, o Options) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.Level}
	if o.JSON {
		return slog.New(NewHandler(slog.NewJSONHandler(w, opts)))
	}
	return slog.New(NewHandler(slog.NewTextHandler(w, opts)))
}

type contextKey struct{}

// With returns a context whose log lines carry key and value; it replaces an earlier value of the key. The context is for
// logs only, so nothing but ids belongs here.
func With(ctx context.Context, key, value string) context.Context {
	attrs := slices.DeleteFunc(slices.Clone(carried(ctx)), func(a slog.Attr) bool { return a.Key == key })
	return context.WithValue(ctx, contextKey{}, append(attrs, slog.String(key, value)))
}

// Value returns what With left under key, or "".
func Value(ctx context.Context, key string) string {
	for _, a := range carried(ctx) {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

func carried(ctx context.Context) []slog.Attr {
	if ctx == nil {
		return nil
	}
	attrs, _ := ctx.Value(contextKey{}).([]slog.Attr)
	return attrs
}

// handler adds the ids of the context at the top level and redacts everything that passes.
type handler struct {
	// next has every attribute and group of the logger. top has those before the first group, and inside leads from
	// there to next: a line with ids takes the long way, so that they stay outside the groups.
	next, top slog.Handler
	inside    []func(slog.Handler) slog.Handler
}

// NewHandler wraps h.
func NewHandler(h slog.Handler) slog.Handler { return &handler{next: h, top: h} }

// Enabled asks the wrapped handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle writes the record with the ids of ctx.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time.UTC().Truncate(time.Microsecond), r.Level, redact(r.Message), r.PC)
	ids := redactAll(carried(ctx))
	next := h.next
	attrs := make([]slog.Attr, 0, len(ids)+r.NumAttrs())
	if len(h.inside) == 0 {
		attrs = append(attrs, ids...)
	} else if len(ids) > 0 {
		next = h.top.WithAttrs(ids)
		for _, step := range h.inside {
			next = step(next)
		}
	}
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, redactAttr(a))
		return true
	})
	clean.AddAttrs(attrs...)
	return next.Handle(ctx, clean)
}

// WithAttrs redacts the attributes once, here.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := redactAll(attrs)
	return h.step(func(n slog.Handler) slog.Handler { return n.WithAttrs(clean) }, false)
}

// WithGroup opens a group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.step(func(n slog.Handler) slog.Handler { return n.WithGroup(name) }, true)
}

func (h *handler) step(f func(slog.Handler) slog.Handler, group bool) slog.Handler {
	c := &handler{next: f(h.next), top: h.top, inside: h.inside}
	if group || len(h.inside) > 0 {
		c.inside = append(slices.Clip(h.inside), f)
	} else {
		c.top = c.next
	}
	return c
}
