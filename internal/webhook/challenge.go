package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"regexp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// A challenge is a code that leaves in a test event, encrypted to one key. Whoever knows it holds the private half.
const (
	challengePrefix = "kch_"
	challengeLength = 32
)

var challengeForm = regexp.MustCompile(challengePrefix + "[a-z0-9]{32}")

// The refusals of a challenge's answer.
var (
	ErrNoChallenge    = fault.New(fault.Conflict, fault.CodeConflict, "No challenge is open for this key.").WithHint("Send one first.")
	ErrWrongChallenge = fault.InvalidField("challenge", "is not the code that was sent")
)

// Challenge makes a new challenge for a key of a live endpoint and returns both; an earlier one ends. The caller sends it as
// the event, encrypted to the key, in the same transaction.
func Challenge(tx *postgres.Tx, org id.Organization, key id.Key, event id.Event) (Key, string, error) {
	k, err := findKey(tx, org, key)
	if err != nil {
		return Key{}, "", err
	}
	code := seal.NewSecret(challengePrefix, challengeLength)
	hash := hashChallenge(code)
	k.ChallengeHash, k.ChallengeEventID, k.UpdatedAt = &hash, &event, tx.Now
	err = tx.Exec("UPDATE webhook_encryption_keys SET challenge_hash = $1, challenge_event_id = $2, updated_at = $3 WHERE id = $4", hash, event, tx.Now, key).Error
	if err != nil {
		return Key{}, "", fmt.Errorf("note challenge of %s: %w", key, err)
	}
	return k, code, nil
}

// Ways to answer a challenge, for the audit log.
const (
	AnswerPasted   = "pasted"
	AnswerReturned = "returned"
)

// VerifyKey records that the receiver can decrypt with the key when the answer contains the code of its open challenge. It
// needs webhooks:write; ErrKeyNotFound, ErrNoChallenge, ErrWrongChallenge. Pages poll it: what is not an answer is refused
// without the lock that publishers wait for.
func (s *Service) VerifyKey(ctx context.Context, actor access.Actor, key id.Key, answer, way string) (Key, error) {
	challenged := func(tx *postgres.Tx) (Key, error) {
		k, err := findKey(tx, actor.Organization, key)
		switch {
		case err != nil:
			return k, err
		case k.ChallengeHash == nil:
			return k, ErrNoChallenge
		case !answers(answer, *k.ChallengeHash):
			return k, ErrWrongChallenge
		}
		return k, nil
	}
	look := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksWrite, look.Now); err != nil {
		return Key{}, err
	}
	if k, err := challenged(look); err != nil {
		return k, err
	}
	var k Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		if err := tx.LockOrganization(actor.Organization); err != nil {
			return err
		}
		if k, err = challenged(tx); err != nil { // another answer, or another challenge, was faster
			return err
		}
		k.VerifiedAt, k.VerifiedBy, k.ChallengeHash, k.ChallengeEventID, k.UpdatedAt = &tx.Now, actor.Name, nil, nil, tx.Now
		err = tx.Exec(`UPDATE webhook_encryption_keys SET verified_at = $1, verified_by = $2, challenge_hash = NULL, challenge_event_id = NULL, updated_at = $1
			WHERE id = $3`, tx.Now, actor.Name, key).Error
		if err != nil {
			return fmt.Errorf("verify key %s: %w", key, err)
		}
		meta := keyMetadata(k)
		meta["answer"] = way
		return audit.Record(tx, actor, "webhook_key.verified", keyTarget(k), meta)
	})
	return k, err
}

// AuditChallenge records that a challenge was sent.
func AuditChallenge(tx *postgres.Tx, actor access.Actor, k Key) error {
	meta := keyMetadata(k)
	meta["event_id"] = k.ChallengeEventID
	return audit.Record(tx, actor, "webhook_key.challenged", keyTarget(k), meta)
}

// answers reports whether the text contains the code with the hash.
func answers(text, hash string) bool {
	for _, code := range challengeForm.FindAllString(text, -1) {
		if subtle.ConstantTimeCompare([]byte(hashChallenge(code)), []byte(hash)) == 1 {
			return true
		}
	}
	return false
}

func hashChallenge(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
