package apikey

import (
	"testing"

	"kaylehooks/internal/seal"
)

func TestNewSecret_FavoursNoSymbol(t *testing.T) {
	t.Parallel()
	const keys = 4000
	counts := map[byte]int{}
	for range keys {
		secret := newSecret()
		if !form.MatchString(secret) {
			t.Fatal("a key of another form")
		}
		for i := len(prefix); i < len(secret); i++ {
			counts[secret[i]]++
		}
	}
	want := float64(keys*secretLength) / float64(len(seal.SecretAlphabet)) // 3556 with a standard deviation of 59
	for i := range len(seal.SecretAlphabet) {
		if got := float64(counts[seal.SecretAlphabet[i]]); got < want-420 || got > want+420 {
			t.Errorf("%c came %v times, want about %v", seal.SecretAlphabet[i], got, want)
		}
	}
}
