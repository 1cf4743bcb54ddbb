package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
)

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// keyTexts returns the sample key in every form, and one of another kind.
func keyTexts(tb testing.TB) (spki, pkcs1, certificate, jwk, ec string) {
	tb.Helper()
	private := fixture.PrivateKey()
	spki = pemText("PUBLIC KEY", must[[]byte](tb)(x509.MarshalPKIXPublicKey(&private.PublicKey)))
	pkcs1 = pemText("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&private.PublicKey))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"},
		NotBefore: time.Unix(signedAt, 0), NotAfter: time.Unix(signedAt+1, 0),
	}
	certificate = pemText("CERTIFICATE", must[[]byte](tb)(x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)))
	jwk = string(input(tb, nil).JWK)
	other := must[*ecdsa.PrivateKey](tb)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ec = pemText("PUBLIC KEY", must[[]byte](tb)(x509.MarshalPKIXPublicKey(&other.PublicKey)))
	return spki, pkcs1, certificate, jwk, ec
}

func TestParseKeyInput_EveryFormGivesTheSameKey(t *testing.T) {
	t.Parallel()
	spki, pkcs1, certificate, jwk, ec := keyTexts(t)
	want, err := AcceptKey(input(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text   string
		format KeyFormat
		index  int
	}{
		"PEM":                     {spki, FormatPEM, 0},
		"PEM with line ends":      {strings.ReplaceAll(spki, "\n", "\r\n"), FormatPEM, 0},
		"PEM after a remark":      {"Here it is:\n\n" + spki + "\nbest regards", FormatPEM, 0},
		"PEM after a byte mark":   {"\ufeff" + spki, FormatPEM, 0},
		"PEM after an EC key":     {ec + spki, FormatPEM, 1},
		"PKCS #1":                 {pkcs1, FormatPKCS1, 0},
		"certificate":             {certificate, FormatCertificate, 0},
		"certificate and chain":   {certificate + certificate, FormatCertificate, 0},
		"JWK":                     {" \n" + jwk + "\n", FormatJWK, 0},
		"JWKS":                    {`{"keys":[` + jwk + `]}`, FormatJWKS, 0},
		"JWKS with an EC key":     {`{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b"},` + jwk + `]}`, FormatJWKS, 1},
		"JWKS with further words": {`{"title":"x","keys":[` + jwk + `]}`, FormatJWKS, 0},
	} {
		found, err := ParseKeyInput([]byte(tc.text))
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %d candidates, %v", name, len(found), err)
			continue
		}
		c := found[0]
		if c.Format != tc.format || c.Index != tc.index || c.Bits != 2048 || !c.Proposed || c.KeyID != want.Thumbprint[:8] || c.Format.Label() == "" {
			t.Errorf("%s: %+v", name, c)
		}
		got, err := AcceptKey(c.Input(""))
		if err != nil || got.Thumbprint != want.Thumbprint || got.KeyID != c.KeyID || string(got.JWK()) != string(want.JWK()) {
			t.Errorf("%s: %v", name, fieldsOf(t, err))
		}
		if got, err := AcceptKey(c.Input("mine")); err != nil || got.KeyID != "mine" {
			t.Errorf("%s: not under a key id of choice: %v", name, err)
		}
	}
}

func TestParseKeyInput_SeveralKeysAreAChoice(t *testing.T) {
	t.Parallel()
	spki, _, _, _, _ := keyTexts(t)
	one, two := string(input(t, map[string]any{"kid": "one"}).JWK), string(input(t, map[string]any{"kid": "two", "use": "sig"}).JWK)
	found, err := ParseKeyInput([]byte(`{"keys":[` + one + `,null,` + two + `]}`))
	if err != nil || len(found) != 2 || found[0].KeyID != "one" || found[1].KeyID != "two" || found[1].Index != 2 || found[0].Proposed {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, rules := CheckKey(found[1].Input("")); faultOf(rules) == nil {
		t.Error("a candidate is not judged")
	}
	if found, err := ParseKeyInput([]byte(spki + spki)); err != nil || len(found) != 2 || found[1].Index != 1 {
		t.Errorf("two PEM blocks: %+v, %v", found, err)
	}
	if _, err := ParseKeyInput([]byte(`{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, 40) + `{"kty":"RSA"}]}`)); err == nil {
		t.Error("41 keys")
	}
}

func TestParseKeyInput_FaultyJWKIsLeftToTheRules(t *testing.T) {
	t.Parallel()
	found, err := ParseKeyInput([]byte(`{"kty":"EC","n":"AAAA","e":1}`))
	if err != nil || len(found) != 1 || found[0].KeyID != "" || found[0].Bits != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := AcceptKey(found[0].Input("k1")); err == nil {
		t.Error("accepted")
	}
}

func TestParseKeyInput_PrivateKeysAreRefusedAndNeverRepeated(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	pkcs8 := pemText("PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(private)))
	pkcs1 := pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private))
	spki, _, _, jwk, _ := keyTexts(t)
	d := b64(private.D.Bytes())
	full := strings.TrimSuffix(jwk, "}") + `,"d":"` + d + `"}`
	closer := []string{"lower case", "escaped member"} // found by ParseKeyInput only
	for name, text := range map[string]string{
		"escaped member":      strings.TrimSuffix(jwk, "}") + `,"\u0064":"` + d + `"}`,
		"only its end":        "AAAA\n-----END PRIVATE KEY-----\n",
		"a piece of a JWK":    `"e":"AQAB", "d" : "` + d,
		"PKCS #8":             pkcs8,
		"PKCS #1":             pkcs1,
		"encrypted":           "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"OpenSSH":             "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
		"after the public":    spki + pkcs8,
		"in a sentence":       "my key: " + pkcs8,
		"lower case":          strings.ToLower(pkcs8),
		"binary behind it":    pkcs8 + "\x00",
		"JWK":                 full,
		"JWK set":             `{"keys":[` + jwk + `,` + full + `]}`,
		"nested":              `{"x":{"y":[` + full + `]}}`,
		"null member":         strings.TrimSuffix(jwk, "}") + `,"qi":null}`,
		"broken JSON":         full + ",",
		"broken, with spaces": `{"d" : "` + d,
		"array":               `[` + full + `]`,
		"hidden by its twin":  strings.TrimSuffix(jwk, "}") + `,"x":{"d":"` + d + `"},"x":1}`,
		"PEM inside JSON":     `{"pem":"-----BEGIN PRIVATE KEY-----\nAAAA"}`,
	} {
		found, err := ParseKeyInput([]byte(text))
		if !errors.Is(err, ErrPrivateKey) || found != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
		if LooksPrivate(text) == slices.Contains(closer, name) {
			t.Errorf("%s: looks private: %v", name, LooksPrivate(text))
		}
	}
	if LooksPrivate(spki + jwk) {
		t.Error("public keys look private")
	}
	if text := fmt.Sprintf("%+v", ErrPrivateKey); strings.Contains(text, d[:20]) {
		t.Error("repeats the key")
	}
}

func TestParseKeyInput_Refuses(t *testing.T) {
	t.Parallel()
	spki, _, _, jwk, ec := keyTexts(t)
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"empty":           {"", ErrKeyInputEmpty},
		"spaces":          {" \n\t", ErrKeyInputEmpty},
		"too large":       {spki + strings.Repeat(" ", MaxKeyInput), ErrKeyInputTooLarge},
		"DER":             {"\x30\x82\x01\x22", ErrKeyInputNotText},
		"not UTF-8":       {spki + "\xff", ErrKeyInputNotText},
		"NUL":             {jwk + "\x00", ErrKeyInputNotText},
		"prose":           {"hello", ErrKeyInputUnknown},
		"SSH":             {"ssh-rsa AAAAB3NzaC1yc2E= me@host", ErrKeyInputUnknown},
		"array":           {"[" + jwk + "]", ErrKeyInputUnknown},
		"damaged PEM":     {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ErrKeyInputUnknown},
		"other PEM":       {"-----BEGIN CRL-----\nAAAA\n-----END CRL-----\n", ErrKeyInputUnknown},
		"EC":              {ec, ErrKeyInputNotRSA},
		"EC set":          {`{"keys":[{"kty":"EC"}]}`, ErrKeyInputNotRSA},
		"empty set":       {`{"keys":[]}`, ErrKeyInputUnknown},
		"set of no array": {`{"keys":{}}`, nil},
		"broken JSON":     {`{"kty":`, nil},
		"twice":           {strings.TrimSuffix(jwk, "}") + `,"n":"AQAB"}`, nil},
	} {
		found, err := ParseKeyInput([]byte(tc.text))
		f, ok := fault.As(err)
		if !ok || f.Code != fault.CodeBadRequest || len(f.Fields) != 1 || found != nil {
			t.Errorf("%s: %v, %v", name, found, err)
			continue
		}
		if tc.want != nil && !sameFault(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func sameFault(a, b error) bool {
	var x, y *fault.Error
	return errors.As(a, &x) && errors.As(b, &y) && x == y
}

func FuzzParseKeyInput(f *testing.F) {
	spki, pkcs1, certificate, jwk, ec := keyTexts(f)
	for _, text := range []string{spki, pkcs1, certificate, jwk, ec, spki + ec, `{"keys":[` + jwk + `,{}]}`, `{"d":`, ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := ParseKeyInput(text)
		if (err == nil) != (len(found) > 0) {
			t.Fatalf("%d candidates and %v", len(found), err)
		}
		for _, c := range found {
			var members map[string]json.RawMessage
			if err := json.Unmarshal(c.JWK, &members); err != nil {
				t.Fatalf("a candidate that is not JSON: %v", err)
			}
			for _, name := range privateMembers {
				if _, ok := members[name]; ok {
					t.Fatalf("a candidate with %s", name)
				}
			}
			_, _ = CheckKey(c.Input(""))
		}
	})
}
