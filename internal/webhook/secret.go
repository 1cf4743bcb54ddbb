package webhook

import (
	"crypto/rand"
	"io"
)

const secretAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// NewSecret returns prefix followed by n random characters of a-z0-9, each equally likely.
func NewSecret(prefix string, n int) string { return newSecret(rand.Reader, prefix, n) }

// NewSigningSecret returns a fresh signing secret: whsec_ and 32 characters.
func NewSigningSecret() string { return NewSecret("whsec_", 32) }

func newSecret(random io.Reader, prefix string, n int) string {
	const limit = 256 - 256%len(secretAlphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, len(prefix)+n)
	out = append(out, prefix...)
	var buf [64]byte
	for len(out) < len(prefix)+n {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			panic("webhook: no randomness") // crypto/rand never fails
		}
		for _, b := range buf {
			if int(b) < limit && len(out) < len(prefix)+n {
				out = append(out, secretAlphabet[int(b)%len(secretAlphabet)])
			}
		}
	}
	return string(out)
}
