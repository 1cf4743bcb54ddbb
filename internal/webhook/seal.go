package webhook

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms of payload encryption (contract section 7.3).
const (
	KeyAlgorithm      = "RSA-OAEP-256"
	KeyType           = "RSA"
	ContentEncryption = "A256GCM"
)

// Seal encrypts a payload to a receiver's key: a compact JWE whose protected header has alg, enc and kid, nothing
// else. Content key and IV are fresh for each call, so a payload is sealed once and every attempt sends that string.
func Seal(kid string, pub *rsa.PublicKey, plaintext []byte) (string, error) {
	if kid == "" {
		return "", errors.New("seal payload: no key id")
	}
	enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: pub, KeyID: kid}, nil)
	if err != nil {
		return "", fmt.Errorf("seal payload: %w", err)
	}
	jwe, err := enc.Encrypt(plaintext)
	if err != nil {
		return "", fmt.Errorf("seal payload: %w", err)
	}
	compact, err := jwe.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("seal payload: %w", err)
	}
	return compact, nil
}

// ProtectedHeader is the readable part of a compact JWE.
type ProtectedHeader struct {
	Algorithm  string // alg
	Encryption string // enc
	KeyID      string // kid
	JSON       string // the whole header, indented
	Conforms   bool   // exactly alg, enc and kid, with the values of contract section 7.3
}

// ErrNotJWE reports a text that is not a compact JWE.
var ErrNotJWE = errors.New("not a compact JWE")

// ParseProtectedHeader reads the header of a compact JWE without decrypting anything. Spaces around it are ignored.
func ParseProtectedHeader(jwe string) (ProtectedHeader, error) {
	parts := strings.Split(strings.TrimSpace(jwe), ".")
	if len(parts) != 5 {
		return ProtectedHeader{}, fmt.Errorf("%w: %d parts, want 5", ErrNotJWE, len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return ProtectedHeader{}, fmt.Errorf("%w: the header is not base64url", ErrNotJWE)
	}
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return ProtectedHeader{}, fmt.Errorf("%w: the header is not a JSON object", ErrNotJWE)
	}
	text := func(name string) string { s, _ := members[name].(string); return s }
	h := ProtectedHeader{Algorithm: text("alg"), Encryption: text("enc"), KeyID: text("kid")}
	h.Conforms = len(members) == 3 && h.Algorithm == KeyAlgorithm && h.Encryption == ContentEncryption && h.KeyID != ""
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return ProtectedHeader{}, fmt.Errorf("%w: the header is not JSON", ErrNotJWE)
	}
	h.JSON = indented.String()
	return h, nil
}
