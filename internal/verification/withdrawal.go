package verification

import (
	"context"
	"errors"
	"fmt"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Redeem uses a session's cancel token: an active session is cancelled, a finished one withdrawn (contract sections 4.4
// and 4.5). subject carries the caller's address and request id for the audit log. ErrPublicNotFound,
// ErrCancelTokenInvalid, ErrCancelTokenUsed.
func (s *Service) Redeem(ctx context.Context, subject access.Actor, session id.Session, token string) error {
	var refusal error
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		refusal = nil
		found, err := take(tx.Where("id = ?", session), ErrPublicNotFound)
		if err != nil {
			return err
		}
		if !s.Keyring.Matches(seal.CancelToken, found.CancelTokenMasterKeyID, found.CancelTokenHash, seal.CancelTokenMessage(token)) {
			return ErrCancelTokenInvalid
		}
		found, err = lock(tx, found.OrganizationID, session)
		if errors.Is(err, ErrNotFound) {
			return ErrPublicNotFound // purged in between
		}
		if err != nil {
			return err
		}
		if found.Status.Active() && !found.ExpiresAt.After(tx.Now) {
			if err := s.finish(tx, ending{actor: access.ForSystem(found.OrganizationID), session: &found, status: Expired, data: event.ExpiredData{}}); err != nil {
				return err
			}
		}
		if found.CancelTokenConsumedAt != nil {
			// The expiry above must commit even when the token is refused, so the refusal is not an error of the transaction.
			if found.Status.Active() {
				refusal = ErrCancelTokenUsed
			}
			return nil
		}
		if err := tx.Exec("UPDATE verification_sessions SET cancel_token_consumed_at = $1, updated_at = $1 WHERE id = $2", tx.Now, found.ID).Error; err != nil {
			return fmt.Errorf("consume cancel token of %s: %w", found.ID, err)
		}
		actor := subject
		actor.Type, actor.Organization = access.Subject, found.OrganizationID
		return s.redeem(tx, actor, found)
	})
	if err == nil {
		err = refusal
	}
	return err
}

// redeem is step 4 of contract section 4.4 and its audit row.
func (s *Service) redeem(tx *postgres.Tx, actor access.Actor, session Session) error {
	before, fates := session.Status, delivery.Fates{}
	switch session.Status {
	case Created, InProgress:
		if err := s.finish(tx, ending{actor: actor, session: &session, status: Cancelled, data: cancelData(session)}); err != nil {
			return err
		}
	case Succeeded, Failed:
		original, withdrawn, err := s.Deliveries.Withdraw(tx, session.OrganizationID, session.ID)
		if errors.Is(err, event.ErrNotFound) {
			break // purged with its deliveries: nothing is held any more
		}
		if err != nil {
			return err
		}
		fates = withdrawn
		if err := s.replace(tx, actor, session, original, fates); err != nil {
			return err
		}
	case Expired, Cancelled:
	}
	return audit.Record(tx, actor, "session.privacy_request.submitted", target(session.ID), withdrawalMetadata(before, fates))
}

func withdrawalMetadata(before Status, fates delivery.Fates) audit.Metadata {
	return audit.Metadata{
		"session_status_at_request": before, "total_webhook_delivery_count": len(fates),
		"delivered_webhook_delivery_count": fates.Count(delivery.Received), "scrubbed_webhook_payload_count": fates.Count(delivery.Scrubbed),
		"undecided_webhook_delivery_count": fates.Count(delivery.Undecided),
	}
}

// replace applies the second table of contract section 4.5: whether the session becomes cancelled, and the replacement
// event with what can be sent of it by now.
func (s *Service) replace(tx *postgres.Tx, actor access.Actor, session Session, original event.Event, fates delivery.Fates) error {
	reason := reasonPrivacyAfterSuccess
	if original.Type == event.SessionFailed {
		reason = reasonPrivacyAfterFailure
	}
	final := !fates.Any(delivery.Received) && !fates.Any(delivery.Undecided)
	replacement, err := s.Deliveries.Replace(tx, original, fates, session.Targets(), notVerified(session, reason), final)
	if err != nil || !final {
		return err
	}
	res := tx.Exec(`UPDATE verification_sessions SET status = 'cancelled', failure_code = NULL, updated_at = $1
		WHERE id = $2 AND status IN ('succeeded', 'failed')`, tx.Now, session.ID)
	if res.Error != nil {
		return fmt.Errorf("cancel withdrawn session %s: %w", session.ID, res.Error)
	}
	if res.RowsAffected != 1 {
		return fmt.Errorf("cancel withdrawn session %s: it is %s", session.ID, session.Status)
	}
	return audit.Record(tx, actor, "session.cancelled", target(session.ID), audit.Metadata{"event_id": replacement.ID, "reason": reason})
}

// SettleWithdrawn implements delivery.Settler.
func (s *Service) SettleWithdrawn(tx *postgres.Tx, org id.Organization, session id.Session, record func() (bool, error)) error {
	found, err := lock(tx, org, session)
	if err != nil {
		return err
	}
	tx.ShareOrganizations(org)
	if wrote, err := record(); err != nil || !wrote {
		return err
	}
	original, err := event.Original(tx, session)
	if err != nil {
		return err
	}
	fates, err := s.Deliveries.FatesOf(tx, original.ID)
	if err != nil {
		return err
	}
	actor := access.ForSystem(org)
	if err := s.replace(tx, actor, found, original, fates); err != nil {
		return err
	}
	return audit.Record(tx, actor, "session.privacy_request.settled", target(session), withdrawalMetadata(found.Status, fates))
}
