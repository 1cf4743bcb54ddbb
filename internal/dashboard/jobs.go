package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const jobsPath = "/jobs"

func jobPath(j id.Job) string { return jobsPath + "/" + j.String() }

// jobBadge is a bulk retry's state as people see it.
func jobBadge(s delivery.JobStatus) ui.Badge {
	switch s {
	case delivery.JobQueued:
		return ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Queued", Title: "It begins in a moment."}
	case delivery.JobRunning:
		return ui.Badge{Tone: ui.Info, Icon: "loop", Label: "Running", Title: "It makes deliveries due at its rate."}
	case delivery.JobCompleted:
		return ui.Badge{Tone: ui.OK, Icon: "check", Label: "Completed", Title: "Every delivery of its scope was visited."}
	case delivery.JobCancelled:
		return ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Cancelled", Title: "It was stopped; what it had requeued stays so."}
	case delivery.JobFailed:
		return ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Failed", Title: "It could not go on; the log of the worker says why."}
	}
	return ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: string(s)}
}

// jobScope writes what a job is for in words.
func (p *page) jobScope(f delivery.JobFilters, endpoints map[id.Endpoint]webhook.Endpoint) string {
	text := "Failed"
	switch {
	case f.State != "":
		text = lookOf(f.State).Word
	case f.Status == delivery.Pending:
		text = "Waiting"
	}
	switch e, err := id.Parse[id.EndpointKind](f.EndpointID); {
	case f.EndpointID == "":
		text += ", all endpoints"
	case err == nil && endpoints[e].ID == e:
		text += ", endpoint " + endpoints[e].DisplayName()
	default:
		text += ", endpoint " + ui.ShortID(cutText(f.EndpointID, 128))
	}
	if f.Label != "" {
		text += ", label " + f.Label
	}
	if f.EventType != "" {
		text += ", event " + f.EventType.Short()
	}
	if !f.From.IsZero() {
		text += ", created from " + p.Moment(f.From)
	}
	if !f.To.IsZero() {
		text += ", created to " + p.Moment(f.To)
	}
	if !f.FailedFrom.IsZero() {
		text += ", failed since " + p.Moment(f.FailedFrom)
	}
	if f.ErrorKind != "" {
		text += ", last error " + explainError(f.ErrorKind, 0).Name
	}
	if code := jobCode(f); code != "" {
		text += ", code " + code
	}
	if f.MinAttempts > 0 {
		text += ", attempts at least " + strconv.Itoa(f.MinAttempts)
	}
	return text
}

// jobCode is a job's filter of codes as parseCode reads it.
func jobCode(f delivery.JobFilters) string {
	switch {
	case f.Unanswered:
		return noCode
	case f.StatusClass > 0:
		return strconv.Itoa(f.StatusClass) + "xx"
	case f.StatusCode > 0:
		return strconv.Itoa(f.StatusCode)
	}
	return ""
}

// skipWords says why a job skipped a delivery.
func skipWords(o delivery.JobOutcome) string {
	switch o {
	case delivery.JobInFlight:
		return "in flight"
	case delivery.JobPayloadGone:
		return "payload gone"
	case delivery.JobEndpointDisabled:
		return "endpoint paused or deleted"
	case delivery.JobChanged, delivery.JobRequeued:
	}
	return "changed"
}

// jobMeter draws how far a job got.
func jobMeter(j delivery.Job) ui.Meter {
	return ui.Meter{
		Total: max(j.MatchedCount, j.VisitedCount, 1), Label: ui.Count(j.VisitedCount) + " of " + ui.Count(j.MatchedCount) + " visited",
		Parts: []ui.MeterPart{{Value: j.RequeuedCount, Fill: ui.FillStrong}, {Value: j.SkippedCount, Fill: ui.FillMuted}},
	}
}

func (p *page) jobRow(j delivery.Job, endpoints map[id.Endpoint]webhook.Endpoint) pages.JobRow {
	row := pages.JobRow{
		ID: ui.NewID(j.ID.String(), "", jobPath(j.ID)), Status: jobBadge(j.Status), Filter: p.jobScope(j.Filters, endpoints), Progress: jobMeter(j),
		Of: ui.Count(j.VisitedCount) + " of " + ui.Count(j.MatchedCount), RequeuedHref: visitedDoor(j.ID, delivery.JobRequeued, j.RequeuedCount),
		Requeued: ui.Count(j.RequeuedCount), Skipped: ui.Count(j.SkippedCount), Rate: fmt.Sprintf("%d/s", j.RatePerSecond), By: j.CreatedByName, Created: p.At(j.CreatedAt),
	}
	if j.SkippedCount > 0 {
		row.SkippedHref = jobPath(j.ID) + "#skipped-t"
	}
	if j.Status.Open() && p.live() {
		row.PollHref = jobPath(j.ID) + "/row"
	}
	return row
}

func listJobs(p *page) error {
	at, err := pageOf(p, p.Deliveries.JobPosition)
	if err != nil {
		return err
	}
	list, err := p.Deliveries.ListJobs(p.Ctx, p.Actor, at)
	if err != nil {
		return err
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	v := pages.JobsResults{Pager: pager(p, list, at.Limit, func(j delivery.Job) string { return j.ID.String() })}
	for _, j := range list.Rows {
		v.Rows = append(v.Rows, p.jobRow(j, endpoints))
	}
	heading := ui.Heading{Title: "Bulk retries"}
	if slices.ContainsFunc(list.Rows, func(j delivery.Job) bool { return j.Status.Open() }) {
		heading.Live = p.liveNote()
	}
	v.State.Empty = &ui.Empty{Icon: "job", Title: "No bulk retry yet", Text: "A bulk retry sends every delivery of a filter again, at a rate that you choose: after a receiver was down, for example."}
	start := p.offered(access.WebhooksWrite, ui.Action{Label: "New bulk retry", Icon: "plus", Href: jobsPath + "/new", Kind: "primary"})
	heading.Actions = start
	if p.Can(access.WebhooksWrite) {
		v.State.Empty.Actions = start
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.JobsList(v, p.Session.CSRFToken))
	}
	return p.Render(http.StatusOK, pages.JobsPage(pages.Jobs{Shell: p.Shell("Bulk retries", jobsPath), Heading: heading, Results: v}))
}

// job loads the job of the route, and the endpoints that name its scope.
func (p *page) job() (delivery.Job, map[id.Endpoint]webhook.Endpoint, error) {
	jobID, err := pathID[id.JobKind](p, "id", delivery.ErrJobNotFound)
	if err != nil {
		return delivery.Job{}, nil, err
	}
	j, err := p.Deliveries.GetJob(p.Ctx, p.Actor, jobID)
	if err != nil {
		return j, nil, err
	}
	endpoints, err := p.endpointsByID()
	return j, endpoints, err
}

func showJobRow(p *page) error {
	j, endpoints, err := p.job()
	if err != nil {
		return err
	}
	return p.Render(http.StatusOK, pages.JobTableRow(p.jobRow(j, endpoints)))
}

func showJob(p *page) error {
	j, endpoints, err := p.job()
	if err != nil {
		return err
	}
	if p.Fragment() {
		if !j.Status.Open() { // it has ended since the page was made: its heading changes too
			return p.Redirect(jobPath(j.ID), ui.Flash{})
		}
		return p.Render(http.StatusOK, pages.JobRegion(p.jobBody(j, endpoints)))
	}
	heading := ui.Heading{
		Crumbs: []ui.Link{{Label: "Bulk retries", Href: jobsPath}}, Title: "Bulk retry", ID: idPtr(ui.NewID(j.ID.String(), "job id", "")),
		Badges: []ui.Badge{jobBadge(j.Status)}, Sub: []ui.SubItem{{Lead: "Started by " + j.CreatedByName, Time: p.AtPtr(&j.CreatedAt)}},
	}
	if j.Status.Open() {
		heading.Actions = p.offered(access.WebhooksWrite, ui.Action{Label: "Cancel job…", Icon: "square", Href: jobPath(j.ID) + "/cancel", Kind: "danger", Dialog: true})
		heading.Live = p.liveNote()
	}
	return p.Render(http.StatusOK, pages.JobPage(pages.Job{Shell: p.Shell("Bulk retry "+ui.ShortID(j.ID.String()), jobsPath), Heading: heading, Body: p.jobBody(j, endpoints)}))
}

// jobBody is the part of a job's page that follows its progress.
func (p *page) jobBody(j delivery.Job, endpoints map[id.Endpoint]webhook.Endpoint) pages.JobBody {
	left := max(j.MatchedCount-j.VisitedCount, 0)
	v := pages.JobBody{
		Visited: ui.Count(j.VisitedCount), VisitOf: "of " + ui.Count(j.MatchedCount) + " visited", Progress: jobMeter(j),
		Legend: []ui.Legend{{Label: ui.Count(j.RequeuedCount) + " requeued", Fill: ui.FillStrong}, {Label: ui.Count(j.SkippedCount) + " skipped", Fill: ui.FillMuted}},
		Tiles: []ui.Tile{
			{Label: "Requeued", Number: ui.Count(j.RequeuedCount), Note: "Made due again", Href: visitedDoor(j.ID, delivery.JobRequeued, j.RequeuedCount)},
			{Label: "Skipped", Number: ui.Count(j.SkippedCount), Note: "Reasons below", Href: "#skipped-t"},
			{Label: "Not visited", Number: ui.Count(left), Note: "Of those that matched at the start"},
		},
		Preview: []pages.CountRow{{Label: "Matched", Sub: fmt.Sprintf("Counted up to %s", ui.Count(delivery.JobCountLimit)), Count: ui.Count(j.MatchedCount), Strong: true}},
		Skipped: []pages.CountRow{
			skipRow(j.ID, delivery.JobInFlight, "", j.SkippedReasons.InFlight),
			skipRow(j.ID, delivery.JobPayloadGone, "These can never be sent again", j.SkippedReasons.PayloadGone),
			skipRow(j.ID, delivery.JobEndpointDisabled, "", j.SkippedReasons.EndpointDisabled),
			skipRow(j.ID, delivery.JobChanged, "Stopped matching before their turn, or were deleted", j.SkippedReasons.Changed),
		},
		Facts: []ui.Fact{{Term: "Scope", Text: p.jobScope(j.Filters, endpoints)}, {Term: "Created", Time: exactPtr(p, &j.CreatedAt)}},
	}
	if j.UpperID != nil {
		v.Facts = append(v.Facts, ui.Fact{Term: "Upper bound", ID: idPtr(ui.NewID(j.UpperID.String(), "delivery id", deliveriesPath+"/"+j.UpperID.String())), Sub: "Later deliveries are not swept in"})
	}
	if p.Can(access.AuditRead) {
		v.Facts = append(v.Facts, ui.Fact{Term: "Log", Text: "Who started and cancelled it", Href: link(auditPath, "target", j.ID.String())})
	}
	switch {
	case j.Status.Open():
		if p.live() {
			v.PollHref = jobPath(j.ID)
		}
		v.Note = fmt.Sprintf("%d per second, oldest first; about %s left", j.RatePerSecond, jobTakes(left, j.RatePerSecond))
	case j.FinishedAt != nil:
		v.Note = "Ended " + p.Moment(*j.FinishedAt)
		v.Facts = append(v.Facts, ui.Fact{Term: "Ended", Time: exactPtr(p, j.FinishedAt)})
	}
	return v
}

// skipRow counts the deliveries that a job skipped for a reason, and leads to them.
func skipRow(j id.Job, reason delivery.JobOutcome, sub string, n int) pages.CountRow {
	return pages.CountRow{Label: upperFirst(skipWords(reason)), Sub: sub, Count: ui.Count(n), Href: visitedDoor(j, reason, n)}
}

// visitedDoor leads to the n deliveries that visitedBy filters by; "" where there are none.
func visitedDoor(j id.Job, outcome delivery.JobOutcome, n int) string {
	if n == 0 {
		return ""
	}
	return visitedBy(j, outcome)
}

// jobTakes is how long n visits take.
func jobTakes(n, rate int) string {
	return ui.Span(time.Duration(max(n, 1)) * time.Second / time.Duration(rate))
}

func askCancelJob(p *page) error {
	j, _, err := p.job()
	if err != nil {
		return err
	}
	if !j.Status.Open() {
		return p.Redirect(jobPath(j.ID), endedAlready(j))
	}
	left := max(j.MatchedCount-j.VisitedCount, 0)
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell("Cancel bulk retry", jobsPath),
		Heading: ui.Heading{Title: "Cancel bulk retry", Crumbs: []ui.Link{{Label: "Bulk retries", Href: jobsPath}, {Label: ui.ShortID(j.ID.String()), Href: jobPath(j.ID)}}},
		Confirm: ui.Confirm{
			ID: "cancel", Title: "Cancel this bulk retry?", Action: jobPath(j.ID) + "/cancel", Icon: "square", Danger: true, Submit: "Cancel job", BackHref: jobPath(j.ID), Back: "Let it go on",
			Effects: []string{
				counted(left, "delivery", "deliveries") + " not visited yet: left as they are.",
				counted(j.RequeuedCount, "delivery", "deliveries") + " requeued so far: sent all the same.",
				"A job that was cancelled cannot go on; a new one takes up what is left.",
			},
		},
	})
}

func endedAlready(j delivery.Job) ui.Flash {
	return ui.Flash{Tone: ui.Info, Text: "The bulk retry had ended already: " + lowerFirst(jobBadge(j.Status).Label) + "."}
}

// cancelJob stops a job. One that has ended is left as it is, also after a second click.
func cancelJob(p *page) error {
	j, _, err := p.job()
	if err != nil {
		return err
	}
	if err := p.Deliveries.CancelJob(p.Ctx, p.Actor, j.ID); err != nil {
		return err
	}
	after, err := p.Deliveries.GetJob(p.Ctx, p.Actor, j.ID)
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "The bulk retry is cancelled.", Sub: counted(after.RequeuedCount, "delivery", "deliveries") + " had been requeued and stay so."}
	if !j.Status.Open() || after.Status != delivery.JobCancelled {
		flash = endedAlready(after)
	}
	return p.Redirect(jobPath(j.ID), flash)
}
