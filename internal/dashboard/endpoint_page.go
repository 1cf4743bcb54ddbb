package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// deletedEndpoint is the error of a page about an endpoint that was deleted: it has a tombstone.
type deletedEndpoint struct{ webhook.Endpoint }

func (deletedEndpoint) Error() string { return "endpoint was deleted" }

// endpoint loads the endpoint of the route.
func (p *page) endpoint() (webhook.Endpoint, error) {
	endpoint, err := pathID[id.EndpointKind](p, "id", webhook.ErrEndpointNotFound)
	if err != nil {
		return webhook.Endpoint{}, err
	}
	e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, endpoint)
	if f, ok := fault.As(err); !ok || f.Kind != fault.NotFound {
		return e, err
	}
	return e, p.orTombstone(endpoint, err)
}

// orTombstone is what to answer for an endpoint that is not there: its tombstone, or missing when there never was one.
func (p *page) orTombstone(endpoint id.Endpoint, missing error) error {
	all, err := p.endpointsByID()
	if err != nil {
		return err
	}
	if gone, ok := all[endpoint]; ok {
		return deletedEndpoint{gone}
	}
	return missing
}

// showTombstone says what is left of a deleted endpoint.
func (p *page) showTombstone(e webhook.Endpoint) error {
	switch {
	case p.poll(): // which ends
		p.W.WriteHeader(http.StatusNotFound)
		return nil
	case p.Fragment():
		return p.problem(pages.Problem{Status: http.StatusNotFound, Title: e.DisplayName() + " was deleted", Text: "What you see is as it was before."})
	}
	v := pages.EndpointGone{
		Shell:   p.Shell(e.DisplayName()+" (deleted)", "/endpoints"),
		Heading: ui.Heading{Title: e.DisplayName(), Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Badges: []ui.Badge{{Tone: ui.Neutral, Icon: "trash", Label: "Deleted"}}},
		Text:    "This endpoint was deleted. Its keys and its secret are gone and every payload held for it was erased; what was recorded stays readable.",
		Facts: []ui.Fact{
			{Term: "Endpoint", ID: idPtr(ui.NewID(e.ID.String(), "endpoint id", ""))},
			{Term: "Address", Text: addressOf(e.URL), Mono: true},
			{Term: "Created", Time: exactPtr(p, &e.CreatedAt)},
			{Term: "Deleted", Time: exactPtr(p, e.DeletedAt)},
		},
		Actions: []ui.Action{{Label: "Its deliveries", Icon: "delivery", Href: link("/deliveries", "endpoint", e.ID.String())}},
	}
	if p.Can(access.AuditRead) {
		v.Actions = append(v.Actions, ui.Action{Label: "Its audit log", Icon: "audit", Href: link("/audit", "target", e.ID.String())})
	}
	return p.Render(http.StatusNotFound, pages.EndpointGonePage(v))
}

func idPtr(v ui.ID) *ui.ID { return &v }

// exactPtr is an exact time for a fact; nil stays nil.
func exactPtr(p *page, t *time.Time) *ui.Time {
	if t == nil {
		return nil
	}
	exact, other := p.Exact(*t), ui.Away(*t, p.Now, p.Zone())
	exact.Other = &other
	return &exact
}

// endpointState is what the head of an endpoint's pages is made of.
type endpointState struct {
	pages.EndpointHead
	vitals   vitals
	health   health
	standing delivery.Standing
	key      *webhook.Key
	day      []delivery.HourStats
}

// endpointHead loads the head of an endpoint's pages; tab is the sub-page shown.
func (p *page) endpointHead(e webhook.Endpoint, tab string) (endpointState, error) {
	var st endpointState
	keys, err := webhook.ActiveKeys(p.DB.Reader(p.Ctx), p.Actor.Organization)
	if err != nil {
		return st, err
	}
	if k, ok := keys[e.ID]; ok {
		st.key = &k
	}
	standings, err := p.Deliveries.Standings(p.Ctx, p.Actor)
	if err != nil {
		return st, err
	}
	st.standing = standings[e.ID]
	if st.day, err = p.Deliveries.Hours(p.Ctx, p.Actor, dayStart(p.Now), p.Now, e.ID); err != nil {
		return st, err
	}
	st.vitals = vitalsOf(e, st.key != nil, st.standing, st.day, p.Now)
	st.health = judge(st.vitals)
	path := endpointPath(e.ID)
	st.Heading = ui.Heading{
		Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Title: e.DisplayName(),
		Badges: []ui.Badge{p.healthDoor(e.ID, st.health)},
		Sub:    []ui.SubItem{{Text: e.URL, Mono: true}, {ID: idPtr(ui.NewID(e.ID.String(), "endpoint id", ""))}},
	}
	switch {
	case st.standing.LastSuccess != nil:
		st.Heading.Sub = append(st.Heading.Sub, ui.SubItem{Lead: "Last 2xx", Time: exactPtr(p, st.standing.LastSuccess)})
	case st.health == healthFailing:
		st.Heading.Sub = append(st.Heading.Sub, ui.SubItem{Text: "Never a 2xx"})
	}
	streak, err := p.Deliveries.Streak(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return st, err
	}
	if streak.Deliveries > 0 {
		st.Heading.Sub = append(st.Heading.Sub, ui.SubItem{Text: streakWords(streak), Href: path + "/deliveries"})
	}
	st.Heading.Actions = p.offered(access.WebhooksWrite, append(endpointActions(e, st.key != nil, path+tabPath(tab), false),
		ui.Action{Label: "Recover…", Icon: "loop", Href: path + "/recover", Name: "Recover what failed at " + e.DisplayName()})...)
	st.SubNav = ui.SubNav{Label: e.DisplayName()}
	for _, t := range []struct{ name, label string }{
		{"overview", "Overview"}, {"deliveries", "Deliveries"}, {"keys", "Keys"}, {"secret", "Secret"}, {"settings", "Settings"}, {"activity", "Activity"},
	} {
		l := ui.Link{Label: t.label, Href: path + tabPath(t.name), Current: t.name == tab}
		if t.name == "deliveries" && st.standing.Waiting+st.standing.Parked > 0 {
			l.Count, l.CountHref, l.CountOf = ui.Count(st.standing.Waiting+st.standing.Parked), link(l.Href, "status", anyWaiting), "waiting"
		}
		st.SubNav.Items = append(st.SubNav.Items, l)
	}
	return st, nil
}

// streakWords says how the latest deliveries ended.
func streakWords(s delivery.Streak) string {
	n := counted(s.Deliveries, "delivery", "deliveries")
	if s.More {
		n = ui.Count(s.Deliveries) + "+ deliveries"
	}
	if s.Delivered {
		return n + " in a row with a 2xx"
	}
	return n + " in a row without a 2xx"
}

func tabPath(tab string) string {
	if tab == "overview" {
		return ""
	}
	return "/" + tab
}

func showEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	st, err := p.endpointHead(e, "overview")
	if err != nil {
		return err
	}
	s := spanOf(p.Query("range"))
	hours, err := p.Deliveries.Hours(p.Ctx, p.Actor, p.Now.Add(-time.Duration(s.hours)*time.Hour), p.Now, e.ID)
	if err != nil {
		return err
	}
	buckets := bucketsOf(hours, s, p.Now, p.Zone())
	counts, err := p.Deliveries.Errors(p.Ctx, p.Actor, buckets[0].From, p.Now, e.ID)
	if err != nil {
		return err
	}
	list, err := p.Deliveries.List(p.Ctx, p.Actor, delivery.Filter{EndpointID: e.ID}, postgres.Page{Limit: 8})
	if err != nil {
		return err
	}
	path := endpointPath(e.ID)
	st.Heading.Range, st.Heading.RangeOf = p.rangeLinks(s, spans[1:]...), "Range"
	within := func(from, to time.Time) string {
		return link(path+"/deliveries", "from", p.FormTime(from), "to", p.FormTime(to.Add(-time.Minute)))
	}
	from := p.FormTime(buckets[0].From)
	v := pages.EndpointOverview{
		Shell: p.Shell(e.DisplayName(), "/endpoints"), Head: st.EndpointHead, Verdict: p.endpointVerdict(e, st),
		Tiles:  endpointTiles(figureDoors{list: path + "/deliveries", from: from, retry: p.retryAll(e.ID.String(), "")}, sumOf(buckets), st.standing, s),
		Volume: p.volumeChart(buckets, s, within), Latency: p.latencyChart(buckets, s, within),
		Errors: errorKinds(counts, s, nil, func(kind delivery.ErrorKind, code string) string {
			return link(path+"/deliveries", "error", string(kind), "code", code, "from", from)
		}),
		Codes: responseCodes(counts, sumOf(buckets).Attempts, path, from), Facts: p.endpointFacts(e, st), AllHref: path + "/deliveries",
	}
	if v.Schedule, v.Backlog, err = p.retrySchedule(e, st.standing); err != nil {
		return err
	}
	for _, d := range list.Rows {
		v.Recent = append(v.Recent, withoutEndpoint(p.deliveryRow(d, nil, nil)))
	}
	return p.Render(http.StatusOK, pages.EndpointOverviewPage(v))
}

// endpointVerdict adds what this person can do about the verdict.
func (p *page) endpointVerdict(e webhook.Endpoint, st endpointState) ui.Verdict {
	v, path := verdict(st.health, st.standing, st.vitals.Day), endpointPath(e.ID)
	switch st.health {
	case healthNoKey:
		v.Actions = p.offered(access.WebhooksWrite, ui.Action{Label: "Add a key", Icon: "key", Href: path + "/keys", Kind: "primary"})
	case healthFailing, healthDegraded:
		v.Actions = []ui.Action{{Label: "See failures", Href: failuresHref(e.ID, st.standing)}}
		if st.standing.Held > 0 {
			v.Actions = append(v.Actions, p.offered(access.WebhooksWrite, ui.Action{
				Label: "Recover failed deliveries…", Icon: "loop", Href: path + "/recover", Kind: "primary",
			})...)
		}
	case healthPaused, healthUnproven, healthOK:
	}
	return v
}

func endpointTiles(to figureDoors, sum delivery.Stats, now delivery.Standing, s span) []ui.Tile {
	tiles := overviewTiles(to, sum, now, ui.Bar{}, s)
	waiting := ui.Tile{
		Label: "Waiting", Number: ui.Count(now.Waiting + now.Parked), Href: to.behind("status", anyWaiting),
		Note: ui.Count(now.Retrying) + " after a failed attempt", NoteHref: to.behind("status", string(delivery.StateRetrying)),
	}
	if now.Parked > 0 {
		waiting.Note, waiting.NoteHref = ui.Count(now.Parked)+" parked until it is resumed", to.behind("status", string(delivery.StateParked))
	}
	tiles[3] = waiting
	return tiles
}

// responseCodes counts attempts by what came back.
func responseCodes(counts []delivery.ErrorCount, attempts int, path, from string) []ui.HBar {
	byCode, failed := map[int]int{}, 0
	for _, c := range counts {
		byCode[c.StatusCode] += c.Attempts
		failed += c.Attempts
	}
	type row struct {
		label, code string
		n           int
		fill        ui.Fill
	}
	var rows []row
	if ok := attempts - failed; ok > 0 {
		rows = append(rows, row{"2xx", "2xx", ok, ui.FillOK})
	}
	for code, n := range byCode {
		r := row{strconv.Itoa(code), strconv.Itoa(code), n, ui.FillBad}
		switch {
		case code == 0:
			r.label, r.code, r.fill = "no response", noCode, ui.FillMuted
		case code < 400:
			r.fill = ui.FillWarn
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.label, b.label)) })
	var out []ui.HBar
	for _, r := range rows[:min(len(rows), 6)] {
		out = append(out, ui.HBar{Label: r.label, Count: ui.Count(r.n), Value: r.n, Max: rows[0].n, Fill: r.fill, Href: link(path+"/deliveries", "code", r.code, "from", from)})
	}
	return out
}

// retrySchedule puts the backlog onto the ruler of eight attempts.
func (p *page) retrySchedule(e webhook.Endpoint, s delivery.Standing) (ui.RetrySchedule, ui.Link, error) {
	backlog, err := p.Deliveries.Steps(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return ui.RetrySchedule{}, ui.Link{}, err
	}
	var v ui.RetrySchedule
	for i, n := range backlog.Waiting {
		step := ui.RetryStep{Label: fmt.Sprintf("Attempt %d", i+1), Delay: "at once"}
		if i > 0 {
			step.Delay = delayWords(delivery.RetryDelays()[i-1]) + " later"
		}
		if n > 0 {
			step.Waiting = ui.Count(n) + " waiting"
			step.Href = link(endpointPath(e.ID)+"/deliveries", "next", strconv.Itoa(i+1))
			step.State = "load"
		}
		v.Steps = append(v.Steps, step)
	}
	total := s.Waiting + s.Parked
	if total == 0 {
		return v, ui.Link{Label: "nothing waits"}, nil
	}
	note := counted(total, "delivery waits", "deliveries wait")
	if backlog.Partial {
		note += "; where the first " + ui.Count(backlog.Seen) + " of them stand is shown"
	}
	return v, ui.Link{Label: note, Href: link(endpointPath(e.ID)+"/deliveries", "status", anyWaiting)}, nil
}

func (p *page) endpointFacts(e webhook.Endpoint, st endpointState) []ui.Fact {
	path := endpointPath(e.ID)
	facts := []ui.Fact{{Term: "URL", Text: e.URL, Mono: true}}
	if len(e.Labels) > 0 {
		f := ui.Fact{Term: "Labels"}
		for _, l := range e.Labels {
			f.Chips = append(f.Chips, ui.Chip{Text: l})
		}
		facts = append(facts, f)
	}
	events := ui.Fact{Term: "Events"}
	for _, t := range e.SubscribedEventTypes {
		events.Chips = append(events.Chips, ui.Chip{Text: event.Type(t).Short()})
	}
	key := ui.Fact{Term: "Active key", Text: "none", Href: path + "/keys"}
	if st.key != nil {
		key = ui.Fact{Term: "Active key", Text: st.key.KeyID, Mono: true, Href: path + "/keys", Sub: st.key.Thumbprint, SubMono: true}
	}
	secret := ui.Fact{Term: "Secret set", Time: exactPtr(p, &e.SigningSecretRotatedAt)}
	if e.InOverlap(p.Now) {
		secret.Sub = "The former secret signs too, until " + p.Moment(*e.PreviousSigningSecretExpiresAt)
	}
	return append(facts, events, key, secret,
		ui.Fact{Term: "Retention", Text: retentionLabel(e.UndeliveredPayloadRetentionHours), Href: path + "/settings"},
		ui.Fact{Term: "Created", Time: exactPtr(p, &e.CreatedAt)}, ui.Fact{Term: "Changed", Time: exactPtr(p, &e.UpdatedAt)})
}
