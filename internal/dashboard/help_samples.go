package dashboard

import (
	"strconv"
	"strings"

	"kaylehooks/web/templates/pages"
)

// secretVariable is the environment variable that every sample reads the signing secret from. No sample ever holds a secret.
const secretVariable = "KAYLE_WEBHOOK_SECRET" // #nosec G101 -- the name, not the secret

// language is what samples are written in: the two functions of a receiver, and a program around them that looks at one request
// in a file. What the page of a delivery has you run is the code that the help has you write.
type language struct {
	name, label     string
	verify, decrypt string
	program         string // runs both
	command         string // for a shell, around the program
	needs           string // what has to be installed for the command
}

// languages are the languages of the samples; the first one is the default.
var languages = []language{
	{"go", "Go", goVerify, goDecrypt, goProgram, goCommand, "Go, in a module that requires github.com/go-jose/go-jose/v4"},
	{"node", "Node", nodeVerify, nodeDecrypt, nodeProgram, nodeCommand, "Node.js 18 or newer, and no package"},
	{"python", "Python", pythonVerify, pythonDecrypt, pythonProgram, pythonCommand, "Python 3.9 or newer, and its package cryptography"},
}

// languageOf is the language of that name, if there is one.
func languageOf(name string) (language, bool) {
	for _, l := range languages {
		if l.name == name {
			return l, true
		}
	}
	return language{}, false
}

// inQuotes escapes text, which comes from a person, for the inside of double quotes in every one of the languages.
var inQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// samples are the two steps of a receiver that has the key.
func (l language) samples(kid string) []pages.Snippet {
	fill := strings.NewReplacer("{{SECRET}}", secretVariable, "{{KID}}", inQuotes.Replace(kid))
	return []pages.Snippet{
		{ID: "s-verify", Title: "1. Verify the signature over the raw body", Code: fill.Replace(l.verify), Note: "Constant-time comparison, five minutes of tolerance, any v1: two come while a rotated secret is in its overlap."},
		{ID: "s-decrypt", Title: "2. Decrypt with the private key named by kid", Code: fill.Replace(l.decrypt), Note: "Allow exactly this algorithm pair. Keep old private keys until nothing encrypted to them can arrive."},
	}
}

// receivedRequest is what is known here of a request that a receiver got.
type receivedRequest struct {
	delivery, kid string
	sentAt        int64  // the t that was signed, in Unix seconds
	hash          string // SHA-256 of the body in hex, or "" once the body is erased
}

// localCommand is a shell command that does both steps of a receiver to one request, on the machine of whoever has the private
// key. What only they have is read from two files and the environment, and the v1 that came is theirs to fill in.
func (l language) localCommand(r receivedRequest) string {
	text := strings.Replace(l.command, "{{PROGRAM}}", l.program, 1)
	text = strings.NewReplacer("{{VERIFY}}", l.verify, "{{DECRYPT}}", l.decrypt).Replace(text)
	return strings.NewReplacer("{{SECRET}}", secretVariable, "{{KID}}", inQuotes.Replace(r.kid), "{{DELIVERY}}", r.delivery,
		"{{AT}}", strconv.FormatInt(r.sentAt, 10), "{{HASH}}", r.hash).Replace(text)
}

const goVerify = `// secrets: os.Getenv("{{SECRET}}"), during an overlap also the other one
func valid(header string, body []byte, secrets []string, now time.Time) bool {
	var t string
	var sums []string
	for _, part := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			sums = append(sums, strings.ToLower(value))
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret)) // the whole secret, with whsec_
		fmt.Fprintf(mac, "%s.%s", t, body)
		want := hex.EncodeToString(mac.Sum(nil))
		for _, sum := range sums {
			if hmac.Equal([]byte(sum), []byte(want)) {
				return true
			}
		}
	}
	return false
}`

const goDecrypt = `// keys: map[string]*rsa.PrivateKey{"{{KID}}": privateKey}
func decrypt(body []byte, keys map[string]*rsa.PrivateKey) ([]byte, error) {
	// github.com/go-jose/go-jose/v4
	jwe, err := jose.ParseEncryptedCompact(string(body),
		[]jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, err
	}
	key, ok := keys[jwe.Header.KeyID]
	if !ok {
		return nil, errors.New("unknown kid")
	}
	return jwe.Decrypt(key) // JSON; then drop repeats by metadata.event_id
}`

const goProgram = `package main

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

{{VERIFY}}

{{DECRYPT}}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	body := must(os.ReadFile("body.jwe"))
	block, _ := pem.Decode(must(os.ReadFile("private.pem")))
	if block == nil {
		log.Fatal("private.pem is not PEM")
	}
	privateKey := must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)

	fmt.Println("delivery  {{DELIVERY}}")
	hash, sent := fmt.Sprintf("%x", sha256.Sum256(body)), "{{HASH}}"
	switch sent {
	case "":
		fmt.Println("body      SHA-256", hash)
	case hash:
		fmt.Println("body      as it was sent")
	default:
		fmt.Println("body      NOT AS IT WAS SENT, SHA-256", hash)
	}
	now := time.Unix({{AT}}, 0) // when it was sent; a receiver takes the present time
	secrets := []string{os.Getenv("{{SECRET}}")}
	right := valid(os.Getenv("SIGNATURE"), body, secrets, now)
	if right {
		fmt.Println("signature right")
	} else {
		fmt.Println("signature WRONG")
	}
	event := must(decrypt(body, map[string]*rsa.PrivateKey{"{{KID}}": privateKey}))
	fmt.Printf("event     %s\n", event)
	if !right {
		os.Exit(1)
	}
}`

const goCommand = `cat > open-webhook.go <<'END'
{{PROGRAM}}
END
SIGNATURE='t={{AT}},v1=…' go run open-webhook.go`

const nodeVerify = `import { createHmac, timingSafeEqual } from 'node:crypto';

// secrets: [process.env.{{SECRET}}], during an overlap also the other one
// body: a Buffer, as received
export function valid(header, body, secrets, now = Date.now() / 1000) {
  const parts = header.split(',').map((p) => p.trim().split('='));
  const values = (name) => parts.filter(([n]) => n === name).map(([, v = '']) => v);
  const [t = ''] = values('t');
  if (!/^\d+$/.test(t) || Math.abs(now - Number(t)) > 300) return false;
  const sums = values('v1').map((v) => Buffer.from(v.toLowerCase()));
  return secrets.some((secret) => { // the whole secret, with whsec_
    const mac = createHmac('sha256', secret).update(t + '.').update(body);
    const want = Buffer.from(mac.digest('hex'));
    return sums.some((s) => s.length === want.length && timingSafeEqual(s, want));
  });
}`

const nodeDecrypt = `import { createDecipheriv, privateDecrypt } from 'node:crypto';

// keys: new Map([["{{KID}}", createPrivateKey(pem)]])
export function decrypt(body, keys) {
  const [head, wrapped, iv, text, tag] = body.toString('latin1').split('.');
  const b64 = (part) => Buffer.from(part, 'base64url');
  const { alg, enc, kid } = JSON.parse(b64(head));
  if (alg !== 'RSA-OAEP-256' || enc !== 'A256GCM') throw new Error('other algorithm');
  const key = keys.get(kid);
  if (!key) throw new Error('unknown kid');
  const cek = privateDecrypt({ key, oaepHash: 'sha256' }, b64(wrapped));
  const gcm = createDecipheriv('aes-256-gcm', cek, b64(iv), { authTagLength: 16 });
  gcm.setAAD(Buffer.from(head)).setAuthTag(b64(tag));
  return JSON.parse(Buffer.concat([gcm.update(b64(text)), gcm.final()]));
  // then drop repeats by metadata.event_id
}`

const nodeProgram = `import { createHash, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

{{VERIFY}}

{{DECRYPT}}

const body = readFileSync('body.jwe');
const keys = new Map([["{{KID}}", createPrivateKey(readFileSync('private.pem'))]]);
console.log('delivery  {{DELIVERY}}');
const hash = createHash('sha256').update(body).digest('hex'), sent = '{{HASH}}';
const other = (sent && 'NOT AS IT WAS SENT, ') + 'SHA-256 ' + hash;
console.log('body     ', sent === hash ? 'as it was sent' : other);
const now = {{AT}}; // when it was sent; a receiver takes the present time
const secrets = [process.env.{{SECRET}} ?? ''];
const right = valid(process.env.SIGNATURE, body, secrets, now);
console.log('signature', right ? 'right' : 'WRONG');
process.exitCode = right ? 0 : 1;
console.log('event    ', JSON.stringify(decrypt(body, keys)));`

const nodeCommand = `SIGNATURE='t={{AT}},v1=…' node --input-type=module - <<'END'
{{PROGRAM}}
END`

const pythonVerify = `import hashlib, hmac, time

# secrets: [os.environ["{{SECRET}}"]], during an overlap also the other one
def valid(header: str, body: bytes, secrets: list[str], now=None) -> bool:
    parts = [part.strip().partition("=") for part in header.split(",")]
    t = next((value for name, _, value in parts if name == "t"), "")
    now = time.time() if now is None else now
    if not (t.isascii() and t.isdigit()) or abs(now - int(t)) > 300:
        return False
    sums = [value.lower().encode() for name, _, value in parts if name == "v1"]
    signed = t.encode() + b"." + body
    wants = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
             for secret in secrets]  # the whole secret, with whsec_
    return any([hmac.compare_digest(s, w) for s in sums for w in wants])`

const pythonDecrypt = `import base64, json  # pip install cryptography
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# keys: {"{{KID}}": serialization.load_pem_private_key(…)}
def decrypt(body: bytes, keys: dict) -> dict:
    def b64(part: bytes) -> bytes:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))

    protected, wrapped, iv, ciphertext, tag = body.split(b".")
    header = json.loads(b64(protected))
    if (header["alg"], header["enc"]) != ("RSA-OAEP-256", "A256GCM"):
        raise ValueError("unexpected algorithm")
    if header["kid"] not in keys:
        raise ValueError("unknown kid")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    cek = keys[header["kid"]].decrypt(b64(wrapped), oaep)
    sealed = b64(ciphertext) + b64(tag)
    return json.loads(AESGCM(cek).decrypt(b64(iv), sealed, protected))
    # then drop repeats by metadata.event_id`

const pythonProgram = `import os, sys
from cryptography.hazmat.primitives import serialization

{{VERIFY}}

{{DECRYPT}}

body = open("body.jwe", "rb").read()
key = serialization.load_pem_private_key(open("private.pem", "rb").read(), None)
print("delivery  {{DELIVERY}}")
digest, sent = hashlib.sha256(body).hexdigest(), "{{HASH}}"
other = (sent and "NOT AS IT WAS SENT, ") + "SHA-256 " + digest
print("body     ", "as it was sent" if sent == digest else other)
now = {{AT}}  # when it was sent; a receiver takes the present time
right = valid(os.environ["SIGNATURE"], body, [os.environ["{{SECRET}}"]], now)
print("signature", "right" if right else "WRONG")
print("event    ", json.dumps(decrypt(body, {"{{KID}}": key})))
sys.exit(0 if right else 1)`

const pythonCommand = `SIGNATURE='t={{AT}},v1=…' python3 - <<'END'
{{PROGRAM}}
END`
