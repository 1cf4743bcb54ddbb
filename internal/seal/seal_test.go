package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	goldenSubject = "webhook_endpoint:whe_01kdvdna00e4hr28t5cy4tqkff:signing_secret"
	goldenSecret  = "whsec_0123456789abcdefghijklmnopqrstuv" // #nosec G101 -- contract section 13
	goldenBlob    = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiazEiLCJzdWIiOiJ3ZWJob29rX2VuZHBvaW50OndoZV8wMWtkdmRuYTAwZTRocjI4dDVjeTR0cWtmZjpzaWduaW5nX3NlY3JldCJ9..AAECAwQFBgcICQoL.lyENeu2ZByh3UKuXQCXQRKFLS7juclvI2Rgqzv0S_C5VLfvXEhA.W2pMBv32dusMFxsIDoJmdQ"
	sealKeyHex    = "6ba909b997aceee6fa975904a471ff93297e5a1696a57c050ff879da22300d84"
)

// master returns a key whose bytes count up from first; 0 is the one of the contract's vectors.
func master(id string, first byte) MasterKey {
	k := MasterKey{ID: id}
	for i := range k.Key {
		k.Key[i] = first + byte(i)
	}
	return k
}

func TestDeriveKey_Vectors(t *testing.T) {
	t.Parallel()
	for label, want := range map[Label]string{
		APIKey:      "edc03ddbe46007418713a905d5653c95d7468485b408e5e561fe4b5b1fcd3f40",
		CancelToken: "bbb3b82ee37c4d40f43dadb6c432a43b1d5cf9bb4904b9918e288dffb193390a",
		Idempotency: "eedb6b48cd0895bab1a6284c595b2136fd8c537a7b793af5228483d516881a82",
		sealLabel:   sealKeyHex,
	} {
		if got := hex.EncodeToString(deriveKey(master("k1", 0), label)); got != want {
			t.Errorf("%s: got %s, want %s", label, got, want)
		}
	}
}

func TestHMAC_Vectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ key, message, want string }{
		{"secret", `1764180000000.{"name":"John Doe","email":"john.doe@example.com"}`, "631a0bfeb29ef73049d328d97d3931f39e412104d5775502329732dfd20d766b"},
		{"auth-secret", "kk_" + strings.Repeat("a", 32), "cd239eae7cf1a7606827b2d64475c67a37ae6514581d8e653c99af82e352e128"},
		{"auth-secret", CancelTokenMessage(strings.Repeat("a", 48)), "822b140e2bee6caee45adb4c5ab2fce81a560cab2f29cb8b23b020cafd30e279"},
		{"phase1-test-secret", "org_123|GB|P|1234567", "98aca4d9bb799f3e77ddc466bdf38d5f1470adf597ed8dd9bc77bf671e3c2c64"},
	} {
		if got := hexHMAC([]byte(tc.key), tc.message); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.message, got, tc.want)
		}
	}
}

func TestHash_Vectors(t *testing.T) {
	t.Parallel()
	k := NewKeyring([]MasterKey{master("k1", 0), master("k0", 100)})
	for _, tc := range []struct {
		label         Label
		message, want string
	}{
		{APIKey, "kk_" + strings.Repeat("a", 32), "713fa389e8a4996bea983b5f6b82da0e1e847cb92e9d05cfdec7f1b8a3e3ef8c"},
		{CancelToken, CancelTokenMessage(strings.Repeat("a", 48)), "6d88e293094f718fc58677630f33fd192f77186c1493aab8a0e363d7ddc0df00"},
	} {
		got, id := k.Hash(tc.label, tc.message)
		if got != tc.want || id != "k1" {
			t.Errorf("%s: got %s under %s, want %s under k1", tc.label, got, id, tc.want)
		}
		if !k.Matches(tc.label, "k1", tc.want, tc.message) {
			t.Errorf("%s: the vector does not match", tc.label)
		}
		if k.Matches(tc.label, "k0", tc.want, tc.message) || k.Matches(tc.label, "gone", tc.want, tc.message) {
			t.Errorf("%s: matches under a wrong master key", tc.label)
		}
		if k.Matches(tc.label, "k1", tc.want, tc.message+"a") || k.Matches(tc.label, "k1", "", tc.message) {
			t.Errorf("%s: matches another message", tc.label)
		}
		if k.Matches(Idempotency, "k1", tc.want, tc.message) {
			t.Errorf("%s: matches under another label", tc.label)
		}
	}
}

func TestHashes_OnePerMasterKeyFirstOneFirst(t *testing.T) {
	t.Parallel()
	k := NewKeyring([]MasterKey{master("new", 7), master("old", 0)})
	first, id := k.Hash(APIKey, "kk_x")
	old, _ := NewKeyring([]MasterKey{master("old", 0)}).Hash(APIKey, "kk_x")
	want := []Hash{{id, first}, {"old", old}}
	if diff := cmp.Diff(want, k.Hashes(APIKey, "kk_x")); diff != "" || id != "new" {
		t.Errorf("id %s, hashes differ (-want +got):\n%s", id, diff)
	}
	if diff := cmp.Diff([]string{"new", "old"}, k.KeyIDs()); diff != "" {
		t.Error(diff)
	}
}

func TestSeal_GoldenBlob(t *testing.T) {
	t.Parallel()
	k := NewKeyring([]MasterKey{master("k1", 0)})
	k.rand = bytes.NewReader([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	blob, err := k.Seal(goldenSubject, goldenSecret)
	if err != nil || blob != goldenBlob {
		t.Fatalf("Seal: %v\n got %s\nwant %s", err, blob, goldenBlob)
	}
	plain, err := k.Open(goldenSubject, goldenBlob)
	if err != nil || plain != goldenSecret {
		t.Fatalf("Open: %q, %v", plain, err)
	}
}

func TestSeal_IsAnOrdinaryJWE(t *testing.T) {
	t.Parallel()
	key, _ := hex.DecodeString(sealKeyHex)
	k := NewKeyring([]MasterKey{master("k1", 0)})

	blob, err := k.Seal(goldenSubject, goldenSecret)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseEncryptedCompact(blob, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := parsed.Decrypt(key); err != nil || string(plain) != goldenSecret {
		t.Fatalf("go-jose opened %q, %v", plain, err)
	}

	enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key},
		(&jose.EncrypterOptions{}).WithHeader("kid", "k1").WithHeader("sub", "x:1"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := enc.Encrypt([]byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := theirs.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := k.Open("x:1", compact); err != nil || plain != "hello" {
		t.Fatalf("opened %q of go-jose, %v", plain, err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	k := NewKeyring([]MasterKey{master("k1", 0), master("k0", 100)})
	parts := strings.Split(goldenBlob, ".")
	head := func(h string) string {
		return strings.Join(append([]string{base64.RawURLEncoding.EncodeToString([]byte(h))}, parts[1:]...), ".")
	}
	part := func(i int, s string) string {
		p := append([]string(nil), parts...)
		p[i] = s
		return strings.Join(p, ".")
	}
	sub := `"sub":"` + goldenSubject + `"`
	for name, tc := range map[string]struct {
		subject, blob string
		want          error
	}{
		"other subject":             {goldenSubject + "x", goldenBlob, ErrSubject},
		"previous for current":      {strings.Replace(goldenSubject, ":signing", ":previous_signing", 1), goldenBlob, ErrSubject},
		"empty":                     {goldenSubject, "", ErrMalformed},
		"four parts":                {goldenSubject, strings.Join(parts[:4], "."), ErrMalformed},
		"six parts":                 {goldenSubject, goldenBlob + ".", ErrMalformed},
		"encrypted key":             {goldenSubject, part(1, "AAAA"), ErrMalformed},
		"short IV":                  {goldenSubject, part(2, "AAEC"), ErrMalformed},
		"short tag":                 {goldenSubject, part(4, "W2pM"), ErrMalformed},
		"padded part":               {goldenSubject, goldenBlob + "==", ErrMalformed},
		"line break":                {goldenSubject, goldenBlob + "\n", ErrMalformed},
		"stray bits":                {goldenSubject, goldenBlob[:len(goldenBlob)-1] + "R", ErrMalformed},
		"other IV":                  {goldenSubject, part(2, "AAECAwQFBgcICQoM"), ErrTampered},
		"other ciphertext":          {goldenSubject, part(3, "m"+parts[3][1:]), ErrTampered},
		"other tag":                 {goldenSubject, part(4, "X"+parts[4][1:]), ErrTampered},
		"other alg":                 {goldenSubject, head(`{"alg":"A256KW","enc":"A256GCM","kid":"k1",` + sub + `}`), ErrMalformed},
		"other enc":                 {goldenSubject, head(`{"alg":"dir","enc":"A128GCM","kid":"k1",` + sub + `}`), ErrMalformed},
		"no alg":                    {goldenSubject, head(`{"enc":"A256GCM","kid":"k1",` + sub + `}`), ErrMalformed},
		"no sub":                    {"", head(`{"alg":"dir","enc":"A256GCM","kid":"k1"}`), ErrMalformed},
		"zip added":                 {goldenSubject, head(`{"alg":"dir","enc":"A256GCM","kid":"k1",` + sub + `,"zip":"DEF"}`), ErrMalformed},
		"two headers":               {goldenSubject, head(`{"alg":"dir","enc":"A256GCM","kid":"k1",` + sub + `}{}`), ErrMalformed},
		"unknown master key":        {goldenSubject, head(`{"alg":"dir","enc":"A256GCM","kid":"k9",` + sub + `}`), ErrUnknownKey},
		"other known master key":    {goldenSubject, head(`{"alg":"dir","enc":"A256GCM","kid":"k0",` + sub + `}`), ErrTampered},
		"reordered header":          {goldenSubject, head(`{"enc":"A256GCM","alg":"dir","kid":"k1",` + sub + `}`), ErrTampered},
		"header changed to subject": {"x", head(`{"alg":"dir","enc":"A256GCM","kid":"k1","sub":"x"}`), ErrTampered},
	} {
		plain, err := k.Open(tc.subject, tc.blob)
		if !errors.Is(err, tc.want) || plain != "" {
			t.Errorf("%s: got %q, %v; want %v", name, plain, err, tc.want)
		}
	}
}

func TestReseal_MovesToTheFirstMasterKey(t *testing.T) {
	t.Parallel()
	old := NewKeyring([]MasterKey{master("k0", 9)})
	blob, err := old.Seal("a:1", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	k := NewKeyring([]MasterKey{master("k1", 0), master("k0", 9)})
	if k.KeyID(blob) != "k0" || !k.NeedsReseal(blob) || old.NeedsReseal(blob) {
		t.Fatal("the old blob is not recognised")
	}
	if plain, err := k.Open("a:1", blob); err != nil || plain != "s3cret" {
		t.Fatalf("open under the second key: %q, %v", plain, err)
	}
	fresh, err := k.Reseal("a:1", blob)
	if err != nil || k.NeedsReseal(fresh) {
		t.Fatalf("reseal: %v, key %q", err, k.KeyID(fresh))
	}
	if plain, err := NewKeyring([]MasterKey{master("k1", 0)}).Open("a:1", fresh); err != nil || plain != "s3cret" {
		t.Fatalf("open after dropping the old key: %q, %v", plain, err)
	}
	if k.KeyID("nonsense") != "" || !k.NeedsReseal("nonsense") {
		t.Error("nonsense has a key id")
	}
}

func TestSeal_RoundTrip(t *testing.T) {
	t.Parallel()
	k := NewKeyring([]MasterKey{master("k1", 0)})
	rapid.Check(t, func(rt *rapid.T) {
		subject, plain := rapid.StringN(1, 80, -1).Draw(rt, "subject"), rapid.String().Draw(rt, "plain")
		one, err := k.Seal(subject, plain)
		if err != nil {
			rt.Fatal(err)
		}
		two, err := k.Seal(subject, plain)
		if err != nil || one == two {
			rt.Fatalf("the same IV twice, or %v", err)
		}
		if got, err := k.Open(subject, one); err != nil || got != plain {
			rt.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestParseMasterKeys(t *testing.T) {
	t.Parallel()
	m := master("k1", 0xf0) // its base64 has characters of both alphabets
	std, url := base64.StdEncoding.EncodeToString(m.Key[:]), base64.URLEncoding.EncodeToString(m.Key[:])
	if std == url {
		t.Fatal("the sample does not tell the alphabets apart")
	}
	for _, text := range []string{
		"k1:" + std, "k1:" + url, "k1:" + strings.TrimRight(url, "="), " k1 : " + std + " ",
	} {
		got, err := ParseMasterKeys(text)
		if diff := cmp.Diff([]MasterKey{m}, got); err != nil || diff != "" {
			t.Errorf("%v, differs:\n%s", err, diff)
		}
	}
	two, err := ParseMasterKeys("k2:" + std + ",k1:" + url)
	if err != nil || len(two) != 2 || two[0].ID != "k2" || two[1].ID != "k1" {
		t.Errorf("two keys: %v, %v", two, err)
	}
}

func TestParseMasterKeys_ErrorsNameTheEntryNeverTheValue(t *testing.T) {
	t.Parallel()
	m := master("k1", 1)
	good := base64.StdEncoding.EncodeToString(m.Key[:])
	for text, want := range map[string]string{
		"":                             "no master key given",
		"  ":                           "no master key given",
		good:                           "master key 1: not of the form",
		"k1:" + good + ",":             "master key 2: not of the form",
		"k1:" + good + ",k1:" + good:   "master key 2 (k1): the id is used twice",
		"k1:" + good[:20]:              "master key 1 (k1): the key has 15 bytes, want 32",
		"k1:" + good[:43] + "A":        "master key 1 (k1): the key has 33 bytes, want 32",
		"k1:!" + good[1:]:              "master key 1 (k1): the key is not base64",
		":" + good:                     "master key 1: the id must be",
		"k 1:" + good:                  "master key 1: the id must be",
		strings.Repeat("a", 65) + ":x": "master key 1: the id must be",
	} {
		_, err := ParseMasterKeys(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q…", err, want)
		}
		if err != nil && strings.Contains(err.Error(), good[:10]) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	_, err := ParseMasterKeys("k1:x,k 2:" + good + ",k3:y")
	if err == nil || strings.Count(err.Error(), "master key") != 3 {
		t.Errorf("not every problem is reported: %v", err)
	}
}

func TestMasterKey_PrintsAsItsID(t *testing.T) {
	t.Parallel()
	m := master("k1", 65)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", m, "ring", NewKeyring([]MasterKey{m}))
	encoded, _ := json.Marshal(m)
	text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", m, m, m, m, NewKeyring([]MasterKey{m}), NewKeyring([]MasterKey{m}), NewKeyring([]MasterKey{m}))
	for _, s := range []string{text, log.String(), string(encoded)} {
		for _, leak := range []string{"ABCD", "65 66", "0x41", "65,66"} {
			if strings.Contains(s, leak) {
				t.Errorf("shows the key: %s", s)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := NewKeyring([]MasterKey{master("k1", 0)})
	f.Add(goldenBlob)
	f.Add("....")
	f.Add("")
	f.Fuzz(func(t *testing.T, blob string) {
		if _, err := k.Open(goldenSubject, blob); err == nil && blob != goldenBlob {
			t.Errorf("opened %s", blob)
		}
		_ = k.KeyID(blob)
	})
}
