package receiver

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// GenerateKeyPair makes an RSA key pair: the private half as PKCS #8 PEM, which stays with the receiver, and the public
// half as the JWK to register. bits is 2048 to 8192.
func GenerateKeyPair(kid string, bits int) (privatePEM, publicJWK []byte, err error) {
	if bits < 2048 || bits > 8192 {
		return nil, nil, fmt.Errorf("generate key pair: %d bits, want 2048 to 8192", bits)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key pair: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	publicJWK, err = PublicJWK(kid, &key.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), publicJWK, nil
}

// PublicJWK writes a public key in the form in which it is registered.
func PublicJWK(kid string, key *rsa.PublicKey) ([]byte, error) {
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(jose.RSA_OAEP_256), Use: "enc"})
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return jwk, nil
}

// ParsePrivateKey reads the PEM of an RSA private key, PKCS #8 or PKCS #1.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("read private key: not PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("read private key: neither PKCS #8 nor PKCS #1")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("read private key: not RSA")
	}
	return key, nil
}
