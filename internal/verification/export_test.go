package verification

import (
	"context"
	"encoding/json"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
)

// ReportAmong is ReportSuccess of the only one of a group that waited for so many.
func (s *Service) ReportAmong(ctx context.Context, awaited int, actor access.Actor, session id.Session, claims map[string]json.RawMessage, selected []string) error {
	s.crowd.awaited = awaited
	out, err := s.reportSuccesses(ctx, []success{{actor, session, claims, selected}})
	if err != nil {
		return err
	}
	return out[0].refusal
}

// ReportTogether is ReportSuccess of one group: the sessions as they are afterwards, and what was refused.
func (s *Service) ReportTogether(ctx context.Context, actor access.Actor, sessions []id.Session, claims map[string]json.RawMessage, selected []string) ([]Session, []error, error) {
	reports := make([]success, len(sessions))
	for i, session := range sessions {
		reports[i] = success{actor, session, claims, selected}
	}
	out, err := s.reportSuccesses(ctx, reports)
	after, refusals := make([]Session, len(out)), make([]error, len(out))
	for i, r := range out {
		after[i], refusals[i] = r.session, r.refusal
	}
	return after, refusals, err
}
