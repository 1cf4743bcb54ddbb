package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// newDelivery is a row to insert, with native ids.
type newDelivery struct {
	ID               uuid.UUID       `json:"id"`
	OrganizationID   uuid.UUID       `json:"organization_id"`
	EventID          uuid.UUID       `json:"event_id"`
	EndpointID       uuid.UUID       `json:"webhook_endpoint_id"`
	KeyID            *uuid.UUID      `json:"webhook_encryption_key_id"`
	EventType        event.Type      `json:"event_type"`
	Status           Status          `json:"status"`
	Payload          *string         `json:"payload"`
	PayloadBytes     int             `json:"payload_bytes"`
	PayloadExpiresAt *time.Time      `json:"payload_expires_at"`
	ScrubbedAt       *time.Time      `json:"payload_scrubbed_at"`
	Reason           RetentionReason `json:"payload_retention_reason"`
	NextAttemptAt    *time.Time      `json:"next_attempt_at"`
	NextTrigger      Trigger         `json:"next_trigger"`
	RungAt           *time.Time      `json:"rung_at"`
	CreatedAt        time.Time       `json:"created_at"`
	// firstOfKey tells that nothing was encrypted to the key before, as far as its row says.
	firstOfKey bool
}

// Publication is the terminal event of a session, before it exists. Targets empty means every endpoint.
type Publication struct {
	Organization id.Organization
	Session      id.Session
	Targets      []id.Endpoint
	Data         event.Data
	// Crowd tells that those who reported it and others with it are about to be back with more. What they wait for goes before deliveries.
	Crowd bool
}

// worthARoundTrip is how many payloads take longer to encrypt than a round trip to Postgres does.
const worthARoundTrip = 8

// PublishSessions creates the original terminal events of sessions and their deliveries inside the caller's transaction
// (contract section 4.2 steps 3 to 5). Workers are rung after the commit. What else belongs to the events, which are in the order of the
// publications, is left by along; with them it goes to the server before many payloads are encrypted, so that Postgres has work meanwhile.
func (s *Service) PublishSessions(tx *postgres.Tx, publications []Publication, along func(events []event.Event) error) error {
	recipients, err := webhook.RecipientsOf(tx, organizations(publications))
	if err != nil {
		return err
	}
	events, outs := make([]event.Event, len(publications)), make([]*fanOut, len(publications))
	payloads := 0
	for i, p := range publications {
		events[i] = event.Event{
			ID: id.Event{UUID: tx.NewUUID()}, OrganizationID: p.Organization, Type: event.TypeOf(p.Data),
			TriggerType: event.ByVerificationSession, TriggerID: p.Session.UUID, CreatedAt: tx.Now,
		}
		outs[i] = s.newFanOut(tx, events[i], p.Data)
		for _, r := range recipients[p.Organization] {
			if reason, serve := ordinaryRoute(r, events[i].Type, p.Targets); serve {
				outs[i].serve(r, event.Subscribed, Automatic)
				if r.Key != nil {
					payloads++
				}
			} else {
				outs[i].skip(r.ID, reason)
			}
		}
		events[i].Routing = outs[i].routing
	}
	if err := event.Insert(tx, events...); err != nil {
		return err
	}
	if err := along(events); err != nil {
		return err
	}
	if payloads >= worthARoundTrip {
		tx.Start()
	}
	sealAll(outs...)
	var rows []newDelivery
	for i, out := range outs {
		rows = append(rows, out.rows...)
		if out.rerouted {
			if err := event.SetRouting(tx, events[i].ID, out.routing); err != nil {
				return err
			}
		}
	}
	return s.insert(tx, rows, slices.ContainsFunc(publications, func(p Publication) bool { return p.Crowd }))
}

func organizations(publications []Publication) []id.Organization {
	var orgs []id.Organization
	for _, p := range publications {
		if !slices.Contains(orgs, p.Organization) {
			orgs = append(orgs, p.Organization)
		}
	}
	return orgs
}

// ordinaryRoute applies the rules of contract section 3.4 in table order.
func ordinaryRoute(r webhook.Recipient, t event.Type, targets []id.Endpoint) (event.Reason, bool) {
	switch {
	case len(targets) > 0 && !slices.Contains(targets, r.ID):
		return event.NotTargeted, false
	case !r.Enabled:
		return event.Disabled, false
	case !r.Subscribes(t):
		return event.NotSubscribed, false
	}
	return event.Subscribed, true
}

// testMessage is the fixed text of a test event (contract section 3.1).
const testMessage = "This is a test event from Kaylehooks. If you can read it, your endpoint verifies and decrypts correctly."

// SendTest creates a webhook.test event with one delivery to the endpoint, whatever it subscribes to (contract section
// 7.12). It needs webhooks:write; webhook.ErrEndpointNotFound, ErrEndpointDisabled.
func (s *Service) SendTest(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (event.Event, error) {
	var e event.Event
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		var err error
		e, err = s.SendTestIn(tx, actor, endpoint)
		return err
	})
	return e, err
}

// SendTestIn is SendTest inside the caller's transaction.
func (s *Service) SendTestIn(tx *postgres.Tx, actor access.Actor, endpoint id.Endpoint) (event.Event, error) {
	e := newTest(tx, actor.Organization, endpoint)
	e, err := s.sendTest(tx, actor, e, testMessage, nil)
	if err != nil {
		return event.Event{}, err
	}
	return e, audit.Record(tx, actor, "webhook_endpoint.tested", audit.Target{Type: "webhook_endpoint", ID: endpoint.String()}, audit.Metadata{"event_id": e.ID})
}

// SendChallenge sends a test event encrypted to the key, whether or not it is the active one, with a code in its message
// that only the holder of the private half can read. webhook.VerifyKey takes it back. It needs webhooks:write;
// webhook.ErrKeyNotFound, ErrEndpointDisabled.
func (s *Service) SendChallenge(ctx context.Context, actor access.Actor, key id.Key) (event.Event, error) {
	var e event.Event
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		if err := tx.LockOrganization(actor.Organization); err != nil { // two challenges at once would each send a code, of which one counts
			return err
		}
		e = newTest(tx, actor.Organization, id.Endpoint{})
		k, code, err := webhook.Challenge(tx, actor.Organization, key, e.ID)
		if err != nil {
			return err
		}
		e.TriggerID = k.WebhookEndpointID.UUID
		if e, err = s.sendTest(tx, actor, e, testMessage+" Challenge: "+code, &k); err != nil {
			return err
		}
		return webhook.AuditChallenge(tx, actor, k)
	})
	return e, err
}

func newTest(tx *postgres.Tx, org id.Organization, endpoint id.Endpoint) event.Event {
	return event.Event{
		ID: id.Event{UUID: tx.NewUUID()}, OrganizationID: org, Type: event.Test,
		TriggerType: event.ByWebhookEndpoint, TriggerID: endpoint.UUID, CreatedAt: tx.Now,
	}
}

// sendTest sends a test event to the endpoint that triggers it, encrypted to the key or, when that is nil, to the active one.
func (s *Service) sendTest(tx *postgres.Tx, actor access.Actor, e event.Event, message string, key *webhook.Key) (event.Event, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return event.Event{}, err
	}
	recipients, err := webhook.Recipients(tx, actor.Organization)
	if err != nil {
		return event.Event{}, err
	}
	i := slices.IndexFunc(recipients, func(r webhook.Recipient) bool { return r.ID.UUID == e.TriggerID })
	if i < 0 {
		return event.Event{}, webhook.ErrEndpointNotFound
	}
	if !recipients[i].Enabled {
		return event.Event{}, ErrEndpointDisabled
	}
	if key != nil {
		recipients[i].Key = key
	}
	b := s.newFanOut(tx, e, event.TestData{Message: message})
	for j, r := range recipients {
		if i == j {
			b.serve(r, event.TestSend, TestSend)
		} else {
			b.skip(r.ID, event.NotTargeted)
		}
	}
	sealAll(b)
	e.Routing = b.routing
	if err := event.Insert(tx, e); err != nil {
		return event.Event{}, err
	}
	return e, b.insert()
}

// fanOut collects the routing and the deliveries of one event.
type fanOut struct {
	s       *Service
	tx      *postgres.Tx
	event   event.Event
	data    event.Data
	routing event.Routing
	served  []served
	rows    []newDelivery
	// rerouted tells that sealAll changed the routing.
	rerouted bool
}

// served is an endpoint that gets a delivery, and the payload encrypted for it.
type served struct {
	webhook.Recipient
	route   event.Route
	trigger Trigger
	jwe     string
	err     error
}

var errSealing = errors.New("encryption panicked")

func (s *Service) newFanOut(tx *postgres.Tx, e event.Event, data event.Data) *fanOut {
	return &fanOut{s: s, tx: tx, event: e, data: data, routing: event.Routing{}}
}

func (b *fanOut) skip(endpoint id.Endpoint, reason event.Reason) {
	b.routing = b.routing.Put(event.Route{EndpointID: endpoint, Decision: event.Skipped, Reason: reason, CreatedAt: b.tx.Now})
}

// serve routes the event to the endpoint, and leaves the delivery for sealAll.
func (b *fanOut) serve(r webhook.Recipient, reason event.Reason, trigger Trigger) {
	route := event.Route{EndpointID: r.ID, Decision: event.Delivered, Reason: reason, DeliveryID: &id.Delivery{UUID: b.tx.NewUUID()}, CreatedAt: b.tx.Now}
	if r.Key == nil {
		route.Decision, route.Reason = event.Skipped, event.NoActiveKey
	}
	b.served = append(b.served, served{Recipient: r, route: route, trigger: trigger})
	b.routing = b.routing.Put(route)
}

// sealAll encrypts the payloads of the events for the endpoints they serve, on all processors, since others wait for the transaction. It
// leaves a delivery for each, and another route where that failed.
func sealAll(outs ...*fanOut) {
	var sealing errgroup.Group
	sealing.SetLimit(runtime.GOMAXPROCS(0))
	for _, b := range outs {
		if len(b.served) == 0 {
			continue
		}
		plain := sync.OnceValues(func() ([]byte, error) { return b.event.Payload(b.data) })
		for i := range b.served {
			d := &b.served[i]
			if d.Key == nil {
				continue
			}
			sealing.Go(func() error {
				d.jwe, d.err = b.s.guarded(b.tx.Statement.Context, func() (string, error) {
					payload, err := plain()
					if err != nil {
						return "", err
					}
					return webhook.SealTo(*d.Key, payload)
				})
				return nil
			})
		}
	}
	_ = sealing.Wait() // errors are with their deliveries
	for _, b := range outs {
		for _, d := range b.served {
			b.deliver(d)
		}
	}
}

// guarded makes an error of a panic in seal, which would end the process where it runs.
func (s *Service) guarded(ctx context.Context, seal func() (string, error)) (jwe string, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.Log.LogAttrs(ctx, slog.LevelError, "encryption panicked", logging.Panic(v)...)
			err = errSealing
		}
	}()
	return seal()
}

// deliver adds a delivery. Where the payload could not be encrypted it is a failed one without payload: the endpoint fails closed and
// its neighbours are not affected.
func (b *fanOut) deliver(d served) {
	now := b.tx.Now
	row := newDelivery{
		ID: d.route.DeliveryID.UUID, OrganizationID: b.event.OrganizationID.UUID, EventID: b.event.ID.UUID, EndpointID: d.ID.UUID,
		EventType: b.event.Type, Status: Failed, ScrubbedAt: &now, NextTrigger: d.trigger, CreatedAt: now,
	}
	switch {
	case d.Key == nil:
		row.Reason = NoActiveKey
	case d.err != nil:
		row.KeyID, row.Reason = &d.Key.ID.UUID, JWECreationFailed
		d.route.Decision, d.route.Reason = event.Skipped, event.EncryptionFailed
		b.routing, b.rerouted = b.routing.Put(d.route), true
	default:
		expires := initialExpiry(now, d.Retention())
		row.KeyID, row.Status, row.Reason = &d.Key.ID.UUID, Pending, PendingDelivery
		row.Payload, row.PayloadBytes, row.PayloadExpiresAt, row.ScrubbedAt = &d.jwe, len(d.jwe), &expires, nil
		row.firstOfKey = d.Key.FirstUsedAt == nil
		if d.Enabled {
			row.NextAttemptAt, row.RungAt = &now, &now
		}
	}
	b.rows = append(b.rows, row)
}

// insert writes the deliveries, counts those born failed and rings for the others after the commit. The event must
// exist by now.
func (b *fanOut) insert() error { return b.s.insert(b.tx, b.rows, false) }

func (s *Service) insert(tx *postgres.Tx, rows []newDelivery, crowd bool) error {
	if len(rows) == 0 {
		return nil
	}
	err := tx.ExecRows(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status,
			payload, payload_bytes, payload_expires_at, payload_scrubbed_at, payload_retention_reason, next_attempt_at, next_trigger, rung_at, created_at, updated_at)
		SELECT v.id, v.organization_id, v.event_id, v.webhook_endpoint_id, v.webhook_encryption_key_id, v.event_type, v.status,
			v.payload, v.payload_bytes, v.payload_expires_at, v.payload_scrubbed_at, v.payload_retention_reason, v.next_attempt_at, v.next_trigger, v.rung_at, v.created_at, v.created_at
		FROM GIVEN AS v(id uuid, organization_id uuid, event_id uuid, webhook_endpoint_id uuid, webhook_encryption_key_id uuid, event_type text, status text,
			payload text, payload_bytes integer, payload_expires_at timestamptz, payload_scrubbed_at timestamptz, payload_retention_reason text,
			next_attempt_at timestamptz, next_trigger text, rung_at timestamptz, created_at timestamptz)`, rows)
	if err != nil {
		return fmt.Errorf("insert deliveries: %w", err)
	}
	ended, due, first := tallies{}, []Due(nil), []uuid.UUID(nil)
	for _, row := range rows {
		if row.firstOfKey {
			first = append(first, *row.KeyID)
		}
		switch {
		case row.Status == Failed:
			ended.addEnd(id.Organization{UUID: row.OrganizationID}, id.Endpoint{UUID: row.EndpointID}, tx.Now, Failed, ErrorKind(row.Reason), 0)
		case row.NextAttemptAt != nil:
			due = append(due, Due{DeliveryID: id.Delivery{UUID: row.ID}, EndpointID: id.Endpoint{UUID: row.EndpointID}, Fresh: true, Crowd: crowd})
		}
	}
	if len(first) > 0 {
		if err := webhook.NoteFirstUse(tx, first); err != nil {
			return err
		}
	}
	s.ring(tx, due)
	return ended.write(tx, randomSlot())
}
