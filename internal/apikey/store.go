package apikey

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// stored is a key as it is inserted.
type stored struct {
	ID             id.APIKey
	OrganizationID id.Organization
	Name           string
	KeyHash        string
	MasterKeyID    string
	Hint           string
	Scopes         Scopes
	CreatedBy      id.User
	ExpiresAt      *time.Time
	CreatedAt      time.Time
}

// hashed is a key with its hash, for authentication. Of the key it has usedColumns.
type hashed struct {
	Key         Key
	KeyHash     string
	MasterKeyID string
}

const columns = `k.id, k.organization_id, k.name, k.hint, array_to_string(k.scopes, ' ') AS scopes, k.enabled, k.created_by,
	k.expires_at, k.replaced_at, k.last_used_at, k.last_used_ip, k.last_used_route, k.created_at, k.updated_at`

// usedColumns are those that a request is judged and noted by.
const usedColumns = `k.id, k.organization_id, k.name, array_to_string(k.scopes, ' ') AS scopes, k.enabled, k.expires_at,
	k.last_used_at, k.last_used_ip, k.last_used_route, k.key_hash, k.master_key_id`

func insert(tx *postgres.Tx, r stored) error {
	return tx.Exec(`INSERT INTO api_keys (id, organization_id, name, key_hash, master_key_id, hint, scopes, created_by, expires_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9, $10, $10)`,
		r.ID, r.OrganizationID, r.Name, r.KeyHash, r.MasterKeyID, r.Hint, r.Scopes.strings(), r.CreatedBy, r.ExpiresAt, r.CreatedAt).Error
}

func keys(tx *postgres.Tx) *gorm.DB {
	return tx.Table("api_keys AS k").Joins("LEFT JOIN users AS u ON u.id = k.created_by").
		Select(columns + ", COALESCE(u.name, '') AS created_by_name")
}

func find(tx *postgres.Tx, org id.Organization, key id.APIKey) (Key, error) {
	var k Key
	err := keys(tx).Where("k.organization_id = ? AND k.id = ?", org, key).Take(&k).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return k, errNotFound
	}
	if err != nil {
		return k, fmt.Errorf("load API key %s: %w", key, err)
	}
	return k, nil
}

// lock keeps the key as it is until the transaction ends.
func lock(tx *postgres.Tx, org id.Organization, key id.APIKey) error {
	var found bool
	row := tx.Raw("SELECT true FROM api_keys WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE", org, key).Scan(&found)
	if row.Error == nil && !found {
		return errNotFound
	}
	return row.Error
}

// findByHashes looks keys up, each under the hashes of all master keys. One that does not exist is nil.
func findByHashes(tx *postgres.Tx, batch [][]seal.Hash) ([]*hashed, error) {
	var hex []string
	for _, hashes := range batch {
		for _, h := range hashes {
			hex = append(hex, h.Hex)
		}
	}
	slices.Sort(hex)
	among, arg := postgres.AmongThese("k.key_hash", slices.Compact(hex)) // most requests that come together have one key
	byHash := map[string]*hashed{}
	err := tx.Each(func(row postgres.Row) error {
		var h hashed
		err := row.Scan(&h.Key.ID, &h.Key.OrganizationID, &h.Key.Name, &h.Key.Scopes, &h.Key.Enabled, &h.Key.ExpiresAt,
			&h.Key.LastUsedAt, &h.Key.LastUsedIP, &h.Key.LastUsedRoute, &h.KeyHash, &h.MasterKeyID)
		byHash[h.KeyHash] = &h
		return err
	}, "SELECT "+usedColumns+" FROM api_keys k WHERE "+among, arg)
	if err != nil {
		return nil, err
	}
	found := make([]*hashed, len(batch))
	for i, hashes := range batch {
		for _, h := range hashes {
			if row := byHash[h.Hex]; row != nil {
				found[i] = row
				break
			}
		}
	}
	return found, nil
}

// touch marks the key as used and moves its hash to the first master key. A key that changed meanwhile is left alone: of many
// requests at once one writes, and otherwise the next request does the same again.
func touch(tx *postgres.Tx, h *hashed, first seal.Hash, used bool, use Use) error {
	usedAt, ip, route := h.Key.LastUsedAt, h.Key.LastUsedIP, h.Key.LastUsedRoute
	if used {
		usedAt, ip, route = &tx.Now, "", use.Route
		if use.IP.IsValid() {
			ip = use.IP.String()
		}
	}
	return tx.Exec(`UPDATE api_keys SET key_hash = $3, master_key_id = $4, last_used_at = $5, last_used_ip = $6, last_used_route = $7
		WHERE id = $1 AND key_hash = $2 AND last_used_at IS NOT DISTINCT FROM $8`,
		h.Key.ID, h.KeyHash, first.Hex, first.MasterKeyID, usedAt, ip, route, h.Key.LastUsedAt).Error
}

// update stores the changeable columns; the scopes only when newScopes says so, to keep those that this release ignores.
func update(tx *postgres.Tx, k Key, newScopes bool) error {
	var scopes []string // nil is NULL
	if newScopes {
		scopes = k.Scopes.strings()
	}
	return tx.Exec("UPDATE api_keys SET name = $2, enabled = $3, scopes = COALESCE($4::text[], scopes), updated_at = $5 WHERE id = $1",
		k.ID, k.Name, k.Enabled, scopes, k.UpdatedAt).Error
}

// replace notes that there is another key in place of this one, which works on until a moment.
func replace(tx *postgres.Tx, key id.APIKey, until time.Time) error {
	return tx.Exec("UPDATE api_keys SET expires_at = $2, replaced_at = $3, updated_at = $3 WHERE id = $1", key, until, tx.Now).Error
}

func remove(tx *postgres.Tx, org id.Organization, key id.APIKey) (name string, err error) {
	gone := tx.Raw("DELETE FROM api_keys WHERE organization_id = $1 AND id = $2 RETURNING name", org, key).Scan(&name)
	if gone.Error == nil && gone.RowsAffected == 0 {
		return "", errNotFound
	}
	return name, gone.Error
}
