package dashboard

import (
	"context"
	"net/http"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// endpointDeliveries is the deliveries list of one endpoint.
func endpointDeliveries(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	at, err := pageOf(p, p.Deliveries.Position)
	if err != nil {
		return err
	}
	filter, impossible := p.deliveryFilter()
	filter.EndpointID = e.ID
	var list postgres.List[delivery.Delivery]
	if !impossible {
		if list, err = p.Deliveries.List(p.Ctx, p.Actor, filter, at); err != nil {
			return err
		}
	}
	path := endpointPath(e.ID) + "/deliveries"
	v, err := p.deliveryResults(list, map[id.Endpoint]webhook.Endpoint{e.ID: e}, at, impossible, &e)
	if err != nil {
		return err
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.DeliveriesList(v))
	}
	st, err := p.endpointHead(e, "deliveries")
	if err != nil {
		return err
	}
	return p.Render(http.StatusOK, pages.EndpointDeliveriesPage(pages.EndpointDeliveries{
		Shell: p.Shell(e.DisplayName()+" deliveries", "/endpoints"), Head: st.EndpointHead, Live: p.liveNote(), Filters: p.deliveryFilters(path, nil), Results: v,
	}))
}

// newEndpointDeliveries answers the poll of that list.
func newEndpointDeliveries(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	filter, impossible := p.deliveryFilter()
	if impossible {
		return p.NoChange()
	}
	filter.EndpointID = e.ID
	return p.countNew(filter, endpointPath(e.ID)+"/deliveries")
}

// endpointActivity lists what was done to the endpoint.
func endpointActivity(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	at, err := pageOf(p, func(ctx context.Context, actor access.Actor, row id.Audit) (*postgres.Position, error) {
		return audit.Position(ctx, p.DB, actor, row)
	})
	if err != nil {
		return err
	}
	list, err := audit.List(p.Ctx, p.DB, p.Actor, audit.Filter{TargetID: e.ID.String()}, at)
	if err != nil {
		return err
	}
	v := pages.AuditResults{Pager: pager(p, list, at.Limit, func(a audit.Entry) string { return a.ID.String() }), Status: counted(len(list.Rows), "entry", "entries")}
	if v.Rows, err = p.auditRows(list.Rows); err != nil {
		return err
	}
	if len(v.Rows) == 0 {
		v.State.Empty = &ui.Empty{Icon: "audit", Title: "No entries", Text: "Changes to this endpoint are kept for a year; nothing younger is recorded."}
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.AuditList(v))
	}
	st, err := p.endpointHead(e, "activity")
	if err != nil {
		return err
	}
	return p.Render(http.StatusOK, pages.EndpointActivityPage(pages.EndpointActivity{
		Shell: p.Shell(e.DisplayName()+" activity", "/endpoints"), Head: st.EndpointHead, Results: v,
	}))
}
