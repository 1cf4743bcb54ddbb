package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SignatureTolerance is how far the time of a signature may be off (contract section 1).
const SignatureTolerance = 300 * time.Second

// SignatureHeader is the name of the header that carries the signature.
const SignatureHeader = "X-Kayle-Signature"

// Sign returns the X-Kayle-Signature header for a body sent at t, in Unix seconds: one v1 per secret, in the given
// order, the current secret before the previous one (contract sections 5.4 and 7.4).
func Sign(secrets []string, t int64, body string) string {
	at := strconv.FormatInt(t, 10)
	var b strings.Builder
	b.WriteString("t=" + at)
	for _, secret := range secrets {
		b.WriteString(",v1=" + signV1(secret, at, []byte(body)))
	}
	return b.String()
}

// signV1 is HMAC-SHA256 over "<t>.<body>", keyed with the whole secret including its prefix, in lowercase hex.
func signV1(secret, t string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Names of the steps of a Verdict.
const (
	StepHeader    = "header"
	StepTimestamp = "timestamp"
	StepSignature = "signature"
)

// Step is one check of Verify, for people to read. No text holds a secret or the expected signature.
type Step struct {
	Name   string // one of the Step constants
	Label  string
	OK     bool
	Detail string
}

// Verdict is the outcome of Verify.
type Verdict struct {
	OK         bool
	Steps      []Step    // in order; the ones after a header that cannot be read are left out
	SignedAt   time.Time // zero when the header has no usable t
	Signatures int       // how many v1 the header has
	Matched    int       // index of the first secret that made one of them, or -1
}

// Verify checks a signature header as a receiver does (contract section 14). It allows spaces around parts, ignores
// parts it does not know, and takes every v1. The steps after the timestamp are carried out even if that is out of
// tolerance, so that an old request can still be examined.
func Verify(header string, secrets []string, body []byte, now time.Time) Verdict {
	v := Verdict{Matched: -1}
	t, signatures, problem := parseSignature(header)
	v.Signatures = len(signatures)
	if problem != "" {
		v.Steps = []Step{{StepHeader, "The header can be read", false, problem}}
		return v
	}
	seconds, _ := strconv.ParseInt(t, 10, 64) // parseSignature let nothing else through
	v.SignedAt = time.Unix(seconds, 0).UTC()
	v.Steps = append(v.Steps, Step{StepHeader, "The header can be read", true, fmt.Sprintf("One t and %d v1.", len(signatures))})

	off := now.Sub(v.SignedAt)
	fresh := off.Abs() <= SignatureTolerance
	v.Steps = append(v.Steps, Step{StepTimestamp, "The time is within 5 minutes of now", fresh, describeOffset(v.SignedAt, off)})

	// Every pair is compared, whatever matched before, so that the time taken says nothing.
	for i := len(secrets) - 1; i >= 0; i-- {
		want := []byte(signV1(secrets[i], t, body))
		for _, got := range signatures {
			if hmac.Equal([]byte(strings.ToLower(got)), want) {
				v.Matched = i
			}
		}
	}
	v.Steps = append(v.Steps, signatureStep(v.Matched, len(secrets)))
	v.OK = fresh && v.Matched >= 0
	return v
}

func signatureStep(matched, secrets int) Step {
	s := Step{Name: StepSignature, Label: "A v1 was made with a known secret over this body", OK: matched >= 0}
	switch {
	case secrets == 0:
		s.Detail = "There is no signing secret to compare with."
	case matched < 0:
		s.Detail = "No v1 matches: another secret, or the body is not the one that was signed, byte for byte."
	case secrets == 1:
		s.Detail = "Made with the signing secret."
	case matched == 0:
		s.Detail = "Made with the current signing secret."
	default:
		s.Detail = "Made with the previous signing secret."
	}
	return s
}

func describeOffset(at time.Time, off time.Duration) string {
	text := "Signed at " + at.Format(time.RFC3339) + ", "
	if off < 0 {
		return text + off.Abs().Truncate(time.Second).String() + " in the future."
	}
	return text + off.Truncate(time.Second).String() + " ago."
}

// parseSignature returns t as it was written, since that text is what was signed, and every v1; or what is wrong.
func parseSignature(header string) (t string, signatures []string, problem string) {
	const maxDigits = 12 // far beyond any real time, and safe from overflow
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "t":
			if t != "" {
				return "", nil, "There is more than one t."
			}
			if value == "" || len(value) > maxDigits || strings.Trim(value, "0123456789") != "" {
				return "", nil, "The t is not a number of seconds."
			}
			t = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	switch {
	case t == "":
		return "", signatures, "There is no t."
	case len(signatures) == 0:
		return "", nil, "There is no v1."
	}
	return t, signatures, ""
}
