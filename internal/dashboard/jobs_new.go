package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const (
	// confirmAbove is how many deliveries are retried without typing their number.
	confirmAbove = 1000
	// driftShare and driftMin bound how many more there may be than a person was told, a tenth or so many, before they are asked again. While a
	// receiver is down their number rises by itself: who had to hit it could never start.
	driftShare, driftMin = 10, 10
)

// jobDraft is a bulk retry that is not started yet.
type jobDraft struct {
	filters delivery.JobFilters
	rate    string
	// shown is the number of deliveries that the person was told, typed what they wrote to confirm it.
	shown, typed string
	// unreadable says what part of the scope cannot be read.
	unreadable string
	// grown tells that there are more deliveries by now than the person was told.
	grown bool
	// counts is what the retry would meet, as far as that was asked for.
	counts *delivery.JobPreview
	found  problems
}

// errNotStarted keeps a bulk retry from being made.
var errNotStarted = errors.New("bulk retry not started")

// consider looks at what the retry would meet, for a form that was sent: many of them ask for their number, and many more than were
// shown are shown first.
func (d *jobDraft) consider(counts delivery.JobPreview) error {
	d.counts, d.grown = &counts, false
	delete(d.found, "confirm")
	delete(d.found, "count")
	shown, _ := strconv.Atoi(d.shown) // what is no number has told nobody anything
	switch {
	case counts.Eligible > shown+max(shown/driftShare, driftMin):
		d.grown, d.typed = true, ""
		d.found["count"] = ui.Count(counts.Eligible) + " can be sent again by now, not " + ui.Count(shown) + ". Nothing was started; look at the counts once more."
	case counts.Eligible > confirmAbove && strings.ReplaceAll(d.typed, ",", "") != d.shown:
		d.found["confirm"] = "This is not the number of deliveries."
	}
	if len(d.found) > 0 || counts.Eligible == 0 {
		return errNotStarted
	}
	return nil
}

// readJob reads the scope of a bulk retry; value is the source: the address, or the posted form. What cannot be read is no scope: without
// it the retry would be of more than was asked for.
func (p *page) readJob(value func(string) string) (d jobDraft) {
	f := &d.filters
	*f = delivery.JobFilters{EndpointID: cutText(value("endpoint"), 200), EventType: event.Type(cutText(value("type"), 100)), Label: cutText(value("label"), 200), ErrorKind: delivery.ErrorKind(cutText(value("error"), 100))}
	switch status := value("status"); delivery.State(status) {
	case "":
		f.Status = delivery.Failed
	case delivery.StateScheduled, delivery.StateRetrying:
		f.Status, f.State = delivery.Pending, delivery.State(status)
	default:
		f.Status = delivery.Status(status)
	}
	var bad bool
	if f.StatusCode, f.StatusClass, f.Unanswered, bad = parseCode(value("code")); bad {
		d.unreadable = "“Code” is no status. Write it as 503, 5xx or none."
	}
	if f.MinAttempts, bad = parseAttempts(value("attempts")); bad {
		d.unreadable = fmt.Sprintf("“Attempts ≥” must be 1 to %d.", delivery.AttemptsPerRun)
	}
	for _, field := range []struct {
		name, label string
		end         bool
		to          *time.Time
	}{{"from", "From", false, &f.From}, {"to", "To", true, &f.To}, {"failed_from", "Failed since", false, &f.FailedFrom}} {
		text, ok := value(field.name), false
		if *field.to, ok = p.ParseFormTime(text, field.end); !ok && text != "" {
			d.unreadable = "“" + field.label + "” is no time. Write it as 2026-01-31T14:00."
		}
	}
	return d
}

// retryAll is the preview of a retry of all that failed, at one endpoint or those with a label if it is named; "" for those who may not retry.
func (p *page) retryAll(endpoint, label string) string {
	if !p.Can(access.WebhooksWrite) {
		return ""
	}
	return link(jobsPath+"/new", "status", string(delivery.Failed), "endpoint", endpoint, "label", label)
}

func newJob(p *page) error {
	draft := p.readJob(p.Query)
	draft.rate = strconv.Itoa(delivery.DefaultJobRate)
	return p.renderJobPreview(http.StatusOK, draft)
}

// renderJobPreview shows what a bulk retry would do before it does it.
func (p *page) renderJobPreview(status int, draft jobDraft) error {
	v, refused, err := p.jobPreview(draft)
	if err != nil {
		return err
	}
	if refused {
		status = http.StatusUnprocessableEntity
	}
	return p.Render(status, pages.JobPreviewPage(v))
}

// jobPreview counts what a bulk retry would do; refused is set when its scope makes no sense.
func (p *page) jobPreview(draft jobDraft) (v pages.JobPreview, refused bool, err error) {
	endpoints, err := p.endpointsByID()
	if err != nil {
		return v, false, err
	}
	v = pages.JobPreview{Filter: p.jobScope(draft.filters, endpoints), Scope: p.jobScopeForm(draft.filters, byName(endpoints))}
	v.Shell, v.Heading = p.jobPreviewHead()
	if draft.unreadable != "" {
		v.Filter = "Nothing: a part of the scope cannot be read."
		v.Blocked = &ui.Alert{Tone: ui.Bad, Icon: "warn", Text: draft.unreadable}
		return v, true, nil
	}
	err = p.countDraft(&draft)
	if found, ok := problemsOf(err); ok { // an address that somebody changed by hand
		v.Filter = "Nothing: this scope names something unknown."
		v.Blocked = &ui.Alert{Tone: ui.Bad, Icon: "warn", Text: formErrors(found, "", labelled{"status", "", "Status"}, labelled{"endpoint_id", "", "Endpoint"}, labelled{"type", "", "Event"}, labelled{"label", "", "Endpoint label"}, labelled{"last_error", "", "Last error"}).Items[0].Text}
		return v, true, nil
	}
	if err != nil {
		return v, false, err
	}
	counts := *draft.counts
	v.Counts = previewCounts(counts, doorsOf(draft.filters, counts))
	if counts.Eligible == 0 {
		v.Blocked = &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "No delivery of this scope can be sent again now."}
		return v, false, nil
	}
	f := draft.filters
	if f.To.IsZero() { // what comes after this moment is not part of what the person saw
		f.To = p.Now
	}
	form := &pages.JobForm{
		Hidden: []ui.Hidden{
			{Name: "count", Value: strconv.Itoa(counts.Eligible)},
			{Name: "status", Value: jobStatus(f)},
			{Name: "endpoint", Value: f.EndpointID},
			{Name: "type", Value: string(f.EventType)},
			{Name: "label", Value: f.Label},
			{Name: "from", Value: formMoment(f.From)},
			{Name: "to", Value: formMoment(f.To)},
			{Name: "failed_from", Value: formMoment(f.FailedFrom)},
			{Name: "error", Value: string(f.ErrorKind)},
			{Name: "code", Value: jobCode(f)},
			{Name: "attempts", Value: countOrNone(f.MinAttempts)},
		},
		Rate: ui.Field{
			Name: "rate", Label: "Deliveries per second", Type: "number", Value: draft.rate, Min: strconv.Itoa(delivery.MinJobRate), Max: strconv.Itoa(delivery.MaxJobRate),
			Required: true, Hint: "1 to 100. A receiver that just came back may need less.", Error: draft.found["rate"],
		},
		Submit: "Retry " + counted(counts.Eligible, "delivery", "deliveries"),
		Takes:  "Oldest first. About " + jobTakes(counts.Matched, delivery.DefaultJobRate) + " at 10 per second: each that matched is looked at again when its turn comes.",
		Errors: formErrors(draft.found, "this retry can start", labelled{"count", "counts-t", "Deliveries"}, labelled{"rate", "f-rate", "Deliveries per second"}, labelled{"confirm", "f-confirm", "Confirmation"}),
	}
	if counts.Eligible > confirmAbove {
		form.Typed = &ui.Field{
			Name: "confirm", Label: "Type " + strconv.Itoa(counts.Eligible) + " to confirm", Value: draft.typed, Required: true, Mono: true, Autocomplete: "off", Error: draft.found["confirm"],
		}
	}
	v.Form = form
	return v, false, nil
}

// countDraft asks what a retry would meet, unless that is known.
func (p *page) countDraft(d *jobDraft) error {
	if d.counts != nil {
		return nil
	}
	counts, err := p.Deliveries.PreviewJob(p.Ctx, p.Actor, d.filters)
	if err != nil {
		return err
	}
	d.counts = &counts
	if d.found != nil { // a form that is refused for something else is told of this, too
		_ = d.consider(counts)
	}
	return nil
}

func (p *page) jobPreviewHead() (ui.Shell, ui.Heading) {
	return p.Shell("Preview of a bulk retry", jobsPath), ui.Heading{Crumbs: []ui.Link{{Label: "Bulk retries", Href: jobsPath}}, Title: "Bulk retry: preview"}
}

// jobScopeForm changes the scope of a preview.
func (p *page) jobScopeForm(f delivery.JobFilters, endpoints []webhook.Endpoint) *ui.Filters {
	choose := func(name, label, value string, options []ui.Option) ui.FilterField {
		for i := range options {
			options[i].Selected = options[i].Value == value
		}
		return ui.FilterField{Name: name, Label: label, Options: options, Set: value != ""}
	}
	moment := func(name, label string, t time.Time) ui.FilterField {
		field := ui.FilterField{Name: name, Label: label, Type: "datetime-local", Set: !t.IsZero()}
		if !t.IsZero() {
			field.Value = p.FieldTime(t)
		}
		return field
	}
	options := []ui.Option{{Label: "Any"}}
	var labels []string
	for _, e := range endpoints {
		options = append(options, ui.Option{Value: e.ID.String(), Label: e.DisplayName()})
		labels = append(labels, e.Labels...)
	}
	v := &ui.Filters{Action: jobsPath + "/new", Fields: []ui.FilterField{
		choose("status", "Status", jobStatus(f), []ui.Option{
			{Value: string(delivery.Failed), Label: "Failed"},
			{Value: string(delivery.Pending), Label: "Waiting"},
			{Value: string(delivery.StateScheduled), Label: lookOf(delivery.StateScheduled).Word},
			{Value: string(delivery.StateRetrying), Label: lookOf(delivery.StateRetrying).Word},
		}),
		choose("endpoint", "Endpoint", f.EndpointID, options), choose("type", "Event", string(f.EventType), eventTypeOptions()),
		moment("from", "From", f.From), moment("to", "To", f.To),
		moment("failed_from", "Failed since", f.FailedFrom),
		choose("error", "Last error", string(f.ErrorKind), errorOptions()),
		{Name: "code", Label: "Code", Type: "text", Value: jobCode(f), Placeholder: codeExamples, Set: jobCode(f) != ""},
		{Name: "attempts", Label: "Attempts ≥", Type: "number", Value: countOrNone(f.MinAttempts), Set: f.MinAttempts > 0},
	}}
	if len(labels) > 0 {
		v.Fields = slices.Insert(v.Fields, 2, labelField("Endpoint label", f.Label, labels))
	}
	return v
}

// jobStatus is what readJob takes for the status and the state of a scope.
func jobStatus(f delivery.JobFilters) string { return cmp.Or(string(f.State), string(f.Status)) }

// countOrNone writes a number that is a filter, which 0 is not.
func countOrNone(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func formMoment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// previewCounts lists what would and would not be sent again, and why.
func previewCounts(c delivery.JobPreview, doors scopeDoors) []pages.CountRow {
	rows := []pages.CountRow{
		{Label: "Eligible", Sub: "The payload is held and the endpoint is enabled", Count: ui.Count(c.Eligible), Href: doors.eligible, Strong: true},
		{Label: "In flight", Sub: "An attempt is under way", Count: ui.Count(c.InFlight), Href: doors.inFlight},
		{Label: "Never encrypted", Sub: "Their endpoint had no usable key; these can never be sent", Count: ui.Count(c.NeverEncrypted), Href: doors.neverEncrypted},
		{Label: "Payload gone", Sub: "Erased after its time; these can never be sent again", Count: ui.Count(c.PayloadGone)},
		{Label: "Endpoint paused or deleted", Count: ui.Count(c.EndpointDisabled)},
		{Label: "Matched", Count: ui.Count(c.Matched), Href: doors.matched, Strong: true},
	}
	for i, n := range map[int]int{2: c.NeverEncrypted, 3: c.PayloadGone} {
		if n > 0 {
			rows[i].Tone = ui.Warn
		}
	}
	if c.Capped {
		rows[len(rows)-1].Sub = "Counted up to this many; more may match"
	}
	return rows
}

// scopeDoors are the lists that prove counts of a preview; "" where no list does.
type scopeDoors struct{ eligible, inFlight, neverEncrypted, matched string }

// doorsOf are the lists of deliveries with the filters of a scope.
func doorsOf(f delivery.JobFilters, c delivery.JobPreview) (doors scopeDoors) {
	list := func(n int, status string, more ...string) string {
		if n == 0 || c.Capped {
			return ""
		}
		return link(link(deliveriesPath, "status", status, "endpoint", f.EndpointID, "label", f.Label, "type", string(f.EventType), "from", formMoment(f.From), "to", formMoment(f.To),
			"failed_from", formMoment(f.FailedFrom), "error", string(f.ErrorKind), "code", jobCode(f), "attempts", countOrNone(f.MinAttempts)), more...)
	}
	state := cmp.Or(string(f.State), anyWaiting)
	if f.Status == delivery.Failed {
		state = string(delivery.StateFailed)
	}
	if c.EndpointDisabled == 0 { // no list tells endpoints that are paused from others
		doors.eligible = list(c.Eligible, state, "held", "1")
	}
	if f.Status == delivery.Pending && c.InFlight == 0 { // no list has both what waits and what is in flight, or what was withdrawn with all else that failed
		doors.matched = list(c.Matched, state)
	}
	doors.inFlight, doors.neverEncrypted = list(c.InFlight, string(delivery.StateInFlight)), list(c.NeverEncrypted, string(delivery.StateBlocked))
	return doors
}

// createJob starts a bulk retry, or retries the rows that were chosen. A second submission of the form leads to the
// outcome of the first.
func createJob(p *page) error {
	draft := p.readJob(p.Value)
	draft.rate, draft.shown, draft.typed, draft.found = p.Value("rate"), p.Value("count"), p.Value("confirm"), problems{}
	if chosen := p.Values("id"); len(chosen) > 0 {
		return p.retryChosen(chosen)
	}
	rate, err := strconv.Atoi(draft.rate)
	if err != nil || rate < delivery.MinJobRate || rate > delivery.MaxJobRate {
		draft.found["rate"] = fmt.Sprintf("Must be %d to %d.", delivery.MinJobRate, delivery.MaxJobRate)
	}
	if draft.unreadable != "" || len(draft.found) > 0 {
		return p.renderJobPreview(http.StatusUnprocessableEntity, draft)
	}
	j, err := p.Deliveries.CreateJob(p.Ctx, p.Actor, delivery.JobInput{Filters: draft.filters, RatePerSecond: &rate, Consider: draft.consider})
	if draft.grown {
		return p.renderJobPreview(http.StatusConflict, draft)
	}
	if _, invalid := problemsOf(err); invalid || errors.Is(err, errNotStarted) {
		return p.renderJobPreview(http.StatusUnprocessableEntity, draft)
	}
	if err != nil {
		return err
	}
	return p.Redirect(jobPath(j.ID), ui.Flash{Tone: ui.OK, Text: "The bulk retry has started.", Sub: "You can leave this page; it goes on by itself."})
}

// previewChosen counts what a retry of the rows chosen by hand would do.
func previewChosen(p *page) error {
	list, err := p.chosenDeliveries(p.Values("id"))
	if err != nil {
		return err
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	v := pages.JobPreview{Filter: counted(len(list), "chosen delivery", "chosen deliveries")}
	v.Shell, v.Heading = p.jobPreviewHead()
	counts := fatesOf(p, list, endpoints)
	v.Counts = counts.rows("Chosen")
	back := p.Back(deliveriesPath)
	v.Back = ui.Link{Label: "Back to deliveries", Href: back}
	hidden := []ui.Hidden{{Name: "return", Value: back}}
	for _, d := range counts.eligible {
		hidden = append(hidden, ui.Hidden{Name: "id", Value: d.ID.String()})
	}
	if counts.Eligible == 0 {
		v.Blocked = &ui.Alert{
			Tone: ui.Neutral, Icon: "info", Text: "Choose at least one delivery that can be sent again.",
			Actions: []ui.Action{{Label: v.Back.Label, Href: back, Small: true}},
		}
		return p.Render(http.StatusUnprocessableEntity, pages.JobPreviewPage(v))
	}
	v.Form = &pages.JobForm{Hidden: hidden, Submit: "Retry " + counted(counts.Eligible, "delivery", "deliveries"), Takes: "They are due at once."}
	return p.Render(http.StatusOK, pages.JobPreviewPage(v))
}

// retryChosen makes the rows due now, each by itself: one that cannot be sent any more stops no other.
func (p *page) retryChosen(ids []string) error {
	list, err := p.chosenDeliveries(ids)
	if err != nil {
		return err
	}
	retried, left, err := eachAlone(list, func(d delivery.Delivery) error {
		_, err := p.Deliveries.Retry(p.Ctx, p.Actor, d.ID)
		return err
	})
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: counted(retried, "delivery is", "deliveries are") + " due now."}
	if left > 0 {
		flash.Tone, flash.Sub = ui.Warn, counted(left, "was", "were")+" left alone: they cannot be sent again now."
	}
	return p.Redirect(p.Back(deliveriesPath), flash)
}

// filteredOnlyBy reports whether a list has no filter but these. Where it starts, how long it is and how fresh are none.
func (p *page) filteredOnlyBy(filters ...string) bool {
	known := slices.Concat(filters, []string{"after", "before", "limit", "live"})
	for name := range p.R.URL.Query() {
		if p.Query(name) != "" && !slices.Contains(known, name) {
			return false
		}
	}
	return true
}

// bulk is the bar of a deliveries list with which rows are chosen, for those who may retry. "All" is offered while the
// list has no filter that a bulk retry lacks: it must not take more than what is shown.
func (p *page) bulk(endpoint string) *pages.Bulk {
	if !p.Can(access.WebhooksWrite) {
		return nil
	}
	v := &pages.Bulk{Action: jobsPath + "/preview", Return: p.With()}
	if !p.filteredOnlyBy("status", "endpoint", "label", "type", "failed_from", "from", "to", "error", "code", "attempts") {
		v.Note = "All that match cannot be retried at once with these filters: a bulk retry is by status, endpoint, label, event, time, error, code or attempts."
		return v
	}
	status := string(delivery.Failed)
	v.All = "Retry all failed…"
	switch shown := p.Query("status"); shown {
	case "", anyFailed, string(delivery.StateFailed): // what failed otherwise has no payload
	case anyWaiting:
		status, v.All = string(delivery.Pending), "Retry all waiting…"
	case string(delivery.StateScheduled), string(delivery.StateRetrying):
		status, v.All = shown, "Retry all "+lowerFirst(lookOf(delivery.State(shown)).Word)+"…"
	default:
		return v
	}
	if status != string(delivery.Failed) && p.Query("failed_from") != "" { // nothing is shown: what waits has not failed
		return v
	}
	v.AllHref = link(jobsPath+"/new", "status", status, "endpoint", endpoint, "label", p.Query("label"), "type", p.Query("type"), "from", p.Query("from"), "to", p.Query("to"),
		"error", p.Query("error"), "code", p.Query("code"), "attempts", p.Query("attempts"), "failed_from", p.Query("failed_from"))
	return v
}
