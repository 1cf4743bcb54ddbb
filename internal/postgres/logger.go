package postgres

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const slowQuery = 500 * time.Millisecond

// queryLogger reports slow statements by their text with placeholders; a value never reaches the log.
type queryLogger struct{ log *slog.Logger }

func newLogger(l *slog.Logger) logger.Interface {
	if l == nil {
		return logger.Discard
	}
	return queryLogger{l}
}

func (q queryLogger) LogMode(logger.LogLevel) logger.Interface      { return q }
func (q queryLogger) Info(context.Context, string, ...interface{})  {}
func (q queryLogger) Warn(context.Context, string, ...interface{})  {}
func (q queryLogger) Error(context.Context, string, ...interface{}) {}

func (q queryLogger) Trace(ctx context.Context, begin time.Time, text func() (string, int64), err error) {
	took := time.Since(begin)
	if took < slowQuery || errors.Is(err, gorm.ErrRecordNotFound) {
		return
	}
	statement, rows := text()
	q.log.WarnContext(ctx, "slow query", "sql", masked(statement), "rows", rows, "duration_ms", took.Milliseconds())
}

// ParamsFilter keeps values out of the statements that GORM prints. Raw(…).Scan(…) does not ask for it, hence masked.
func (q queryLogger) ParamsFilter(_ context.Context, statement string, _ ...interface{}) (string, []interface{}) {
	return statement, nil
}

const maxStatement = 2000

var literal = regexp.MustCompile(`'(?:[^']|\'\')*'?`)

// masked replaces every text literal, whole or cut off, and bounds the length.
func masked(statement string) string {
	statement = literal.ReplaceAllString(statement, "'…'")
	if len(statement) > maxStatement {
		statement = statement[:maxStatement] + "…"
	}
	return statement
}
