package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// endpointEntry is an endpoint of the list with what it is filtered and sorted by.
type endpointEntry struct {
	webhook.Endpoint
	vitals   vitals
	health   health
	standing delivery.Standing
}

func listEndpoints(p *page) error {
	f, err := p.loadFleet()
	if err != nil {
		return err
	}
	v := pages.EndpointsResults{CSRF: p.Session.CSRFToken}
	entries := p.filteredEndpoints(f)
	if kind, found := firstID(p.Query("q")); len(entries) == 0 && kind != "" && p.filteredOnlyBy("q") { // of something else, or of an endpoint that was deleted
		return p.Redirect(link(findPath, "q", found), ui.Flash{})
	}
	for _, e := range entries {
		v.Rows = append(v.Rows, p.endpointRow(f, e, p.With()))
	}
	v.Active = p.activeFilters(
		[3]string{"q", "Text", p.Query("q")}, [3]string{"health", "Health", lowerFirst(healthBadge(health(p.Query("health"))).Label)},
		[3]string{"event", "Event", event.Type(p.Query("event")).Short()}, [3]string{"label", "Label", p.Query("label")},
	)
	switch {
	case len(v.Rows) > 0:
		v.Pager = ui.Pager{Shown: counted(len(v.Rows), "endpoint", "endpoints")}
	case len(v.Active.Items) > 0:
		v.State.NoMatch = noMatch("endpoints", v.Active)
	default:
		v.State.Empty = p.noEndpoints()
		p.offerReceiver(v.State.Empty)
	}
	v.Status = counted(len(v.Rows), "endpoint", "endpoints")
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.EndpointsList(v))
	}
	heading := ui.Heading{Title: "Endpoints", Actions: append(p.labelActions(f.endpoints, p.Query("label")), p.offered(access.WebhooksWrite, createEndpointAction())...)}
	return p.Render(http.StatusOK, pages.EndpointsPage(pages.Endpoints{
		Shell: p.Shell("Endpoints", "/endpoints"), Heading: heading, Filters: p.endpointFilters(f), Results: v,
	}))
}

func createEndpointAction() ui.Action {
	return ui.Action{Label: "Create endpoint", Icon: "plus", Href: "/endpoints/new", Kind: "primary"}
}

// offerReceiver tells those who have no receiver yet how to run ours.
func (p *page) offerReceiver(v *ui.Empty) {
	if !p.Can(access.WebhooksWrite) {
		return
	}
	v.Text += " Without a receiver of your own, make a key pair, create an endpoint at http://127.0.0.1:3000/ with the public half as its key, and run the built-in one:"
	if !p.Webhooks.AllowPrivate {
		v.Text = strings.Replace(v.Text, "http://127.0.0.1:3000/", "the https address of a tunnel to port 3000 (addresses of this machine need ALLOW_PRIVATE_ENDPOINTS=true)", 1)
	}
	v.Sample = "bin/web keygen --kid key-1 --out keys\nbin/web listen --secret whsec_… --key key-1=keys/private.pem"
}

func (p *page) endpointFilters(f *fleet) ui.Filters {
	healthOptions := []ui.Option{{Label: "Any"}}
	for _, h := range healths() {
		healthOptions = append(healthOptions, ui.Option{Value: string(h), Label: healthBadge(h).Label})
	}
	events := []ui.Option{{Label: "Any"}}
	for _, t := range event.SubscribableTypes() {
		events = append(events, ui.Option{Value: string(t), Label: t.Short()})
	}
	var labels []string
	for _, e := range f.endpoints {
		labels = append(labels, e.Labels...)
	}
	v := ui.Filters{
		Action: "/endpoints",
		Search: &ui.SearchBox{Label: "Find an endpoint", Placeholder: "Name, URL or id", Value: p.Query("q")},
		Fields: []ui.FilterField{p.selectField("health", "Health", healthOptions...), p.selectField("event", "Event", events...)},
	}
	if len(labels) > 0 {
		v.Fields = append(v.Fields, labelField("Label", p.Query("label"), labels))
	}
	sort := p.selectField("sort", "Sort by", ui.Option{Label: "Newest"}, ui.Option{Value: "health", Label: "Health, worst first"},
		ui.Option{Value: "failures", Label: "Failures in 24 h"}, ui.Option{Value: "last", Label: "Last delivery"})
	sort.Set = false // an order excludes nothing
	v.Fields = append(v.Fields, sort)
	return v
}

func (f *fleet) entry(e webhook.Endpoint) endpointEntry {
	v := f.vitals(e)
	return endpointEntry{Endpoint: e, vitals: v, standing: f.standings[e.ID], health: judge(v)}
}

// filteredEndpoints applies the filters and the order of the list.
func (p *page) filteredEndpoints(f *fleet) []endpointEntry {
	text, label := strings.ToLower(p.Query("q")), p.Query("label")
	var out []endpointEntry
	for _, e := range f.endpoints {
		entry := f.entry(e)
		haystack := strings.ToLower(e.DisplayName() + "\n" + e.URL + "\n" + e.ID.String())
		switch {
		case text != "" && !strings.Contains(haystack, text),
			label != "" && !e.Labelled(label),
			p.Query("health") != "" && p.Query("health") != string(entry.health),
			p.Query("event") != "" && !e.Subscribes(event.Type(p.Query("event"))):
			continue
		}
		out = append(out, entry)
	}
	var order func(a, b endpointEntry) int
	switch p.Query("sort") {
	case "health":
		order = func(a, b endpointEntry) int { return cmp.Compare(a.health.rank(), b.health.rank()) }
	case "failures":
		order = func(a, b endpointEntry) int { return cmp.Compare(failuresOf(b.vitals.Day), failuresOf(a.vitals.Day)) }
	case "last":
		order = func(a, b endpointEntry) int {
			return timeOf(b.standing.LastAttempt).Compare(timeOf(a.standing.LastAttempt))
		}
	default:
		return out
	}
	slices.SortStableFunc(out, order)
	return out
}

func failuresOf(s delivery.Stats) int {
	return s.FirstAttempts - s.FirstSucceeded + s.Failed - s.Withdrawn
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// shortThumbprint is the beginning of a key's thumbprint: enough to tell keys apart by eye.
func shortThumbprint(k webhook.Key) string { return k.Thumbprint[:min(8, len(k.Thumbprint))] }

// endpointRow is one endpoint of the list; its forms come back to the list at the address back.
func (p *page) endpointRow(f *fleet, e endpointEntry, back string) pages.EndpointRow {
	path := endpointPath(e.ID)
	row := pages.EndpointRow{
		ID: e.ID.String(), Name: e.DisplayName(), Href: path, Address: addressOf(e.URL), Labels: e.Labels, Health: p.healthDoor(e.ID, e.health),
		Events:     fmt.Sprintf("%d / %d", len(e.SubscribedEventTypes), len(event.SubscribableTypes())),
		EventsHref: path + "/settings#f-events", NoKey: "No key",
		KeyHref: path + "/keys", Spark: spark(e.DisplayName(), f.hours[e.ID], p.Now),
		FirstTry: percent(e.vitals.Day.FirstSucceeded, e.vitals.Day.FirstAttempts),
		Waiting:  ui.Count(e.standing.Waiting + e.standing.Parked), Last: p.AtPtr(e.standing.LastAttempt),
	}
	if k, ok := f.keys[e.ID]; ok {
		row.KeyID, row.KeyPrint = k.KeyID, shortThumbprint(k)
	}
	if ms, ok := e.vitals.Day.Latency.Quantile(0.95); ok {
		slow, _ := e.vitals.Day.Latency.Slowest(0.95)
		row.P95, row.P95Href = ui.Millis(int(ms)), p.dayHref(e.ID, "took", tookAtLeast(slow))
	}
	if row.FirstTry != "" {
		row.FirstHref = p.dayHref(e.ID)
	}
	if e.standing.Waiting+e.standing.Parked > 0 {
		row.WaitHref = link(path+"/deliveries", "status", anyWaiting)
	}
	if p.Can(access.WebhooksWrite) {
		row.NoKey = "Add a key"
	}
	row.Actions = p.offered(access.WebhooksWrite, append(endpointActions(e.Endpoint, e.vitals.HasKey, back, true),
		ui.Action{Icon: "trash", Kind: "icon", Href: path + "/delete", Dialog: true, Name: "Delete " + row.Name + "…"})...)
	return row
}

// endpointRowID is the element that shows an endpoint in the list.
func endpointRowID(e id.Endpoint) string { return "row-" + e.String() }

// endpointActions are the buttons of an endpoint, in its row of the list or on its own pages. Their forms come back to the page at
// the address back.
func endpointActions(e webhook.Endpoint, hasKey bool, back string, row bool) []ui.Action {
	path, name, fields := endpointPath(e.ID), e.DisplayName(), []ui.Hidden{{Name: "return", Value: back}}
	test := ui.Action{Label: "Send test", Icon: "flask", Href: path + "/test", Post: true, Fields: fields, Small: row, Name: "Send test event to " + name}
	switch {
	case !e.Enabled:
		test.Disabled = "Resume the endpoint first"
	case !hasKey:
		test.Disabled = "Add a key first"
	}
	toggle := ui.Action{Label: "Pause", Icon: "pause", Href: path + "/pause", Post: true, Fields: fields, Small: row, Name: "Pause " + name}
	if !e.Enabled {
		toggle.Label, toggle.Icon, toggle.Href, toggle.Name = "Resume", "play", path+"/resume", "Resume "+name
	}
	if row { // elsewhere most of the page depends on it
		toggle.Swap, toggle.ID = endpointRowID(e.ID), "toggle-"+e.ID.String()
	}
	return []ui.Action{test, toggle}
}

// dayHref is the list of an endpoint's deliveries in the 24 hours by which its health is judged.
func (p *page) dayHref(e id.Endpoint, filters ...string) string {
	return link(endpointPath(e)+"/deliveries", append(filters, "from", p.FormTime(dayStart(p.Now)))...)
}

// addressOf is host and path of a URL; a query may hold a token and has no place in a list.
func addressOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return webhook.Origin(raw)
	}
	return u.Host + u.EscapedPath()
}

// spark draws 24 hours of an endpoint.
func spark(name string, hours []delivery.HourStats, now time.Time) ui.Spark {
	s := ui.Spark{Bars: make([]ui.SparkBar, 24)}
	first, sent, failed := dayStart(now), 0, 0
	for _, h := range hours {
		i := int(h.Hour.Sub(first) / time.Hour)
		if i < 0 || i >= len(s.Bars) {
			continue
		}
		bad := h.FirstAttempts - h.FirstSucceeded
		s.Bars[i].Value += h.FirstAttempts
		s.Bars[i].Bad += bad
		sent, failed = sent+h.FirstAttempts, failed+bad
	}
	s.Label = fmt.Sprintf("%s: 24 hours, %s, %s not 2xx", name, counted(sent, "first attempt", "first attempts"), ui.Count(failed))
	return s
}
