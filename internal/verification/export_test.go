package verification

import (
	"context"
	"encoding/json"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
)

// Await makes the group that reports next one that waited for so many.
func (s *Service) Await(n int) { s.crowd.awaited = n }

// ReportTogether is ReportSuccess of one group: the sessions as they are afterwards, and what was refused.
func (s *Service) ReportTogether(ctx context.Context, actor access.Actor, sessions []id.Session, claims map[string]json.RawMessage, selected []string) ([]Session, []error, error) {
	reports := make([]success, len(sessions))
	for i, session := range sessions {
		reports[i] = success{actor, session, readClaims(claims), selected}
	}
	out, err := s.reportSuccesses(ctx, reports)
	after, refusals := make([]Session, len(out)), make([]error, len(out))
	for i, r := range out {
		after[i], refusals[i] = r.session, r.refusal
	}
	return after, refusals, err
}
