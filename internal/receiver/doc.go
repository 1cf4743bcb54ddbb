// Package receiver is the other side: a small program of the kind that customers write behind an endpoint URL. It
// verifies, decrypts and drops repeats as contract section 14 says, and misbehaves on request. It imports nothing else
// of this system, so that what it accepts is accepted by an independent reading of the contract.
package receiver
