package receiver

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Tolerance is how far the time of a signature may be off.
const Tolerance = 5 * time.Minute

// Why a request is refused.
var (
	ErrSignature  = errors.New("signature missing or wrong")
	ErrTimestamp  = errors.New("signature too old or from the future")
	ErrUnknownKey = errors.New("encrypted to a key that is not here")
	ErrDecrypt    = errors.New("cannot be decrypted")
	ErrPayload    = errors.New("payload not understood")
)

// verify checks the signature over the raw body and returns the index of the secret that matched.
func verify(header string, body []byte, secrets []string, now time.Time) (int, error) {
	var t string
	var signatures []string
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.TrimSpace(name) {
		case "t":
			t = strings.TrimSpace(value)
		case "v1":
			signatures = append(signatures, strings.ToLower(strings.TrimSpace(value)))
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || len(signatures) == 0 {
		return -1, ErrSignature
	}
	matched := -1
	for i, secret := range secrets {
		if secret == "" { // a setting that was left out: with the empty key anybody can sign
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(t + "."))
		mac.Write(body)
		want := hex.EncodeToString(mac.Sum(nil))
		for _, got := range signatures {
			if hmac.Equal([]byte(got), []byte(want)) && matched < 0 {
				matched = i
			}
		}
	}
	if matched < 0 {
		return -1, ErrSignature
	}
	if now.Sub(time.Unix(seconds, 0)).Abs() > Tolerance {
		return -1, ErrTimestamp
	}
	return matched, nil
}

// decrypt opens a compact JWE with the private key that its kid names.
func decrypt(body []byte, keyOf func(kid string) *rsa.PrivateKey) (plaintext []byte, kid string, err error) {
	jwe, err := jose.ParseEncryptedCompact(string(body), []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, "", ErrDecrypt
	}
	kid = jwe.Header.KeyID
	key := keyOf(kid)
	if key == nil {
		return nil, kid, ErrUnknownKey
	}
	if plaintext, err = jwe.Decrypt(key); err != nil {
		return nil, kid, ErrDecrypt
	}
	return plaintext, kid, nil
}
