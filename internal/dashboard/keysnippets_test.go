package dashboard

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kaylehooks/internal/webhook"
)

// TestKeySnippets_MakePairs carries out what the page of keys says, and gets keys from it that the page takes.
func TestKeySnippets_MakePairs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs and needs Node.js and OpenSSL")
	}
	commands := map[string][]string{
		"gen-openssl": {"bash", "snippet"},
		"gen-go":      {"go", "run", "main.go"},
		"gen-node":    {"node", "snippet"},
	}
	ran := 0
	for _, s := range keySnippets() {
		command, ok := commands[s.ID]
		if !ok { // ours has tests of its own, and that of Python needs a package
			continue
		}
		ran++
		dir := t.TempDir()
		for _, name := range []string{"snippet", "main.go"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(s.Code), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Dir = dir
		public, err := run.Output()
		if err != nil {
			t.Fatalf("%s: %v", s.Title, err)
		}
		private, err := os.Stat(filepath.Join(dir, "private.pem"))
		if err != nil || private.Mode().Perm() != 0o600 {
			t.Errorf("%s: private.pem: %v, %v", s.Title, private, err)
		}
		if file, err := os.ReadFile(filepath.Join(dir, "public.pem")); err == nil {
			public = file
		}
		found, err := webhook.ParseKeyInput(public)
		if err != nil || len(found) != 1 || found[0].Bits != 3072 {
			t.Errorf("%s: %v, %v in %s", s.Title, found, err, public)
			continue
		}
		key, err := webhook.AcceptKey(found[0].Input("k1"))
		if err != nil {
			t.Fatal(err)
		}
		if s.ID == "gen-node" { // which prints a JWK; the commands below read a PEM file
			continue
		}
		for _, h := range keyHashes(webhook.Key{Exponent: key.E, Thumbprint: key.Thumbprint, SPKISHA256: key.SPKISHA256}) {
			run := exec.CommandContext(t.Context(), "bash", "-c", h.Pre)
			run.Dir = dir
			got, err := run.Output()
			if err != nil || !strings.HasSuffix(strings.TrimSpace(string(got)), h.Text) {
				t.Errorf("%s: %s is %s, the command says %s, %v", s.Title, h.Term, h.Text, got, err)
			}
		}
	}
	if ran != len(commands) {
		t.Errorf("%d of %d ways were tried", ran, len(commands))
	}
}
