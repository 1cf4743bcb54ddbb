package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Why a sealed secret does not open. The texts hold neither the secret nor the blob.
var (
	ErrMalformed  = errors.New("not a sealed secret")
	ErrUnknownKey = errors.New("sealed under an unknown master key")
	ErrSubject    = errors.New("sealed for another record")
	ErrTampered   = errors.New("sealed secret does not authenticate")
)

// header is the protected header of a sealed secret: exactly these members (contract section 2.4). Its order is that
// of the golden vector.
type header struct {
	Alg string `json:"alg"`
	Enc string `json:"enc"`
	Kid string `json:"kid"`
	Sub string `json:"sub"`
}

const (
	algDirect  = "dir"
	encA256GCM = "A256GCM"
)

// b64 is strict about stray bits: a second spelling of the same blob does not open.
var b64 = base64.RawURLEncoding.Strict()

// Seal encrypts plaintext under the first master key for the record that subject names, for example
// "webhook_endpoint:whe_…:signing_secret". The result is a compact JWE and opens for the same subject only.
func (k *Keyring) Seal(subject, plaintext string) (string, error) {
	d := &k.keys[0]
	head, err := protected(d.id, subject)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	iv := make([]byte, d.aead.NonceSize())
	if _, err := io.ReadFull(k.rand, iv); err != nil {
		return "", fmt.Errorf("seal: draw an IV: %w", err)
	}
	sealed := d.aead.Seal(nil, iv, []byte(plaintext), []byte(head))
	tag := len(sealed) - d.aead.Overhead()
	return head + ".." + b64.EncodeToString(iv) + "." + b64.EncodeToString(sealed[:tag]) + "." +
		b64.EncodeToString(sealed[tag:]), nil
}

// Open decrypts a blob that was read from the record named by subject. Any other header than the one Seal writes for
// that subject, and any change to the blob, is an error.
func (k *Keyring) Open(subject, blob string) (string, error) {
	parts := strings.Split(blob, ".")
	if len(parts) != 5 || parts[1] != "" || strings.ContainsAny(blob, "\r\n") { // the base64 decoder skips line breaks
		return "", fmt.Errorf("open secret: %w", ErrMalformed)
	}
	d, err := k.sealedUnder(subject, parts[0])
	if err != nil {
		return "", fmt.Errorf("open secret: %w", err)
	}
	iv, errIV := b64.DecodeString(parts[2])
	sealed, errText := b64.DecodeString(parts[3])
	tag, errTag := b64.DecodeString(parts[4])
	if errors.Join(errIV, errText, errTag) != nil || len(iv) != d.aead.NonceSize() || len(tag) != d.aead.Overhead() {
		return "", fmt.Errorf("open secret: %w", ErrMalformed)
	}
	plain, err := d.aead.Open(nil, iv, append(sealed, tag...), []byte(parts[0]))
	if err != nil {
		return "", fmt.Errorf("open secret: %w", ErrTampered)
	}
	return string(plain), nil
}

// sealedUnder is the master key that a protected header names, which must be that of the subject.
func (k *Keyring) sealedUnder(subject, head string) (*derived, error) {
	for i := range k.keys { // as Seal writes it, which needs no parsing
		if own, err := protected(k.keys[i].id, subject); err == nil && own == head {
			return &k.keys[i], nil
		}
	}
	h, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	d := k.byID[h.Kid]
	switch {
	case d == nil:
		return nil, ErrUnknownKey
	case h.Sub != subject:
		return nil, ErrSubject
	}
	return d, nil
}

// KeyID returns the master key id that a blob names, without checking the blob; "" when it is not a sealed secret.
func (k *Keyring) KeyID(blob string) string {
	head, _, _ := strings.Cut(blob, ".")
	h, err := parseHeader(head)
	if err != nil {
		return ""
	}
	return h.Kid
}

// NeedsReseal reports whether a blob is sealed under another master key than the first.
func (k *Keyring) NeedsReseal(blob string) bool { return k.KeyID(blob) != k.FirstKeyID() }

// Reseal opens a blob and seals its plaintext again under the first master key.
func (k *Keyring) Reseal(subject, blob string) (string, error) {
	plain, err := k.Open(subject, blob)
	if err != nil {
		return "", err
	}
	return k.Seal(subject, plain)
}

// protected is the protected header of what is sealed for the subject.
func protected(kid, subject string) (string, error) {
	raw, err := json.Marshal(header{Alg: algDirect, Enc: encA256GCM, Kid: kid, Sub: subject})
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	return b64.EncodeToString(raw), nil
}

func parseHeader(part string) (header, error) {
	raw, err := b64.DecodeString(part)
	if err != nil {
		return header{}, ErrMalformed
	}
	var h header
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields() // exactly these members: nothing may add, say, zip or crit
	if dec.Decode(&h) != nil || dec.More() || h.Alg != algDirect || h.Enc != encA256GCM || h.Kid == "" || h.Sub == "" {
		return header{}, ErrMalformed
	}
	return h, nil
}
