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
