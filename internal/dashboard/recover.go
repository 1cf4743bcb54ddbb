package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// recoverSpan is how far back a recovery looks unless another time is chosen.
const recoverSpan = 24 * time.Hour

// recoverEndpoint previews the bulk retry of everything that failed at an endpoint since a time.
func recoverEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	st, err := p.endpointHead(e, "")
	if err != nil {
		return err
	}
	path, name := endpointPath(e.ID), e.DisplayName()
	since, ok := p.ParseFormTime(p.Query("since"), false)
	unreadable := p.Query("since") != "" && !ok
	if !ok {
		since = p.Now.Add(-recoverSpan).Truncate(time.Minute)
	}
	filters := delivery.JobFilters{Status: delivery.Failed, EndpointID: e.ID.String(), FailedFrom: since}
	v, _, err := p.jobPreview(jobDraft{filters: filters, rate: strconv.Itoa(delivery.DefaultJobRate)})
	if err != nil {
		return err
	}
	v.Shell = p.Shell("Recover "+name, "/endpoints")
	v.Heading = ui.Heading{
		Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}, {Label: name, Href: path}}, Title: "Recover what failed",
		Range: p.recoverChoices(since, st.standing.LastSuccess), RangeOf: "Failed since",
	}
	v.Back = ui.Link{Label: "Back to the endpoint", Href: path}
	v.Scope = &ui.Filters{Action: path + "/recover", Fields: []ui.FilterField{
		{Name: "since", Label: "Failed since", Type: "datetime-local", Value: p.FieldTime(since), Set: true},
	}}
	status := http.StatusOK
	if unreadable {
		status = http.StatusUnprocessableEntity
		v.Notes = append(v.Notes, ui.Alert{Tone: ui.Bad, Icon: "warn", Urgent: true, Text: "That is not a time, so the last 24 hours are shown. Write it as 2026-01-31T14:00."})
	}
	if !e.Enabled {
		v.Notes = append(v.Notes, ui.Alert{
			Tone: ui.Warn, Icon: "pause", Text: name + " is paused: resume it first, then recover. Its waiting deliveries go on by themselves when it is resumed.",
			Actions: []ui.Action{{Label: "Resume", Icon: "play", Href: path + "/resume", Post: true, Small: true, Fields: []ui.Hidden{{Name: "return", Value: p.With()}}}},
		})
	}
	v.Notes = append(v.Notes, ui.Alert{
		Tone: ui.Neutral, Icon: "info",
		Text: "What has failed since then is sent again, where its payload is held.",
	})
	missed, err := p.missedNote(e, since)
	if err != nil {
		return err
	}
	v.Notes = append(v.Notes, missed)
	return p.Render(status, pages.JobPreviewPage(v))
}

// missedSince counts the events that passed the endpoint by while it was paused, from the minute of a time, as the addresses of
// pages have it.
func (p *page) missedSince(e webhook.Endpoint, since time.Time) (event.Missed, error) {
	return event.CountMissed(p.Ctx, p.DB, p.Actor, missedBy(event.Filter{From: since.Truncate(time.Minute)}, e))
}

// missedMeanwhile counts what a paused endpoint has missed. It is asked before the endpoint is resumed, so that nothing is left to
// fail afterwards.
func (p *page) missedMeanwhile(e webhook.Endpoint) (event.Missed, error) {
	if e.DisabledAt == nil {
		return event.Missed{}, nil
	}
	return p.missedSince(e, *e.DisabledAt)
}

// tellMissed adds to the message about an endpoint that was resumed what it has missed, and the way to what is left of that.
func (p *page) tellMissed(flash *ui.Flash, e webhook.Endpoint, missed event.Missed) {
	if missed.Events == 0 {
		return
	}
	flash.Tone = ui.Warn // which stays
	flash.Sub = strings.TrimSpace(flash.Sub + " " + missedWords(missed) + ":")
	flash.Link = &ui.Link{Label: "what is left of " + pronoun(missed.Events), Href: link(endpointPath(e.ID)+"/recover", "since", p.FormTime(*e.DisabledAt))}
}

func missedWords(m event.Missed) string {
	words := counted(m.Events, "event was", "events were") + " missed while it was paused"
	if m.Partial {
		return "At least " + words
	}
	return words
}

// pronoun stands for so many things.
func pronoun(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// missedNote says which events passed the endpoint by while it was paused. The contract has them skipped, with nothing
// encrypted, so they cannot be sent later by anybody; what is left of them is the outcome of their sessions.
func (p *page) missedNote(e webhook.Endpoint, since time.Time) (ui.Alert, error) {
	missed, err := p.missedSince(e, since)
	if err != nil {
		return ui.Alert{}, err
	}
	of := ""
	if missed.Partial {
		of = fmt.Sprintf(" Only the latest %s events were looked at; choose a later time to be sure.", ui.Count(event.MissedWindow))
	}
	if missed.Events == 0 {
		return ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No event since then passed it by while it was paused." + of}, nil
	}
	sessions, outcome := "their sessions", "outcomes"
	if missed.Events == 1 {
		sessions, outcome = "its session", "outcome"
	}
	return ui.Alert{
		Tone: ui.Warn, Icon: "pause", Title: missedWords(missed),
		Text: fmt.Sprintf("Nothing was encrypted for this endpoint, and claims are never stored, so there is nothing of %s that could be sent. GET /v1/sessions/{id} still tells the %s of %s; for the claims, verify the person again.%s", pronoun(missed.Events), outcome, sessions, of),
		Actions: []ui.Action{{
			Label: "See " + counted(missed.Events, "missed event", "missed events"), Icon: "event", Small: true,
			Href: link(eventsPath, "missed", e.ID.String(), "from", p.FormTime(since)),
		}},
	}, nil
}

// recoverChoices are times to recover from, as links.
func (p *page) recoverChoices(current time.Time, lastSuccess *time.Time) []ui.Link {
	var out []ui.Link
	add := func(label string, t time.Time) {
		t = t.Truncate(time.Minute)
		out = append(out, ui.Link{Label: label, Href: p.With("since", formMoment(t)), Current: t.Equal(current)})
	}
	for _, s := range []struct {
		label string
		back  time.Duration
	}{{"1 h", time.Hour}, {"6 h", 6 * time.Hour}, {"24 h", recoverSpan}, {"3 d", 72 * time.Hour}} {
		add(s.label, p.Now.Add(-s.back))
	}
	if lastSuccess != nil {
		add("Last 2xx", *lastSuccess)
	}
	return out
}
