package org

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// NewToken returns an opaque token of 256 random bits and the hash under which it is stored. So many random bits need no
// keyed or slow hash.
func NewToken() (token string, hash []byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, HashToken(token)
}

// HashToken returns the stored form of a token.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
