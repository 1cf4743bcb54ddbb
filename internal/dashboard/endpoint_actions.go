package dashboard

import (
	"net/http"
	"slices"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func pauseEndpoint(p *page) error  { return p.switchEndpoint(false) }
func resumeEndpoint(p *page) error { return p.switchEndpoint(true) }

func (p *page) switchEndpoint(on bool) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	path := endpointPath(e.ID)
	flash := ui.Flash{Tone: ui.OK, Text: e.DisplayName() + " is paused already."}
	if on {
		flash.Text = e.DisplayName() + " is enabled already."
	}
	if e.Enabled == on { // a second click; the update would only leave a trace of nothing
		return p.switched(e.ID, flash)
	}
	standings, err := p.Deliveries.Standings(p.Ctx, p.Actor)
	if err != nil {
		return err
	}
	var missed event.Missed
	if on {
		if missed, err = p.missedMeanwhile(e); err != nil {
			return err
		}
	}
	if _, err := p.Webhooks.UpdateEndpoint(p.Ctx, p.Actor, e.ID, webhook.EndpointChange{Enabled: &on}); err != nil {
		return err
	}
	undo := &ui.Action{Label: "Undo", Post: true, Small: true, Fields: []ui.Hidden{{Name: "return", Value: p.Back(path)}}, ID: "undo", Name: "Undo: " + e.DisplayName()}
	if p.Fragment() {
		undo.Swap = endpointRowID(e.ID)
	}
	if on {
		flash.Text, flash.Sub = e.DisplayName()+" is resumed.", orNone(standings[e.ID].Parked, "parked delivery is due now.", "parked deliveries are due now.", "Nothing was parked.")
		undo.Href = path + "/pause"
		p.tellMissed(&flash, e, missed)
	} else {
		flash.Text, flash.Sub = e.DisplayName()+" is paused.", orNone(standings[e.ID].Waiting, "waiting delivery is parked", "waiting deliveries are parked", "Nothing waits")+"; new events skip it."
		undo.Href = path + "/resume"
	}
	flash.Action = undo
	return p.switched(e.ID, flash)
}

// switched answers a form that has paused or resumed an endpoint. With scripting it was sent from a row of the list, which is
// all that is shown anew; without, it leads back to where it was sent from.
func (p *page) switched(endpoint id.Endpoint, flash ui.Flash) error {
	back := p.Back(endpointPath(endpoint))
	if !p.Fragment() {
		return p.Redirect(back, flash)
	}
	p.ledTo = back
	f, err := p.loadFleet()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(f.endpoints, func(e webhook.Endpoint) bool { return e.ID == endpoint })
	if at < 0 {
		return webhook.ErrEndpointNotFound
	}
	return p.Render(http.StatusOK, pages.EndpointSwap(p.endpointRow(f, f.entry(f.endpoints[at]), back), flash, p.Session.CSRFToken))
}

func testEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	ev, err := p.Deliveries.SendTest(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return err
	}
	return p.Redirect(p.Back(endpointPath(e.ID)), ui.Flash{
		Tone: ui.OK, Text: "A test event is on its way to " + e.DisplayName() + ".",
		Action: &ui.Action{Label: "Follow", Href: "/events/" + ev.ID.String(), Small: true},
	})
}

func askDeleteEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	return p.renderDelete(http.StatusOK, e, "", nil)
}

func (p *page) renderDelete(status int, e webhook.Endpoint, typed string, found problems) error {
	st, err := p.endpointHead(e, "settings")
	if err != nil {
		return err
	}
	path, name := endpointPath(e.ID), e.DisplayName()
	effects := []string{
		counted(st.standing.Waiting+st.standing.Parked, "waiting webhook is dropped", "waiting webhooks are dropped") + " and cannot be sent later.",
		counted(st.standing.Held, "failed webhook loses", "failed webhooks lose") + " the payload that a retry needs.",
		"Its signing secret is erased and its encryption keys are deactivated.",
		"Events, deliveries and the audit log stay readable.",
	}
	v := pages.EndpointDelete{
		Shell: p.Shell("Delete "+name, "/endpoints"), Head: st.EndpointHead,
		Confirm: ui.Confirm{
			ID: "delete", Title: "Delete " + name + " for good?", Effects: effects, Action: path + "/delete", Icon: "trash", Danger: true,
			Typed: &ui.Field{
				Name: "confirm", Label: "Type “" + name + "” to confirm", Value: typed, Required: true, Autocomplete: "off", Exactly: name, Error: found["confirm"],
			},
			Submit: "Delete endpoint", BackHref: path + "/settings", Back: "Keep endpoint",
			Errors: formErrors(found, "the endpoint can be deleted", labelled{"confirm", "f-confirm", "Confirmation"}),
		},
	}
	return p.ask(status, v.Confirm, pages.EndpointDeletePage(v))
}

func deleteEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	typed := p.Value("confirm")
	if typed != e.DisplayName() {
		return p.renderDelete(http.StatusUnprocessableEntity, e, typed, problems{"confirm": "This is not “" + e.DisplayName() + "”."})
	}
	if err := p.Webhooks.DeleteEndpoint(p.Ctx, p.Actor, e.ID); err != nil {
		return err
	}
	return p.Redirect("/endpoints", ui.Flash{
		Tone: ui.OK, Text: e.DisplayName() + " is deleted.", Action: &ui.Action{Label: "What is left", Href: endpointPath(e.ID), Small: true},
	})
}
