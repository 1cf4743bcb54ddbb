package devstack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Ephemeral stacks live together in one folder in memory, or of the temporary directory:
//
//	kaylehooks-test-<uid>/lock             held while something is made or cleared away
//	kaylehooks-test-<uid>/pgdata-<hash>    a data directory fresh from initdb, copied by every stack
//	kaylehooks-test-<uid>/run-<random>     one stack; its lock file is held by its owner as long as that lives

// openEphemeral makes and locks a new place. Places that a killed process left behind are cleared away on the way.
// pg is nil when no PostgreSQL will run there.
func openEphemeral(ctx context.Context, pg *postgresServer) (place, *os.File, error) {
	acct, err := serverAccount()
	if err != nil {
		return place{}, nil, err
	}
	name := fmt.Sprintf("kaylehooks-test-%d", os.Geteuid())
	tmp, err := ephemeralFolder(acct, name+"/run-1234567890")
	if err != nil {
		return place{}, nil, err
	}
	base := filepath.Join(tmp, name)
	if err := ensureOwn(base); err != nil {
		return place{}, nil, err
	}
	unlock, err := lockWait(filepath.Join(base, "lock"))
	if err != nil {
		return place{}, nil, err
	}
	defer unlock()

	clearAbandoned(ctx, base)
	if pg != nil {
		if pg.blank, err = pg.ensureBlank(ctx, base, acct); err != nil {
			return place{}, nil, err
		}
	}
	dir, err := os.MkdirTemp(base, "run-")
	if err != nil {
		return place{}, nil, fmt.Errorf("make test directory: %w", err)
	}
	p := place{dir: dir, acct: acct}
	if err := os.Chown(dir, int(acct.uid), int(acct.gid)); err != nil {
		return place{}, nil, fmt.Errorf("make test directory: %w", err)
	}
	lock, err := p.lock()
	if err != nil {
		return place{}, nil, err
	}
	return p, lock, nil
}

// ephemeralFolder is tempFolder, or a folder in memory where there is room, unless TMPDIR chooses. Tests copy and remove databases, a
// thousand files each, all the time, and ext4 searches long for an inode among those that were freed just now.
func ephemeralFolder(acct account, name string) (string, error) {
	if memory := memoryFolder(); memory != "" && os.Getenv("TMPDIR") == "" && acct.reaches(memory) {
		return memory, nil
	}
	return tempFolder(acct, name)
}

// ensureOwn makes a directory that is ours alone; others may pass through it to what they own.
func ensureOwn(dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // the postgres user passes through
		return fmt.Errorf("make test directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a directory; remove it", dir)
	}
	if uid, _, ok := owner(dir); !ok || int(uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user; remove it", dir)
	}
	return os.Chmod(dir, 0o711) //nolint:gosec // whatever the umask was
}

// lockWait takes a lock, waiting for whoever has it, and returns what gives it back.
func lockWait(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("take lock: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// removeEphemeral removes the directory of a stack that has stopped.
func removeEphemeral(dir string) error {
	// Whoever looks for abandoned stacks meanwhile would take this one for one and get in the way.
	unlock, err := lockWait(filepath.Join(filepath.Dir(dir), "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove test directory: %w", err)
	}
	return nil
}

// clearAbandoned removes the stacks whose owner is gone. It is best effort: what it cannot remove, the next one may.
func clearAbandoned(ctx context.Context, base string) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	dirs, _ := filepath.Glob(filepath.Join(base, "run-*"))
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			p := place{dir: dir}
			if p.endPostgres(ctx, syscall.SIGQUIT) == nil && p.endRedis(ctx, syscall.SIGKILL) == nil {
				_ = os.RemoveAll(dir)
			}
		}
		_ = f.Close()
	}
}

// ensureBlank returns a data directory fresh from initdb, made once per installed PostgreSQL. The caller holds the lock
// of base.
func (s *postgresServer) ensureBlank(ctx context.Context, base string, acct account) (string, error) {
	version, err := s.version(ctx)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(strings.Join(append(s.initArgs(true), version, fmt.Sprint(acct.uid)), "\n")))
	blank := filepath.Join(base, "pgdata-"+hex.EncodeToString(key[:6]))
	if _, err := os.Stat(filepath.Join(blank, "PG_VERSION")); err == nil {
		return blank, nil
	}
	return blank, s.initdb(ctx, blank, acct, true)
}

// copyTree copies a directory of plain files, as a data directory without tablespaces is, for acct.
func copyTree(from, to string, acct account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if err != nil || !acct.switched {
			return err
		}
		return os.Chown(target, int(acct.uid), int(acct.gid))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
