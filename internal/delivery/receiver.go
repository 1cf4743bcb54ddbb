package delivery

import (
	"sync"
	"time"

	"kaylehooks/internal/webhook"
)

// receiver is an endpoint as it was read with a claim, or by the check before sending. Claims of one statement share it, so that its URL is
// judged and its secrets are opened once for all of them, when the first is sent; the last one takes the opened secrets with it.
type receiver struct {
	endpoint webhook.Endpoint
	allowed  func() bool
	opened   func() ([]string, error)
}

func (s *Service) newReceiver(e webhook.Endpoint, at time.Time) *receiver {
	return &receiver{
		endpoint: e,
		allowed: sync.OnceValue(func() bool {
			_, reason := webhook.NormalizeURL(e.URL, s.AllowPrivate)
			return reason == ""
		}),
		opened: sync.OnceValues(func() ([]string, error) {
			return webhook.SigningSecrets(s.Keyring, e.ID, e.SigningSecret, e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt, at)
		}),
	}
}

// signingSecrets are the secrets that sign at time now, the current one first.
func (r *receiver) signingSecrets(now time.Time) ([]string, error) {
	secrets, err := r.opened()
	if len(secrets) > 1 && !r.endpoint.PreviousSigningSecretExpiresAt.After(now) { // it expired since it was read
		secrets = secrets[:1]
	}
	return secrets, err
}
