package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// forecastHours is how far the retries-due forecast looks.
const forecastHours = 24

func showOverview(p *page) error {
	s := spanOf(p.Query("range"))
	f, err := p.loadFleet()
	if err != nil {
		return err
	}
	live := p.liveNote()
	if !live.Paused {
		live.Text = "As of" // what needs attention follows, the figures stand
	}
	v := pages.Overview{
		Shell:   p.Shell("Overview", "/"),
		Heading: ui.Heading{Title: "Overview", Live: live, Range: p.rangeLinks(s, spans...), RangeOf: "Range"},
	}
	label := p.Query("label")
	v.Labels = p.overviewLabels(f.endpoints)
	if v.Attention, _, err = p.attention(f); err != nil {
		return err
	}
	if v.Checklist, err = p.checklist(f); err != nil {
		return err
	}
	if len(f.endpoints) == 0 {
		v.Empty = p.noEndpoints()
		return p.Render(http.StatusOK, pages.OverviewPage(v))
	}
	if f = f.labelled(label); len(f.endpoints) == 0 {
		v.Empty = &ui.Empty{
			Icon: "search", Title: "No endpoint carries the label “" + cutText(label, 200) + "”",
			Text: "Labels are set in an endpoint's settings.", Actions: []ui.Action{{Label: "Show all endpoints", Href: p.With("label", "")}},
		}
		return p.Render(http.StatusOK, pages.OverviewPage(v))
	}
	hours, err := p.Deliveries.Hours(p.Ctx, p.Actor, p.Now.Add(-time.Duration(s.hours)*time.Hour), p.Now, id.Endpoint{})
	if err != nil {
		return err
	}
	hours = slices.DeleteFunc(hours, func(h delivery.HourStats) bool { return label != "" && !f.has(h.EndpointID) })
	buckets := bucketsOf(hours, s, p.Now, p.Zone())
	href := func(from, to time.Time) string {
		return link("/deliveries", "from", p.FormTime(from), "to", p.FormTime(to.Add(-time.Minute)), "label", label)
	}
	v.Volume, v.Latency = p.volumeChart(buckets, s, href), p.latencyChart(buckets, s, href)
	due, err := p.forecast(f, label)
	if err != nil {
		return err
	}
	v.Forecast = p.forecastChart(due, "Attempts that become due", label)
	errors, err := p.Deliveries.Errors(p.Ctx, p.Actor, buckets[0].From, p.Now, id.Endpoint{})
	if err != nil {
		return err
	}
	errors = slices.DeleteFunc(errors, func(c delivery.ErrorCount) bool { return label != "" && !f.has(c.EndpointID) })
	from := p.FormTime(buckets[0].From)
	v.Errors = errorKinds(errors, s, f.names(), func(kind delivery.ErrorKind, code string) string {
		return link("/deliveries", "error", string(kind), "code", code, "from", from, "label", label)
	})
	v.Failing = p.failingEndpoints(f)
	v.Failing.AllHref = link("/endpoints", "label", label)
	to := figureDoors{list: deliveriesPath, label: label, from: from}
	to.retry = p.retryAll("", label)
	v.Tiles = overviewTiles(to, sumOf(buckets), f.total(), v.Forecast.Bars[0], s)
	return p.Render(http.StatusOK, pages.OverviewPage(v))
}

// overviewLabels chooses the endpoints that the figures are about; nil while none carries a label.
func (p *page) overviewLabels(endpoints []webhook.Endpoint) *ui.Filters {
	var labels []string
	for _, e := range endpoints {
		labels = append(labels, e.Labels...)
	}
	if len(labels) == 0 {
		return nil
	}
	return &ui.Filters{Action: "/", Fields: []ui.FilterField{labelField("Endpoint label", p.Query("label"), labels)}, Hidden: p.carried("range")}
}

// forecast counts what becomes due at the endpoints of the fleet, or of all there ever were when no label chooses.
func (p *page) forecast(f *fleet, label string) ([]int, error) {
	var only []id.Endpoint
	if label != "" {
		for _, e := range f.endpoints {
			only = append(only, e.ID)
		}
		if len(only) == 0 {
			return make([]int, forecastHours), nil
		}
	}
	return p.Deliveries.Forecast(p.Ctx, p.Actor, p.forecastStart(), forecastHours, only...)
}

// noEndpoints is the state of an organization without endpoints.
func (p *page) noEndpoints() *ui.Empty {
	v := &ui.Empty{
		Icon: "endpoint", Title: "No endpoints yet",
		Text: "An endpoint is an https address of yours that receives encrypted webhooks about verification sessions.",
	}
	if p.Can(access.WebhooksWrite) {
		v.Actions = []ui.Action{createEndpointAction()}
	} else {
		v.Text += " An admin or owner can create one."
	}
	return v
}

// figureDoors are where headline figures lead.
type figureDoors struct {
	// list is a list of deliveries, label what its endpoints carry, if anything, and from where the span begins, as its filter takes it.
	list, label, from string
	// retry previews the retry of all that can be retried; empty for those who may not.
	retry string
}

// behind is the list with filters.
func (d figureDoors) behind(filters ...string) string {
	return link(d.list, append(filters, "label", d.label)...)
}

// overviewTiles are the headline figures; due is the next hour of the forecast.
func overviewTiles(to figureDoors, sum delivery.Stats, now delivery.Standing, due ui.Bar, s span) []ui.Tile {
	behind, from := to.behind, to.from
	first := ui.Tile{
		Label: "First-try success", Number: "–", Note: "nothing was sent in " + s.words, Href: behind("from", from),
	}
	if sum.FirstAttempts > 0 {
		share := percent(sum.FirstSucceeded, sum.FirstAttempts)
		first.Number, first.Unit = share[:len(share)-2], "%"
		first.Note, first.NoteTone = "target 99 %", ui.OK
		if sum.FirstSucceeded*1000 < sum.FirstAttempts*degradedPerMille {
			first.Note, first.NoteTone = "below the target of 99 %", ui.Bad
		}
		first.Meter = &ui.Meter{Total: sum.FirstAttempts, Mark: sum.FirstAttempts * 99 / 100, Parts: []ui.MeterPart{
			{Value: sum.FirstSucceeded, Fill: ui.FillOK}, {Value: sum.FirstAttempts - sum.FirstSucceeded, Fill: ui.FillBad},
		}}
	}
	p95 := ui.Tile{Label: "Response time p95", Number: "–", Note: "no answers in " + s.words, Href: behind("from", from)}
	if ms, ok := sum.Latency.Quantile(0.95); ok {
		p50, _ := sum.Latency.Quantile(0.5)
		slow, _ := sum.Latency.Slowest(0.95)
		half, _ := sum.Latency.Slowest(0.5)
		p95.Number, p95.Href = ui.Millis(int(ms)), behind("from", from, "took", tookAtLeast(slow))
		p95.Note, p95.NoteHref = "p50 "+ui.Millis(int(p50)), behind("from", from, "took", tookAtLeast(half))
	}
	retrying := ui.Tile{
		Label: "Retrying now", Number: ui.Count(now.Retrying), Href: behind("status", string(delivery.StateRetrying)),
		Note: counted(due.Value, "attempt", "attempts") + " due in the next hour", NoteHref: due.Href,
	}
	failed := ui.Tile{
		Label: "Failed", Number: ui.Count(sum.Failed - sum.Withdrawn), Href: behind("status", anyFailed, "failed_from", from), Note: "none can be retried",
	}
	if now.Held > 0 {
		failed.Note, failed.NoteTone, failed.NoteHref = ui.Count(now.Held)+" can still be retried", ui.Bad, to.retry
	}
	return []ui.Tile{
		{
			Label: "Delivered", Number: ui.Count(sum.Succeeded), Href: behind("status", string(delivery.StateSucceeded), "from", from),
			Note: counted(sum.Attempts, "attempt", "attempts") + " in " + s.words, NoteHref: behind("from", from),
		},
		first, p95, retrying, failed,
	}
}

// errorKinds adds failed attempts up by kind and status, most frequent first.
func errorKinds(counts []delivery.ErrorCount, s span, names map[id.Endpoint]string, href func(kind delivery.ErrorKind, code string) string) pages.ErrorKinds {
	type kindKey struct {
		kind delivery.ErrorKind
		code int
	}
	type tally struct {
		key       kindKey
		n, most   int
		mostlyAt  id.Endpoint
		endpoints int
	}
	sums := map[kindKey]*tally{}
	for _, c := range counts {
		key := kindKey{c.ErrorKind, c.StatusCode}
		t := sums[key]
		if t == nil {
			t = &tally{key: key}
			sums[key] = t
		}
		t.n += c.Attempts
		t.endpoints++
		if c.Attempts > t.most {
			t.most, t.mostlyAt = c.Attempts, c.EndpointID
		}
	}
	rows := make([]*tally, 0, len(sums))
	for _, t := range sums {
		rows = append(rows, t)
	}
	slices.SortFunc(rows, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.key.kind, b.key.kind), cmp.Compare(a.key.code, b.key.code))
	})
	v := pages.ErrorKinds{Note: "attempts in " + s.words + "; a link filters by last error", Empty: "No attempt failed in " + s.words + "."}
	if names != nil {
		v.At = "Mostly at"
	}
	for _, t := range rows[:min(len(rows), 6)] {
		words := explainError(t.key.kind, t.key.code)
		code := ""
		if t.key.code != 0 {
			code = fmt.Sprint(t.key.code)
		}
		label := words.Name
		if t.key.kind == delivery.HTTPStatus {
			label = "HTTP " + label
		}
		bar := ui.HBar{Label: label, Note: names[t.mostlyAt], Count: ui.Count(t.n), Value: t.n, Max: rows[0].n, Href: href(t.key.kind, code)}
		if bar.Note != "" { // which one that was deleted has not
			bar.NoteHref = endpointPath(t.mostlyAt)
		}
		if t.key.kind == delivery.DisabledBeforeSend || t.key.kind == delivery.WorkerLost {
			bar.Fill = ui.FillMuted
		}
		v.Items = append(v.Items, bar)
	}
	return v
}

// names are the display names of the live endpoints.
func (f *fleet) names() map[id.Endpoint]string {
	out := make(map[id.Endpoint]string, len(f.endpoints))
	for _, e := range f.endpoints {
		out[e.ID] = e.DisplayName()
	}
	return out
}

// failingEndpoints lists the endpoints that had failures in 24 hours or cannot receive now, worst first.
func (p *page) failingEndpoints(f *fleet) pages.FailingEndpoints {
	v := pages.FailingEndpoints{Empty: "No endpoint failed in 24 hours."}
	type candidate struct {
		e webhook.Endpoint
		h health
		v vitals
	}
	var list []candidate
	for _, e := range f.endpoints {
		c := candidate{e: e, v: f.vitals(e)}
		c.h = judge(c.v)
		if c.h == healthFailing || c.h == healthNoKey || c.h == healthDegraded || c.v.Day.FirstSucceeded < c.v.Day.FirstAttempts || c.v.Day.Failed > c.v.Day.Withdrawn {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.h.rank(), b.h.rank()), cmp.Compare(b.v.Day.Failed, a.v.Day.Failed))
	})
	for _, c := range list[:min(len(list), 8)] {
		s := f.standings[c.e.ID]
		row := pages.FailingEndpoint{
			Name: c.e.DisplayName(), Href: endpointPath(c.e.ID), Health: p.healthDoor(c.e.ID, c.h),
			FirstTry: percent(c.v.Day.FirstSucceeded, c.v.Day.FirstAttempts), FirstHref: p.dayHref(c.e.ID), Waiting: ui.Count(s.Waiting + s.Parked),
		}
		if s.Waiting+s.Parked > 0 {
			row.WaitHref = link(row.Href+"/deliveries", "status", anyWaiting)
		}
		v.Items = append(v.Items, row)
	}
	return v
}

// checklist is the way to a working setup; its ticks come from data. It is nil for people who cannot act on it, and once
// everything is done.
func (p *page) checklist(f *fleet) (*pages.Checklist, error) {
	if !p.Can(access.WebhooksWrite) {
		return nil, nil
	}
	used, tested, err := p.Deliveries.Received(p.Ctx, p.Actor)
	if err != nil {
		return nil, err
	}
	active := false
	members, err := p.Org.Members(p.Ctx, p.Actor, org.MemberFilter{Suspended: &active}, postgres.Page{Limit: 100})
	if err != nil {
		return nil, err
	}
	admins := 0
	for _, m := range members.Rows {
		if m.Role.AtLeast(access.Admin) {
			admins++
		}
	}
	oldest, keyed, verified := "", "", false
	for _, e := range slices.Backward(f.endpoints) {
		path := endpointPath(e.ID)
		oldest = cmp.Or(oldest, path)
		if k, ok := f.keys[e.ID]; ok {
			keyed, verified = cmp.Or(keyed, path), verified || k.VerifiedAt != nil
		}
	}
	v := &pages.Checklist{Items: []ui.CheckStep{
		{Done: len(f.endpoints) > 0, Text: "Create an endpoint", Href: "/endpoints/new"},
		{Done: keyed != "", Text: "Add its public key", Href: endpointKeysHref(oldest)},
		{Done: verified, Text: "Verify that the receiver decrypts", Href: endpointKeysHref(keyed), Note: "it reads a code to you"},
		{Done: tested || used, Text: "Send a test event and get a 2xx", Href: keyed},
		{Done: used, Text: "Deliver the first real webhook", Href: "/help/receivers"},
		{Done: admins > 1, Text: "Invite a second admin", Href: "/members", Note: "so that nobody is locked out"},
	}}
	done := 0
	for _, item := range v.Items {
		if item.Done {
			done++
		}
	}
	if done == len(v.Items) {
		return nil, nil
	}
	v.Note = fmt.Sprintf("%d of %d done", done, len(v.Items))
	return v, nil
}

func endpointKeysHref(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	return endpoint + "/keys"
}
