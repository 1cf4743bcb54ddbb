package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// transition locks a session, expires it if it is overdue, and lets act decide on an active one. The expiry of an overdue
// session commits whatever act would have said; the caller then gets ErrExpired (contract section 4.1).
func (s *Service) transition(ctx context.Context, actor access.Actor, scope access.Scope, session id.Session, act func(tx *postgres.Tx, found *Session) error) (Session, error) {
	var found Session
	var refusal error
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		refusal = nil
		if err := actor.Require(scope, tx.Now); err != nil {
			return err
		}
		if found, err = lock(tx, actor.Organization, session); err != nil {
			return err
		}
		if found.Status.Active() && !found.ExpiresAt.After(tx.Now) {
			if err := s.finish(tx, access.ForSystem(found.OrganizationID), &found, Expired, event.ExpiredData{}, nil); err != nil {
				return err
			}
		}
		switch {
		case found.Status == Expired:
			refusal = ErrExpired
		case !found.Status.Active():
			refusal = ErrNotActive
		default:
			return act(tx, &found)
		}
		return nil
	})
	if err == nil {
		err = refusal
	}
	return found, err
}

// finish moves an active session to its terminal status with its one event, deliveries and audit row (contract section
// 4.2). The session must be locked.
func (s *Service) finish(tx *postgres.Tx, actor access.Actor, session *Session, status Status, data event.Data, failure *FailureCode) error {
	res := tx.Exec(`UPDATE verification_sessions SET status = $1, failure_code = $2, nfc_tries_used = $3, liveness_tries_used = $4, completed_at = $5, updated_at = $5
		WHERE id = $6 AND status IN ('created', 'in_progress')`, status, failure, session.NFCTriesUsed, session.LivenessTriesUsed, tx.Now, session.ID)
	if res.Error != nil {
		return fmt.Errorf("end session %s: %w", session.ID, res.Error)
	}
	if res.RowsAffected != 1 {
		return ErrNotActive
	}
	session.Status, session.FailureCode, session.CompletedAt, session.UpdatedAt = status, failure, &tx.Now, tx.Now
	e, err := s.Deliveries.PublishSession(tx, session.OrganizationID, session.ID, session.Targets(), data)
	if err != nil {
		return err
	}
	meta := audit.Metadata{"event_id": e.ID}
	if failure != nil {
		meta["failure_code"] = *failure
	}
	if cancelled, ok := data.(event.CancelledData); ok {
		meta["reason"] = cancelled.Reason
	}
	return audit.Record(tx, actor, "session."+string(status), target(session.ID), meta)
}

// begin moves a created session to in_progress.
func begin(tx *postgres.Tx, actor access.Actor, session *Session) error {
	if session.Status == InProgress {
		return nil
	}
	if err := tx.Exec("UPDATE verification_sessions SET status = 'in_progress', updated_at = $1 WHERE id = $2 AND status = 'created'", tx.Now, session.ID).Error; err != nil {
		return fmt.Errorf("start session %s: %w", session.ID, err)
	}
	session.Status, session.UpdatedAt = InProgress, tx.Now
	return audit.Record(tx, actor, "session.started", target(session.ID), nil)
}

// Start notes that the person began. It needs checks:write; ErrNotFound, ErrExpired, ErrNotActive.
func (s *Service) Start(ctx context.Context, actor access.Actor, session id.Session) (Session, error) {
	return s.transition(ctx, actor, access.ChecksWrite, session, func(tx *postgres.Tx, found *Session) error {
		return begin(tx, actor, found)
	})
}

// ReportFailure notes a failed check; the third of a family and a failed attestation end the session. It needs
// checks:write; ErrNotFound, ErrExpired, ErrNotActive.
func (s *Service) ReportFailure(ctx context.Context, actor access.Actor, session id.Session, code FailureCode) (Session, error) {
	kind, known := families[code]
	if !known {
		return Session{}, fault.InvalidField("failure_code", "is not a failure code")
	}
	return s.transition(ctx, actor, access.ChecksWrite, session, func(tx *postgres.Tx, found *Session) error {
		if err := begin(tx, actor, found); err != nil {
			return err
		}
		terminal := kind == hardKill
		switch kind {
		case nfc:
			found.NFCTriesUsed++
			terminal = found.NFCTriesUsed >= CheckBudget
		case liveness:
			found.LivenessTriesUsed++
			terminal = found.LivenessTriesUsed >= CheckBudget
		case mrz, hardKill:
		}
		err := audit.Record(tx, actor, "session.check.failed", target(found.ID), audit.Metadata{"failed_check": kind.check(), "failure_code": code})
		if err != nil {
			return err
		}
		if terminal {
			data := event.FailedData{FailureCode: string(code), NFCTriesUsed: found.NFCTriesUsed, LivenessTriesUsed: found.LivenessTriesUsed}
			return s.finish(tx, actor, found, Failed, data, &code)
		}
		found.UpdatedAt = tx.Now
		err = tx.Exec("UPDATE verification_sessions SET nfc_tries_used = $1, liveness_tries_used = $2, updated_at = $3 WHERE id = $4",
			found.NFCTriesUsed, found.LivenessTriesUsed, tx.Now, found.ID).Error
		if err != nil {
			return fmt.Errorf("count failed check of %s: %w", found.ID, err)
		}
		return nil
	})
}

// ReportSuccess ends the session with the claims the person agreed to share. They exist in memory until they are
// encrypted to each endpoint's key. It needs checks:write; ErrNotFound, ErrExpired, ErrNotActive, fields of contract
// section 4.7.
func (s *Service) ReportSuccess(ctx context.Context, actor access.Actor, session id.Session, claims map[string]json.RawMessage, selected []string) (Session, error) {
	return s.transition(ctx, actor, access.ChecksWrite, session, func(tx *postgres.Tx, found *Session) error {
		data, err := checkClaims(found.ShareFields, claims, selected)
		if err != nil {
			return err
		}
		return s.finish(tx, actor, found, Succeeded, data, nil)
	})
}

// Cancel ends an open session on behalf of actor. It is idempotent: a session that already ended is left as it is. It
// needs sessions:write; ErrNotFound.
func (s *Service) Cancel(ctx context.Context, actor access.Actor, session id.Session) error {
	_, err := s.transition(ctx, actor, access.SessionsWrite, session, func(tx *postgres.Tx, found *Session) error {
		return s.finish(tx, actor, found, Cancelled, cancelData(*found), nil)
	})
	if errors.Is(err, ErrExpired) || errors.Is(err, ErrNotActive) {
		return nil
	}
	return err
}

// cancelData is the data of the cancelled event of an active session.
func cancelData(s Session) event.CancelledData {
	reason := reasonCancelled
	if s.NFCTriesUsed > 0 || s.LivenessTriesUsed > 0 {
		reason = reasonAfterFailedCheck
	}
	return notVerified(s, reason)
}

func notVerified(s Session, reason string) event.CancelledData {
	return event.CancelledData{Outcome: "not_verified", Reason: reason, NFCTriesUsed: s.NFCTriesUsed, LivenessTriesUsed: s.LivenessTriesUsed}
}

// ExpireOverdue expires up to limit overdue sessions, oldest deadline first, each in a transaction of its own, and
// returns how many there were. An error on one session does not stop the others.
func (s *Service) ExpireOverdue(ctx context.Context, limit int) (int, error) {
	tx := s.DB.Reader(ctx)
	var overdue []Session
	err := tx.Where("status IN ('created', 'in_progress') AND expires_at <= ?", tx.Now).Order("expires_at").Limit(limit).Find(&overdue).Error
	if err != nil {
		return 0, fmt.Errorf("find overdue sessions: %w", err)
	}
	var failed error
	for _, session := range overdue {
		err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
			found, err := lock(tx, session.OrganizationID, session.ID)
			if err != nil || !found.Status.Active() {
				return err
			}
			return s.finish(tx, access.ForSystem(found.OrganizationID), &found, Expired, event.ExpiredData{}, nil)
		})
		if err != nil {
			failed = fmt.Errorf("expire session %s: %w", session.ID, err)
		}
	}
	return len(overdue), failed
}
