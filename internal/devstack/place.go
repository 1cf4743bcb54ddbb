package devstack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketDir is how long the path of a directory may be, in bytes, for a socket in it named .s.PGSQL.5432: socket
// paths end at 107 bytes on Linux and at 103 on macOS.
const maxSocketDir = 103 - len("/.s.PGSQL.5432")

// account is the user that the servers run as.
type account struct {
	uid, gid uint32
	switched bool // true when we are root and the servers are not
}

// place is the directory of one stack and the account that owns it.
type place struct {
	dir  string // absolute; mode 0700, owned by acct
	acct account
}

// serverAccount is us, or the postgres user when we are root, since PostgreSQL refuses to run as root.
func serverAccount() (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uint32(uid), gid: uint32(os.Getegid())}, nil //nolint:gosec // ids of a unix system fit
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return account{}, errors.New("PostgreSQL does not run as root and there is no user postgres to run it as; run scripts/bootstrap")
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user postgres: %w", err)
	}
	return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
}

// openLasting finds, makes and locks the place of a stack that stays on disk.
func openLasting(dir string) (place, *os.File, error) {
	p, err := lastingPlace(dir)
	if err != nil {
		return place{}, nil, err
	}
	if err := p.ensure(); err != nil {
		return place{}, nil, err
	}
	lock, err := p.lock()
	if err != nil {
		return place{}, nil, err
	}
	return p, lock, nil
}

// lastingPlace chooses dir itself, or its stand-in under the temporary folder when the servers could not work there.
func lastingPlace(dir string) (place, error) {
	acct, err := serverAccount()
	if err != nil {
		return place{}, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return place{}, fmt.Errorf("data directory %s: %w", dir, err)
	}
	abs = resolve(abs)
	if len(abs) <= maxSocketDir && acct.reaches(filepath.Dir(abs)) {
		// What an ordinary user made, root goes on using as that user, and so leaves it usable to both.
		if uid, gid, ok := owner(abs); ok && acct.switched && uid != 0 {
			acct.uid, acct.gid = uid, gid
		}
		return place{dir: abs, acct: acct}, nil
	}
	sum := sha256.Sum256([]byte(abs))
	name := fmt.Sprintf("kaylehooks-%d-%s", os.Geteuid(), hex.EncodeToString(sum[:6]))
	tmp, err := tempFolder(acct, name)
	if err != nil {
		return place{}, err
	}
	return place{dir: filepath.Join(tmp, name), acct: acct}, nil
}

// tempFolder is a temporary folder that acct reaches and in which a directory called name is short enough.
func tempFolder(acct account, name string) (string, error) {
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		if tmp = resolve(tmp); len(tmp)+1+len(name) <= maxSocketDir && acct.reaches(tmp) {
			return tmp, nil
		}
	}
	return "", fmt.Errorf("the temporary folder %s is too long a path or closed to the servers; set TMPDIR to another", os.TempDir())
}

// ensure creates the directory and whatever lacks above it, and checks that it belongs to the servers' account.
func (p place) ensure() error {
	if err := makeParents(filepath.Dir(p.dir)); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	switch err := os.Mkdir(p.dir, 0o700); {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return fmt.Errorf("make data directory: %w", err)
	case p.acct.switched:
		if err := os.Chown(p.dir, int(p.acct.uid), int(p.acct.gid)); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	if info, err := os.Lstat(p.dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a directory; move it away", p.dir)
	}
	if uid, _, ok := owner(p.dir); !ok || uid != p.acct.uid {
		return fmt.Errorf("%s belongs to another user (id %d), as after a run as root; remove it to start afresh (sudo rm -r)", p.dir, uid)
	}
	return nil
}

// lock takes the place for this process. The kernel gives it back when the process ends, however it ends.
func (p place) lock() (*os.File, error) {
	path := filepath.Join(p.dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := readPID(path)
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use by process %d; stop that one first, or set DATABASE_URL and REDIS_URL", p.dir, pid)
	}
	if err := f.Truncate(0); err == nil {
		// Only for the message above; the lock holds without it.
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// makeParents is MkdirAll whose new directories can be entered by everybody whatever the umask, so that the postgres
// user gets through to its own.
func makeParents(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // it only leads to the closed one
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // see above
}

// reaches tells whether the account may enter dir, or the part of it that exists, by owner, group and mode alone.
func (a account) reaches(dir string) bool {
	if !a.switched {
		return true // our own directory; if not, creating it will say so
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch uid, gid, ok := owner(dir); {
		case errors.Is(err, os.ErrNotExist):
		case err != nil || !ok:
			return false
		default:
			bit := os.FileMode(0o001)
			if uid == a.uid {
				bit = 0o100
			} else if gid == a.gid {
				bit = 0o010
			}
			if info.Mode()&bit == 0 {
				return false
			}
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// resolve follows the symbolic links of the part of an absolute path that exists.
func resolve(path string) string {
	rest := ""
	for dir := path; ; dir = filepath.Dir(dir) {
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(target, rest)
		}
		if dir == filepath.Dir(dir) {
			return path
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// owner returns who owns path.
func owner(path string) (uid, gid uint32, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}
