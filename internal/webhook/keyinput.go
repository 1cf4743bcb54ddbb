package webhook

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"kaylehooks/internal/fault"
)

// MaxKeyInput is the greatest size in bytes of a pasted or uploaded key.
const MaxKeyInput = 64 << 10

// maxCandidates bounds how many keys of a JWKS are offered for a choice.
const maxCandidates = 32

// KeyFormat says in what form a key was given.
type KeyFormat string

// The forms that ParseKeyInput understands.
const (
	FormatPEM         KeyFormat = "pem"         // SubjectPublicKeyInfo, "PUBLIC KEY"
	FormatPKCS1       KeyFormat = "pkcs1"       // "RSA PUBLIC KEY"
	FormatCertificate KeyFormat = "certificate" // X.509
	FormatJWK         KeyFormat = "jwk"
	FormatJWKS        KeyFormat = "jwks"
)

// Label names the form for people.
func (f KeyFormat) Label() string {
	switch f {
	case FormatPEM:
		return "PEM public key"
	case FormatPKCS1:
		return "PEM public key (PKCS #1)"
	case FormatCertificate:
		return "X.509 certificate"
	case FormatJWK:
		return "JWK"
	case FormatJWKS:
		return "JWK set"
	}
	return ""
}

// Candidate is one key found in an input, not judged yet: that is for CheckKey.
type Candidate struct {
	Format     KeyFormat
	Index      int    // position in a JWKS or among PEM blocks, for the choice to be posted back
	KeyID      string // kid as given, or proposed: the first 8 characters of the thumbprint
	Proposed   bool   // KeyID was not in the input
	Bits       int    // 0 when the modulus cannot be read
	Thumbprint string // "" when the modulus or exponent cannot be read
	JWK        json.RawMessage
}

// Input returns the candidate as a registration under keyID, or under its own key id when that is empty. A kid inside
// the JWK that differs is an error of CheckKey, as it is in the API.
func (c Candidate) Input(keyID string) PublicKeyInput {
	if keyID == "" {
		keyID = c.KeyID
	}
	return PublicKeyInput{KeyID: keyID, Algorithm: KeyAlgorithm, KeyType: KeyType, JWK: c.JWK}
}

// The refusals of ParseKeyInput. None repeats anything of the input.
var (
	ErrPrivateKey = fault.New(fault.Invalid, fault.CodeBadRequest, "This is a private key. It was not stored. Treat it as exposed: make a new key pair and give us the public half only.")

	ErrKeyInputTooLarge = keyInputFault("The key is larger than 64 KiB.")
	ErrKeyInputNotText  = keyInputFault("This is not text. Convert the key to PEM or JWK first.")
	ErrKeyInputEmpty    = keyInputFault("No key was given.")
	ErrKeyInputUnknown  = keyInputFault("No public key was found. Give a JWK, a JWK set, a PEM public key or a certificate.")
	ErrKeyInputNotRSA   = keyInputFault("This is not an RSA key. Only RSA keys can receive webhooks.")
)

// keyInputFault complains about the field of the key.
func keyInputFault(message string) *fault.Error {
	return &fault.Error{
		Kind: fault.Invalid, Code: fault.CodeBadRequest, Message: message,
		Fields: []fault.Field{{Name: "key", Message: message}},
	}
}

// ParseKeyInput finds the public RSA keys in what a person pasted or uploaded: PEM (SubjectPublicKeyInfo or PKCS #1),
// an X.509 certificate, a JWK or a JWKS. Several candidates are for the person to choose from; keys of a set that are
// not RSA are passed over. Anything private in the input refuses all of it.
func ParseKeyInput(text []byte) ([]Candidate, error) {
	if len(text) > MaxKeyInput {
		return nil, ErrKeyInputTooLarge
	}
	if holdsPrivateKey(text) { // first, so that no other answer is given about such an input
		return nil, ErrPrivateKey
	}
	if !isText(text) {
		return nil, ErrKeyInputNotText
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	switch {
	case len(text) == 0:
		return nil, ErrKeyInputEmpty
	case text[0] == '{':
		return parseJSONKeys(text)
	}
	return parsePEMKeys(text)
}

// PrivateKeyPattern is an expression, for Go and for browsers, that finds a private key in text, also a piece of one or one with
// a comma too many. What it finds is not to be sent, kept or shown again.
var PrivateKeyPattern = `PRIVATE KEY|"(?:` + strings.Join(privateMembers, "|") + `)"\s*:`

var privateKey = regexp.MustCompile(PrivateKeyPattern)

// LooksPrivate reports whether PrivateKeyPattern finds a private key. ParseKeyInput finds those and more.
func LooksPrivate(text string) bool { return privateKey.MatchString(text) }

// holdsPrivateKey is LooksPrivate, and looks for PEM markers in any case, and for private members at any depth of what is JSON,
// however they are written.
func holdsPrivateKey(text []byte) bool {
	if privateKey.Match(text) {
		return true
	}
	for line := range bytes.Lines(text) {
		line = bytes.ToUpper(line)
		if i := bytes.Index(line, []byte("-----BEGIN")); i >= 0 && bytes.Contains(line[i:], []byte("PRIVATE")) {
			return true
		}
	}
	var value any
	return bytes.Contains(text, []byte("{")) && !tooDeep(text) && json.Unmarshal(text, &value) == nil && hasPrivateMember(value)
}

func hasPrivateMember(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if slices.Contains(privateMembers, name) || hasPrivateMember(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasPrivateMember)
	}
	return false
}

func isText(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	return !bytes.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\f\r", r) })
}

func parseJSONKeys(text []byte) ([]Candidate, error) {
	members, problem := readObject(text)
	if problem != "" {
		return nil, keyInputFault("The JSON " + problem + ".")
	}
	raw, isSet := members["keys"]
	if !isSet {
		return []Candidate{candidateOf(FormatJWK, 0, text, members)}, nil
	}
	var keys []json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return nil, keyInputFault("The keys of a JWK set must be an array.")
	}
	var found []Candidate
	for i, key := range keys {
		members, problem := readObject(key)
		if problem != "" || textMember(members, "kty") != KeyType {
			continue
		}
		if len(found) == maxCandidates {
			return nil, keyInputFault("The JWK set has more than " + strconv.Itoa(maxCandidates) + " RSA keys. Give the one to use.")
		}
		found = append(found, candidateOf(FormatJWKS, i, key, members))
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(keys) > 0:
		return nil, ErrKeyInputNotRSA
	}
	return nil, ErrKeyInputUnknown
}

// candidateOf takes a JWK as it is, faults included, so that CheckKey can show each of them.
func candidateOf(format KeyFormat, index int, raw json.RawMessage, members map[string]json.RawMessage) Candidate {
	c := Candidate{Format: format, Index: index, KeyID: textMember(members, "kid"), JWK: slices.Clone(raw)}
	n, e := textMember(members, "n"), textMember(members, "e")
	modulus, errN := decodeUnsigned(n)
	_, errE := decodeUnsigned(e)
	if errN == nil {
		c.Bits = modulus.BitLen()
	}
	if errN == nil && errE == nil {
		c.Thumbprint = thumbprint(n, e)
	}
	c.propose()
	return c
}

// propose fills in a key id. The thumbprint's alphabet is printable, and it is reproducible at the other end.
func (c *Candidate) propose() {
	if c.KeyID == "" && len(c.Thumbprint) >= 8 {
		c.KeyID, c.Proposed = c.Thumbprint[:8], true
	}
}

func parsePEMKeys(text []byte) ([]Candidate, error) {
	var found []Candidate
	notRSA := false
	for i := 0; ; i++ {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		format, parsed := parseBlock(block)
		if parsed == nil {
			continue
		}
		pub, ok := parsed.(*rsa.PublicKey)
		if !ok {
			notRSA = true
			continue
		}
		if len(found) == maxCandidates {
			return nil, keyInputFault("There are more than " + strconv.Itoa(maxCandidates) + " keys. Give the one to use.")
		}
		found = append(found, candidateOfRSA(format, i, pub))
		if format == FormatCertificate {
			break // the first certificate is the receiver's; what follows is the chain that vouches for it
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case notRSA:
		return nil, ErrKeyInputNotRSA
	}
	return nil, ErrKeyInputUnknown
}

// parseBlock returns the public key in a PEM block, or nil. x509 accepts the rsaEncryption algorithm alone as RSA.
func parseBlock(block *pem.Block) (KeyFormat, any) {
	switch block.Type {
	case "PUBLIC KEY":
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			return FormatPEM, key
		}
	case "RSA PUBLIC KEY":
		if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			return FormatPKCS1, key
		}
	case "CERTIFICATE", "X509 CERTIFICATE":
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.PublicKey != nil {
			return FormatCertificate, cert.PublicKey
		}
	}
	return "", nil
}

func candidateOfRSA(format KeyFormat, index int, pub *rsa.PublicKey) Candidate {
	n := base64.RawURLEncoding.EncodeToString(pub.N.Bytes())
	e := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(pub.E)).Bytes())
	c := Candidate{Format: format, Index: index, Bits: pub.N.BitLen(), Thumbprint: thumbprint(n, e), JWK: publicJWK(n, e)}
	c.propose()
	return c
}
