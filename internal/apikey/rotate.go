package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// OverlapOptions are the hours that a rotated key can go on working.
func OverlapOptions() []int { return []int{0, 1, 24, 72, 168} }

// Why a key is not rotated.
var (
	errStopped = fault.New(fault.Conflict, fault.CodeConflict, "Only a key that works can be rotated.").
			WithHint("Create a new one, or enable this one first.")
	errReplaced = fault.New(fault.Conflict, fault.CodeConflict, "This key was rotated already.").
			WithHint("Rotate the one that was made in its place, or create another.")
)

// Rotate issues a key with the name, the scopes and the length of life of another, and lets that one go on working for the hours, one
// of OverlapOptions, or until its own end if that comes first. It returns the new key, which is never shown again. A key that does not
// work or was rotated already is a conflict; the actor must be able to grant all of the scopes.
func (s *Service) Rotate(ctx context.Context, actor access.Actor, key id.APIKey, overlapHours int) (Key, string, error) {
	if !slices.Contains(OverlapOptions(), overlapHours) {
		return Key{}, "", fault.InvalidField("overlap_hours", "Choose how long the former key goes on working.")
	}
	secret := newSecret()
	var fresh Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
			return err
		}
		if err := lock(tx, actor.Organization, key); err != nil {
			return err
		}
		former, err := find(tx, actor.Organization, key)
		if err != nil {
			return err
		}
		if !former.Usable(tx.Now) {
			return errStopped
		}
		if former.ReplacedAt != nil {
			return errReplaced
		}
		if err := checkGrant(actor, former.Scopes); err != nil {
			return err
		}
		in := Input{Name: former.Name, Scopes: former.Scopes}
		if former.ExpiresAt != nil {
			end := tx.Now.Add(former.ExpiresAt.Sub(former.CreatedAt))
			in.ExpiresAt = &end
		}
		if fresh, err = s.store(tx, actor, in, secret, audit.Metadata{"rotated_from": key.String()}); err != nil {
			return err
		}
		end := tx.Now.Add(time.Duration(overlapHours) * time.Hour)
		if former.ExpiresAt != nil && end.After(*former.ExpiresAt) {
			end = *former.ExpiresAt
		}
		if err := replace(tx, key, end); err != nil {
			return err
		}
		return audit.Record(tx, actor, "api_key.updated", target(key), audit.Metadata{
			"updated_fields": []string{"expires_at"}, "rotated_to": fresh.ID.String(),
			audit.ChangesField: audit.Changes{"expires_at": {From: former.ExpiresAt, To: end}},
		})
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("rotate API key %s: %w", key, err)
	}
	return fresh, secret, nil
}
