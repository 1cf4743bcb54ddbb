package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// ExecRows runs a statement over rows, a slice of structs. The statement takes them as "GIVEN AS v(id uuid, at timestamptz)", each column from
// the field with that JSON name; with several of those, rows are as many, in their order. They go to the server as one array for each column, so
// that the text never varies with their number and Postgres keeps the plan. In a transaction it waits for company: what waits goes to the
// server in one round trip, together with the query of the next Each or the commit, or ahead of whatever comes next, which is when an error shows.
func (tx *Tx) ExecRows(text string, rows ...any) error {
	s := parseStatement(text)
	args, err := s.args(rows...)
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	if tx.connection != nil {
		tx.connection.add(s.text, args...)
		return nil
	}
	return tx.alone(s.text, func(ctx context.Context) error {
		_, err := tx.pool.Exec(ctx, s.text, args...)
		return err //nolint:wrapcheck // the caller does
	})
}

// Start sends what waits for company to the server and does not wait until it is carried out, so that something can be done meanwhile
// that takes a processor of ours. The next statement waits for it, and the commit; an error shows then. Outside a transaction it does nothing.
func (tx *Tx) Start() {
	if tx.connection != nil {
		tx.connection.start()
	}
}

// Row is one of those that a query gave.
type Row interface{ Scan(into ...any) error }

// Each scans the rows of a query by hand, for queries that are made so often that it shows how gorm finds the field of each column anew for
// each row. In a transaction the query goes to the server together with what waits for company, and scan cannot make another. Values are
// scanned as pgx does it.
func (tx *Tx) Each(scan func(Row) error, text string, args ...any) error {
	if tx.connection != nil {
		return tx.connection.run(scan, waiting{text, args})
	}
	return tx.alone(text, func(ctx context.Context) error {
		rows, err := tx.pool.Query(ctx, text, args...)
		if err != nil {
			return err //nolint:wrapcheck // the caller does
		}
		return scanAll(rows, scan)
	})
}

// alone runs a statement outside a transaction, on another connection if the one it got was closed before it had left.
func (tx *Tx) alone(text string, run func(ctx context.Context) error) error {
	return traced(tx.DB, []waiting{{text: text}}, func(ctx context.Context) error {
		for try := 1; ; try++ {
			err := run(ctx)
			if try == maxTries || ctx.Err() != nil || !pgconn.SafeToRetry(err) {
				return err
			}
		}
	})
}

func scanAll(rows pgx.Rows, scan func(Row) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err() //nolint:wrapcheck // the caller does
}

// traced runs statements that gorm knows nothing of, and tells its log.
func traced(g *gorm.DB, statements []waiting, run func(ctx context.Context) error) error {
	ctx, from := g.Statement.Context, time.Now() //nolint:forbidigo // how long it takes is a matter of the log
	err := run(ctx)
	g.Logger.Trace(ctx, from, func() (string, int64) {
		texts := make([]string, len(statements))
		for i, s := range statements {
			texts[i] = s.text
		}
		return strings.Join(texts, "; "), -1
	}, err)
	return err
}

// connection is that of a transaction, with the statements that wait for company. Round trips, each with a process to wake on
// either side, cost more than most of our statements.
type connection struct {
	conn     *sql.Conn
	gorm     *gorm.DB
	waiting  []waiting  // the first statement of a transaction, which begins it, waits as well
	running  chan error // gets the error of what was started; nil if nothing was
	scanning bool       // whether the rows of a query are
	failed   error
	open     bool // whether a transaction is to be ended
}

// waiting is a statement that waits, with its arguments.
type waiting struct {
	text string
	args []any
}

func begin(g *gorm.DB, conn *sql.Conn) *connection {
	return &connection{conn: conn, gorm: g, waiting: []waiting{{"BEGIN", nil}}}
}

// session returns gorm with every statement behind those that wait.
func (c *connection) session() *gorm.DB {
	s := c.gorm.Session(&gorm.Session{NewDB: true})
	s.Statement = &gorm.Statement{DB: s, ConnPool: c, Context: c.gorm.Statement.Context}
	return s
}

var errScanning = errors.New("a row is being scanned: its query has the connection")

// run runs what waits and then more, in one round trip. The rows of the last statement go to scan, unless it is nil. It says that the context
// has ended, of which the driver makes a bad connection.
func (c *connection) run(scan func(Row) error, more ...waiting) error {
	if c.scanning {
		return errScanning
	}
	if c.settle() == nil {
		c.failed = c.gorm.Statement.Context.Err()
	}
	if c.failed == nil && len(c.waiting)+len(more) > 0 {
		c.scanning = scan != nil
		c.failed = c.send(append(c.take(), more...), scan)
		c.scanning = false
	}
	return c.failed
}

// flush runs what waits.
func (c *connection) flush() error { return c.run(nil) }

// start has what waits run.
func (c *connection) start() {
	if c.settle() != nil || len(c.waiting) == 0 {
		return
	}
	statements := c.take()
	c.running = make(chan error, 1)
	go func() { c.running <- c.send(statements, nil) }()
}

// settle waits for what was started.
func (c *connection) settle() error {
	if c.running != nil {
		c.failed = <-c.running
		c.running = nil
	}
	return c.failed
}

func (c *connection) add(text string, args ...any) {
	c.waiting = append(c.waiting, waiting{text, args})
}

func (c *connection) take() []waiting {
	statements := c.waiting
	c.waiting, c.open = nil, true
	return statements
}

// errRolledBack says that a statement failed and nobody said so.
var errRolledBack = errors.New("commit: the transaction had failed")

// commit runs what waits and ends the transaction.
func (c *connection) commit() error {
	if c.settle() == nil && !c.open && len(c.waiting) == 1 {
		return nil // nothing but its beginning
	}
	err := c.run(nil, waiting{text: commit})
	c.open = err != nil
	return err
}

const commit = "COMMIT"

const rollbackTimeout = 5 * time.Second

// rollback ends a transaction that was not committed. If it cannot, the pool throws the connection away.
func (c *connection) rollback(ctx context.Context) {
	_ = c.settle()
	if c.open {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = c.conn.ExecContext(ctx, "ROLLBACK")
	}
}

// send sends statements in one round trip. The rows of the last one go to scan, unless it is nil.
func (c *connection) send(statements []waiting, scan func(Row) error) error {
	batch := &pgx.Batch{}
	for _, s := range statements {
		queued := batch.Queue(s.text, s.args...)
		if s.text == commit {
			queued.Exec(committed)
		}
	}
	if scan != nil {
		batch.QueuedQueries[len(statements)-1].Query(func(rows pgx.Rows) error { return scanAll(rows, scan) })
	}
	return traced(c.gorm, statements, func(ctx context.Context) error {
		return c.conn.Raw(func(conn any) error {
			return conn.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close() //nolint:forcetypeassert // it is the driver of our pool
		})
	})
}

// committed tells a commit from what Postgres makes of one in a transaction that has failed.
func committed(done pgconn.CommandTag) error {
	if done.String() != commit {
		return errRolledBack
	}
	return nil
}

// AmongThese is the condition that the column has one of the values, with its argument for $1. A single value is compared as it is:
// Postgres keeps the plan of that, whereas one for a list is made anew each time, since the length of the list counts.
func AmongThese[T any](column string, values []T) (condition string, arg any) {
	if len(values) == 1 {
		return column + " = $1", values[0]
	}
	return column + " = ANY($1)", values
}

// ExecContext is for gorm.
func (c *connection) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.conn.ExecContext(ctx, query, args...)
}

// QueryContext is for gorm.
func (c *connection) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.conn.QueryContext(ctx, query, args...)
}

// QueryRowContext is for gorm. It cannot say that what waited has failed; the transaction has failed with it, and says so.
func (c *connection) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if c.flush() != nil { // it might run without a transaction
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	return c.conn.QueryRowContext(ctx, query, args...)
}

// PrepareContext is for gorm.
func (c *connection) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.conn.PrepareContext(ctx, query)
}
