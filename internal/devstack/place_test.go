package devstack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLastingPlace_UnreachableOrTooLongGoesToTheTemporaryFolder(t *testing.T) {
	t.Parallel()
	needServers(t)
	open := openTempDir(t)
	closed := filepath.Join(open, "home")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(open, strings.Repeat("x", maxSocketDir))
	near := filepath.Join(open, "clone", ".data", "dev")
	wantMoved := map[string]bool{near: false, long: true, filepath.Join(closed, "clone", ".data", "dev"): os.Geteuid() == 0}
	seen := map[string]bool{}
	for dir, want := range wantMoved {
		p, err := lastingPlace(dir)
		if err != nil {
			t.Fatal(err)
		}
		if moved := p.dir != resolve(dir); moved != want {
			t.Errorf("%s: stack would be in %s", dir, p.dir)
		}
		if len(p.dir) > maxSocketDir {
			t.Errorf("%s: %s is too long for a socket", dir, p.dir)
		}
		if seen[p.dir] {
			t.Errorf("%s: %s is taken by another project", dir, p.dir)
		}
		seen[p.dir] = true
		again, err := lastingPlace(dir)
		if err != nil || again != p {
			t.Errorf("%s: second look gives %v, %v", dir, again, err)
		}
	}
}

func TestEphemeralFolder_IsInMemoryUnlessTMPDIRChooses(t *testing.T) {
	needServers(t)
	acct, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	chosen := openTempDir(t)
	otherwise := memoryFolder()
	if otherwise == "" {
		otherwise = "/tmp"
	}
	for set, want := range map[string]string{chosen: resolve(chosen), "": resolve(otherwise)} {
		t.Setenv("TMPDIR", set)
		if got, err := ephemeralFolder(acct, "x"); got != want || err != nil {
			t.Errorf("TMPDIR=%s: %s, %v, want %s", set, got, err, want)
		}
	}
}

func TestEnsure_DirectoryOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openTempDir(t), "dev")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := place{dir: dir, acct: account{uid: uint32(os.Geteuid()) + 1}}
	err := other.ensure()
	if err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("got %v", err)
	}
}

func TestMajorIn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 15,
		"/usr/lib/postgresql/9/bin":                            9,
		"16\n":                                                 16,
		"17":                                                   17,
		"none":                                                 0,
		"":                                                     0,
	} {
		if got := majorIn(text); got != want {
			t.Errorf("majorIn(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestComplaint_NamesTheFatalLineOfThisRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	before := "2026-01-01 FATAL:  an old one\n"
	now := "2026-01-02 LOG:  starting\n2026-01-02 FATAL:  the cause\n2026-01-02 LOG:  shut down\n"
	if err := os.WriteFile(path, []byte(before+now), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := complaint(path, int64(len(before)), "FATAL:"); got != "the cause" {
		t.Errorf("got %q", got)
	}
	if got := complaint(path, int64(len(before)), "PANIC:"); got != "2026-01-02 LOG:  shut down" {
		t.Errorf("without a mark: got %q", got)
	}
}
