package webhook

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// input returns an acceptable registration; change edits the members of its JWK, where nil removes one.
func input(tb testing.TB, change map[string]any) PublicKeyInput {
	tb.Helper()
	members := map[string]any{"kty": "RSA", "n": b64(fixture.PrivateKey().N.Bytes()), "e": "AQAB"}
	for name, value := range change {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	return PublicKeyInput{KeyID: "k1", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: raw}
}

// fieldsOf returns the fields of an error as "name: message".
func fieldsOf(tb testing.TB, err error) []string {
	tb.Helper()
	if err == nil {
		return nil
	}
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.Invalid || f.Code != fault.CodeBadRequest {
		tb.Fatalf("not a BAD_REQUEST: %v", err)
	}
	var out []string
	for _, field := range f.Fields {
		out = append(out, field.Name+": "+field.Message)
	}
	return out
}

func names(fields []string) []string {
	out := []string{}
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ": ")
		out = append(out, name)
	}
	return slices.Compact(out)
}

func TestAcceptKey_RebuildsTheKeyFromItsNumbers(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	in := input(t, map[string]any{
		"alg": "RSA-OAEP-256", "use": "enc", "kid": "k1", "key_ops": []string{"encrypt", "wrapKey"}, "ext": true, "x5t": "abc",
		"iat": 1.5, "x5c": []string{"a", "b"},
	})
	key, err := AcceptKey(in)
	if err != nil {
		t.Fatalf("%v", fieldsOf(t, err))
	}
	want := `{"alg":"RSA-OAEP-256","e":"AQAB","key_ops":["encrypt"],"kty":"RSA","n":"` + b64(private.N.Bytes()) + `"}`
	if string(key.JWK()) != want {
		t.Errorf("got  %s\nwant %s", key.JWK(), want)
	}
	if key.KeyID != "k1" || key.Bits != 2048 || !key.Public.Equal(&private.PublicKey) {
		t.Errorf("got %+v", key)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(spki); key.SPKISHA256 != hex.EncodeToString(sum[:]) {
		t.Error("wrong SPKI hash")
	}
	thumb, err := (&jose.JSONWebKey{Key: &private.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil || key.Thumbprint != b64(thumb) {
		t.Errorf("thumbprint %s, go-jose says %s, %v", key.Thumbprint, b64(thumb), err)
	}
	back, err := ParsePublicJWK(key.JWK())
	if err != nil || !back.Equal(key.Public) {
		t.Errorf("the stored key does not read back: %v", err)
	}
}

func TestThumbprint_RFC7638Example(t *testing.T) {
	t.Parallel()
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	if got := thumbprint(n, "AQAB"); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("got %s", got)
	}
}

func TestAcceptKey_FieldsAtFault(t *testing.T) {
	t.Parallel()
	n := fixture.PrivateKey().N.Bytes()
	goodN := b64(n)
	many := map[string]any{}
	for i := range 2 * fault.MaxFields {
		many[fmt.Sprintf("x%03d", i)] = map[string]any{}
	}
	for name, tc := range map[string]struct {
		change map[string]any
		want   []string
	}{
		"nothing wrong":            {nil, []string{}},
		"kty missing":              {map[string]any{"kty": nil}, []string{"jwk.kty"}},
		"kty EC":                   {map[string]any{"kty": "EC"}, []string{"jwk.kty"}},
		"kty number":               {map[string]any{"kty": 1}, []string{"jwk.kty"}},
		"n missing":                {map[string]any{"n": nil}, []string{"jwk.n"}},
		"n and e missing":          {map[string]any{"n": nil, "e": nil}, []string{"jwk.n", "jwk.e"}},
		"n number":                 {map[string]any{"n": 5}, []string{"jwk.n"}},
		"n empty":                  {map[string]any{"n": ""}, []string{"jwk.n"}},
		"n padded":                 {map[string]any{"n": goodN + "=="}, []string{"jwk.n"}},
		"n standard base64":        {map[string]any{"n": "+/" + goodN[2:]}, []string{"jwk.n"}},
		"n line break":             {map[string]any{"n": goodN + "\n"}, []string{"jwk.n"}},
		"n space":                  {map[string]any{"n": " " + goodN}, []string{"jwk.n"}},
		"n leading zero":           {map[string]any{"n": b64(append([]byte{0}, n...))}, []string{"jwk.n"}},
		"n even":                   {map[string]any{"n": b64(new(big.Int).SetBit(new(big.Int).SetBytes(n), 0, 0).Bytes())}, []string{"jwk.n"}},
		"n of 2047 bits":           {map[string]any{"n": b64(odd(2047))}, []string{"jwk.n"}},
		"n of 8193 bits":           {map[string]any{"n": b64(odd(8193))}, []string{"jwk.n"}},
		"n of 8192 bits":           {map[string]any{"n": b64(odd(8192))}, []string{}},
		"n too long a text":        {map[string]any{"n": strings.Repeat("A", 8193)}, []string{"jwk.n"}},
		"e one":                    {map[string]any{"e": "AQ"}, []string{"jwk.e"}},
		"e two":                    {map[string]any{"e": "Ag"}, []string{"jwk.e"}},
		"e three":                  {map[string]any{"e": "Aw"}, []string{}},
		"e even":                   {map[string]any{"e": "AQAA"}, []string{"jwk.e"}},
		"e 2^31-1":                 {map[string]any{"e": b64([]byte{0x7f, 0xff, 0xff, 0xff})}, []string{}},
		"e 2^31+1":                 {map[string]any{"e": b64([]byte{0x80, 0, 0, 1})}, []string{"jwk.e"}},
		"e huge":                   {map[string]any{"e": b64(odd(300))}, []string{"jwk.e"}},
		"e too long":               {map[string]any{"e": strings.Repeat("A", 65)}, []string{"jwk.e"}},
		"e leading zero":           {map[string]any{"e": "AAEAAQ"}, []string{"jwk.e"}},
		"e stray bits":             {map[string]any{"e": "AR"}, []string{"jwk.e"}},
		"e empty":                  {map[string]any{"e": ""}, []string{"jwk.e"}},
		"alg other":                {map[string]any{"alg": "RSA-OAEP"}, []string{"jwk.alg"}},
		"alg null":                 {map[string]any{"alg": json.RawMessage("null")}, []string{"jwk.alg"}},
		"alg empty":                {map[string]any{"alg": ""}, []string{"jwk.alg"}},
		"use sig":                  {map[string]any{"use": "sig"}, []string{"jwk.use"}},
		"use list":                 {map[string]any{"use": []string{"enc"}}, []string{"jwk.use"}},
		"kid other":                {map[string]any{"kid": "k2"}, []string{"jwk.kid"}},
		"kid number":               {map[string]any{"kid": 1}, []string{"jwk.kid"}},
		"key_ops empty":            {map[string]any{"key_ops": []string{}}, []string{"jwk.key_ops"}},
		"key_ops text":             {map[string]any{"key_ops": "encrypt"}, []string{"jwk.key_ops"}},
		"key_ops sign":             {map[string]any{"key_ops": []string{"encrypt", "sign"}}, []string{"jwk.key_ops"}},
		"key_ops verify only":      {map[string]any{"key_ops": []string{"verify"}}, []string{"jwk.key_ops"}},
		"key_ops numbers":          {map[string]any{"key_ops": []any{"encrypt", 1}}, []string{"jwk.key_ops"}},
		"key_ops nine":             {map[string]any{"key_ops": slices.Repeat([]string{"encrypt"}, 9)}, []string{"jwk.key_ops"}},
		"key_ops long":             {map[string]any{"key_ops": []string{"encrypt", strings.Repeat("x", 65)}}, []string{"jwk.key_ops"}},
		"other null":               {map[string]any{"x": json.RawMessage("null")}, []string{"jwk.x"}},
		"other object":             {map[string]any{"x": map[string]any{}}, []string{"jwk.x"}},
		"other text too long":      {map[string]any{"x": strings.Repeat("ü", 8193)}, []string{"jwk.x"}},
		"other text just fits":     {map[string]any{"x": strings.Repeat("ü", 8192)}, []string{}},
		"other list of lists":      {map[string]any{"x": []any{[]any{}}}, []string{"jwk.x"}},
		"other number not finite":  {map[string]any{"x": json.RawMessage("1e999")}, []string{"jwk.x"}},
		"other number":             {map[string]any{"x": json.RawMessage("-1e99")}, []string{}},
		"odd name is not repeated": {map[string]any{"a\nb<script>": map[string]any{}}, []string{"jwk"}},
		"several":                  {map[string]any{"alg": "x", "use": "y", "e": "AQ"}, []string{"jwk.e", "jwk.alg", "jwk.use"}},
		"many":                     {many, slices.Sorted(maps.Keys(prefixed(many)))[:fault.MaxFields]},
	} {
		_, err := AcceptKey(input(t, tc.change))
		if diff := cmp.Diff(tc.want, names(fieldsOf(t, err))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// prefixed gives members their dotted paths.
func prefixed(members map[string]any) map[string]bool {
	out := map[string]bool{}
	for name := range members {
		out["jwk."+name] = true
	}
	return out
}

// odd returns an odd number of exactly so many bits.
func odd(bits int) []byte {
	return new(big.Int).Or(new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), big.NewInt(1)).Bytes()
}

func TestAcceptKey_DeclarationsBesideTheJWK(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*PublicKeyInput)
		want   []string
	}{
		"key_id empty":          {func(in *PublicKeyInput) { in.KeyID = "" }, []string{"key_id"}},
		"key_id 128":            {func(in *PublicKeyInput) { in.KeyID = strings.Repeat("k", 128) }, []string{}},
		"key_id 129":            {func(in *PublicKeyInput) { in.KeyID = strings.Repeat("k", 129) }, []string{"key_id"}},
		"key_id inner space":    {func(in *PublicKeyInput) { in.KeyID = "my key ~!" }, []string{}},
		"key_id leading space":  {func(in *PublicKeyInput) { in.KeyID = " k" }, []string{"key_id"}},
		"key_id trailing space": {func(in *PublicKeyInput) { in.KeyID = "k " }, []string{"key_id"}},
		"key_id not ASCII":      {func(in *PublicKeyInput) { in.KeyID = "clé" }, []string{"key_id"}},
		"key_id control":        {func(in *PublicKeyInput) { in.KeyID = "a\tb" }, []string{"key_id"}},
		"algorithm":             {func(in *PublicKeyInput) { in.Algorithm = "RSA-OAEP" }, []string{"algorithm"}},
		"key_type":              {func(in *PublicKeyInput) { in.KeyType = "rsa" }, []string{"key_type"}},
		"no jwk":                {func(in *PublicKeyInput) { in.JWK = nil }, []string{"jwk"}},
		"null":                  {func(in *PublicKeyInput) { in.JWK = json.RawMessage("null") }, []string{"jwk"}},
		"array":                 {func(in *PublicKeyInput) { in.JWK = json.RawMessage("[]") }, []string{"jwk"}},
		"text":                  {func(in *PublicKeyInput) { in.JWK = json.RawMessage(`"{}"`) }, []string{"jwk"}},
		"broken":                {func(in *PublicKeyInput) { in.JWK = json.RawMessage(`{"kty":"RSA",}`) }, []string{"jwk"}},
		"two objects":           {func(in *PublicKeyInput) { in.JWK = json.RawMessage(`{}{}`) }, []string{"jwk"}},
		"not UTF-8":             {func(in *PublicKeyInput) { in.JWK = json.RawMessage("{\"kty\":\"\xff\"}") }, []string{"jwk"}},
		"deep":                  {func(in *PublicKeyInput) { in.JWK = json.RawMessage(strings.Repeat(`{"a":`, 5000)) }, []string{"jwk"}},
		"duplicate member": {func(in *PublicKeyInput) {
			in.JWK = append(bytes.TrimSuffix(in.JWK, []byte("}")), `,"\u006e":"AQAB"}`...)
		}, []string{"jwk"}},
		"everything": {func(in *PublicKeyInput) { *in = PublicKeyInput{JWK: json.RawMessage(`{}`)} }, []string{"key_id", "jwk.kty", "jwk.n", "jwk.e"}},
	} {
		in := input(t, nil)
		tc.change(&in)
		_, err := AcceptKey(in)
		if diff := cmp.Diff(tc.want, names(fieldsOf(t, err))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAcceptKey_PrivateMembersAreRefusedAndNeverRepeated(t *testing.T) {
	t.Parallel()
	private := fixture.PrivateKey()
	secret := map[string]any{
		"d": b64(private.D.Bytes()), "p": b64(private.Primes[0].Bytes()), "q": b64(private.Primes[1].Bytes()),
		"dp": b64(private.Precomputed.Dp.Bytes()), "dq": b64(private.Precomputed.Dq.Bytes()), "qi": b64(private.Precomputed.Qinv.Bytes()),
		"oth": []any{map[string]any{"r": "x"}},
	}
	check := func(change map[string]any) {
		_, rules := CheckKey(input(t, change))
		text := fmt.Sprintf("%+v", rules)
		err := faultOf(rules)
		if err == nil {
			t.Fatalf("accepted private members %v", slices.Collect(maps.Keys(change)))
		}
		for name, value := range change {
			if !slices.Contains(names(fieldsOf(t, err)), "jwk."+name) {
				t.Errorf("jwk.%s is not named: %v", name, fieldsOf(t, err))
			}
			if s, ok := value.(string); ok && len(s) > 20 && strings.Contains(text, s[:20]) {
				t.Errorf("the value of %s is repeated", name)
			}
		}
	}
	check(secret)
	for name, value := range secret {
		check(map[string]any{name: value})
		check(map[string]any{name: json.RawMessage("null")})
	}
}

func TestCheckKeyShape_LeavesTheKeyRulesForLater(t *testing.T) {
	t.Parallel()
	if err := CheckKeyShape(input(t, map[string]any{"e": "AQ", "alg": "none", "kty": "EC"})); err != nil {
		t.Errorf("judged a key rule: %v", fieldsOf(t, err))
	}
	if err := CheckKeyShape(input(t, map[string]any{"e": 1})); err == nil {
		t.Error("let a number through")
	}
}

func TestCheckKey_ShowsEveryRule(t *testing.T) {
	t.Parallel()
	_, rules := CheckKey(input(t, nil))
	got := []string{}
	for _, r := range rules {
		got = append(got, r.Name)
		if !r.OK || r.Label == "" || r.Message != "" || r.Field != "" {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		"key_id", "jwk", "public", "members", "algorithm", "key_type", "kty", "modulus_encoding", "modulus_size", "modulus_odd",
		"exponent_encoding", "exponent", "alg", "use", "kid", "key_ops", "trial",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePublicJWK_Refuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "x", "{}", `{"n":"AQAB","e":"AQ"}`, `{"n":"","e":"AQAB"}`, `{"n":1,"e":2}`} {
		if _, err := ParsePublicJWK(json.RawMessage(raw)); err == nil {
			t.Errorf("read %q", raw)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	f.Add("k1", []byte(input(f, nil).JWK))
	f.Add("k1", []byte(input(f, map[string]any{"d": "x", "key_ops": []string{"encrypt"}}).JWK))
	f.Add("", []byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","x":[[[]]],"y":1e999}`))
	f.Fuzz(func(t *testing.T, kid string, raw []byte) {
		in := PublicKeyInput{KeyID: kid, Algorithm: KeyAlgorithm, KeyType: KeyType, JWK: raw}
		key, rules := CheckKey(in)
		if err := faultOf(rules); err != nil {
			if key.Public != nil || len(fieldsOf(t, err)) == 0 {
				t.Fatalf("a key in spite of %v", err)
			}
			return
		}
		in.JWK = key.JWK()
		again, err := AcceptKey(in)
		if err != nil || again.Thumbprint != key.Thumbprint {
			t.Fatalf("the rebuilt key is not accepted: %v", fieldsOf(t, err))
		}
	})
}
