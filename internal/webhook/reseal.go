package webhook

import (
	"fmt"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Resealed is what became of sealed texts: how many were moved to the first master key, and how many no master key opens.
type Resealed struct{ Moved, Unreadable int }

// ResealSecrets moves the signing secrets of the organization's endpoints to the first master key (contract section 2.4).
// It takes no lock that an attempt or a rotation waits for: a secret that was rotated or erased meanwhile is left alone,
// since the update asks for the text that was read.
func ResealSecrets(tx *postgres.Tx, keyring *seal.Keyring, org id.Organization) (Resealed, error) {
	var endpoints []Endpoint
	if err := tx.Where("organization_id = ? AND deleted_at IS NULL", org).Order("id").Find(&endpoints).Error; err != nil {
		return Resealed{}, fmt.Errorf("load endpoints: %w", err)
	}
	var r Resealed
	for _, e := range endpoints {
		for _, secret := range []struct {
			column, subject string
			sealed          *string
		}{
			{"signing_secret", secretSubject(e.ID), e.SigningSecret},
			{"previous_signing_secret", previousSecretSubject(e.ID), e.PreviousSigningSecret},
		} {
			if secret.sealed == nil || !keyring.NeedsReseal(*secret.sealed) {
				continue
			}
			fresh, err := keyring.Reseal(secret.subject, *secret.sealed)
			if err != nil {
				r.Unreadable++ // its key was dropped too early; the others must not suffer
				continue
			}
			// The time of the last change stays: for people nothing has changed.
			res := tx.Model(&Endpoint{}).Where("id = ? AND "+secret.column+" = ?", e.ID, *secret.sealed).UpdateColumn(secret.column, fresh)
			if res.Error != nil {
				return r, fmt.Errorf("reseal %s of %s: %w", secret.column, e.ID, res.Error)
			}
			r.Moved += int(res.RowsAffected)
		}
	}
	return r, nil
}
