package webhook

import "kaylehooks/internal/seal"

// NewSigningSecret returns a fresh signing secret: whsec_ and 32 characters.
func NewSigningSecret() string { return seal.NewSecret("whsec_", 32) }
