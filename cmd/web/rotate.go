package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/config"
	"kaylehooks/internal/id"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

type rotateMasterKeyCommand struct {
	JSON bool `help:"Print one JSON object." name:"json"`
}

// Help is shown below the usage.
func (rotateMasterKeyCommand) Help() string {
	return "Needs DATABASE_URL and MASTER_KEYS. Before you run this, add the new key, under an id of its own, at the end of MASTER_KEYS and " +
		"restart every server and worker; then move it to the front and restart them once more. In one step, those not yet restarted " +
		"would refuse what the others hash and seal with it. Nothing has to stop while it runs; after an interruption run it again. " +
		"It prints what still belongs to each older key."
}

// rotation is what rotate-master-key did and what is left.
type rotation struct {
	MasterKeyID    string `json:"master_key_id"`
	Organizations  int    `json:"organization_count"`
	SigningSecrets int    `json:"signing_secret_count"`
	Responses      int    `json:"stored_response_count"`
	// Unreadable counts sealed texts that no master key opens.
	Unreadable int        `json:"unreadable_count"`
	Older      []olderKey `json:"older_master_keys"`
}

// olderKey is a master key other than the first one, and how many hashes were made with it. Those move by themselves (API
// keys, when they are used) or end with their session (cancel tokens).
type olderKey struct {
	ID string `json:"id"`
	// Known is false for a key that is not in MASTER_KEYS any more.
	Known        bool  `json:"known"`
	APIKeys      int64 `json:"api_key_count"`
	CancelTokens int64 `json:"cancel_token_count"`
}

// Run moves everything sealed to the first master key.
func (c rotateMasterKeyCommand) Run(env environment) error {
	cfg, err := loadConfig(env, config.Database|config.Keys)
	if err != nil {
		return err
	}
	keyring, err := newKeyring(cfg)
	if err != nil {
		return err
	}
	db, err := openDatabase(env.ctx, cfg, nil, "rotate-master-key")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkSchema(env.ctx, db); err != nil {
		return err
	}
	done, err := rotateMasterKey(env.ctx, db, keyring)
	if err != nil {
		return fmt.Errorf("rotate master key (run it again to go on): %w", err)
	}
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(done)
	}
	done.print(env.stdout)
	return nil
}

// rotateMasterKey reseals organization by organization. What an organization's transaction moved and its audit row are
// there together or not at all.
func rotateMasterKey(ctx context.Context, db *postgres.DB, keyring *seal.Keyring) (rotation, error) {
	done := rotation{MasterKeyID: keyring.FirstKeyID()}
	var orgs []id.Organization
	if err := db.Reader(ctx).Raw("SELECT id FROM organizations ORDER BY id").Scan(&orgs).Error; err != nil {
		return done, fmt.Errorf("list organizations: %w", err)
	}
	for _, org := range orgs {
		if err := done.organization(ctx, db, keyring, org); err != nil {
			return done, fmt.Errorf("reseal secrets of %s: %w", org, err)
		}
	}
	older, err := olderKeys(db.Reader(ctx), keyring)
	done.Older = older
	return done, err
}

// organization moves what one organization has: its signing secrets, of which there are few, in one transaction with the
// first batch of stored responses, then the other batches.
func (r *rotation) organization(ctx context.Context, db *postgres.DB, keyring *seal.Keyring, org id.Organization) error {
	const batch = 200
	owners, err := apiKeysOf(ctx, db, keyring, org)
	if err != nil {
		return err
	}
	changed := false
	last := uuid.Nil
	for first := true; ; first = false {
		var secrets webhook.Resealed
		var responses idempotency.Resealed
		err := db.InTx(ctx, func(tx *postgres.Tx) (err error) {
			secrets = webhook.Resealed{}
			if first {
				if secrets, err = webhook.ResealSecrets(tx, keyring, org); err != nil {
					return err
				}
			}
			if responses, err = idempotency.ResealBatch(tx, keyring, owners, last, batch); err != nil {
				return err
			}
			if secrets.Moved+responses.Moved == 0 {
				return nil
			}
			return audit.Record(tx, access.ForSystem(org), "system.master_key_rotated", audit.Target{Type: "organization", ID: org.String()}, audit.Metadata{
				"master_key_id": r.MasterKeyID, "signing_secret_count": secrets.Moved, "stored_response_count": responses.Moved,
			})
		})
		if err != nil {
			return err
		}
		r.SigningSecrets += secrets.Moved
		r.Responses += responses.Moved
		r.Unreadable += secrets.Unreadable + responses.Unreadable
		changed = changed || secrets.Moved+responses.Moved > 0
		if last = responses.Last; responses.Seen < batch {
			break
		}
	}
	if changed {
		r.Organizations++
	}
	return nil
}

// apiKeysOf returns the ids of the organization's API keys, to which its stored responses belong.
func apiKeysOf(ctx context.Context, db *postgres.DB, keyring *seal.Keyring, org id.Organization) ([]id.APIKey, error) {
	const page = 100
	service := apikey.New(db, keyring)
	var ids []id.APIKey
	var after *postgres.Position
	for {
		list, err := service.List(ctx, access.ForSystem(org), postgres.Page{Limit: page, After: after})
		if err != nil {
			return nil, err
		}
		for _, key := range list.Rows {
			ids = append(ids, key.ID)
			after = &postgres.Position{At: key.CreatedAt, ID: key.ID.UUID}
		}
		if !list.HasOlder {
			return ids, nil
		}
	}
}

// olderKeys counts the hashes of every master key but the first: those that MASTER_KEYS names, in its order, then those
// that only rows name.
func olderKeys(tx *postgres.Tx, keyring *seal.Keyring) ([]olderKey, error) {
	keys, err := apikey.CountByMasterKey(tx)
	if err != nil {
		return nil, err
	}
	tokens, err := verification.CountByMasterKey(tx)
	if err != nil {
		return nil, err
	}
	known := keyring.KeyIDs()
	names := slices.Concat(known, slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(tokens)))
	older := []olderKey{}
	for i, name := range names {
		if name == keyring.FirstKeyID() || slices.Contains(names[:i], name) {
			continue
		}
		older = append(older, olderKey{ID: name, Known: slices.Contains(known, name), APIKeys: keys[name], CancelTokens: tokens[name]})
	}
	return older, nil
}

func (r rotation) print(w io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("master key %s now seals everything: moved %d signing secrets and %d stored responses of %d organizations", r.MasterKeyID, r.SigningSecrets, r.Responses, r.Organizations)
	if r.Unreadable > 0 {
		say("%d sealed texts were made with a key that MASTER_KEYS does not name: put that key back, or rotate those signing secrets", r.Unreadable)
	}
	for _, k := range r.Older {
		switch {
		case k.APIKeys+k.CancelTokens > 0 && k.Known:
			say("master key %s: %d API keys (moved when they are next used) and %d cancel tokens need it still", k.ID, k.APIKeys, k.CancelTokens)
		case k.APIKeys+k.CancelTokens > 0:
			say("master key %s is not in MASTER_KEYS: %d API keys and %d cancel tokens do not work", k.ID, k.APIKeys, k.CancelTokens)
		default:
			say("master key %s: nothing needs it any more, drop it from MASTER_KEYS", k.ID)
		}
	}
}
