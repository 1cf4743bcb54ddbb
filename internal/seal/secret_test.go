package seal

import (
	"bytes"
	"testing"
)

func TestNewSecret_IsAsLongAsAsked(t *testing.T) {
	t.Parallel()
	if s := NewSecret("", 48); len(s) != 48 {
		t.Errorf("got %d characters, want 48", len(s))
	}
	if s := NewSecret("kk_", 0); s != "kk_" {
		t.Errorf("got %q", s)
	}
}

func TestNewSecret_RejectsBytesThatWouldFavourLetters(t *testing.T) {
	t.Parallel()
	// One of each byte value: every symbol comes up exactly 7 times, and 252 to 255 not at all.
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	counts := map[rune]int{}
	for _, r := range newSecret(bytes.NewReader(all[:]), "", 252) {
		counts[r]++
	}
	if len(counts) != len(SecretAlphabet) {
		t.Fatalf("%d symbols, want %d", len(counts), len(SecretAlphabet))
	}
	for r, n := range counts {
		if n != 7 {
			t.Errorf("%c came up %d times, want 7", r, n)
		}
	}
}
