// Package webhook owns webhook_endpoints and webhook_encryption_keys: where events go, what may be such a place, the
// public keys they are encrypted to and the secrets they are signed with (contract sections 5, 6, 7.3 and 7.4). The rules
// for URLs, keys and signatures are pure functions; everything that changes an endpoint holds the organization's lock.
package webhook
