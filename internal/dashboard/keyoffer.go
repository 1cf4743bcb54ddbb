package dashboard

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// keyOffer is a key that was pasted or uploaded, and what was found out about it. It never holds the input itself.
type keyOffer struct {
	check      pages.KeyCheck
	found      problems
	input      webhook.PublicKeyInput
	acceptable bool
	empty      bool
	// keyID is the field as it was entered; shown is the accepted public key, rebuilt from its numbers, so that nothing
	// else of the input can come back.
	keyID, shown string
	// challenged is the key whose challenge was answered wrongly; found says so.
	challenged id.Key
}

// readKeyOffer judges the key in the form: a file if there is one, else the text.
func (p *page) readKeyOffer(e webhook.Endpoint) (keyOffer, error) {
	o := keyOffer{keyID: p.Value("key_id"), found: problems{}}
	if len(o.keyID) > webhook.MaxKeyID { // not shown again: somebody may have pasted a key here
		o.keyID = ""
		o.found["key_id"] = fmt.Sprintf("Use at most %d printable characters.", webhook.MaxKeyID)
		return o, nil
	}
	text, field, err := p.keyText()
	if err != nil {
		return o, err
	}
	if len(text) == 0 {
		o.empty = true
		o.found["key"] = "Paste a public key or choose a file."
		return o, nil
	}
	candidates, err := webhook.ParseKeyInput(text)
	f, refused := fault.As(err)
	switch {
	case err == nil:
	case refused && f == webhook.ErrPrivateKey:
		o.check.Private = true
		o.keyID = "" // people paste into the wrong field, too
		o.found[field] = f.Message
		return o, nil
	case refused:
		o.check = pages.KeyCheck{Badge: &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Not a key"}, Rules: []ui.Rule{{State: "fail", Text: f.Message}}}
		o.found[field] = f.Message
		return o, nil
	default:
		return o, err
	}
	chosen := p.pick(candidates, &o)
	if chosen == nil {
		return o, nil
	}
	o.input = chosen.Input(o.keyID)
	return o, p.judgeKey(e, chosen, &o)
}

// keyText is the content of the file, or of the text field, and the name of the field it came from. It is cut after
// what ParseKeyInput refuses as too large.
func (p *page) keyText() (text []byte, field string, err error) {
	file, _, err := p.R.FormFile("keyfile")
	switch {
	case err == nil:
		defer file.Close()
		text, err = io.ReadAll(io.LimitReader(file, webhook.MaxKeyInput+1))
		if err != nil {
			return nil, "", fmt.Errorf("read uploaded key: %w", err)
		}
		if len(text) > 0 {
			return text, "file", nil
		}
	case !errors.Is(err, http.ErrMissingFile) && !errors.Is(err, http.ErrNotMultipart):
		return nil, "", errFormShape
	}
	return []byte(p.Value("keytext")), "key", nil
}

// pick chooses among several keys of a set: by the choice that was posted, or by the key id. It returns nil and offers
// the choice when neither decides.
func (p *page) pick(candidates []webhook.Candidate, o *keyOffer) *webhook.Candidate {
	var chosen *webhook.Candidate
	if len(candidates) == 1 {
		return &candidates[0]
	}
	for i := range candidates {
		switch c := &candidates[i]; {
		case p.Value("pick") == strconv.Itoa(c.Index):
			chosen = c
		case chosen == nil && p.Value("pick") == "" && o.keyID != "" && c.KeyID == o.keyID:
			chosen = c
		}
	}
	o.check.Pick = ui.Select{Name: "pick", Form: "keyform", Label: "Which key of the set", Options: []ui.Option{{Label: "Choose…"}}}
	for i := range candidates {
		c := &candidates[i]
		o.check.Pick.Options = append(o.check.Pick.Options, ui.Option{
			Value: strconv.Itoa(c.Index), Label: fmt.Sprintf("%s, %d bit", c.KeyID, c.Bits), Selected: c == chosen,
		})
	}
	if chosen == nil {
		o.check.Badge = &ui.Badge{Tone: ui.Warn, Icon: "key", Label: counted(len(candidates), "key", "keys") + " found"}
		o.found["key_id"] = "Enter the key id of the one to use."
	}
	return chosen
}

// judgeKey applies every rule and shows each with its outcome.
func (p *page) judgeKey(e webhook.Endpoint, c *webhook.Candidate, o *keyOffer) error {
	accepted, rules := webhook.CheckKey(o.input)
	failed := 0
	for _, r := range rules {
		rule := ui.Rule{State: "pass", Text: r.Label, Got: r.Detail}
		if !r.OK {
			failed++
			rule.State, rule.Sub = "fail", sentence(r.Message)
			field := "key"
			if r.Field == "key_id" {
				field = "key_id"
			}
			o.found[field] = r.Label + ": " + sentence(r.Message)
		}
		o.check.Rules = append(o.check.Rules, rule)
	}
	same, known, err := p.Webhooks.SameKey(p.Ctx, p.Actor, e.ID, accepted.Thumbprint) // of what is no key there is none
	if err != nil {
		return err
	}
	unique := ui.Rule{State: "pass", Text: "Its key id is new at this endpoint", Got: o.input.KeyID}
	taken := false
	if o.found["key_id"] != "" { // what is no key id is not looked for
		unique.State = "skip"
	} else if taken, err = p.Webhooks.KeyIDTaken(p.Ctx, p.Actor, e.ID, o.input.KeyID); err != nil {
		return err
	}
	if taken {
		failed++
		unique.State, unique.Sub = "fail", "Choose another key id, or reactivate the existing key."
		o.found["key_id"] = webhook.ErrKeyIDTaken.Message + " " + unique.Sub
	}
	o.check.Rules = append(o.check.Rules, unique)
	if known {
		o.check.Rules = append(o.check.Rules, ui.Rule{State: "warn", Text: "The same key is here already", Got: same.KeyID, Sub: "Reactivating it has the same effect."})
	}
	o.check.Facts = []ui.Fact{{Term: "Found", Text: c.Format.Label()}, {Term: "Key id", Text: o.input.KeyID, Mono: true}}
	if c.Proposed && o.keyID == "" {
		o.check.Facts[1].Sub = "Proposed from the thumbprint"
	}
	if c.Thumbprint != "" {
		o.check.Facts = append(o.check.Facts, ui.Fact{Term: "RFC 7638", Text: c.Thumbprint, Hash: true, Copy: "Copy thumbprint"})
	}
	total := len(rules) + 1
	if failed > 0 {
		o.check.Badge = &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: fmt.Sprintf("%d of %d rules failed", failed, total)}
		return nil
	}
	o.check.Badge = &ui.Badge{Tone: ui.OK, Icon: "check", Label: fmt.Sprintf("All %d rules passed", total)}
	o.acceptable, o.shown = true, string(accepted.JWK())
	if o.keyID == "" {
		o.keyID = o.input.KeyID
	}
	return nil
}

// thumbprintCommand reproduces an RFC 7638 thumbprint from a PEM file.
func thumbprintCommand(exponent string) string {
	return `n=$(openssl rsa -pubin -in public.pem -noout -modulus |
  cut -d= -f2 | xxd -r -p |
  basenc --base64url -w0 | tr -d =)
printf '{"e":"` + exponent + `","kty":"RSA","n":"%s"}' "$n" |
  openssl dgst -sha256 -binary |
  basenc --base64url | tr -d =`
}

// goKeygen makes a key pair with the standard library.
const goKeygen = `package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
)

func main() {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(err)
	write("private.pem", "PRIVATE KEY", private)
	write("public.pem", "PUBLIC KEY", public)
}

func write(file, kind string, der []byte) {
	check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}`

// keySnippets are commands that make a key pair where the private half stays.
func keySnippets() []pages.Snippet {
	return []pages.Snippet{
		{ID: "gen-web", Title: "Kaylehooks", Note: "The program of this server, on your machine. Choose public.jwk.json above.", Code: `web keygen --kid key-1 --out keys`},
		{ID: "gen-openssl", Title: "OpenSSL", Note: "Paste public.pem above.", Code: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out private.pem
openssl pkey -in private.pem -pubout -out public.pem`},
		{ID: "gen-go", Title: "Go", Note: "Save it as main.go, run it with go run main.go, and paste public.pem above.", Code: goKeygen},
		{ID: "gen-node", Title: "Node.js", Note: "Prints the public JWK; paste it above.", Code: `const { generateKeyPairSync } = require("node:crypto");
const fs = require("node:fs");
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 3072 });
fs.writeFileSync("private.pem", privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
console.log(JSON.stringify(publicKey.export({ format: "jwk" })));`},
		{ID: "gen-python", Title: "Python", Note: "Needs the package cryptography. Paste public.pem above.", Code: `import os
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import serialization as s
key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
with open("private.pem", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
    f.write(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
open("public.pem", "wb").write(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))`},
	}
}
