package verification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
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
			if err := s.finish(tx, ending{actor: access.ForSystem(found.OrganizationID), session: &found, status: Expired, data: event.ExpiredData{}}); err != nil {
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

// ending is how an active, locked session ends.
type ending struct {
	actor   access.Actor
	session *Session
	status  Status
	data    event.Data
	failure *FailureCode
	crowd   bool // delivery.Publication.Crowd
}

// finish moves active sessions to their terminal status, each with its one event, deliveries and audit row (contract section
// 4.2), and updates the structs. The sessions must be locked.
func (s *Service) finish(tx *postgres.Tx, endings ...ending) error {
	publications := make([]delivery.Publication, len(endings))
	for i, e := range endings {
		publications[i] = delivery.Publication{Organization: e.session.OrganizationID, Session: e.session.ID, Targets: e.session.Targets(), Data: e.data, Crowd: e.crowd}
	}
	return s.Deliveries.PublishSessions(tx, publications, func(events []event.Event) error { return end(tx, endings, events) })
}

// end writes the terminal status of the sessions and their audit rows, which name the events.
func end(tx *postgres.Tx, endings []ending, events []event.Event) error {
	type change struct {
		ID                uuid.UUID    `json:"id"`
		Status            Status       `json:"status"`
		FailureCode       *FailureCode `json:"failure_code"`
		NFCTriesUsed      int          `json:"nfc_tries_used"`
		LivenessTriesUsed int          `json:"liveness_tries_used"`
		At                time.Time    `json:"at"`
	}
	changes, deeds := make([]change, len(endings)), make([]audit.Deed, len(endings))
	for i, e := range endings {
		changes[i] = change{e.session.ID.UUID, e.status, e.failure, e.session.NFCTriesUsed, e.session.LivenessTriesUsed, tx.Now}
		e.session.Status, e.session.FailureCode, e.session.CompletedAt, e.session.UpdatedAt = e.status, e.failure, &tx.Now, tx.Now
		meta := audit.Metadata{"event_id": events[i].ID}
		if e.failure != nil {
			meta["failure_code"] = *e.failure
		}
		if cancelled, ok := e.data.(event.CancelledData); ok {
			meta["reason"] = cancelled.Reason
		}
		deeds[i] = audit.Deed{Actor: e.actor, Event: "session." + string(e.status), Target: target(e.session.ID), Metadata: meta}
	}
	err := tx.ExecRows(`UPDATE verification_sessions s SET status = v.status, failure_code = v.failure_code, nfc_tries_used = v.nfc_tries_used,
			liveness_tries_used = v.liveness_tries_used, completed_at = v.at, updated_at = v.at
		FROM GIVEN AS v(id uuid, status text, failure_code text, nfc_tries_used smallint, liveness_tries_used smallint, at timestamptz)
		WHERE s.id = v.id AND s.status || '' IN ('created', 'in_progress')`, changes) // see begin
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return audit.RecordAll(tx, deeds)
}

// begin moves a created session to in_progress.
func begin(tx *postgres.Tx, actor access.Actor, session *Session) error {
	if session.Status == InProgress {
		return nil
	}
	// The status is wrapped, for the planner not to think of the index of open sessions: by statistics of a quiet hour that looks as good
	// as the id, and in a rush each start would read all sessions that are open.
	if err := tx.Exec("UPDATE verification_sessions SET status = 'in_progress', updated_at = $1 WHERE id = $2 AND status || '' = 'created'", tx.Now, session.ID).Error; err != nil {
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
			return s.finish(tx, ending{actor: actor, session: found, status: Failed, data: data, failure: &code})
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

// Cancel ends an open session on behalf of actor. It is idempotent: a session that already ended is left as it is. It
// needs sessions:write; ErrNotFound.
func (s *Service) Cancel(ctx context.Context, actor access.Actor, session id.Session) error {
	_, err := s.transition(ctx, actor, access.SessionsWrite, session, func(tx *postgres.Tx, found *Session) error {
		return s.finish(tx, ending{actor: actor, session: found, status: Cancelled, data: cancelData(*found)})
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
			return s.finish(tx, ending{actor: access.ForSystem(found.OrganizationID), session: &found, status: Expired, data: event.ExpiredData{}})
		})
		if err != nil {
			failed = fmt.Errorf("expire session %s: %w", session.ID, err)
		}
	}
	return len(overdue), failed
}
