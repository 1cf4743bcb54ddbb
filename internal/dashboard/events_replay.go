package dashboard

import (
	"net/http"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// eventsBulk is the bar of the event list with which events are chosen, for those who may replay. "All" is a bulk retry of
// what the events' deliveries are in; it is offered while the list has no filter that such a job lacks.
func (p *page) eventsBulk() *pages.Bulk {
	if !p.Can(access.WebhooksWrite) {
		return nil
	}
	v := &pages.Bulk{Action: eventsPath + "/preview", Return: p.With()}
	status := delivery.Failed
	v.All = "Replay all that failed…"
	switch event.Outcome(p.Query("outcome")) {
	case "", event.AnyFailed:
	case event.AnyWaiting:
		status, v.All = delivery.Pending, "Send all that wait now…"
	case event.AllDelivered, event.NoDelivery:
		return v
	default:
		return v
	}
	if p.filteredOnlyBy("outcome", "type", "from", "to") {
		v.AllHref = link(jobsPath+"/new", "status", string(status), "type", p.Query("type"), "from", p.Query("from"), "to", p.Query("to"))
	}
	return v
}

// fates counts what a retry of each delivery would do now.
type fates struct {
	delivery.JobPreview
	delivered int
	eligible  []delivery.Delivery
}

func fatesOf(p *page, list []delivery.Delivery, endpoints map[id.Endpoint]webhook.Endpoint) fates {
	f := fates{JobPreview: delivery.JobPreview{Matched: len(list)}}
	for _, d := range list {
		switch e := endpoints[d.WebhookEndpointID]; {
		case d.Status == delivery.Succeeded:
			f.delivered++
		case d.Status == delivery.Delivering:
			f.InFlight++
		case d.State() == delivery.StateBlocked:
			f.NeverEncrypted++
		case !d.PayloadHeld(p.Now):
			f.PayloadGone++
		case !e.Enabled || e.DeletedAt != nil:
			f.EndpointDisabled++
		default:
			f.Eligible++
			f.eligible = append(f.eligible, d)
		}
	}
	return f
}

// rows lists the counts; total is the label of their sum.
func (f fates) rows(total string) []pages.CountRow {
	rows := previewCounts(f.JobPreview, scopeDoors{})
	last := len(rows) - 1
	sum := rows[last]
	sum.Label = total
	rows = rows[:last:last]
	if f.delivered > 0 {
		rows = append(rows, pages.CountRow{Label: "Delivered already", Count: ui.Count(f.delivered)})
	}
	return append(rows, sum)
}

// previewReplay counts what a replay of the chosen events would do.
func previewReplay(p *page) error {
	events, err := p.chosenEvents(p.Values("id"))
	if err != nil {
		return err
	}
	byEvent, err := p.deliveriesOf(events)
	if err != nil {
		return err
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	var all []delivery.Delivery
	back := p.Back(eventsPath)
	hidden := []ui.Hidden{{Name: "return", Value: back}}
	replayed := 0
	for _, e := range events {
		all = append(all, byEvent[e.ID]...)
		if fatesOf(p, byEvent[e.ID], endpoints).Eligible > 0 {
			hidden = append(hidden, ui.Hidden{Name: "id", Value: e.ID.String()})
			replayed++
		}
	}
	counts := fatesOf(p, all, endpoints)
	v := pages.Ask{
		Shell:   p.Shell("Preview of a replay", eventsPath),
		Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Events", Href: eventsPath}}, Title: "Replay " + counted(len(events), "chosen event", "chosen events")},
		Counts:  counts.rows("Deliveries of the chosen events"), CountOf: "Deliveries",
	}
	if counts.Eligible == 0 {
		v.Blocked = &ui.Alert{
			Tone: ui.Neutral, Icon: "info", Text: "Choose at least one event with a delivery that can be sent again.",
			Actions: []ui.Action{{Label: "Back to events", Href: back, Small: true}},
		}
		return p.Render(http.StatusUnprocessableEntity, pages.AskPage(v))
	}
	submit := "Replay " + counted(replayed, "event", "events")
	v.Confirm = &ui.Confirm{
		ID: "replay", Icon: "loop", Title: submit + "?", Action: eventsPath + "/replay", Hidden: hidden, Submit: submit,
		Effects: []string{
			counted(counts.Eligible, "delivery is", "deliveries are") + " due at once, each encrypted as it was; receivers drop repeats by the event id.",
			"Endpoints that were skipped when an event happened are not added.",
		},
		BackHref: back, Back: "Replay nothing",
	}
	return p.Render(http.StatusOK, pages.AskPage(v))
}

// replayChosen replays each of the chosen events by itself: one that cannot be sent any more stops no other.
func replayChosen(p *page) error {
	events, err := p.chosenEvents(p.Values("id"))
	if err != nil {
		return err
	}
	replayed, left, err := eachAlone(events, func(e event.Event) error {
		_, err := p.Deliveries.Replay(p.Ctx, p.Actor, e.ID)
		return err
	})
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: counted(replayed, "event is", "events are") + " replayed: what can be sent is due now."}
	if left > 0 {
		flash.Tone, flash.Sub = ui.Warn, counted(left, "was", "were")+" left alone: nothing of it can be sent again now."
	}
	return p.Redirect(p.Back(eventsPath), flash)
}
