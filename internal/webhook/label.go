package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/postgres"
)

// Labelled reports whether the endpoint carries the label, in whatever case.
func (e Endpoint) Labelled(label string) bool {
	return slices.ContainsFunc(e.Labels, func(l string) bool { return strings.EqualFold(l, label) })
}

// SwitchLabelled turns every endpoint that carries the label, in whatever case, on or off: all of them or none. It returns
// those that were not so already, and needs webhooks:write.
func (s *Service) SwitchLabelled(ctx context.Context, actor access.Actor, label string, enabled bool) ([]Endpoint, error) {
	var changed []Endpoint
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		changed = nil
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if err := tx.LockOrganization(actor.Organization); err != nil {
			return err
		}
		var all []Endpoint
		err := tx.Where("organization_id = ? AND deleted_at IS NULL AND enabled <> ?", actor.Organization, enabled).Order("created_at, id").Find(&all).Error
		if err != nil {
			return fmt.Errorf("load endpoints: %w", err)
		}
		for _, e := range all {
			if !e.Labelled(label) {
				continue
			}
			if err := s.change(tx, actor, &e, EndpointChange{Enabled: &enabled}); err != nil {
				return err
			}
			changed = append(changed, e)
		}
		return nil
	})
	return changed, err
}
