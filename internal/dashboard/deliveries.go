package dashboard

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const deliveriesPath = "/deliveries"

// searchedDeliveries is deliveryFilter with the search box: an id of anything that deliveries belong to narrows the list;
// an id that has a page of its own is where jump leads.
func (p *page) searchedDeliveries() (f delivery.Filter, jump string, impossible bool) {
	f, impossible = p.deliveryFilter()
	text := p.Query("q")
	if text == "" {
		return f, "", impossible
	}
	kind, text := firstID(text)
	var err error
	switch kind {
	case "evt":
		f.EventID, err = id.Parse[id.EventKind](text)
	case "whe":
		f.EndpointID, err = id.Parse[id.EndpointKind](text)
	case "whk":
		f.KeyID, err = id.Parse[id.KeyKind](text)
	case "":
		return f, "", true
	default:
		return f, link(findPath, "q", text), impossible
	}
	return f, "", impossible || err != nil
}

func listDeliveries(p *page) error {
	f, jump, impossible := p.searchedDeliveries()
	if jump != "" {
		return p.Redirect(jump, ui.Flash{})
	}
	at, err := pageOf(p, p.Deliveries.Position)
	if err != nil {
		return err
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	var list postgres.List[delivery.Delivery]
	if !impossible {
		if list, err = p.Deliveries.List(p.Ctx, p.Actor, f, at); err != nil {
			return err
		}
	}
	v, err := p.deliveryResults(list, endpoints, at, impossible, nil)
	if err != nil {
		return err
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.DeliveriesList(v))
	}
	filters := p.deliveryFilters(deliveriesPath, byName(endpoints))
	filters.Search = &ui.SearchBox{Label: "Search by id", Placeholder: "Any id, or a pasted X-Kayle-Delivery-Id", Value: p.Query("q")}
	heading := ui.Heading{Title: "Deliveries", Live: p.liveNote(), Actions: exportActions(p, deliveriesPath+"/export", "deliveries")}
	return p.Render(http.StatusOK, pages.DeliveriesPage(pages.Deliveries{
		Shell: p.Shell("Deliveries", deliveriesPath), Heading: heading, Filters: filters, Results: v,
	}))
}

// deliveryResults is the region that a change of filters replaces. to is nil where the list is not that of one endpoint.
func (p *page) deliveryResults(list postgres.List[delivery.Delivery], endpoints map[id.Endpoint]webhook.Endpoint, at postgres.Page, impossible bool, to *webhook.Endpoint) (pages.DeliveriesResults, error) {
	v := pages.DeliveriesResults{
		CSRF: p.Session.CSRFToken, Caption: "Deliveries, newest first", Active: p.deliveryActive(endpoints),
		Pager: pager(p, list, at.Limit, func(d delivery.Delivery) string { return d.ID.String() }),
	}
	path, endpoint, none := deliveriesPath, p.Query("endpoint"), p.noDeliveries(len(endpoints) > 0)
	if to != nil {
		path, endpoint, v.NoEndpoint = endpointPath(to.ID)+"/deliveries", to.ID.String(), true
		v.AllHref = link(deliveriesPath+strings.TrimPrefix(p.With("live", ""), path), "endpoint", endpoint)
		v.Caption = "Deliveries to " + to.DisplayName() + ", newest first"
		none = &ui.Empty{Icon: "delivery", Title: "Nothing has been sent here yet", Text: "A delivery is made when an event that this endpoint subscribes to happens. A test event shows whether the receiver is ready."}
	}
	v.Active = p.withSearch(v.Active)
	keys, err := p.keysIfBlocked(list.Rows...)
	if err != nil {
		return v, err
	}
	v.Bulk = p.bulk(endpoint)
	for _, d := range list.Rows {
		row := p.deliveryRow(d, endpoints, keys)
		if v.NoEndpoint {
			row = withoutEndpoint(row)
		}
		if v.Bulk != nil {
			row = choosable(row)
		} else {
			row = readable(row)
		}
		v.Rows = append(v.Rows, row)
	}
	v.Status = counted(len(v.Rows), "delivery", "deliveries")
	if !impossible {
		newest := ""
		if len(list.Rows) > 0 {
			newest = list.Rows[0].ID.String()
		}
		v.New = p.newRows(path+"/new", newest, list.HasNewer)
	}
	switch {
	case len(v.Rows) > 0:
	case len(v.Active.Items) > 0:
		v.State.NoMatch = noMatch("deliveries", v.Active)
		if p.Query("from") != "" || p.Query("to") != "" {
			v.State.NoMatch.Actions = []ui.Action{{Label: "Drop the time filter", Href: p.With("from", "", "to", "")}}
		}
	case list.HasNewer:
		v.State.Empty = &ui.Empty{Icon: "delivery", Title: "Nothing older", Text: "The rows that were here are gone.", Actions: []ui.Action{{Label: "Newest deliveries", Href: path, Kind: "primary"}}}
	default:
		v.State.Empty = none
	}
	return v, nil
}

// noDeliveries is the list before anything was ever sent.
func (p *page) noDeliveries(hasEndpoints bool) *ui.Empty {
	e := &ui.Empty{
		Icon: "delivery", Title: "Nothing has been sent yet",
		Text: "A delivery is one event on its way to one endpoint. It is made when a verification session ends, or by a test event.",
	}
	switch {
	case !p.Can(access.WebhooksWrite):
	case hasEndpoints:
		e.Actions = []ui.Action{chooseEndpointAction()}
	default:
		e.Actions = []ui.Action{createEndpointAction()}
	}
	return e
}

// chooseEndpointAction leads to where tests are sent from.
func chooseEndpointAction() ui.Action {
	return ui.Action{Label: "Choose an endpoint to test", Href: "/endpoints", Kind: "primary"}
}

// withSearch adds the search box to the filters in use.
func (p *page) withSearch(active ui.ActiveFilters) ui.ActiveFilters {
	text := p.Query("q")
	if text == "" {
		return active
	}
	shown := text
	if len(shown) > 40 {
		shown = shown[:40] + "…"
	}
	active.Items = append([]ui.ActiveFilter{{Label: "Search: " + strings.ToValidUTF8(ui.ShortID(shown), ""), Href: p.With("q", "")}}, active.Items...)
	drop := []string{"q", ""}
	for name := range p.R.URL.Query() {
		if name != "limit" && name != "live" {
			drop = append(drop, name, "")
		}
	}
	active.ClearHref = p.With(drop...)
	return active
}

// newDeliveries answers the poll of the list: how many rows came above the newest one shown.
func newDeliveries(p *page) error {
	f, jump, impossible := p.searchedDeliveries()
	if jump != "" || impossible {
		return p.NoChange()
	}
	return p.countNew(f, deliveriesPath)
}

// countNew answers the poll of a list of deliveries at the path.
func (p *page) countNew(f delivery.Filter, path string) error {
	at, err := positionOf(p, p.Deliveries.Position)
	if err != nil {
		return err
	}
	list, err := p.Deliveries.List(p.Ctx, p.Actor, f, postgres.Page{Limit: newMax, Before: at})
	if err != nil {
		return err
	}
	return p.foundNew(len(list.Rows), list.HasNewer, "new delivery", "new deliveries", path)
}

// showDeliveryRow is one row of a list, for a row in flight that asks for itself.
func showDeliveryRow(p *page) error {
	d, err := p.delivery()
	if err != nil {
		return err
	}
	row, choose, noEndpoint, err := p.ownRow(d)
	if err != nil {
		return err
	}
	return p.Render(http.StatusOK, pages.DeliveryTableRow(row, choose, noEndpoint))
}

// ownRow is the row of a delivery for the list that the address of the request tells of, and whether that has boxes, and no column for
// the endpoint.
func (p *page) ownRow(d delivery.Delivery) (row pages.DeliveryRow, choose, noEndpoint bool, err error) {
	endpoints, err := p.endpointsByID()
	if err != nil {
		return row, false, false, err
	}
	keys, err := p.keysIfBlocked(d)
	if err != nil {
		return row, false, false, err
	}
	row = p.deliveryRow(d, endpoints, keys)
	switch p.Query("choose") {
	case "1":
		choose, row = true, choosable(row)
	case "0":
		row = readable(row)
	}
	if noEndpoint = p.Query("endpoint") == "0"; noEndpoint {
		row = withoutEndpoint(row)
	}
	return row, choose, noEndpoint, nil
}

// swapRow answers htmx with the row of a delivery as it is now, and with a message beside the list.
func (p *page) swapRow(status int, flash ui.Flash) error {
	d, err := p.delivery()
	if err != nil {
		return err
	}
	row, choose, noEndpoint, err := p.ownRow(d)
	if err != nil {
		return err
	}
	row.Focus = true
	return p.Render(status, pages.DeliverySwap(row, choose, noEndpoint, flash, p.Session.CSRFToken))
}

// delivery loads the delivery of the route.
func (p *page) delivery() (delivery.Delivery, error) {
	whd, err := pathID[id.DeliveryKind](p, "id", delivery.ErrNotFound)
	if err != nil {
		return delivery.Delivery{}, err
	}
	return p.Deliveries.Get(p.Ctx, p.Actor, whd)
}

// byName sorts live endpoints by the name people know them by.
func byName(endpoints map[id.Endpoint]webhook.Endpoint) []webhook.Endpoint {
	list := slices.Collect(maps.Values(endpoints))
	list = slices.DeleteFunc(list, func(e webhook.Endpoint) bool { return e.DeletedAt != nil })
	slices.SortFunc(list, func(a, b webhook.Endpoint) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.DisplayName()), strings.ToLower(b.DisplayName())), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return list
}
