package dashboard

import (
	"net/http"
	"slices"

	"kaylehooks/internal/access"
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
	var names []string
	found, waiting := 0, 0
	for _, e := range f.endpoints {
		labels = append(labels, e.Labels...)
		if !e.Labelled(label) {
			continue
		}
		found++
		if e.Enabled != on {
			names = append(names, e.DisplayName())
			waiting += f.standings[e.ID].Waiting + f.standings[e.ID].Parked
		}
	}
	options := labelOptions(labels)
	options[0].Label = "Choose a label"
	v.Scope = &ui.Filters{Action: path, Fields: []ui.FilterField{p.selectField("label", "Label", options...)}}
	switch {
	case len(labels) == 0:
		v.Scope = nil
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No endpoint carries a label yet. Labels are set in an endpoint's settings."}
	case label == "":
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "Choose the label whose endpoints to " + verb + "."}
	case found == 0:
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No endpoint carries the label “" + cutText(label, 200) + "”."}
	case len(names) == 0:
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: counted(found, "endpoint carries", "endpoints carry") + " the label “" + label + "”: nothing to " + verb + "."}
	default:
		v.Confirm = &ui.Confirm{
			ID: verb, Title: upperFirst(verb) + " " + counted(len(names), "endpoint", "endpoints") + " labelled “" + label + "”?", Icon: "pause",
			Effects: switchEffects(on, names, found-len(names), waiting), Action: path, Hidden: []ui.Hidden{{Name: "label", Value: label}},
			Submit: upperFirst(verb) + " " + counted(len(names), "endpoint", "endpoints"), BackHref: link("/endpoints", "label", label), Back: "Change nothing",
		}
		if on {
			v.Confirm.Icon = "play"
		}
	}
	return p.Render(http.StatusOK, pages.AskPage(v))
}

// switchEffects says in numbers what pausing or resuming the named endpoints does.
func switchEffects(on bool, names []string, already, waiting int) []string {
	const most = 12
	list := ""
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			list += ", "
		}
		list += name
	}
	if more := len(names) - most; more > 0 {
		list += " and " + counted(more, "more", "more")
	}
	effects := []string{list + "."}
	if on {
		effects = append(effects, counted(waiting, "parked delivery becomes", "parked deliveries become")+" due at once.", "New events are sent to them from now on; what happened meanwhile is not sent later.")
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
	if on {
		flash.Sub = "Their parked deliveries are due now. What each missed meanwhile is on its page “Recover”."
	} else {
		flash.Sub = "Waiting deliveries are parked; new events skip them."
	}
	return p.Redirect(to, flash)
}
