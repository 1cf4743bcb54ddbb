package webhook

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	newSecretSample = "whsec_0123456789abcdefghijklmnopqrstuv" // #nosec G101 -- contract section 13
	oldSecretSample = "whsec_vutsrqponmlkjihgfedcba9876543210" // #nosec G101 -- contract section 13
	signedBody      = "aaa.bbb.ccc.ddd.eee"
	newV1           = "b8a5d29d71d2e70540fe9882746f031d11aecdb95effc79e615eedd47aa35a2d"
	oldV1           = "04248edd8b6e12c320961b7330c6c10446a4a80a2375a96b6874fa6dfa552304"
	signedAt        = 1767225600
)

func TestSign_Vectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		secrets []string
		t       int64
		body    string
		want    string
	}{
		{[]string{"secret"}, 1764180000000, `{"name":"John Doe","email":"john.doe@example.com"}`, "t=1764180000000,v1=631a0bfeb29ef73049d328d97d3931f39e412104d5775502329732dfd20d766b"},
		{[]string{"whsec_test_secret"}, 1742404800, "encrypted-payload", "t=1742404800,v1=4e4a7ec092b53b027f0b504e4f1c0383af4dc960d2a869d9961d50586f46105b"},
		{[]string{newSecretSample}, signedAt, signedBody, "t=1767225600,v1=" + newV1},
		{[]string{oldSecretSample}, signedAt, signedBody, "t=1767225600,v1=" + oldV1},
		{[]string{newSecretSample, oldSecretSample}, signedAt, signedBody, "t=1767225600,v1=" + newV1 + ",v1=" + oldV1},
	} {
		if got := Sign(tc.secrets, tc.t, tc.body); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	both, one := []string{newSecretSample, oldSecretSample}, []string{oldSecretSample}
	overlap := "t=1767225600,v1=" + newV1 + ",v1=" + oldV1
	for name, tc := range map[string]struct {
		header  string
		secrets []string
		body    string
		offset  time.Duration
		ok      bool
		matched int
	}{
		"one secret":              {"t=1767225600,v1=" + oldV1, one, signedBody, 0, true, 0},
		"second v1":               {overlap, one, signedBody, 0, true, 0},
		"current wins":            {overlap, both, signedBody, 0, true, 0},
		"previous":                {"t=1767225600,v1=" + oldV1, both, signedBody, 0, true, 1},
		"spaces around parts":     {" t = 1767225600 ,\tv1 = " + newV1 + " ", both, signedBody, 0, true, 0},
		"other order":             {"v1=" + newV1 + ",t=1767225600", both, signedBody, 0, true, 0},
		"upper-case hex":          {"t=1767225600,v1=" + strings.ToUpper(newV1), both, signedBody, 0, true, 0},
		"unknown parts":           {"v2=x,t=1767225600,,v0=" + oldV1 + ",v1=" + newV1, both, signedBody, 0, true, 0},
		"oldest allowed":          {overlap, both, signedBody, 300 * time.Second, true, 0},
		"furthest future":         {overlap, both, signedBody, -300 * time.Second, true, 0},
		"too old":                 {overlap, both, signedBody, 300*time.Second + 1, false, 0},
		"too far in the future":   {overlap, both, signedBody, -300*time.Second - 1, false, 0},
		"other body":              {overlap, both, signedBody + "\n", 0, false, -1},
		"other time":              {"t=1767225601,v1=" + newV1, both, signedBody, 0, false, -1},
		"other secret":            {overlap, []string{"whsec_x"}, signedBody, 0, false, -1},
		"secret without prefix":   {overlap, []string{strings.TrimPrefix(newSecretSample, "whsec_")}, signedBody, 0, false, -1},
		"no secret":               {overlap, nil, signedBody, 0, false, -1},
		"v0 is not v1":            {"t=1767225600,v0=" + newV1, both, signedBody, 0, false, -1},
		"empty v1":                {"t=1767225600,v1=", both, signedBody, 0, false, -1},
		"cut v1":                  {"t=1767225600,v1=" + newV1[:63], both, signedBody, 0, false, -1},
		"t repeated":              {"t=1767225600,t=1767225600,v1=" + newV1, both, signedBody, 0, false, -1},
		"t negative":              {"t=-1767225600,v1=" + newV1, both, signedBody, 0, false, -1},
		"t with sign":             {"t=+1767225600,v1=" + newV1, both, signedBody, 0, false, -1},
		"t too long":              {"t=1767225600000000000000,v1=" + newV1, both, signedBody, 0, false, -1},
		"t empty":                 {"t=,v1=" + newV1, both, signedBody, 0, false, -1},
		"no t":                    {"v1=" + newV1, both, signedBody, 0, false, -1},
		"empty":                   {"", both, signedBody, 0, false, -1},
		"leading zero not signed": {"t=01767225600,v1=" + newV1, both, signedBody, 0, false, -1},
	} {
		now := time.Unix(signedAt, 0).Add(tc.offset)
		v := Verify(tc.header, tc.secrets, []byte(tc.body), now)
		if v.OK != tc.ok || v.Matched != tc.matched {
			t.Errorf("%s: ok %v, matched %d; want %v, %d: %+v", name, v.OK, v.Matched, tc.ok, tc.matched, v.Steps)
		}
		all := true
		for _, s := range v.Steps {
			all = all && s.OK
			if strings.Contains(s.Detail, newV1) || strings.Contains(s.Detail, "whsec_") {
				t.Errorf("%s: a step gives something away: %+v", name, s)
			}
		}
		if all != v.OK || len(v.Steps) == 0 {
			t.Errorf("%s: the steps do not add up to %v: %+v", name, v.OK, v.Steps)
		}
	}
}

func TestVerify_ExplainsAnOldRequest(t *testing.T) {
	t.Parallel()
	v := Verify("t=1767225600,v1="+oldV1, []string{newSecretSample, oldSecretSample}, []byte(signedBody), time.Unix(signedAt+600, 0))
	want := Verdict{
		Steps: []Step{
			{StepHeader, "The header can be read", true, "One t and 1 v1."},
			{StepTimestamp, "The time is within 5 minutes of now", false, "Signed at 2026-01-01T00:00:00Z, 10m0s ago."},
			{StepSignature, "A v1 was made with a known secret over this body", true, "Made with the previous signing secret."},
		},
		SignedAt: time.Unix(signedAt, 0).UTC(), Signatures: 1, Matched: 1,
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1767225600,v1="+newV1, signedBody)
	f.Add(" t = 1767225600 , v1=x,v1="+oldV1, signedBody)
	f.Add("t=,t=1,v1", "")
	f.Fuzz(func(t *testing.T, header, body string) {
		v := Verify(header, []string{newSecretSample, oldSecretSample}, []byte(body), time.Unix(signedAt, 0))
		if v.OK && body != signedBody || len(v.Steps) == 0 {
			t.Fatalf("%q over %q: %+v", header, body, v)
		}
	})
}
