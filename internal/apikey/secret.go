package apikey

import (
	"regexp"

	"kaylehooks/internal/seal"
)

const (
	prefix       = "kk_"
	secretLength = 32
	hintLength   = 4
)

// form is what every key looks like; anything else is refused without a lookup.
var form = regexp.MustCompile(`^kk_[a-z0-9]{32}$`)

// newSecret returns a fresh key.
func newSecret() string { return seal.NewSecret(prefix, secretLength) }

func hintOf(secret string) string { return secret[len(prefix) : len(prefix)+hintLength] }
