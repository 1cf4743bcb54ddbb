package apikey

import (
	"context"
	"fmt"
	"slices"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/batch"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Service carries out the operations of this package. Every operation but Authenticate needs api_keys:manage.
type Service struct {
	DB      *postgres.DB
	Keyring *seal.Keyring

	lookups *batch.Group[[]seal.Hash, *hashed]
	counted callCounter
}

// lookupBatch is the most requests whose keys are looked up in one statement.
const lookupBatch = 64

// New returns a Service.
func New(db *postgres.DB, keyring *seal.Keyring) *Service {
	s := &Service{DB: db, Keyring: keyring}
	s.lookups = batch.NewGroup(lookupBatch, func(ctx context.Context, batch [][]seal.Hash) ([]*hashed, error) {
		return findByHashes(s.DB.Reader(ctx), batch)
	})
	return s
}

// Issue creates a key and returns it; it is never shown again. The actor cannot grant more than it may do.
func (s *Service) Issue(ctx context.Context, actor access.Actor, in Input) (Key, string, error) {
	secret := newSecret()
	name, badName := checkName(in.Name)
	scopes, badScopes := checkScopes(in.Scopes)
	var key Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
			return err
		}
		var badExpiry *fault.Field
		if in.ExpiresAt != nil && !tx.Now.Before(*in.ExpiresAt) {
			badExpiry = &fault.Field{Name: "expires_at", Message: "Choose a time in the future."}
		}
		if err := complain(badName, badScopes, badExpiry); err != nil {
			return err
		}
		if err := checkGrant(actor, scopes); err != nil {
			return err
		}
		var err error
		key, err = s.store(tx, actor, Input{Name: name, Scopes: scopes, ExpiresAt: in.ExpiresAt}, secret, audit.Metadata{})
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("issue API key: %w", err)
	}
	return key, secret, nil
}

// store writes a key that the actor may issue, and its audit row with more metadata than given.
func (s *Service) store(tx *postgres.Tx, actor access.Actor, in Input, secret string, metadata audit.Metadata) (Key, error) {
	hash, master := s.Keyring.Hash(seal.APIKey, secret)
	row := stored{
		ID: id.APIKey{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, Name: in.Name, Hint: hintOf(secret),
		Scopes: Scopes(in.Scopes), KeyHash: hash, MasterKeyID: master, ExpiresAt: in.ExpiresAt, CreatedAt: tx.Now,
	}
	if user, err := org.ActingUser(actor); err == nil {
		row.CreatedBy = user
	}
	if err := insert(tx, row); err != nil {
		return Key{}, err
	}
	key, err := find(tx, actor.Organization, row.ID)
	if err != nil {
		return Key{}, err
	}
	metadata["name"], metadata["scopes"] = key.Name, key.Scopes
	if key.ExpiresAt != nil {
		metadata["expires_at"] = *key.ExpiresAt
	}
	return key, audit.Record(tx, actor, "api_key.created", target(key.ID), metadata)
}

// Authenticate returns who a credential is, or ErrUnauthorized: not of the form of a key, unknown, disabled or expired. It notes what
// the key is used for and counts the call (KeepCalls).
func (s *Service) Authenticate(ctx context.Context, secret string, use Use) (access.Actor, error) {
	if !form.MatchString(secret) {
		return access.Actor{}, ErrUnauthorized
	}
	tx := s.DB.Reader(ctx)
	hashes := s.Keyring.Hashes(seal.APIKey, secret)
	row, err := s.lookups.Do(ctx, hashes)
	if err != nil {
		return access.Actor{}, fmt.Errorf("look API key up: %w", err)
	}
	if row == nil || !s.Keyring.Matches(seal.APIKey, row.MasterKeyID, row.KeyHash, secret) || !row.Key.Usable(tx.Now) {
		return access.Actor{}, ErrUnauthorized
	}
	used := row.Key.LastUsedAt == nil || tx.Now.Sub(*row.Key.LastUsedAt) >= usedGranularity
	if used || row.MasterKeyID != hashes[0].MasterKeyID {
		if err := touch(tx, row, hashes[0], used, use); err != nil {
			return access.Actor{}, fmt.Errorf("mark API key used: %w", err)
		}
	}
	s.counted.add(callDay{row.Key.OrganizationID, row.Key.ID, dayOf(tx.Now)}, 1)
	return row.Key.Actor(), nil
}

// Get returns one key.
func (s *Service) Get(ctx context.Context, actor access.Actor, key id.APIKey) (Key, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
		return Key{}, err
	}
	return find(tx, actor.Organization, key)
}

// List returns the organization's keys, newest first.
func (s *Service) List(ctx context.Context, actor access.Actor, page postgres.Page) (postgres.List[Key], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
		return postgres.List[Key]{}, err
	}
	list, err := postgres.Fetch[Key](keys(tx).Where("k.organization_id = ?", actor.Organization), "k", page)
	if err != nil {
		return list, fmt.Errorf("list API keys: %w", err)
	}
	return list, nil
}

// Names returns the names of those of the keys that the organization still has.
func Names(tx *postgres.Tx, org id.Organization, keys []id.APIKey) (map[id.APIKey]string, error) {
	var rows []Key
	if err := tx.Table("api_keys").Select("id, name").Where("organization_id = ? AND id IN ?", org, keys).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("load names of API keys: %w", err)
	}
	names := make(map[id.APIKey]string, len(rows))
	for _, k := range rows {
		names[k.ID] = k.Name
	}
	return names, nil
}

// Position finds the key that a list continues after.
func (s *Service) Position(ctx context.Context, actor access.Actor, key id.APIKey) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("api_keys").Where("organization_id = ?", actor.Organization), key.UUID)
}

// Update renames, enables or disables a key or replaces its scopes, and returns it. The actor cannot add a scope it may
// not grant; enabling a key grants all of its scopes anew. An update that changes nothing leaves no trace.
func (s *Service) Update(ctx context.Context, actor access.Actor, key id.APIKey, change Update) (Key, error) {
	var bad []*fault.Field
	if change.Name != nil {
		name, complaint := checkName(*change.Name)
		change.Name, bad = &name, append(bad, complaint)
	}
	var scopes Scopes
	if change.Scopes != nil {
		var complaint *fault.Field
		scopes, complaint = checkScopes(*change.Scopes)
		bad = append(bad, complaint)
	}
	var after Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
			return err
		}
		if err := complain(bad...); err != nil {
			return err
		}
		if err := lock(tx, actor.Organization, key); err != nil {
			return err
		}
		before, err := find(tx, actor.Organization, key)
		if err != nil {
			return err
		}
		after = before
		var fields []string
		var granted []access.Scope
		changes := audit.Changes{}
		if change.Name != nil && *change.Name != before.Name {
			after.Name, fields = *change.Name, append(fields, "name")
			changes["name"] = audit.Change{From: before.Name, To: after.Name}
		}
		if change.Scopes != nil && !slices.Equal(scopes, before.Scopes) {
			after.Scopes, fields = scopes, append(fields, "scopes")
			changes["scopes"] = audit.Change{From: before.Scopes, To: after.Scopes}
			granted = slices.DeleteFunc(slices.Clone(scopes), func(s access.Scope) bool { return slices.Contains(before.Scopes, s) })
		}
		if change.Enabled != nil && *change.Enabled != before.Enabled {
			after.Enabled, fields = *change.Enabled, append(fields, "enabled")
			changes["enabled"] = audit.Change{From: before.Enabled, To: after.Enabled}
			if after.Enabled {
				granted = after.Scopes
			}
		}
		if err := checkGrant(actor, granted); err != nil {
			return err
		}
		if len(fields) == 0 {
			return nil
		}
		after.UpdatedAt = tx.Now
		if err := update(tx, after, slices.Contains(fields, "scopes")); err != nil {
			return err
		}
		metadata := audit.Metadata{"updated_fields": fields, audit.ChangesField: changes}
		if slices.Contains(fields, "enabled") {
			metadata["enabled"] = after.Enabled
		}
		if slices.Contains(fields, "scopes") {
			metadata["scopes"] = after.Scopes
		}
		return audit.Record(tx, actor, "api_key.updated", target(key), metadata)
	})
	if err != nil {
		return Key{}, fmt.Errorf("update API key %s: %w", key, err)
	}
	return after, nil
}

// Delete ends a key for good. A key that is gone is NOT_FOUND.
func (s *Service) Delete(ctx context.Context, actor access.Actor, key id.APIKey) error {
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
			return err
		}
		name, err := remove(tx, actor.Organization, key)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "api_key.deleted", target(key), audit.Metadata{"name": name})
	})
	if err != nil {
		return fmt.Errorf("delete API key %s: %w", key, err)
	}
	return nil
}

// CountByMasterKey returns how many stored hashes belong to each master key id, over all organizations: what stands in
// the way of dropping an old master key.
func CountByMasterKey(tx *postgres.Tx) (map[string]int64, error) {
	var rows []struct {
		MasterKeyID string
		N           int64
	}
	err := tx.Raw("SELECT master_key_id, count(*) AS n FROM api_keys GROUP BY master_key_id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count API key hashes: %w", err)
	}
	counts := make(map[string]int64, len(rows))
	for _, r := range rows {
		counts[r.MasterKeyID] = r.N
	}
	return counts, nil
}

func complain(fields ...*fault.Field) error {
	var bad []fault.Field
	for _, f := range fields {
		if f != nil {
			bad = append(bad, *f)
		}
	}
	return fault.InvalidFields(bad...)
}

func target(key id.APIKey) audit.Target { return audit.Target{Type: "api_key", ID: key.String()} }
