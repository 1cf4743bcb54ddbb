package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func askPauseLabelled(p *page) error  { return p.askSwitchLabelled(false) }
func askResumeLabelled(p *page) error { return p.askSwitchLabelled(true) }
func pauseLabelled(p *page) error     { return p.switchLabelled(false) }
func resumeLabelled(p *page) error    { return p.switchLabelled(true) }

// labelActions lead to pausing and resuming all endpoints with a label; label is the one that the list is filtered by.
func (p *page) labelActions(endpoints []webhook.Endpoint, label string) []ui.Action {
	labelled := slices.ContainsFunc(endpoints, func(e webhook.Endpoint) bool { return len(e.Labels) > 0 })
	if !labelled || !p.Can(access.WebhooksWrite) {
		return nil
	}
	pause, resume := "Pause by label…", "Resume by label…"
	if label != "" {
		pause, resume = "Pause all “"+cutText(label, webhook.MaxLabel*4)+"”…", "Resume all “"+cutText(label, webhook.MaxLabel*4)+"”…"
	}
	return []ui.Action{
		{Label: pause, Icon: "pause", Href: link("/endpoints/pause", "label", label)},
		{Label: resume, Icon: "play", Href: link("/endpoints/resume", "label", label)},
	}
}

// askSwitchLabelled says which endpoints a label names, and what pausing or resuming them does.
func (p *page) askSwitchLabelled(on bool) error {
	f, err := p.loadFleet()
	if err != nil {
		return err
	}
	label, path, title, verb := p.Query("label"), "/endpoints/pause", "Pause endpoints by label", "pause"
	if on {
		path, title, verb = "/endpoints/resume", "Resume endpoints by label", "resume"
	}
	v := pages.Ask{
		Shell: p.Shell(title, "/endpoints"), Heading: ui.Heading{Title: title, Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}}, CountOf: "Endpoints",
	}
	var labels []string
	var turning []webhook.Endpoint
	found, waiting := 0, 0
	for _, e := range f.endpoints {
		labels = append(labels, e.Labels...)
		if !e.Labelled(label) {
			continue
		}
		found++
		if e.Enabled != on {
			turning = append(turning, e)
			waiting += f.standings[e.ID].Waiting + f.standings[e.ID].Parked
		}
	}
	choice := labelField("Label", label, labels)
	choice.Options[0].Label = "Choose a label"
	v.Scope = &ui.Filters{Action: path, Fields: []ui.FilterField{choice}}
	switch {
	case len(labels) == 0:
		v.Scope = nil
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No endpoint carries a label yet. Labels are set in an endpoint's settings."}
	case label == "":
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "Choose the label whose endpoints to " + verb + "."}
	case found == 0:
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No endpoint carries the label “" + cutText(label, 200) + "”."}
	case len(turning) == 0:
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: counted(found, "endpoint carries", "endpoints carry") + " the label “" + label + "”: nothing to " + verb + "."}
	default:
		effects := switchEffects(on, turning, found-len(turning), waiting)
		if on {
			missed, err := p.missedByEach(turning)
			if err != nil {
				return err
			}
			effects = append(effects, cmp.Or(missed.words(), "No event was missed while they were paused."))
		}
		v.Confirm = &ui.Confirm{
			ID: verb, Title: upperFirst(verb) + " " + counted(len(turning), "endpoint", "endpoints") + " labelled “" + label + "”?", Icon: "pause",
			Effects: effects, Action: path, Hidden: []ui.Hidden{{Name: "label", Value: label}},
			Submit: upperFirst(verb) + " " + counted(len(turning), "endpoint", "endpoints"), BackHref: link("/endpoints", "label", label), Back: "Change nothing",
		}
		if on {
			v.Confirm.Icon = "play"
		}
	}
	return p.Render(http.StatusOK, pages.AskPage(v))
}

// someOf lists the first of many.
func someOf(items []string) string {
	const most = 12
	list := strings.Join(items[:min(len(items), most)], ", ")
	if more := len(items) - most; more > 0 {
		list += " and " + counted(more, "more", "more")
	}
	return list
}

// missedEvents are endpoints that have missed events while they were paused, with how many.
type missedEvents []struct {
	webhook.Endpoint
	event.Missed
}

// missedByEach counts what paused endpoints have missed. It is asked before they are resumed.
func (p *page) missedByEach(paused []webhook.Endpoint) (missedEvents, error) {
	var each missedEvents
	for _, e := range paused {
		missed, err := p.missedMeanwhile(e)
		if err != nil {
			return nil, err
		}
		if missed.Events > 0 {
			each = append(each, struct {
				webhook.Endpoint
				event.Missed
			}{e, missed})
		}
	}
	return each, nil
}

// words say who missed how many; "" when nothing was missed.
func (m missedEvents) words() string {
	var items []string
	for _, each := range m {
		n := counted(each.Events, "event", "events")
		if each.Partial {
			n = "at least " + n
		}
		items = append(items, each.DisplayName()+" "+n)
	}
	if len(items) == 0 {
		return ""
	}
	return "Missed while paused, and not sent later: " + someOf(items) + "."
}

// switchEffects says in numbers what pausing or resuming the endpoints does.
func switchEffects(on bool, turning []webhook.Endpoint, already, waiting int) []string {
	names := make([]string, len(turning))
	for i, e := range turning {
		names[i] = e.DisplayName()
	}
	effects := []string{someOf(names) + "."}
	if on {
		effects = append(effects, counted(waiting, "parked delivery becomes", "parked deliveries become")+" due at once.", "New events are sent to them from now on.")
	} else {
		effects = append(effects, counted(waiting, "waiting delivery is", "waiting deliveries are")+" parked until their endpoint is resumed; the time their payload is kept goes on.",
			"New events skip them and are not sent later.")
	}
	if already > 0 {
		state := "paused already."
		if on {
			state = "enabled already."
		}
		effects = append(effects, counted(already, "more endpoint with the label is ", "more endpoints with the label are ")+state)
	}
	return effects
}

// switchLabelled pauses or resumes all endpoints with a label.
func (p *page) switchLabelled(on bool) error {
	label := p.Value("label")
	var missed missedEvents
	if on {
		f, err := p.loadFleet()
		if err != nil {
			return err
		}
		paused := slices.DeleteFunc(f.labelled(label).endpoints, func(e webhook.Endpoint) bool { return e.Enabled || label == "" })
		if missed, err = p.missedByEach(paused); err != nil {
			return err
		}
	}
	changed, err := p.Webhooks.SwitchLabelled(p.Ctx, p.Actor, label, on)
	if err != nil {
		return err
	}
	state, undo := "paused", "/endpoints/resume"
	if on {
		state, undo = "resumed", "/endpoints/pause"
	}
	to := link("/endpoints", "label", label)
	if len(changed) == 0 {
		return p.Redirect(to, ui.Flash{Tone: ui.Info, Text: "Nothing was changed: no endpoint with the label “" + cutText(label, 200) + "” was to be " + state + "."})
	}
	flash := ui.Flash{Tone: ui.OK, Text: counted(len(changed), "endpoint is ", "endpoints are ") + state + ".", Action: &ui.Action{Label: "Undo…", Href: link(undo, "label", label), Small: true}}
	switch {
	case len(missed) == 1:
		flash.Sub = "Their parked deliveries are due now."
		p.tellMissed(&flash, missed[0].Endpoint, missed[0].Missed)
	case len(missed) > 1:
		flash.Tone = ui.Warn // which stays
		flash.Sub = "Their parked deliveries are due now. " + missed.words() + " What is left of that is on the page “Recover” of each."
	case on:
		flash.Sub = "Their parked deliveries are due now; they missed no event meanwhile."
	default:
		flash.Sub = "Waiting deliveries are parked; new events skip them."
	}
	return p.Redirect(to, flash)
}
