package delivery

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// Fate is what a withdrawal means for the delivery of an original event to one endpoint (contract section 4.5).
type Fate string

// The fates.
const (
	// Received: the receiver acknowledged the original; nothing more is sent to it.
	Received Fate = "received"
	// Scrubbed: the original was never acknowledged and is gone.
	Scrubbed Fate = "scrubbed"
	// Undecided: a request is in flight, or was when the mark was set; its result decides.
	Undecided Fate = "undecided"
)

// Fates maps the endpoints that have a delivery of an event to what became of it.
type Fates map[id.Endpoint]Fate

// Any reports whether some delivery met the fate.
func (f Fates) Any(want Fate) bool { return f.Count(want) > 0 }

// Count returns how many deliveries met the fate.
func (f Fates) Count(want Fate) int {
	n := 0
	for _, fate := range f {
		if fate == want {
			n++
		}
	}
	return n
}

// Withdraw scrubs what has not been received of the session's original event and marks what is in flight. The session must
// be locked; the organization's endpoints and the event are held from here on. event.ErrNotFound if the event was purged.
func (s *Service) Withdraw(tx *postgres.Tx, org id.Organization, session id.Session) (event.Event, Fates, error) {
	tx.ShareOrganizations(org)
	original, err := event.LockOriginal(tx, session)
	if err != nil {
		return event.Event{}, nil, err
	}
	fates, err := withdrawDeliveries(tx, original)
	return original, fates, err
}

func withdrawDeliveries(tx *postgres.Tx, original event.Event) (Fates, error) {
	var rows []Delivery
	err := tx.Raw("SELECT "+columns+" FROM webhook_deliveries d WHERE d.event_id = $1 ORDER BY d.id FOR UPDATE", original.ID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock deliveries of %s: %w", original.ID, err)
	}
	fates, ended := Fates{}, tallies{}
	var scrub, mark []uuid.UUID
	for _, d := range rows {
		switch d.Status {
		case Succeeded:
			fates[d.WebhookEndpointID] = Received
		case Delivering:
			fates[d.WebhookEndpointID] = Undecided
			mark = append(mark, d.ID.UUID)
		case Pending:
			ended.addEnd(d.OrganizationID, d.WebhookEndpointID, tx.Now, Failed, ErrorKind(PrivacyRequest), 0)
			fallthrough
		case Failed:
			fates[d.WebhookEndpointID] = Scrubbed
			scrub = append(scrub, d.ID.UUID)
		}
	}
	err = tx.Exec(`UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, payload = NULL, payload_expires_at = NULL,
			payload_retention_reason = 'privacy_request', payload_scrubbed_at = COALESCE(payload_scrubbed_at, $1), withdrawn_at = $1, updated_at = $1
		WHERE id = ANY($2::uuid[])`, tx.Now, scrub).Error
	if err != nil {
		return nil, fmt.Errorf("scrub deliveries of %s: %w", original.ID, err)
	}
	if err := tx.Exec("UPDATE webhook_deliveries SET withdrawn_at = $1, updated_at = $1 WHERE id = ANY($2::uuid[])", tx.Now, mark).Error; err != nil {
		return nil, fmt.Errorf("mark deliveries of %s: %w", original.ID, err)
	}
	if err := eraseCaptures(tx, scrub); err != nil {
		return nil, err
	}
	return fates, ended.write(tx, randomSlot())
}

// FatesOf reads what has become of the deliveries of a withdrawn event.
func (s *Service) FatesOf(tx *postgres.Tx, original id.Event) (Fates, error) {
	var rows []Delivery
	if err := tx.Raw("SELECT "+columns+" FROM webhook_deliveries d WHERE d.event_id = $1", original).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("load deliveries of %s: %w", original, err)
	}
	fates := Fates{}
	for _, d := range rows {
		switch d.Status {
		case Succeeded:
			fates[d.WebhookEndpointID] = Received
		case Delivering:
			fates[d.WebhookEndpointID] = Undecided
		case Pending, Failed:
			fates[d.WebhookEndpointID] = Scrubbed
		}
	}
	return fates, nil
}

// eraseCaptures removes what receivers answered from the attempts of deliveries.
func eraseCaptures(tx *postgres.Tx, deliveries []uuid.UUID) error {
	err := tx.Exec(`UPDATE webhook_delivery_attempts SET response_headers = '{}', response_body = NULL, response_body_truncated = false
		WHERE webhook_delivery_id = ANY($1::uuid[])`, deliveries).Error
	if err != nil {
		return fmt.Errorf("erase captured responses: %w", err)
	}
	return nil
}

// Replace routes the cancelled event that takes the place of a withdrawn original, as far as it is decided by now, and
// returns it; a zero event means that there is nothing to say yet. Each call looks only at endpoints that an earlier call
// left open. final is set when the session becomes cancelled: then the endpoints that had no delivery of the original are
// routed by the ordinary rules (contract section 4.5).
func (s *Service) Replace(tx *postgres.Tx, original event.Event, fates Fates, targets []id.Endpoint, data event.CancelledData, final bool) (event.Event, error) {
	replacement, err := event.ReplacementOf(tx, original.ID)
	exists := err == nil
	if errors.Is(err, event.ErrNotFound) {
		replacement = event.Event{
			ID: id.Event{UUID: tx.NewUUID()}, OrganizationID: original.OrganizationID, Type: event.SessionCancelled,
			TriggerType: original.TriggerType, TriggerID: original.TriggerID, ReplacesEventID: &original.ID, CreatedAt: tx.Now,
		}
	} else if err != nil {
		return event.Event{}, err
	}
	recipients, err := webhook.Recipients(tx, original.OrganizationID)
	if err != nil {
		return event.Event{}, err
	}
	b := s.newFanOut(tx, replacement, data)
	b.routing = slices.Clone(replacement.Routing)
	for _, r := range recipients {
		if route, settled := routeOf(replacement.Routing, r.ID); settled && (!final || route.Reason != event.NotTargeted) {
			continue
		}
		fate, had := fates[r.ID]
		switch {
		case had && fate == Received:
			b.skip(r.ID, event.OriginalDelivered)
		case had && fate == Undecided:
			b.skip(r.ID, event.OriginalUndecided)
		case had && !r.Subscribes(event.SessionCancelled):
			b.skip(r.ID, event.NotSubscribed)
		case had:
			b.serve(r, event.Replacement, Automatic)
		case !final:
			b.skip(r.ID, event.NotTargeted)
		default:
			if reason, serve := ordinaryRoute(r, event.SessionCancelled, targets); serve {
				b.serve(r, event.Subscribed, Automatic)
			} else {
				b.skip(r.ID, reason)
			}
		}
	}
	sealAll(b)
	b.closeRoutesOfDeleted(recipients, fates)
	if !exists && !final && len(b.rows) == 0 {
		return event.Event{}, nil
	}
	replacement.Routing = b.routing
	if exists {
		err = event.SetRouting(tx, replacement.ID, b.routing)
	} else if err = event.Insert(tx, replacement); err == nil {
		err = event.Supersede(tx, original.ID, replacement.ID)
	}
	if err != nil {
		return event.Event{}, err
	}
	return replacement, b.insert()
}

// closeRoutesOfDeleted settles the routes that were left open to endpoints which have been deleted since: they get no replacement.
func (b *fanOut) closeRoutesOfDeleted(recipients []webhook.Recipient, fates Fates) {
	for _, route := range slices.Clone(b.routing) {
		deleted := !slices.ContainsFunc(recipients, func(r webhook.Recipient) bool { return r.ID == route.EndpointID })
		if !deleted || route.Reason != event.OriginalUndecided {
			continue
		}
		switch fates[route.EndpointID] {
		case Received:
			b.skip(route.EndpointID, event.OriginalDelivered)
		case Scrubbed:
			b.skip(route.EndpointID, event.NotTargeted)
		case Undecided:
		}
	}
}

// routeOf returns an endpoint's route, and whether it is settled: anything but undecided is.
func routeOf(routing event.Routing, endpoint id.Endpoint) (event.Route, bool) {
	for _, route := range routing {
		if route.EndpointID == endpoint {
			return route, route.Reason != event.OriginalUndecided
		}
	}
	return event.Route{}, false
}
