package dashboard

import (
	"slices"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// fleet is every live endpoint of the organization with what its health is judged by. There are at most
// webhook.MaxEndpoints of them, so lists of endpoints are filtered and sorted here.
type fleet struct {
	endpoints []webhook.Endpoint
	keys      map[id.Endpoint]webhook.Key // active ones
	standings map[id.Endpoint]delivery.Standing
	hours     map[id.Endpoint][]delivery.HourStats // of the last 24 hours
	now       time.Time
}

// dayStart is the first hour of the 24 that end with the present one.
func dayStart(now time.Time) time.Time { return now.UTC().Truncate(time.Hour).Add(-23 * time.Hour) }

func (p *page) loadFleet() (*fleet, error) {
	f := &fleet{hours: map[id.Endpoint][]delivery.HourStats{}, now: p.Now}
	list, err := p.Webhooks.ListEndpoints(p.Ctx, p.Actor, nil, postgres.Page{Limit: webhook.MaxEndpoints})
	if err != nil {
		return nil, err
	}
	f.endpoints = list.Rows
	if f.keys, err = webhook.ActiveKeys(p.DB.Reader(p.Ctx), p.Actor.Organization); err != nil {
		return nil, err
	}
	if f.standings, err = p.Deliveries.Standings(p.Ctx, p.Actor); err != nil {
		return nil, err
	}
	hours, err := p.Deliveries.Hours(p.Ctx, p.Actor, dayStart(p.Now), p.Now, id.Endpoint{})
	if err != nil {
		return nil, err
	}
	for _, h := range hours {
		f.hours[h.EndpointID] = append(f.hours[h.EndpointID], h)
	}
	return f, nil
}

func (f *fleet) vitals(e webhook.Endpoint) vitals {
	_, hasKey := f.keys[e.ID]
	return vitalsOf(e, hasKey, f.standings[e.ID], f.hours[e.ID], f.now)
}

func (f *fleet) health(e webhook.Endpoint) health { return judge(f.vitals(e)) }

// labelled is the part of the fleet that carries the label; without a label it is all of it.
func (f *fleet) labelled(label string) *fleet {
	if label == "" {
		return f
	}
	part := &fleet{keys: f.keys, standings: map[id.Endpoint]delivery.Standing{}, hours: f.hours, now: f.now}
	for _, e := range f.endpoints {
		if e.Labelled(label) {
			part.endpoints = append(part.endpoints, e)
			part.standings[e.ID] = f.standings[e.ID]
		}
	}
	return part
}

// has reports whether the endpoint is part of the fleet.
func (f *fleet) has(endpoint id.Endpoint) bool {
	return slices.ContainsFunc(f.endpoints, func(e webhook.Endpoint) bool { return e.ID == endpoint })
}

// total adds the standings of all endpoints up.
func (f *fleet) total() delivery.Standing {
	var sum delivery.Standing
	for _, s := range f.standings {
		sum.Waiting += s.Waiting
		sum.Retrying += s.Retrying
		sum.Parked += s.Parked
		sum.Held += s.Held
	}
	return sum
}
