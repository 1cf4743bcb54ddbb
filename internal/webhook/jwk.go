package webhook

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"kaylehooks/internal/fault"
)

// Bounds of encryption keys (contract section 1).
const (
	MinKeyBits = 2048
	MaxKeyBits = 8192
	MaxKeyID   = 128
)

// PublicKeyInput is a key as it is offered for registration. Nothing in it is trusted.
type PublicKeyInput struct {
	KeyID     string
	Algorithm string
	KeyType   string
	JWK       json.RawMessage
}

// AcceptedKey is a public key that passed every rule. N and E are in the only spelling that is accepted.
type AcceptedKey struct {
	KeyID      string
	N, E       string // base64url
	Bits       int    // length of the modulus
	Public     *rsa.PublicKey
	Thumbprint string // RFC 7638, SHA-256, base64url
	SPKISHA256 string // hex of the SHA-256 of the SubjectPublicKeyInfo
}

// JWK returns the public key as it is stored and shown: rebuilt from n and e only (contract section 6.1).
func (k AcceptedKey) JWK() json.RawMessage { return publicJWK(k.N, k.E) }

// Rule is the verdict of one rule of CheckKey, for people to read. No text repeats what was put in.
type Rule struct {
	Name    string // stable, for example "modulus_size"
	Label   string // what the rule asks for
	OK      bool
	Detail  string // what was found, when that is worth showing
	Message string // what to do about it, when not OK
	Field   string // dotted path of the input at fault, when not OK
}

// CheckKey judges a key rule by rule (contract section 6.2). The key is complete exactly if every rule is OK. Rules that
// depend on one that failed are left out.
func CheckKey(in PublicKeyInput) (AcceptedKey, []Rule) {
	c := &keyCheck{}
	members := c.shape(in)
	if members == nil {
		return AcceptedKey{}, c.rules
	}
	c.declared(in, members)
	key := c.numbers(members)
	c.purpose(in, members)
	if c.failed {
		return AcceptedKey{}, c.rules
	}
	key.KeyID = in.KeyID
	spki, err := x509.MarshalPKIXPublicKey(key.Public)
	if err == nil {
		err = tryKey(key.Public)
	}
	c.add(Rule{
		Name: "trial", Label: "A random value can be encrypted with it", OK: err == nil,
		Message: "cannot be encrypted with", Field: "jwk",
	})
	if err != nil {
		return AcceptedKey{}, c.rules
	}
	sum := sha256.Sum256(spki)
	key.SPKISHA256 = hex.EncodeToString(sum[:])
	key.Thumbprint = thumbprint(key.N, key.E)
	return key, c.rules
}

// AcceptKey is CheckKey for callers that want the key or one error: a fault that names every field at fault.
func AcceptKey(in PublicKeyInput) (AcceptedKey, error) {
	key, rules := CheckKey(in)
	return key, faultOf(rules)
}

// CheckKeyShape applies only what contract section 6.2 checks before the endpoint is looked up: presence, types and
// bounds of the members. AcceptKey repeats it.
func CheckKeyShape(in PublicKeyInput) error {
	c := &keyCheck{}
	c.shape(in)
	return faultOf(c.rules)
}

func faultOf(rules []Rule) error {
	var fields []fault.Field
	for _, r := range rules {
		if !r.OK {
			fields = append(fields, fault.Field{Name: r.Field, Message: r.Message})
		}
	}
	return fault.InvalidFields(fields...)
}

// ParsePublicJWK reads a stored JWK, or its n and e alone, back into a key to encrypt with.
func ParsePublicJWK(raw json.RawMessage) (*rsa.PublicKey, error) {
	var jwk struct{ N, E string }
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return nil, errors.New("read public key: not a JWK")
	}
	return ParsePublicKey(jwk.N, jwk.E)
}

// ParsePublicKey reads a stored modulus and exponent, in base64url, back into a key to encrypt with.
func ParsePublicKey(n, e string) (*rsa.PublicKey, error) {
	modulus, errN := decodeUnsigned(n)
	exponent, errE := decodeUnsigned(e)
	if errN != nil || errE != nil || !validExponent(exponent) {
		return nil, errors.New("read public key: broken modulus or exponent")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// publicJWK has the member set and order of contract section 6.1.
func publicJWK(n, e string) json.RawMessage {
	return json.RawMessage(`{"alg":"RSA-OAEP-256","e":"` + e + `","key_ops":["encrypt"],"kty":"RSA","n":"` + n + `"}`)
}

// thumbprint is RFC 7638: the hash of the required members in lexical order, without spaces.
func thumbprint(n, e string) string {
	sum := sha256.Sum256([]byte(`{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// keyCheck collects verdicts.
type keyCheck struct {
	rules  []Rule
	failed bool
}

func (c *keyCheck) add(r Rule) {
	if r.OK {
		r.Message, r.Field = "", ""
	} else {
		c.failed = true
	}
	c.rules = append(c.rules, r)
}

// shape checks presence, types and bounds. It returns nil when the JWK cannot be looked into any further.
func (c *keyCheck) shape(in PublicKeyInput) map[string]json.RawMessage {
	c.add(Rule{
		Name: "key_id", Label: "Has a key id of 1 to 128 printable characters", OK: validKeyID(in.KeyID),
		Message: "must be 1 to 128 printable ASCII characters without a space at either end", Field: "key_id",
	})
	members, problem := readObject(in.JWK)
	c.add(Rule{Name: "jwk", Label: "Is one JSON object", OK: problem == "", Message: problem, Field: "jwk"})
	if problem != "" {
		return nil
	}
	if !c.noPrivateMembers(members) {
		return nil // nothing else about it matters, and less is said about it this way
	}
	bad := checkMembers(members)
	if len(bad) == 0 {
		c.add(Rule{Name: "members", Label: "Its members have acceptable types and sizes", OK: true})
		return members
	}
	for _, f := range bad {
		c.add(Rule{Name: "members", Label: "Its members have acceptable types and sizes", Message: f.Message, Field: f.Name})
	}
	return nil
}

func (c *keyCheck) noPrivateMembers(members map[string]json.RawMessage) bool {
	r := Rule{
		Name: "public", Label: "Holds no private key", OK: true,
		Message: "is part of a private key and must never be sent; treat this key as exposed and make a new one",
	}
	for _, name := range privateMembers {
		if _, ok := members[name]; ok {
			r.OK, r.Field = false, "jwk."+name
			c.add(r)
		}
	}
	if r.OK {
		c.add(r)
	}
	return r.OK
}

// declared checks what the key says it is, beside and inside the JWK.
func (c *keyCheck) declared(in PublicKeyInput, members map[string]json.RawMessage) {
	c.add(Rule{
		Name: "algorithm", Label: "Is for RSA-OAEP-256", OK: in.Algorithm == KeyAlgorithm,
		Message: "must be RSA-OAEP-256", Field: "algorithm",
	})
	c.add(Rule{Name: "key_type", Label: "Is declared as RSA", OK: in.KeyType == KeyType, Message: "must be RSA", Field: "key_type"})
	c.add(Rule{
		Name: "kty", Label: "Is an RSA key", OK: textMember(members, "kty") == KeyType,
		Message: "must be RSA", Field: "jwk.kty",
	})
}

// numbers checks modulus and exponent.
func (c *keyCheck) numbers(members map[string]json.RawMessage) AcceptedKey {
	key := AcceptedKey{N: textMember(members, "n"), E: textMember(members, "e")}
	n, err := decodeUnsigned(key.N)
	c.add(unsignedRule("n", "modulus", err))
	if err == nil {
		key.Bits = n.BitLen()
		c.add(Rule{
			Name: "modulus_size", Label: fmt.Sprintf("Has %d to %d bits", MinKeyBits, MaxKeyBits),
			OK: key.Bits >= MinKeyBits && key.Bits <= MaxKeyBits, Detail: strconv.Itoa(key.Bits) + " bits",
			Message: fmt.Sprintf("must be a modulus of %d to %d bits", MinKeyBits, MaxKeyBits), Field: "jwk.n",
		})
		c.add(Rule{
			Name: "modulus_odd", Label: "Has an odd modulus", OK: n.Bit(0) == 1,
			Message: "must be odd, as the product of two odd primes is", Field: "jwk.n",
		})
	}
	e, err := decodeUnsigned(key.E)
	c.add(unsignedRule("e", "exponent", err))
	if err == nil {
		r := Rule{
			Name: "exponent", Label: "Has a sound exponent", OK: validExponent(e),
			Message: "must be odd, at least 3 and less than 2^31", Field: "jwk.e",
		}
		if r.OK {
			r.Detail = e.String()
		}
		c.add(r)
	}
	if !c.failed {
		key.Public = &rsa.PublicKey{N: n, E: int(e.Int64())}
	}
	return key
}

func unsignedRule(member, what string, err error) Rule {
	return Rule{
		Name: what + "_encoding", Label: "Its " + what + " is strict base64url", OK: err == nil,
		Message: "must be unpadded base64url of a positive number without leading zero bytes", Field: "jwk." + member,
	}
}

// purpose checks the optional members that say what the key is for.
func (c *keyCheck) purpose(in PublicKeyInput, members map[string]json.RawMessage) {
	optional := func(name, want, label, message string) {
		_, present := members[name]
		c.add(Rule{
			Name: name, Label: label, OK: !present || textMember(members, name) == want,
			Message: message, Field: "jwk." + name,
		})
	}
	optional("alg", KeyAlgorithm, "Its alg, if given, is RSA-OAEP-256", "must be RSA-OAEP-256 when present")
	optional("use", "enc", "Its use, if given, is enc", "must be enc when present")
	optional("kid", in.KeyID, "Its kid, if given, is the key id", "must equal key_id when present")
	problem := checkKeyOps(members)
	c.add(Rule{Name: "key_ops", Label: "Its key_ops, if given, allow encryption only", OK: problem == "", Message: problem, Field: "jwk.key_ops"})
}

func validKeyID(s string) bool {
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= MaxKeyID && strings.Trim(s, " ") == s
}

func validExponent(e *big.Int) bool {
	return e.BitLen() <= 31 && e.Bit(0) == 1 && e.Int64() >= 3
}

// decodeUnsigned reads a Base64urlUInt (RFC 7518) of which there is only one spelling: no padding, no foreign
// characters, no stray bits, no leading zero byte. Zero itself, which has no spelling then, is refused.
func decodeUnsigned(s string) (*big.Int, error) {
	if strings.ContainsAny(s, "\r\n") { // the decoder skips them
		return nil, errors.New("line break")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	if len(raw) == 0 || raw[0] == 0 {
		return nil, errors.New("empty, or a leading zero")
	}
	return new(big.Int).SetBytes(raw), nil
}

// tryKey seals a random value, as a payload will be.
func tryKey(pub *rsa.PublicKey) error {
	var trial [32]byte
	_, _ = rand.Read(trial[:]) // never fails (crypto/rand)
	_, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, trial[:], nil)
	return err
}
