package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Label names what a derived key is for: it is the info string of HKDF (contract section 2.3).
type Label string

// The labels of keyed hashes. A fifth one, for sealing, never leaves this package.
const (
	APIKey      Label = "kaylehooks/api-key/v1"      // #nosec G101 -- a label; message: the whole key including kk_
	CancelToken Label = "kaylehooks/cancel-token/v1" // #nosec G101 -- a label; message: CancelTokenMessage(token)
	Idempotency Label = "kaylehooks/idempotency/v1"  // message: the request to fingerprint
	Cookie      Label = "kaylehooks/cookie/v1"       // message: which key of the dashboard's cookies to derive

	sealLabel Label = "kaylehooks/seal/v1"
)

// Hash is a keyed hash as it is stored: which master key made it, and 64 lowercase hex characters.
type Hash struct {
	MasterKeyID string
	Hex         string
}

// CancelTokenMessage is what is hashed for a cancel token.
func CancelTokenMessage(token string) string { return "verify_cancel_token_v1|" + token }

// Hash hashes under the first master key, the one for new rows.
func (k *Keyring) Hash(label Label, message string) (hash, masterKeyID string) {
	return k.keys[0].hash(label, message), k.keys[0].id
}

// Hashes hashes under every master key, first one first, to look up a row whose key is not known yet.
func (k *Keyring) Hashes(label Label, message string) []Hash {
	out := make([]Hash, len(k.keys))
	for i := range k.keys {
		out[i] = Hash{MasterKeyID: k.keys[i].id, Hex: k.keys[i].hash(label, message)}
	}
	return out
}

// Matches compares in constant time with a stored hash. It is false when the master key has been dropped.
func (k *Keyring) Matches(label Label, masterKeyID, storedHex, message string) bool {
	d := k.byID[masterKeyID]
	return d != nil && hmac.Equal([]byte(d.hash(label, message)), []byte(storedHex))
}

// hash panics on a label that is none of the constants, which is a programming error.
func (d *derived) hash(label Label, message string) string {
	key, ok := d.hmac[label]
	if !ok {
		panic("seal: no key is derived for " + string(label))
	}
	return hexHMAC(key, message)
}

func hexHMAC(key []byte, message string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func derive(m MasterKey) derived {
	d := derived{id: m.ID, hmac: map[Label][]byte{}}
	for _, label := range []Label{APIKey, CancelToken, Idempotency, Cookie} {
		d.hmac[label] = deriveKey(m, label)
	}
	block, err := aes.NewCipher(deriveKey(m, sealLabel))
	if err != nil {
		panic(fmt.Sprintf("seal: AES refuses a key of %d bytes", keySize))
	}
	if d.aead, err = cipher.NewGCM(block); err != nil {
		panic("seal: GCM refuses AES")
	}
	return d
}

// deriveKey is HKDF-SHA256 with an empty salt; it cannot fail for 32 bytes of output.
func deriveKey(m MasterKey, label Label) []byte {
	key, err := hkdf.Key(sha256.New, m.Key[:], nil, string(label), keySize)
	if err != nil {
		panic("seal: HKDF refuses 32 bytes")
	}
	return key
}
