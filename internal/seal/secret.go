package seal

import (
	"crypto/rand"
	"io"
)

// SecretAlphabet is what a secret is made of (contract section 2.2).
const SecretAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// NewSecret returns prefix followed by n random characters of SecretAlphabet, each equally likely (contract section 2.2).
func NewSecret(prefix string, n int) string { return newSecret(rand.Reader, prefix, n) }

func newSecret(random io.Reader, prefix string, n int) string {
	const limit = 256 - 256%len(SecretAlphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, len(prefix)+n)
	out = append(out, prefix...)
	var noise [64]byte
	for len(out) < len(prefix)+n {
		if _, err := io.ReadFull(random, noise[:]); err != nil {
			panic("seal: no randomness") // crypto/rand never fails
		}
		for _, b := range noise {
			if int(b) < limit && len(out) < len(prefix)+n {
				out = append(out, SecretAlphabet[int(b)%len(SecretAlphabet)])
			}
		}
	}
	return string(out)
}
