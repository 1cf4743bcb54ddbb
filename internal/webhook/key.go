package webhook

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Key is one row of webhook_encryption_keys: a receiver's public RSA key. There is no private half anywhere in the system.
type Key struct {
	ID                id.Key
	OrganizationID    id.Organization
	WebhookEndpointID id.Endpoint
	KeyID             string
	Algorithm         string
	KeyType           string
	Modulus           string
	Exponent          string
	Bits              int
	Thumbprint        string
	SPKISHA256        string `gorm:"column:spki_sha256"`
	IsActive          bool
	CreatedBy         string
	CreatedAt         time.Time
	UpdatedAt         time.Time
	DisabledAt        *time.Time
	// ActivatedAt is when the key was made active last; a key that never was is staged.
	ActivatedAt *time.Time
	// FirstUsedAt is when something was encrypted to the key first, a challenge included.
	FirstUsedAt *time.Time
	// VerifiedAt is when somebody showed that the receiver can decrypt with it, VerifiedBy who.
	VerifiedAt *time.Time
	VerifiedBy string
	// ChallengeHash and ChallengeEventID are those of a challenge that was not answered yet.
	ChallengeHash    *string
	ChallengeEventID *id.Event
}

// Staged reports whether the key waits for its first activation.
func (k Key) Staged() bool { return !k.IsActive && k.ActivatedAt == nil }

// TableName names the table.
func (Key) TableName() string { return "webhook_encryption_keys" }

// JWK returns the public key as contract section 6.1 shows it.
func (k Key) JWK() json.RawMessage { return publicJWK(k.Modulus, k.Exponent) }

// The refusals of key operations.
var (
	ErrKeyNotFound = fault.Missing("encryption key")
	ErrKeyIDTaken  = fault.New(fault.Conflict, fault.CodeConflict, "This endpoint already has a key with this key_id.").WithHint("Choose another key_id, or reactivate the existing key.")
)

// AddKey registers a public key and makes it the active one; the former active key becomes inactive. Deliveries already
// encrypted to it are not touched. It needs webhooks:write; ErrEndpointNotFound, fields of CheckKey, ErrKeyIDTaken.
func (s *Service) AddKey(ctx context.Context, actor access.Actor, endpoint id.Endpoint, in PublicKeyInput) (Key, error) {
	var key Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		key, err = s.AddKeyIn(tx, actor, endpoint, in)
		return err
	})
	return key, err
}

// AddKeyIn is AddKey inside the caller's transaction.
func (s *Service) AddKeyIn(tx *postgres.Tx, actor access.Actor, endpoint id.Endpoint, in PublicKeyInput) (Key, error) {
	return s.addKey(tx, actor, endpoint, in, true)
}

// StageKey registers a public key and leaves the active one as it is, so that the new one can be verified first. Otherwise
// it is AddKey.
func (s *Service) StageKey(ctx context.Context, actor access.Actor, endpoint id.Endpoint, in PublicKeyInput) (Key, error) {
	var key Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		key, err = s.addKey(tx, actor, endpoint, in, false)
		return err
	})
	return key, err
}

func (s *Service) addKey(tx *postgres.Tx, actor access.Actor, endpoint id.Endpoint, in PublicKeyInput, activate bool) (Key, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return Key{}, err
	}
	if err := CheckKeyShape(in); err != nil {
		return Key{}, err
	}
	if _, err := s.lock(tx, actor.Organization, endpoint); err != nil {
		return Key{}, err
	}
	accepted, err := AcceptKey(in)
	if err != nil {
		return Key{}, err
	}
	key := Key{
		ID: id.Key{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, WebhookEndpointID: endpoint,
		KeyID: accepted.KeyID, Algorithm: KeyAlgorithm, KeyType: KeyType,
		Modulus: accepted.N, Exponent: accepted.E, Bits: accepted.Bits,
		Thumbprint: accepted.Thumbprint, SPKISHA256: accepted.SPKISHA256,
		IsActive: activate, CreatedBy: actor.Name, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	if activate {
		key.ActivatedAt = &tx.Now
	} else {
		key.DisabledAt = &tx.Now
	}
	taken, err := s.keyIDTaken(tx, endpoint, key.KeyID)
	if err != nil {
		return Key{}, err
	}
	if taken {
		return Key{}, ErrKeyIDTaken
	}
	if activate {
		if err := deactivate(tx, endpoint); err != nil {
			return Key{}, err
		}
	}
	if err := tx.Create(&key).Error; err != nil {
		if postgres.IsUnique(err, "webhook_encryption_keys_key_id_key") {
			return Key{}, ErrKeyIDTaken
		}
		return Key{}, fmt.Errorf("insert key: %w", err)
	}
	return key, audit.Record(tx, actor, "webhook_key.created", keyTarget(key), keyMetadata(key))
}

// KeyIDTaken reports whether the endpoint already has a key with this key_id, inactive ones included. It needs webhooks:read.
func (s *Service) KeyIDTaken(ctx context.Context, actor access.Actor, endpoint id.Endpoint, keyID string) (bool, error) {
	if _, err := s.GetEndpoint(ctx, actor, endpoint); err != nil {
		return false, err
	}
	return s.keyIDTaken(s.DB.Reader(ctx), endpoint, keyID)
}

// SameKey finds the endpoint's key with this thumbprint, the newest if there are several, inactive ones included; false when there is none. It
// needs webhooks:read.
func (s *Service) SameKey(ctx context.Context, actor access.Actor, endpoint id.Endpoint, thumbprint string) (key Key, found bool, err error) {
	if _, err := s.GetEndpoint(ctx, actor, endpoint); err != nil {
		return Key{}, false, err
	}
	same := s.DB.Reader(ctx).Where("webhook_endpoint_id = ? AND thumbprint = ?", endpoint, thumbprint).Order("created_at DESC, id DESC").Limit(1).Find(&key)
	if same.Error != nil {
		return Key{}, false, fmt.Errorf("look for the same key: %w", same.Error)
	}
	return key, same.RowsAffected > 0, nil
}

func (s *Service) keyIDTaken(tx *postgres.Tx, endpoint id.Endpoint, keyID string) (bool, error) {
	var n int64
	err := tx.Table("webhook_encryption_keys").Where("webhook_endpoint_id = ? AND key_id = ?", endpoint, keyID).Count(&n).Error
	return n > 0, err
}

// deactivate makes the endpoint's active key inactive, if there is one.
func deactivate(tx *postgres.Tx, endpoint id.Endpoint) error {
	err := tx.Exec(`UPDATE webhook_encryption_keys SET is_active = false, disabled_at = $1, updated_at = $1
		WHERE webhook_endpoint_id = $2 AND is_active`, tx.Now, endpoint).Error
	if err != nil {
		return fmt.Errorf("deactivate key of %s: %w", endpoint, err)
	}
	return nil
}

// DeactivateKey makes the key inactive; the endpoint may be left without an active key, and then fails closed. It needs
// webhooks:write; ErrKeyNotFound. An inactive key stays as it is.
func (s *Service) DeactivateKey(ctx context.Context, actor access.Actor, key id.Key) (Key, error) {
	return s.switchKey(ctx, actor, key, false)
}

// ReactivateKey makes the key the active one. It needs webhooks:write; ErrKeyNotFound. An active key stays as it is.
func (s *Service) ReactivateKey(ctx context.Context, actor access.Actor, key id.Key) (Key, error) {
	return s.switchKey(ctx, actor, key, true)
}

func (s *Service) switchKey(ctx context.Context, actor access.Actor, key id.Key, active bool) (Key, error) {
	var k Key
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if err := tx.LockOrganization(actor.Organization); err != nil {
			return err
		}
		if k, err = findKey(tx, actor.Organization, key); err != nil || k.IsActive == active {
			return err
		}
		if err := deactivate(tx, k.WebhookEndpointID); err != nil {
			return err
		}
		event := "webhook_key.deactivated"
		k.IsActive, k.UpdatedAt, k.DisabledAt = active, tx.Now, &tx.Now
		if active {
			event, k.DisabledAt, k.ActivatedAt = "webhook_key.reactivated", nil, &tx.Now
			err := tx.Exec("UPDATE webhook_encryption_keys SET is_active = true, disabled_at = NULL, activated_at = $1, updated_at = $1 WHERE id = $2", tx.Now, k.ID).Error
			if err != nil {
				return fmt.Errorf("reactivate key %s: %w", k.ID, err)
			}
		}
		return audit.Record(tx, actor, event, keyTarget(k), keyMetadata(k))
	})
	return k, err
}

func keyTarget(k Key) audit.Target { return audit.Target{Type: "webhook_key", ID: k.ID.String()} }

func keyMetadata(k Key) audit.Metadata {
	return audit.Metadata{"webhook_endpoint_id": k.WebhookEndpointID, "key_id": k.KeyID, "thumbprint": k.Thumbprint}
}

// findKey reads a key of a live endpoint.
func findKey(tx *postgres.Tx, org id.Organization, key id.Key) (Key, error) {
	var k Key
	err := tx.Raw(`SELECT k.* FROM webhook_encryption_keys k JOIN webhook_endpoints e ON e.id = k.webhook_endpoint_id
		WHERE k.organization_id = $1 AND k.id = $2 AND e.deleted_at IS NULL`, org, key).Take(&k).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Key{}, ErrKeyNotFound
	}
	if err != nil {
		return Key{}, fmt.Errorf("load key %s: %w", key, err)
	}
	return k, nil
}

// GetKey returns one key of a live endpoint. It needs webhooks:read.
func (s *Service) GetKey(ctx context.Context, actor access.Actor, key id.Key) (Key, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Key{}, err
	}
	return findKey(tx, actor.Organization, key)
}

// ListKeys returns the keys of a live endpoint, newest first; active nil means both. It needs webhooks:read;
// ErrEndpointNotFound.
func (s *Service) ListKeys(ctx context.Context, actor access.Actor, endpoint id.Endpoint, active *bool, page postgres.Page) (postgres.List[Key], error) {
	if _, err := s.GetEndpoint(ctx, actor, endpoint); err != nil {
		return postgres.List[Key]{}, err
	}
	q := s.DB.Reader(ctx).Table("webhook_encryption_keys AS k").Where("k.webhook_endpoint_id = ?", endpoint)
	if active != nil {
		q = q.Where("k.is_active = ?", *active)
	}
	list, err := postgres.Fetch[Key](q, "k", page)
	if err != nil {
		return list, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// KeyPosition finds the key that a list continues after.
func (s *Service) KeyPosition(ctx context.Context, actor access.Actor, endpoint id.Endpoint, key id.Key) (*postgres.Position, error) {
	scope := s.DB.Reader(ctx).Table("webhook_encryption_keys").Where("organization_id = ? AND webhook_endpoint_id = ?", actor.Organization, endpoint)
	return postgres.FindPosition(scope, key.UUID)
}

// KeysByID returns the organization's keys with these ids, whatever became of their endpoints, for pages that name them.
func KeysByID(tx *postgres.Tx, org id.Organization, keys []id.Key) (map[id.Key]Key, error) {
	var rows []Key
	if err := tx.Where("organization_id = ? AND id IN ?", org, keys).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	all := make(map[id.Key]Key, len(rows))
	for _, k := range rows {
		all[k.ID] = k
	}
	return all, nil
}

// ActiveKeys returns the active key of every live endpoint of the organization that has one.
func ActiveKeys(tx *postgres.Tx, org id.Organization) (map[id.Endpoint]Key, error) {
	var rows []Key
	if err := tx.Where("organization_id = ? AND is_active", org).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("load active keys: %w", err)
	}
	active := make(map[id.Endpoint]Key, len(rows))
	for _, k := range rows {
		active[k.WebhookEndpointID] = k
	}
	return active, nil
}

// Recipient is an endpoint as publishing sees it: with the key that is active now, or none. Both have what publishing needs, not all columns.
type Recipient struct {
	Endpoint
	Key *Key
}

// Recipients returns every live endpoint of the organization in ascending id order. It holds off changes to them until
// the transaction ends (contract section 4.2 step 3).
func Recipients(tx *postgres.Tx, org id.Organization) ([]Recipient, error) {
	all, err := RecipientsOf(tx, []id.Organization{org})
	return all[org], err
}

// RecipientsOf is Recipients of many organizations.
func RecipientsOf(tx *postgres.Tx, orgs []id.Organization) (map[id.Organization][]Recipient, error) {
	tx.ShareOrganizations(orgs...)
	natives := make([]uuid.UUID, len(orgs))
	for i, o := range orgs {
		natives[i] = o.UUID
	}
	among, arg := postgres.AmongThese("e.organization_id", natives)
	recipients := map[id.Organization][]Recipient{}
	err := tx.Each(func(row postgres.Row) error {
		var e Endpoint
		var k Key
		var key *id.Key
		err := row.Scan(&e.ID, &e.OrganizationID, &e.Enabled, (*[]string)(&e.SubscribedEventTypes), &e.UndeliveredPayloadRetentionHours,
			&key, &k.KeyID, &k.Modulus, &k.Exponent, &k.FirstUsedAt)
		r := Recipient{Endpoint: e}
		if key != nil {
			k.ID, r.Key = *key, &k
		}
		recipients[e.OrganizationID] = append(recipients[e.OrganizationID], r)
		return err
	}, `SELECT e.id, e.organization_id, e.enabled, e.subscribed_event_types, e.undelivered_payload_retention_hours,
			k.id, COALESCE(k.key_id, ''), COALESCE(k.modulus, ''), COALESCE(k.exponent, ''), k.first_used_at
		FROM webhook_endpoints e LEFT JOIN webhook_encryption_keys k ON k.webhook_endpoint_id = e.id AND k.is_active
		WHERE `+among+` AND e.deleted_at IS NULL ORDER BY e.id`, arg)
	if err != nil {
		return nil, fmt.Errorf("load endpoints: %w", err)
	}
	return recipients, nil
}

// NoteFirstUse records that keys without FirstUsedAt were used. It waits for nobody: what another transaction has in hand is noted
// by that one, or at the next use.
func NoteFirstUse(tx *postgres.Tx, keys []uuid.UUID) error {
	err := tx.Exec(`UPDATE webhook_encryption_keys SET first_used_at = $1 WHERE id IN (
			SELECT id FROM webhook_encryption_keys WHERE id = ANY($2) AND first_used_at IS NULL FOR NO KEY UPDATE SKIP LOCKED)`, tx.Now, keys).Error
	if err != nil {
		return fmt.Errorf("note first use of keys: %w", err)
	}
	return nil
}

// SealTo encrypts a payload to the key.
func SealTo(k Key, plaintext []byte) (string, error) {
	n, err := base64.RawURLEncoding.DecodeString(k.Modulus)
	if err != nil {
		return "", fmt.Errorf("modulus of %s: %w", k.ID, err)
	}
	e, err := base64.RawURLEncoding.DecodeString(k.Exponent)
	if err != nil {
		return "", fmt.Errorf("exponent of %s: %w", k.ID, err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	return Seal(k.KeyID, public, plaintext)
}
