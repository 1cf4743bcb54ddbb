package apikey

import (
	"crypto/rand"
	"regexp"
)

const (
	prefix       = "kk_"
	secretLength = 32
	hintLength   = 4
	alphabet     = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// form is what every key looks like; anything else is refused without a lookup.
var form = regexp.MustCompile(`^kk_[a-z0-9]{32}$`)

// newSecret returns a fresh key. Bytes that would favour the first symbols of the alphabet are thrown away.
func newSecret() string {
	const fair = 256 - 256%len(alphabet)
	secret := make([]byte, 0, len(prefix)+secretLength)
	secret = append(secret, prefix...)
	var noise [2 * secretLength]byte
	for {
		_, _ = rand.Read(noise[:]) // never fails (crypto/rand)
		for _, b := range noise {
			if int(b) >= fair {
				continue
			}
			secret = append(secret, alphabet[int(b)%len(alphabet)])
			if len(secret) == len(prefix)+secretLength {
				return string(secret)
			}
		}
	}
}

func hintOf(secret string) string { return secret[len(prefix) : len(prefix)+hintLength] }
