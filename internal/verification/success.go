package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/batch"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// success is a report that a check succeeded.
type success struct {
	actor    access.Actor
	session  id.Session
	claims   map[string]claim
	selected []string
}

// reported is what became of it.
type reported struct {
	session Session
	refusal error
}

// successGroup is how many reports one transaction takes at most.
const successGroup = 64

// errOverdue sends a report to the path that expires its session.
var errOverdue = errors.New("session is overdue")

// ReportSuccess ends the session with the claims the person agreed to share. They exist in memory until they are
// encrypted to each endpoint's key. Reports that arrive together share a transaction. It needs checks:write; ErrNotFound, ErrExpired,
// ErrNotActive, fields of contract section 4.7.
func (s *Service) ReportSuccess(ctx context.Context, actor access.Actor, session id.Session, claims map[string]json.RawMessage, selected []string) (Session, error) {
	s.prepare.Do(func() {
		s.successes = batch.NewGroup(successGroup, s.reportSuccesses)
		s.successes.Linger = s.crowd.linger
	})
	r, err := s.successes.Do(ctx, success{actor, session, readClaims(claims), selected})
	switch {
	case err != nil:
		return Session{}, err
	case errors.Is(r.refusal, errOverdue):
		return s.transition(ctx, actor, access.ChecksWrite, session, func(*postgres.Tx, *Session) error { return ErrExpired })
	}
	return r.session, r.refusal
}

// reportSuccesses ends the sessions of those reports that are in order; a refused one changes nothing.
func (s *Service) reportSuccesses(ctx context.Context, reports []success) ([]reported, error) {
	var out []reported
	crowd := s.crowd.isBack(len(reports))
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		out = make([]reported, len(reports))
		sessions, err := lockAll(tx, reports)
		if err != nil {
			return err
		}
		var endings []ending
		ended := map[id.Session]bool{}
		for i, r := range reports {
			found, ok := sessions[r.session]
			out[i] = reported{found, s.refuse(tx, r, found, ok, ended[r.session])}
			if out[i].refusal != nil {
				continue
			}
			data, err := checkClaims(found.ShareFields, r.claims, r.selected)
			if err != nil {
				out[i].refusal = err
				continue
			}
			ended[r.session] = true
			endings = append(endings, ending{actor: r.actor, session: &out[i].session, status: Succeeded, data: data, crowd: crowd})
		}
		if len(endings) == 0 {
			return nil
		}
		return s.finish(tx, endings...)
	})
	return out, err
}

// refuse returns why a report cannot end its session, or nil.
func (s *Service) refuse(tx *postgres.Tx, r success, found Session, ok, ended bool) error {
	switch err := r.actor.Require(access.ChecksWrite, tx.Now); {
	case err != nil:
		return err
	case !ok || r.actor.Organization != found.OrganizationID:
		return ErrNotFound
	case found.Status == Expired:
		return ErrExpired
	case ended || !found.Status.Active():
		return ErrNotActive
	case !found.ExpiresAt.After(tx.Now):
		return errOverdue
	}
	return nil
}

// lockAll locks the sessions of the reports in ascending order.
func lockAll(tx *postgres.Tx, reports []success) (map[id.Session]Session, error) {
	ids := postgres.UUIDs(reports, func(r success) uuid.UUID { return r.session.UUID })
	sessions, contracts := make(map[id.Session]Session, len(reports)), shareContracts{}
	err := tx.Each(func(row postgres.Row) error {
		found, err := scanSession(row, contracts)
		sessions[found.ID] = found
		return err
	}, "SELECT "+sessionColumns+" FROM verification_sessions WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", ids)
	if err != nil {
		return nil, fmt.Errorf("lock sessions: %w", err)
	}
	return sessions, nil
}
