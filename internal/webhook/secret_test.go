package webhook

import (
	"regexp"
	"testing"
)

func TestNewSigningSecret_Form(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^whsec_[a-z0-9]{32}$`)
	seen := map[string]bool{}
	for range 1000 {
		s := NewSigningSecret()
		if !form.MatchString(s) || seen[s] {
			t.Fatalf("bad or repeated secret %s", s)
		}
		seen[s] = true
	}
}
