package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/fixture"
)

func TestSeal_OpensWithGoJOSE(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	plain := []byte(`{"type":"webhook.test"}`)
	compact, err := Seal("k1", &private.PublicKey, plain)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := jose.ParseEncryptedCompact(compact, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jwe.Decrypt(private); err != nil || string(got) != string(plain) {
		t.Fatalf("got %q, %v", got, err)
	}
}

// TestSeal_OpensWithPlainCrypto shows that nothing but the two standard primitives is involved.
func TestSeal_OpensWithPlainCrypto(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	plain := strings.Repeat("päyload ", 1000)
	compact, err := Seal("k1", &private.PublicKey, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(compact, ".")
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	cek, err := rsa.DecryptOAEP(sha256.New(), nil, private, raw[1], nil)
	if err != nil || len(cek) != 32 || len(raw[2]) != 12 {
		t.Fatalf("content key of %d bytes, IV of %d, %v", len(cek), len(raw[2]), err)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gcm.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0]))
	if err != nil || string(got) != plain {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
}

func TestSeal_HeaderHasExactlyThreeMembers(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	for _, kid := range []string{"k1", `a"b\c<d>&~ !`, strings.Repeat("k", 128)} {
		compact, err := Seal(kid, &private.PublicKey, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": kid}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		header, err := ParseProtectedHeader(" " + compact + "\n")
		if err != nil || !header.Conforms || header.KeyID != kid || header.Algorithm != KeyAlgorithm || header.Encryption != ContentEncryption {
			t.Errorf("%+v, %v", header, err)
		}
	}
}

func TestSeal_IsFreshEachTime(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	seen := map[string]bool{}
	for range 20 {
		compact, err := Seal("k1", &private.PublicKey, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(compact, ".")[1:3] {
			if seen[part] {
				t.Fatal("a content key or an IV was used twice")
			}
			seen[part] = true
		}
	}
}

func TestSeal_Refuses(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	if _, err := Seal("", &private.PublicKey, nil); err == nil {
		t.Error("sealed without a key id")
	}
	if _, err := Seal("k1", &rsa.PublicKey{N: private.N, E: 1}, nil); err == nil {
		t.Error("sealed with exponent 1")
	}
}

func TestParseProtectedHeader(t *testing.T) {
	t.Parallel()
	encode := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) + "..a.b.c" }
	h, err := ParseProtectedHeader(encode(`{"alg":"dir","enc":"A256GCM","kid":"k1","zip":"DEF"}`))
	if err != nil || h.Conforms || h.Algorithm != "dir" || !strings.Contains(h.JSON, "\n  \"zip\": \"DEF\"") {
		t.Errorf("%+v, %v", h, err)
	}
	for _, text := range []string{"", "a.b.c", "a.b.c.d.e.f", "!.b.c.d.e", encode("[]"), encode("null"), encode("{"), encode("x")} {
		if _, err := ParseProtectedHeader(text); !errors.Is(err, ErrNotJWE) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
