package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"kaylehooks/internal/id"
)

// Options configure a pool.
type Options struct {
	// URL is a postgres:// connection string.
	URL string
	// MaxConns bounds the pool; 0 means 10.
	MaxConns int
	// Name is shown in pg_stat_activity.
	Name string
	// Now is the clock; nil means the system clock.
	Now func() time.Time
	// Log receives slow queries and SQL errors, with placeholders instead of values; nil discards them.
	Log *slog.Logger
}

// DB is a pool with a clock.
type DB struct {
	gorm *gorm.DB
	sql  *sql.DB
	pool *pgxpool.Pool
	now  func() time.Time
}

// Tx is one transaction, or the plain pool for reads that need none (see DB.Reader). Now is read once, in UTC with
// microseconds, and is the only clock of everything done through the Tx.
type Tx struct {
	*gorm.DB
	Now time.Time

	afterCommit []func()
	connection  *connection   // of a transaction
	pool        *pgxpool.Pool // outside one
	uuids       int
}

const (
	statementTimeout = "30000"
	lockTimeout      = "10000"
	idleInTxTimeout  = "30000"
	maxTries         = 4
)

// Open connects lazily; use Ping to learn whether the database answers.
func Open(ctx context.Context, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("parse DATABASE_URL: %w", errors.New("not a postgres connection string"))
	}
	cfg.MaxConns = 10
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(min(o.MaxConns, 1000))
	}
	cfg.MaxConnLifetime = 30 * time.Minute
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	params := cfg.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	params["application_name"] = "kaylehooks " + o.Name
	params["statement_timeout"] = statementTimeout
	params["lock_timeout"] = lockTimeout
	params["idle_in_transaction_session_timeout"] = idleInTxTimeout
	// Plans of prepared statements are kept by a connection. One that was made while a table was nearly empty, or by statistics from
	// before a backlog, would read all of the table or of an index for as long as nothing analyzes it. Every statement of ours has an
	// index for each table it touches, so that going row by row is right whatever the statistics say. A plan that these settings
	// make look dear must not be compiled on top.
	for _, detour := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		params[detour] = "off"
	}
	params["max_parallel_workers_per_gather"] = "0" // each reads ahead of what a limit would have been content with
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	sqlDB := stdlib.OpenDBFromPool(pool)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: sqlDB}), &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		Logger:                 newLogger(o.Log),
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open gorm: %w", err)
	}
	now := o.Now
	if now == nil {
		now = time.Now //nolint:forbidigo // the one place where the system clock enters
	}
	return &DB{gorm: g, sql: sqlDB, pool: pool, now: now}, nil
}

// Close ends every connection.
func (db *DB) Close() {
	_ = db.sql.Close()
	db.pool.Close()
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

// Now reads the clock: UTC, cut to the microseconds that Postgres keeps.
func (db *DB) Now() time.Time { return db.now().UTC().Truncate(time.Microsecond) }

// ServerSkew returns how far our clock is ahead of the database server's, give or take the round trip.
func (db *DB) ServerSkew(ctx context.Context) (time.Duration, error) {
	before := db.Now()
	var server time.Time
	if err := db.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&server); err != nil {
		return 0, fmt.Errorf("read the database clock: %w", err)
	}
	trip := db.Now().Sub(before)
	return before.Add(trip / 2).Sub(server), nil
}

// Stats returns the pool's open and busy connections.
func (db *DB) Stats() (open, busy int32) {
	s := db.pool.Stat()
	return s.TotalConns(), s.AcquiredConns()
}

// Reader returns a Tx outside any transaction, for single-statement reads.
func (db *DB) Reader(ctx context.Context) *Tx { return db.ReaderAt(ctx, db.Now()) }

// ReaderAt is Reader for who has read the clock already.
func (db *DB) ReaderAt(ctx context.Context, now time.Time) *Tx {
	return &Tx{DB: db.gorm.WithContext(ctx), Now: now, pool: db.pool}
}

// InTx runs f in one transaction and then the functions f left with AfterCommit. A deadlock, a serialization failure or a connection that
// turns out to be closed before a statement has left has it tried again, so f must have no effect outside the transaction other than through
// AfterCommit.
func (db *DB) InTx(ctx context.Context, f func(tx *Tx) error) error {
	for try := 1; ; try++ {
		tx, err := db.inTx(ctx, f)
		if err == nil {
			for _, f := range tx.afterCommit {
				f()
			}
			return nil
		}
		if try == maxTries || ctx.Err() != nil || !isTransient(err) {
			return err
		}
	}
}

func (db *DB) inTx(ctx context.Context, f func(tx *Tx) error) (*Tx, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	defer func() { _ = conn.Close() }()
	c := begin(db.gorm.WithContext(ctx), conn)
	defer c.rollback(ctx)
	tx := &Tx{DB: c.session(), Now: db.Now(), connection: c}
	if err := f(tx); err != nil {
		return nil, err
	}
	if each, _ := ctx.Value(eachKey{}).(func(*Tx) error); each != nil {
		if err := each(tx); err != nil {
			return nil, err
		}
	}
	return tx, c.commit()
}

type eachKey struct{}

// WithEach returns a context in which f is the last thing that every transaction does: what f writes is there if and only if the rest is.
// A nil f takes that back.
func WithEach(ctx context.Context, f func(tx *Tx) error) context.Context {
	return context.WithValue(ctx, eachKey{}, f)
}

// AfterCommit runs f once the transaction has committed; a rollback drops it.
func (tx *Tx) AfterCommit(f func()) { tx.afterCommit = append(tx.afterCommit, f) }

// uuidStep is the resolution of a UUIDv7's fraction of a millisecond, rounded up.
const uuidStep = 250 * time.Nanosecond

// NewUUID returns a fresh UUIDv7 for the transaction's clock. Those of one transaction sort in the order they were made,
// so that rows of the same moment, such as audit entries, are listed in the order they happened.
func (tx *Tx) NewUUID() uuid.UUID {
	tx.uuids++
	return id.NewUUID(tx.Now.Add(time.Duration(tx.uuids) * uuidStep))
}

// Lock classes for advisory locks. The organization class guards the endpoints of an organization: publishing and
// recording share it, changing an endpoint or a key takes it alone (contract section 4.2 step 3).
const (
	lockOrganization = 1
	lockNamed        = 2
)

func advisoryKey(class byte, u uuid.UUID) int64 {
	h := 14695981039346656037 ^ uint64(class) // FNV-1a; a collision only makes two organizations wait for each other
	for _, b := range u {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return int64(h) //nolint:gosec // any bit pattern is a valid lock key
}

// ShareOrganizations blocks changes to the endpoints and keys of the organizations, from the next statement of the transaction until its
// end, without blocking other holders. Keys are taken in ascending order, so that two callers can never wait for each other. Inside a
// transaction only.
func (tx *Tx) ShareOrganizations(orgs ...id.Organization) {
	keys := make([]int64, len(orgs))
	for i, o := range orgs {
		keys[i] = advisoryKey(lockOrganization, o.UUID)
	}
	tx.connection.add("SELECT pg_advisory_xact_lock_shared(k) FROM (SELECT DISTINCT k FROM UNNEST($1::bigint[]) AS k ORDER BY k) AS keys", keys)
}

// LockOrganization waits for every holder of the organization's endpoints and keeps others out until the transaction ends.
func (tx *Tx) LockOrganization(org id.Organization) error {
	return tx.Exec("SELECT pg_advisory_xact_lock($1)", advisoryKey(lockOrganization, org.UUID)).Error
}

// WithoutSort runs statements that are to read an index in its order, whatever the statistics say of sorting instead. Inside a
// transaction only.
func (tx *Tx) WithoutSort(statements func() error) error {
	if err := tx.Exec("SET LOCAL enable_sort = off").Error; err != nil {
		return err
	}
	if err := statements(); err != nil {
		return err
	}
	return tx.Exec("SET LOCAL enable_sort = on").Error
}

// TryLock takes the named lock for the transaction and reports whether it was free. It keeps a periodic job from
// running in two processes at once.
func (tx *Tx) TryLock(name string) (bool, error) {
	var ok bool
	err := tx.Raw("SELECT pg_try_advisory_xact_lock($1)", advisoryKey(lockNamed, uuid.NewSHA1(uuid.Nil, []byte(name)))).Scan(&ok).Error
	return ok, err
}

// Migrator runs goose migrations from files under a session lock, so that two releases cannot migrate at once, and as long as they take.
func (db *DB) Migrator(files fs.FS) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("create migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db.sql, files, goose.WithSessionLocker(unhurried{locker}))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// unhurried lets what is done under the lock take its time: an index of a large table takes minutes, and waits for whoever wrote to the
// table before.
type unhurried struct{ lock.SessionLocker }

// SessionLock implements lock.SessionLocker.
func (u unhurried) SessionLock(ctx context.Context, conn *sql.Conn) error {
	const lockTimeout = "60s" // longer than any statement of ours that may be in the way
	if _, err := conn.ExecContext(ctx, "SET statement_timeout = 0; SET lock_timeout = '"+lockTimeout+"'"); err != nil {
		return fmt.Errorf("prepare to migrate: %w", err)
	}
	return u.SessionLocker.SessionLock(ctx, conn)
}

// SessionUnlock implements lock.SessionLocker.
func (u unhurried) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "RESET statement_timeout; RESET lock_timeout")
	return errors.Join(err, u.SessionLocker.SessionUnlock(ctx, conn))
}

// IsUnique reports whether err is a violation of the named unique constraint or index.
func IsUnique(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" && pg.ConstraintName == constraint
}

// IsDangling reports whether err is the refusal of a row that refers to one that is gone.
func IsDangling(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23503"
}

// IsUnavailable reports whether err means that the database could not be reached or is going down, as opposed to a
// statement it refused.
func IsUnavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code[:2] == "57" || pg.Code[:2] == "08" || pg.Code == "53300"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// IsDivisionByZero reports whether a statement gave itself up: the way of those that are all or nothing.
func IsDivisionByZero(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "22012"
}

func isTransient(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001") || pgconn.SafeToRetry(err)
}
