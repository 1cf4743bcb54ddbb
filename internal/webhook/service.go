package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Deliveries is what changing an endpoint does to its deliveries (contract section 5.3). The delivery room implements it.
type Deliveries interface {
	// Park takes the endpoint's pending deliveries off the schedule.
	Park(tx *postgres.Tx, endpoint id.Endpoint) error
	// Resume makes the endpoint's parked deliveries due now.
	Resume(tx *postgres.Tx, endpoint id.Endpoint) error
	// Abandon ends the endpoint's pending deliveries, erases every payload held for it and returns how many it ended.
	Abandon(tx *postgres.Tx, org id.Organization, endpoint id.Endpoint) (int, error)
}

// Service holds the operations on endpoints and encryption keys.
type Service struct {
	DB      *postgres.DB
	Keyring *seal.Keyring
	// AllowPrivate is ALLOW_PRIVATE_ENDPOINTS.
	AllowPrivate bool
	Deliveries   Deliveries
}

func target(e id.Endpoint) audit.Target {
	return audit.Target{Type: "webhook_endpoint", ID: e.String()}
}

func secretSubject(e id.Endpoint) string { return "webhook_endpoint:" + e.String() + ":signing_secret" }

func previousSecretSubject(e id.Endpoint) string {
	return "webhook_endpoint:" + e.String() + ":previous_signing_secret"
}

// CreateEndpoint adds an endpoint and returns it with its signing secret, which is never readable again without reveal.
// It needs webhooks:write.
func (s *Service) CreateEndpoint(ctx context.Context, actor access.Actor, in NewEndpoint) (Endpoint, string, error) {
	var created Endpoint
	var secret string
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		created, secret, err = s.CreateEndpointIn(tx, actor, in)
		return err
	})
	return created, secret, err
}

// CreateEndpointIn is CreateEndpoint inside the caller's transaction.
func (s *Service) CreateEndpointIn(tx *postgres.Tx, actor access.Actor, in NewEndpoint) (Endpoint, string, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return Endpoint{}, "", err
	}
	change := in.change()
	e := Endpoint{
		ID: id.Endpoint{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, Enabled: true,
		UndeliveredPayloadRetentionHours: DefaultRetention,
		SigningSecretRotatedAt:           tx.Now, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	if _, err := s.apply(&e, change, tx.Now); err != nil {
		return Endpoint{}, "", err
	}
	if err := tx.LockOrganization(actor.Organization); err != nil {
		return Endpoint{}, "", err
	}
	var count int64
	if err := tx.Table("webhook_endpoints").Where("organization_id = ? AND deleted_at IS NULL", actor.Organization).Count(&count).Error; err != nil {
		return Endpoint{}, "", fmt.Errorf("count endpoints: %w", err)
	}
	if count >= MaxEndpoints {
		return Endpoint{}, "", ErrTooManyEndpoints
	}
	secret := NewSigningSecret()
	sealed, err := s.Keyring.Seal(secretSubject(e.ID), secret)
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("seal signing secret: %w", err)
	}
	e.SigningSecret = &sealed
	if err := tx.Create(&e).Error; err != nil {
		return Endpoint{}, "", fmt.Errorf("insert endpoint: %w", err)
	}
	err = audit.Record(tx, actor, "webhook_endpoint.created", target(e.ID), audit.Metadata{"url": Origin(e.URL), "enabled": e.Enabled})
	return e, secret, err
}

// change is the endpoint with its defaults, as a change of an empty one.
func (in NewEndpoint) change() EndpointChange {
	types := in.EventTypes
	if types == nil {
		for _, t := range event.SubscribableTypes() {
			types = append(types, string(t))
		}
	}
	return EndpointChange{Name: in.Name, Labels: &in.Labels, URL: &in.URL, Enabled: in.Enabled, EventTypes: &types, RetentionHours: in.RetentionHours}
}

// CheckNew reports what CreateEndpoint would refuse whatever is stored: for callers that look into something else first.
func (s *Service) CheckNew(in NewEndpoint) error { return s.CheckChange(in.change()) }

// CheckChange is CheckNew for UpdateEndpoint.
func (s *Service) CheckChange(c EndpointChange) error {
	_, err := s.apply(&Endpoint{}, c, time.Time{})
	return err
}

// apply puts the change into e and returns the API names of the fields it named. All problems are reported at once.
func (s *Service) apply(e *Endpoint, c EndpointChange, now time.Time) ([]string, error) {
	var named []string
	var problems []fault.Field
	note := func(name string, problem *fault.Field) {
		named = append(named, name)
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	switch {
	case c.ClearName:
		e.Name = nil
		note("name", nil)
	case c.Name != nil:
		name, problem := cleanName(*c.Name)
		e.Name = &name
		note("name", problem)
	}
	if c.Labels != nil {
		labels, problem := cleanLabels(*c.Labels)
		e.Labels = labels
		note("labels", problem)
	}
	if c.EventTypes != nil {
		types, problem := cleanEventTypes(*c.EventTypes)
		e.SubscribedEventTypes = types
		note("subscribed_event_types", problem)
	}
	if c.RetentionHours != nil {
		e.UndeliveredPayloadRetentionHours = *c.RetentionHours
		note("undelivered_payload_retention_hours", checkRetention(*c.RetentionHours))
	}
	if c.Enabled != nil {
		note("enabled", nil)
		if e.Enabled != *c.Enabled || (!e.Enabled && e.DisabledAt == nil) {
			e.Enabled, e.DisabledAt = *c.Enabled, nil
			if !e.Enabled {
				e.DisabledAt = &now
			}
		}
	}
	if c.URL != nil {
		url, err := checkURL(*c.URL, s.AllowPrivate)
		if rejection, ok := fault.As(err); ok {
			// Alone it keeps its own code; among others it is one of the fields.
			if len(problems) == 0 {
				return nil, err
			}
			problems = append(problems, rejection.Fields...)
		}
		e.URL = url
		named = append(named, "url")
	}
	if len(named) == 0 {
		return nil, ErrEmptyUpdate
	}
	return named, fault.InvalidFields(problems...)
}

// UpdateEndpoint changes the named fields. Turning an endpoint off parks its waiting deliveries, turning it on makes them
// due. It needs webhooks:write; ErrEndpointNotFound, ErrEmptyUpdate, ErrURLRejected, ErrEndpointChanged.
func (s *Service) UpdateEndpoint(ctx context.Context, actor access.Actor, endpoint id.Endpoint, c EndpointChange) (Endpoint, error) {
	var e Endpoint
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if e, err = s.lock(tx, actor.Organization, endpoint); err != nil {
			return err
		}
		return s.change(tx, actor, &e, c)
	})
	return e, err
}

// change applies c to a locked endpoint.
func (s *Service) change(tx *postgres.Tx, actor access.Actor, e *Endpoint, c EndpointChange) error {
	if c.ExpectedUpdatedAt != nil && !c.ExpectedUpdatedAt.Equal(e.UpdatedAt) {
		return ErrEndpointChanged
	}
	before := *e
	named, err := s.apply(e, c, tx.Now)
	if err != nil {
		return err
	}
	e.UpdatedAt = tx.Now
	err = s.update(tx, *e, "name", "labels", "url", "enabled", "disabled_at", "subscribed_event_types", "undelivered_payload_retention_hours", "updated_at")
	if err != nil {
		return err
	}
	switch {
	case before.Enabled && !e.Enabled:
		err = s.Deliveries.Park(tx, e.ID)
	case !before.Enabled && e.Enabled:
		err = s.Deliveries.Resume(tx, e.ID)
	}
	if err != nil {
		return err
	}
	meta := audit.Metadata{"updated_fields": named, audit.ChangesField: changesOf(before, *e)}
	if c.Enabled != nil {
		meta["enabled"] = e.Enabled
	}
	if c.RetentionHours != nil {
		meta["undelivered_payload_retention_hours"] = e.UndeliveredPayloadRetentionHours
	}
	return audit.Record(tx, actor, "webhook_endpoint.updated", target(e.ID), meta)
}

// changesOf is what differs between two versions of an endpoint. Of a URL it holds the origins, also where they are the same: path
// and query may hold tokens (contract section 9.5).
func changesOf(before, after Endpoint) audit.Changes {
	changes := audit.Changes{}
	note := func(field string, same bool, from, to any) {
		if !same {
			changes[field] = audit.Change{From: from, To: to}
		}
	}
	note("name", before.Name == after.Name || before.Name != nil && after.Name != nil && *before.Name == *after.Name, before.Name, after.Name)
	note("labels", slices.Equal(before.Labels, after.Labels), before.Labels, after.Labels)
	note("enabled", before.Enabled == after.Enabled, before.Enabled, after.Enabled)
	note("subscribed_event_types", slices.Equal(before.SubscribedEventTypes, after.SubscribedEventTypes), before.SubscribedEventTypes, after.SubscribedEventTypes)
	hours, now := before.UndeliveredPayloadRetentionHours, after.UndeliveredPayloadRetentionHours
	note("undelivered_payload_retention_hours", hours == now, hours, now)
	note("url", before.URL == after.URL, Origin(before.URL), Origin(after.URL))
	return changes
}

// DeleteEndpoint ends the endpoint for good: keys, secrets and held payloads go, events and deliveries stay readable.
// It needs webhooks:write.
func (s *Service) DeleteEndpoint(ctx context.Context, actor access.Actor, endpoint id.Endpoint) error {
	return s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		e, err := s.lock(tx, actor.Organization, endpoint)
		if err != nil {
			return err
		}
		e.DeletedAt, e.UpdatedAt = &tx.Now, tx.Now
		e.SigningSecret, e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt = nil, nil, nil
		err = s.update(tx, e, "deleted_at", "updated_at", "signing_secret", "previous_signing_secret", "previous_signing_secret_expires_at")
		if err != nil {
			return err
		}
		if err := deactivate(tx, e.ID); err != nil {
			return err
		}
		failed, err := s.Deliveries.Abandon(tx, e.OrganizationID, e.ID)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "webhook_endpoint.deleted", target(e.ID), audit.Metadata{"failed_delivery_count": failed})
	})
}

// Rotation is the outcome of RotateSecret.
type Rotation struct {
	Endpoint Endpoint
	Secret   string
}

// RotateSecret makes a new signing secret current at once. With overlapHours > 0 the former one goes on signing until
// then. It needs webhooks:write; ErrOverlapRunning unless force is set.
func (s *Service) RotateSecret(ctx context.Context, actor access.Actor, endpoint id.Endpoint, overlapHours int, force bool) (Rotation, error) {
	var r Rotation
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if !slices.Contains(OverlapOptions(), overlapHours) {
			return fault.InvalidField("overlap_hours", "must be 0, 1, 24, 72 or 168")
		}
		e, err := s.lock(tx, actor.Organization, endpoint)
		if err != nil {
			return err
		}
		if e.InOverlap(tx.Now) && !force {
			return ErrOverlapRunning
		}
		e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt = nil, nil
		if overlapHours > 0 {
			former, err := s.Keyring.Open(secretSubject(e.ID), *e.SigningSecret)
			if err != nil {
				return fmt.Errorf("open signing secret of %s: %w", e.ID, err)
			}
			sealed, err := s.Keyring.Seal(previousSecretSubject(e.ID), former)
			if err != nil {
				return fmt.Errorf("seal previous signing secret: %w", err)
			}
			until := tx.Now.Add(time.Duration(overlapHours) * time.Hour)
			e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt = &sealed, &until
		}
		r.Secret = NewSigningSecret()
		sealed, err := s.Keyring.Seal(secretSubject(e.ID), r.Secret)
		if err != nil {
			return fmt.Errorf("seal signing secret: %w", err)
		}
		e.SigningSecret, e.SigningSecretRotatedAt, e.UpdatedAt = &sealed, tx.Now, tx.Now
		err = s.update(tx, e, "signing_secret", "signing_secret_rotated_at", "previous_signing_secret", "previous_signing_secret_expires_at", "updated_at")
		if err != nil {
			return err
		}
		r.Endpoint = e
		return audit.Record(tx, actor, "webhook_endpoint.signing_secret.rotated", target(e.ID), audit.Metadata{"overlap_hours": overlapHours, "forced": force})
	})
	return r, err
}

// EndOverlap erases the previous signing secret at once. It needs webhooks:write; ErrNoOverlap.
func (s *Service) EndOverlap(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (Endpoint, error) {
	var e Endpoint
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if e, err = s.lock(tx, actor.Organization, endpoint); err != nil {
			return err
		}
		if !e.InOverlap(tx.Now) {
			return ErrNoOverlap
		}
		e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt, e.UpdatedAt = nil, nil, tx.Now
		if err := s.update(tx, e, "previous_signing_secret", "previous_signing_secret_expires_at", "updated_at"); err != nil {
			return err
		}
		return audit.Record(tx, actor, "webhook_endpoint.signing_secret.overlap_ended", target(e.ID), nil)
	})
	return e, err
}

// RevealSecret returns the current signing secret once it has been audited. It needs webhooks:secrets, and of a user a
// recent re-authentication (contract section 9.3).
func (s *Service) RevealSecret(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (string, error) {
	var secret string
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.WebhooksSecrets, tx.Now); err != nil {
			return err
		}
		e, err := Find(tx, actor.Organization, endpoint)
		if err != nil {
			return err
		}
		if secret, err = s.Keyring.Open(secretSubject(e.ID), *e.SigningSecret); err != nil {
			return fmt.Errorf("open signing secret of %s: %w", e.ID, err)
		}
		return audit.Record(tx, actor, "webhook_endpoint.signing_secret.revealed", target(e.ID), nil)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// SigningSecrets opens the sealed secrets that sign at time now, the current one first.
func SigningSecrets(k *seal.Keyring, endpoint id.Endpoint, current, previous *string, previousExpiresAt *time.Time, now time.Time) ([]string, error) {
	if current == nil {
		return nil, errors.New("no signing secret")
	}
	secret, err := k.Open(secretSubject(endpoint), *current)
	if err != nil {
		return nil, err
	}
	secrets := []string{secret}
	if previous != nil && previousExpiresAt != nil && previousExpiresAt.After(now) {
		if secret, err = k.Open(previousSecretSubject(endpoint), *previous); err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// EraseExpiredSecrets erases previous signing secrets past their overlap. They sign nothing from the moment they expire;
// this only removes the sealed text.
func EraseExpiredSecrets(tx *postgres.Tx) (int64, error) {
	res := tx.Exec(`UPDATE webhook_endpoints SET previous_signing_secret = NULL, previous_signing_secret_expires_at = NULL
		WHERE previous_signing_secret IS NOT NULL AND previous_signing_secret_expires_at <= $1`, tx.Now)
	return res.RowsAffected, res.Error
}

// lock reads a live endpoint while keeping publishers and other changes of the organization's endpoints out.
func (s *Service) lock(tx *postgres.Tx, org id.Organization, endpoint id.Endpoint) (Endpoint, error) {
	if err := tx.LockOrganization(org); err != nil {
		return Endpoint{}, err
	}
	return Find(tx, org, endpoint)
}

func (s *Service) update(tx *postgres.Tx, e Endpoint, columns ...string) error {
	// Not Updates: that puts GORM's clock into updated_at.
	res := tx.Model(&Endpoint{}).Where("id = ? AND deleted_at IS NULL", e.ID).Select(columns).UpdateColumns(&e)
	if res.Error != nil {
		return fmt.Errorf("update endpoint %s: %w", e.ID, res.Error)
	}
	if res.RowsAffected != 1 {
		return ErrEndpointNotFound
	}
	return nil
}

// Find returns a live endpoint of the organization without asking for a permission.
func Find(tx *postgres.Tx, org id.Organization, endpoint id.Endpoint) (Endpoint, error) {
	var e Endpoint
	err := tx.Where("organization_id = ? AND id = ? AND deleted_at IS NULL", org, endpoint).Take(&e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Endpoint{}, ErrEndpointNotFound
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("load endpoint %s: %w", endpoint, err)
	}
	return e, nil
}

// FindAll returns the organization's endpoints by id, deleted ones included, for pages that name them.
func FindAll(tx *postgres.Tx, org id.Organization) (map[id.Endpoint]Endpoint, error) {
	var rows []Endpoint
	if err := tx.Where("organization_id = ?", org).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("load endpoints: %w", err)
	}
	all := make(map[id.Endpoint]Endpoint, len(rows))
	for _, e := range rows {
		all[e.ID] = e
	}
	return all, nil
}

// GetEndpoint returns one live endpoint. It needs webhooks:read.
func (s *Service) GetEndpoint(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (Endpoint, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Endpoint{}, err
	}
	return Find(tx, actor.Organization, endpoint)
}

// ListEndpoints returns live endpoints, newest first; enabled nil means both. It needs webhooks:read.
func (s *Service) ListEndpoints(ctx context.Context, actor access.Actor, enabled *bool, page postgres.Page) (postgres.List[Endpoint], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return postgres.List[Endpoint]{}, err
	}
	q := tx.Table("webhook_endpoints AS e").Where("e.organization_id = ? AND e.deleted_at IS NULL", actor.Organization)
	if enabled != nil {
		q = q.Where("e.enabled = ?", *enabled)
	}
	list, err := postgres.Fetch[Endpoint](q, "e", page)
	if err != nil {
		return list, fmt.Errorf("list endpoints: %w", err)
	}
	return list, nil
}

// EndpointPosition finds the endpoint that a list continues after; a deleted one stays usable (contract section 8.4).
func (s *Service) EndpointPosition(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("webhook_endpoints").Where("organization_id = ?", actor.Organization), endpoint.UUID)
}

// EnabledAmong returns those of the endpoints that are live, enabled and the organization's, for session targets.
func EnabledAmong(tx *postgres.Tx, org id.Organization, endpoints []id.Endpoint) (map[id.Endpoint]bool, error) {
	var found []id.Endpoint
	err := tx.Table("webhook_endpoints").Where("organization_id = ? AND deleted_at IS NULL AND enabled AND id IN ?", org, endpoints).Pluck("id", &found).Error
	if err != nil {
		return nil, fmt.Errorf("check endpoints: %w", err)
	}
	set := make(map[id.Endpoint]bool, len(found))
	for _, e := range found {
		set[e] = true
	}
	return set, nil
}
