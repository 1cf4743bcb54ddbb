package dashboard

import (
	"strings"

	"kaylehooks/web/templates/pages"
)

// sampleFill is what a sample is filled in with. No sample ever holds a secret: it is read from the environment.
type sampleFill struct {
	KeyID    string
	Variable string
}

// sampleLanguages are the languages of the samples; the first one is the default.
var sampleLanguages = []struct{ name, label string }{{"go", "Go"}, {"node", "Node"}, {"python", "Python"}}

func sampleLanguage(name string) string {
	for _, l := range sampleLanguages {
		if l.name == name {
			return name
		}
	}
	return sampleLanguages[0].name
}

// samplesOf are the two steps of a receiver in a language.
func samplesOf(lang string, fill sampleFill) []pages.Snippet {
	verify, decrypt := goVerify, goDecrypt
	switch lang {
	case "node":
		verify, decrypt = nodeVerify, nodeDecrypt
	case "python":
		verify, decrypt = pythonVerify, pythonDecrypt
	}
	// A key id comes from a person; in every one of these languages a quoted string ends at a quote or a backslash.
	kid := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", " ").Replace(fill.KeyID)
	filled := strings.NewReplacer("{{SECRET}}", fill.Variable, "{{KID}}", kid)
	return []pages.Snippet{
		{ID: "s-verify", Title: "1. Verify the signature over the raw body", Code: filled.Replace(verify), Note: "Constant-time comparison, five minutes of tolerance, any v1: two come while a rotated secret is in its overlap."},
		{ID: "s-decrypt", Title: "2. Decrypt with the private key named by kid", Code: filled.Replace(decrypt), Note: "Allow exactly this algorithm pair. Keep old private keys until nothing encrypted to them can arrive."},
	}
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

const goDecrypt = `// github.com/go-jose/go-jose/v4
keys := map[string]*rsa.PrivateKey{"{{KID}}": privateKey}

jwe, err := jose.ParseEncryptedCompact(string(body),
	[]jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
if err != nil {
	return err
}
key, ok := keys[jwe.Header.KeyID]
if !ok {
	return errors.New("unknown kid")
}
plain, err := jwe.Decrypt(key)
if err != nil {
	return err
}
var event struct {
	Type     string
	Metadata struct {
		EventID   string  ` + "`json:\"event_id\"`" + `
		SessionID *string ` + "`json:\"verification_session_id\"`" + `
	}
	Data json.RawMessage
}
err = json.Unmarshal(plain, &event) // then drop repeats by event_id`

const nodeVerify = `import { createHmac, timingSafeEqual } from 'node:crypto';

// secrets: process.env.{{SECRET}}, during an overlap also the other one
export function valid(header, body /* Buffer, as received */, secrets) {
  const parts = header.split(',').map((p) => p.trim().split('='));
  const values = (name) => parts.filter((p) => p[0] === name).map((p) => p[1] ?? '');
  const [t = ''] = values('t');
  if (!/^\d+$/.test(t) || Math.abs(Date.now() / 1000 - Number(t)) > 300) return false;
  const sums = values('v1').map((v) => Buffer.from(v.toLowerCase()));
  return secrets.some((secret) => { // the whole secret, with whsec_
    const want = Buffer.from(createHmac('sha256', secret).update(t + '.').update(body).digest('hex'));
    return sums.some((sum) => sum.length === want.length && timingSafeEqual(sum, want));
  });
}`

const nodeDecrypt = `import { compactDecrypt } from 'jose';

const keys = new Map([['{{KID}}', privateKey]]);

const { plaintext } = await compactDecrypt(
  body.toString('latin1'),
  ({ kid }) => keys.get(kid) ?? Promise.reject(new Error('unknown kid')),
  { keyManagementAlgorithms: ['RSA-OAEP-256'], contentEncryptionAlgorithms: ['A256GCM'] },
);
const event = JSON.parse(new TextDecoder().decode(plaintext));
// then drop repeats by event.metadata.event_id`

const pythonVerify = `import hashlib, hmac, time

# secrets: [os.environ["{{SECRET}}"]], during an overlap also the other one
def valid(header: str, body: bytes, secrets: list[str]) -> bool:
    parts = [part.strip().partition("=") for part in header.split(",")]
    t = next((value for name, _, value in parts if name == "t"), "")
    if not (t.isascii() and t.isdigit()) or abs(time.time() - int(t)) > 300:
        return False
    sums = [value.lower().encode() for name, _, value in parts if name == "v1"]
    wants = [hmac.new(secret.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
             for secret in secrets]  # the whole secret, with whsec_
    return any([hmac.compare_digest(s, w) for s in sums for w in wants])`

const pythonDecrypt = `import base64, json  # pip install cryptography
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

keys = {"{{KID}}": private_key}  # serialization.load_pem_private_key(…)

def b64(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))

protected, wrapped, iv, ciphertext, tag = body.split(b".")
header = json.loads(b64(protected))
if (header["alg"], header["enc"]) != ("RSA-OAEP-256", "A256GCM"):
    raise ValueError("unexpected algorithm")
if header["kid"] not in keys:
    raise ValueError("unknown kid")
oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
cek = keys[header["kid"]].decrypt(b64(wrapped), oaep)
event = json.loads(AESGCM(cek).decrypt(b64(iv), b64(ciphertext) + b64(tag), protected))
# then drop repeats by event["metadata"]["event_id"]`
