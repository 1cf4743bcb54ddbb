package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// eventParts is everything that the page of an event is made of.
type eventParts struct {
	event.Event
	deliveries map[id.Endpoint]delivery.Delivery
	endpoints  map[id.Endpoint]webhook.Endpoint
	keys       map[id.Endpoint]webhook.Key // active ones, where a delivery was blocked
	reach      reach
}

func (p *page) loadEvent() (eventParts, error) {
	evt, err := pathID[id.EventKind](p, "id", event.ErrNotFound)
	if err != nil {
		return eventParts{}, err
	}
	v := eventParts{deliveries: map[id.Endpoint]delivery.Delivery{}}
	if v.Event, err = event.Get(p.Ctx, p.DB, p.Actor, evt); err != nil {
		return v, err
	}
	all, err := p.Deliveries.OfEvents(p.Ctx, p.Actor, []id.Event{evt})
	if err != nil {
		return v, err
	}
	for _, d := range all[evt] {
		v.deliveries[d.WebhookEndpointID] = d
	}
	v.reach = reachOf(v.Routing, all[evt], p.Now)
	if v.endpoints, err = p.endpointsByID(); err != nil {
		return v, err
	}
	v.keys, err = p.keysIfBlocked(all[evt]...)
	return v, err
}

// resendable counts the deliveries that a replay would make due.
func (v eventParts) resendable(p *page) int {
	n := 0
	for _, d := range v.deliveries {
		e := v.endpoints[d.WebhookEndpointID]
		if (story{Delivery: d, Now: p.Now, Paused: !e.Enabled, Gone: e.DeletedAt != nil}).retryRefusal() == "" {
			n++
		}
	}
	return n
}

func showEvent(p *page) error { return p.renderEvent(http.StatusOK) }

func (p *page) renderEvent(status int) error {
	v, err := p.loadEvent()
	if err != nil {
		return err
	}
	return p.Render(status, pages.EventPage(p.eventPage(v)))
}

func (p *page) eventPage(v eventParts) pages.Event {
	text := v.ID.String()
	number := ui.NewID(text, "event id", "")
	subject := subjectOf(v.Event, "")
	replay := ui.Action{Label: "Replay", Icon: "loop", Href: eventsPath + "/" + text + "/replay", Post: true}
	if n := v.resendable(p); n > 0 {
		replay.Label = "Replay to " + counted(n, "endpoint", "endpoints")
	} else {
		replay.Disabled = "No delivery of this event can be sent again now."
	}
	out := pages.Event{
		Shell: p.Shell("Event "+ui.ShortID(text), eventsPath),
		Heading: ui.Heading{
			Crumbs: []ui.Link{{Label: "Events", Href: eventsPath}}, Title: v.Type.Short(), ID: &number, Badges: []ui.Badge{v.reach.badge()},
			Actions: p.offered(access.WebhooksWrite, replay), Sub: []ui.SubItem{{Lead: "about", ID: &subject}, {Time: exactPtr(p, &v.CreatedAt)}},
		},
		Verdict: eventVerdict(v), RoutedAt: counted(len(v.Routing), "endpoint", "endpoints") + " existed at " + v.CreatedAt.In(p.Zone()).Format("15:04:05 MST"),
		Facts: p.eventFacts(v), Payload: p.payloadFacts(v),
	}
	if v.Type == event.Test {
		out.Heading.Badges = append(out.Heading.Badges, ui.TestBadge())
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(v.deliveries)), func(d delivery.Delivery) bool { return d.Status == delivery.Pending || d.Status == delivery.Delivering }) {
		out.Heading.Live = p.liveNote()
	}
	for _, r := range v.Routing {
		out.Routing = append(out.Routing, p.routeRow(v, r))
	}
	// What needs a look comes first; the record itself is in the order of the endpoints' ids.
	slices.SortStableFunc(out.Routing, func(a, b pages.RouteRow) int { return cmp.Compare(routeRank(a), routeRank(b)) })
	return out
}

func routeRank(r pages.RouteRow) int {
	switch {
	case r.Delivery == nil:
		return 3
	case r.Delivery.Tone == ui.Bad:
		return 0
	case r.Delivery.Tone == ui.OK:
		return 2
	}
	return 1
}

// eventVerdict says whom the event reached.
func eventVerdict(v eventParts) ui.Verdict {
	badge := v.reach.badge()
	out := ui.Verdict{Tone: badge.Tone, Icon: badge.Icon, Say: upperFirst(v.reach.words()) + "."}
	switch r := v.reach; {
	case len(v.Routing) == 0:
		out.Say = "No endpoint existed when this event happened, so it was sent to nobody."
		out.Next = "An event is never sent to endpoints that came later."
	case r.sent() == 0:
		out.Say = "This event was sent to nobody: " + counted(r.Skipped, "endpoint was", "endpoints were") + " skipped, each for the reason below."
		out.Next = "An event is routed once, when it happens; nothing is sent later."
	case r.Failed > 0:
		out.Next = "The deliveries below say why. A replay sends again to every endpoint that has not received it, where the payload is still held."
	case r.Retrying+r.Waiting > 0:
		out.Next = "What waits goes on by itself on its schedule."
	case r.Delivered > 0 && r.Skipped == 0 && r.Withdrawn == 0:
		out.Say = "Delivered to " + counted(r.Delivered, "endpoint", "endpoints") + "."
	}
	if v.SupersededByEventID != nil {
		out.Next = strings.TrimSpace(out.Next + " The person withdrew afterwards: a cancelled event took this one's place where it had not been delivered.")
	}
	return out
}

func (p *page) routeRow(v eventParts, r event.Route) pages.RouteRow {
	e, known := v.endpoints[r.EndpointID]
	word, why := routeWords(r.Reason)
	row := pages.RouteRow{
		Key: r.EndpointID.String(), Endpoint: e.DisplayName(), Href: endpointPath(r.EndpointID), Host: addressOf(e.URL),
		Gone: e.DeletedAt != nil, Decision: ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: word}, Reason: string(r.Reason), Why: why,
	}
	if !known { // its row was purged
		row.Endpoint, row.Host, row.Gone = ui.ShortID(r.EndpointID.String()), "", true
	}
	switch r.Reason {
	case event.NoActiveKey, event.EncryptionFailed:
		row.Decision.Tone, row.Decision.Icon = ui.Bad, "blocked"
		if wantsKey(v.deliveries[r.EndpointID], e, v.keys) && known {
			row.Action = p.offer(access.WebhooksWrite, ui.Action{Label: "Add a key", Href: row.Href + "/keys", Small: true, Name: "Add a key for " + row.Endpoint})
		}
	default:
		if r.Decision == event.Delivered {
			row.Decision.Tone, row.Decision.Icon = ui.Neutral, "arrow"
		}
	}
	d, ok := v.deliveries[r.EndpointID]
	if !ok {
		if row.Action == nil && !row.Gone && v.Type != event.Test { // a test is made for one endpoint
			row.Action = &ui.Action{
				Label: "Send", Icon: "arrow", Small: true, Name: "Send to " + row.Endpoint,
				Disabled: "Nothing was encrypted for this endpoint when the event happened, so there is nothing to send. Its server can read the session over the API.",
			}
		}
		return row
	}
	badge, strip := statusBadge(d), attemptStrip(d)
	row.Delivery, row.Strip, row.DelHref = &badge, &strip, deliveriesPath+"/"+d.ID.String()
	if row.PollEvery = p.watch(d); row.PollEvery != "" {
		row.PollHref = link(eventsPath+"/"+v.ID.String()+"/routes/"+row.Key, "live", p.Query("live"), seenParam, routeVersion(d))
	}
	s := story{Delivery: d, Now: p.Now, Paused: !e.Enabled, Gone: row.Gone}
	if row.Action == nil && s.retryRefusal() == "" && (d.Status == delivery.Failed || d.AttemptCount > 0) {
		row.Action = p.offer(access.WebhooksWrite, ui.Action{
			Label: "Retry", Icon: "loop", Href: row.DelHref + "/retry", Post: true, Small: true, Name: "Retry the delivery to " + row.Endpoint,
			Fields: []ui.Hidden{{Name: "run", Value: strconv.Itoa(d.Run)}, {Name: "return", Value: eventsPath + "/" + v.ID.String()}},
		})
	}
	return row
}

// routeVersion changes with what the line of a delivery shows.
func routeVersion(d delivery.Delivery) string {
	return fmt.Sprintf("%s.%d.%d", d.Status, d.Run, d.UpdatedAt.UnixMicro())
}

// showRoute is one line of the routing table, for a delivery in flight that asks for itself, and with it what the page says of all.
func showRoute(p *page) error {
	v, err := p.loadEvent()
	if err != nil {
		return err
	}
	for _, r := range v.Routing {
		if r.EndpointID.String() != p.R.PathValue("endpoint") {
			continue
		}
		if seen := p.Query(seenParam); seen != "" && seen == routeVersion(v.deliveries[r.EndpointID]) {
			return p.NoChange()
		}
		return p.Render(http.StatusOK, pages.RouteSwap(p.eventPage(v), p.routeRow(v, r)))
	}
	return webhook.ErrEndpointNotFound
}

func (p *page) eventFacts(v eventParts) []ui.Fact {
	number, subject := ui.NewID(v.ID.String(), "event id", ""), subjectOf(v.Event, "id")
	about := "Session"
	if v.TriggerType == event.ByWebhookEndpoint {
		about = "Tested endpoint"
	}
	facts := []ui.Fact{
		{Term: "Event", ID: &number, Sub: "the same in every retry and replay; receivers drop repeats by it"},
		{Term: "Type", Text: string(v.Type), Mono: true},
		{Term: about, ID: &subject},
		{Term: "Created", Time: exactPtr(p, &v.CreatedAt)},
	}
	if v.SupersededByEventID != nil {
		other := ui.NewID(v.SupersededByEventID.String(), "", eventsPath+"/"+v.SupersededByEventID.String())
		facts = append(facts, ui.Fact{Term: "Replaced by", ID: &other, Sub: "on withdrawal, where it had not been delivered"})
	}
	if v.ReplacesEventID != nil {
		other := ui.NewID(v.ReplacesEventID.String(), "", eventsPath+"/"+v.ReplacesEventID.String())
		facts = append(facts, ui.Fact{Term: "Replaces", ID: &other, Sub: "after a withdrawal"})
	}
	return facts
}

func (p *page) payloadFacts(v eventParts) []ui.Fact {
	facts := []ui.Fact{
		{Term: "Format", Text: fmt.Sprintf("contract version %d", event.ContractVersion), Href: "/help/receivers"},
		{Term: "Readable here", Text: "never", Sub: "It was encrypted to each receiver's key when the event happened; the plaintext was stored nowhere."},
		{Term: "Encrypted copies", Text: v.reach.held(), Sub: p.goneSince(v)},
	}
	smallest, largest := 0, 0
	for _, d := range v.deliveries {
		if d.PayloadBytes > 0 {
			largest = max(largest, d.PayloadBytes)
			if smallest == 0 || d.PayloadBytes < smallest {
				smallest = d.PayloadBytes
			}
		}
	}
	switch {
	case largest == 0:
	case smallest == largest:
		facts = append(facts, ui.Fact{Term: "Size", Text: ui.Bytes(int64(largest))})
	default:
		facts = append(facts, ui.Fact{Term: "Size", Text: ui.Bytes(int64(smallest)) + " to " + ui.Bytes(int64(largest)), Sub: "it varies with the receiver's key"})
	}
	return facts
}

// goneSince says since when there is nothing left of what was encrypted.
func (p *page) goneSince(v eventParts) string {
	var last time.Time
	for _, d := range v.deliveries {
		if d.PayloadHeld(p.Now) {
			return ""
		}
		for _, end := range []*time.Time{d.PayloadScrubbedAt, d.PayloadExpiresAt} { // the latter where it is over and not yet swept
			if d.State() != delivery.StateBlocked && end != nil && end.After(last) {
				last = *end
			}
		}
	}
	if last.IsZero() {
		return ""
	}
	return "gone since " + p.Moment(last)
}

// replayEvent sends an event again to every endpoint that has not received it.
func replayEvent(p *page) error {
	v, err := p.loadEvent()
	if err != nil {
		return err
	}
	path := eventsPath + "/" + v.ID.String()
	n := v.resendable(p)
	_, err = p.Deliveries.Replay(p.Ctx, p.Actor, v.ID)
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict && !p.Fragment() {
		p.Flash(ui.Flash{Tone: ui.Bad, Text: f.Message, Sub: strings.TrimSpace("Nothing was changed. " + f.Hint)})
		return p.renderEvent(http.StatusConflict)
	}
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "Replayed: " + counted(max(n, 1), "delivery is", "deliveries are") + " due now."}
	if skipped := len(v.deliveries) - max(n, 1); skipped > 0 {
		flash.Sub = counted(skipped, "delivery was", "deliveries were") + " left alone: received already, in flight, or without a payload."
	}
	return p.Redirect(p.Back(path), flash)
}
