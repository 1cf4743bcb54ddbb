package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// sessionParts is everything that the page of a session is made of.
type sessionParts struct {
	verification.Session
	events     []event.Event // oldest first
	deliveries map[id.Event][]delivery.Delivery
	endpoints  map[id.Endpoint]webhook.Endpoint
	keys       map[id.Endpoint]webhook.Key // active ones, where a delivery was blocked
	log        []audit.Entry               // oldest first
}

// version changes with everything that the page shows, so that a poll can tell whether to redraw.
func (v sessionParts) version() string {
	text := fmt.Sprintf("%s.%d", v.Status, v.UpdatedAt.UnixMicro())
	for _, e := range v.events {
		text += "-" + e.ID.String()
		for _, d := range v.deliveries[e.ID] {
			text += fmt.Sprintf(".%s.%d", d.Status, d.UpdatedAt.UnixMicro())
		}
	}
	return text
}

func (p *page) session() (verification.Session, error) {
	vs, err := pathID[id.SessionKind](p, "id", verification.ErrNotFound)
	if err != nil {
		return verification.Session{}, err
	}
	return p.Sessions.Get(p.Ctx, p.Actor, vs)
}

func (p *page) loadSession() (v sessionParts, err error) {
	if v.Session, err = p.session(); err != nil {
		return v, err
	}
	if v.events, err = event.OfSessions(p.DB.Reader(p.Ctx), p.Actor.Organization, []id.Session{v.ID}); err != nil {
		return v, err
	}
	if v.deliveries, err = p.deliveriesOf(v.events); err != nil {
		return v, err
	}
	if v.keys, err = p.keysIfBlocked(slices.Concat(slices.Collect(maps.Values(v.deliveries))...)...); err != nil {
		return v, err
	}
	if v.endpoints, err = p.endpointsByID(); err != nil {
		return v, err
	}
	entries, err := audit.List(p.Ctx, p.DB, p.Actor, audit.Filter{TargetID: v.ID.String(), EventPrefix: "session."}, postgres.Page{Limit: 100})
	v.log = entries.Rows
	slices.Reverse(v.log)
	// What one transaction wrote has one time and no order of its own.
	slices.SortStableFunc(v.log, func(a, b audit.Entry) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(sessionRank(a.Event), sessionRank(b.Event)))
	})
	return v, err
}

// sessionRank is the place of an audit event among those of the same moment.
func sessionRank(name string) int {
	order := []string{"session.created", "session.started", "session.check.failed", "session.privacy_request.submitted"}
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order) // what ended the session
}

func showSession(p *page) error {
	v, err := p.loadSession()
	if err != nil {
		return err
	}
	body := p.sessionBody(v)
	seen := v.version()
	if p.Fragment() && p.Query(seenParam) == seen {
		return p.NoChange()
	}
	if body.PollHref != "" {
		body.PollHref = link(body.PollHref, seenParam, seen)
	}
	if p.Fragment() && v.Status.Active() {
		return p.Render(http.StatusOK, pages.SessionRegion(body))
	}
	text := v.ID.String()
	heading := ui.Heading{
		Crumbs: []ui.Link{{Label: "Sessions", Href: sessionsPath}}, Title: "Session", ID: idPtr(ui.NewID(text, "session id", "")),
	}
	if !v.Status.Active() || !p.live() { // the heading is not polled, and a badge that lags behind would mislead
		heading.Badges = []ui.Badge{sessionBadge(v.Status)}
	}
	if v.Status.Active() {
		heading.Live = p.liveNote()
		heading.Actions = p.offered(access.SessionsWrite,
			ui.Action{Label: "Cancel session…", Icon: "square", Href: sessionsPath + "/" + text + "/cancel", Kind: "danger", Dialog: true})
	}
	page := pages.Session{Shell: p.Shell("Session "+ui.ShortID(text), sessionsPath), Heading: heading, Body: body}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.SessionSwap(page))
	}
	return p.Render(http.StatusOK, pages.SessionPage(page))
}

func (p *page) sessionBody(v sessionParts) pages.SessionBody {
	body := pages.SessionBody{CSRF: p.Session.CSRFToken, Verdict: p.sessionVerdict(v), Steps: p.sessionSteps(v), Facts: p.sessionFacts(v)}
	body.PollEvery = p.watch(slices.Concat(slices.Collect(maps.Values(v.deliveries))...)...)
	if v.Status.Active() && p.live() {
		body.PollEvery = ui.Every(5 * time.Second)
	}
	if body.PollEvery != "" {
		body.PollHref = link(sessionsPath+"/"+v.ID.String(), "live", p.Query("live"))
	}
	for _, e := range v.events {
		for _, d := range v.deliveries[e.ID] {
			body.Deliveries = append(body.Deliveries, p.deliveryRow(d, v.endpoints, v.keys))
		}
	}
	switch {
	case len(v.events) == 0:
		body.NoEvent = &ui.Empty{Icon: "event", Title: "No event yet", Text: "An event is written when the session ends, at the latest when it expires, " + p.Moment(v.ExpiresAt) + "."}
	case len(body.Deliveries) == 0:
		last := v.events[len(v.events)-1]
		body.NoEvent = &ui.Empty{
			Icon: "dash", Title: "Sent to nobody", Text: "No endpoint was to receive the event; its routing says why for each.",
			Actions: []ui.Action{{Label: "See the routing", Href: eventsPath + "/" + last.ID.String()}},
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.ShareFields)) {
		f := v.ShareFields[key]
		source := "the request"
		if f.Source == verification.FromDefault {
			source = "default"
		}
		body.Share = append(body.Share, pages.ShareField{Key: key, Required: f.Required, Source: source, Reason: f.Reason})
	}
	body.ShareNote = "Values are never stored here: they exist only encrypted to the receivers' keys."
	return body
}

// sessionVerdict says how the session ended and whom its event reached.
func (p *page) sessionVerdict(v sessionParts) ui.Verdict {
	badge := sessionBadge(v.Status)
	out := ui.Verdict{Tone: badge.Tone, Icon: badge.Icon, Say: badge.Title}
	if len(v.events) == 0 {
		if v.ExpiresAt.After(p.Now) {
			out.Next = "It is open until " + p.Moment(v.ExpiresAt) + "; then it expires by itself."
		} else {
			out.Next = "Its time is over; it is marked as expired within the next minute."
		}
		return out
	}
	last := v.events[len(v.events)-1]
	r := reachOf(last.Routing, v.deliveries[last.ID], p.Now)
	if v.FailureCode != nil {
		out.Say = "A check failed for good: " + strings.ReplaceAll(string(*v.FailureCode), "_", " ") + "."
	}
	out.Next = "Its event " + last.Type.Short() + ": " + r.words() + "."
	if r.Failed > 0 {
		out.Tone, out.Icon = ui.Bad, "warn"
		out.Say = strings.TrimSuffix(out.Say, ".") + "; " + counted(r.Failed, "delivery", "deliveries") + " of its event failed."
	}
	out.Actions = []ui.Action{{Label: "Open event", Icon: "event", Href: eventsPath + "/" + last.ID.String()}}
	if v.CancelTokenConsumedAt != nil {
		out.Next += " The person withdrew " + p.Moment(*v.CancelTokenConsumedAt) + "."
	}
	return out
}

// sessionSteps is what happened, from the audit log and the events.
func (p *page) sessionSteps(v sessionParts) []ui.Step {
	var steps []ui.Step
	for _, e := range v.log {
		step := ui.Step{Tone: ui.Neutral, Icon: "clock", Lead: auditSentence(e), Time: exactPtr(p, &e.CreatedAt)}
		switch e.Event {
		case "session.succeeded":
			step.Tone, step.Icon = ui.OK, "check"
		case "session.failed", "session.check.failed":
			step.Tone, step.Icon = ui.Warn, "cross"
		case "session.expired":
			step.Icon = "hourglass"
		case "session.cancelled", "session.privacy_request.submitted", "session.privacy_request.settled":
			step.Icon = "square"
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 || v.log[0].Event != "session.created" { // the log is kept for a year only
		steps = append([]ui.Step{{Tone: ui.Neutral, Icon: "clock", Lead: "Created", Time: exactPtr(p, &v.CreatedAt)}}, steps...)
	}
	for _, e := range v.events {
		lead := "Event"
		if e.ReplacesEventID != nil {
			lead = "Replacement event"
		}
		steps = append(steps, ui.Step{
			Tone: ui.Neutral, Icon: "event", Lead: lead, Link: &ui.Link{Label: e.Type.Short(), Href: eventsPath + "/" + e.ID.String()},
			Text: "routed: " + reachOf(e.Routing, v.deliveries[e.ID], p.Now).words(), Time: exactPtr(p, &e.CreatedAt),
		})
	}
	slices.SortStableFunc(steps, func(a, b ui.Step) int { return cmp.Compare(a.Time.RFC3339, b.Time.RFC3339) })
	if v.Status.Active() {
		exact := p.Exact(v.ExpiresAt)
		steps = append(steps, ui.Step{Tone: ui.Info, Icon: "hourglass", Lead: "Expires", Time: p.AtPtr(&v.ExpiresAt), After: &exact})
	}
	return steps
}

// auditSentence says what an audit row of a session records.
func auditSentence(e audit.Entry) string {
	var m struct {
		FailedCheck string `json:"failed_check"`
		FailureCode string `json:"failure_code"`
		Reason      string `json:"reason"`
		Delivered   int    `json:"delivered_webhook_delivery_count"`
		Scrubbed    int    `json:"scrubbed_webhook_payload_count"`
		Undecided   int    `json:"undecided_webhook_delivery_count"`
	}
	_ = json.Unmarshal(e.Metadata, &m) // a row without these members reads as zero values
	by := ""
	if e.ActorName != "" && (e.ActorType == access.User || e.ActorType == access.APIKey) {
		by = " by " + e.ActorName
	}
	words := func(code string) string { return strings.ReplaceAll(code, "_", " ") }
	switch e.Event {
	case "session.created":
		return "Created" + by
	case "session.started":
		return "The person began"
	case "session.check.failed":
		return fmt.Sprintf("A check failed (%s): %s", m.FailedCheck, words(m.FailureCode))
	case "session.succeeded":
		return "All checks passed"
	case "session.failed":
		return "Failed: " + words(m.FailureCode)
	case "session.expired":
		return "Expired"
	case "session.cancelled":
		return "Cancelled" + by + ": " + words(m.Reason)
	case "session.privacy_request.submitted":
		return fmt.Sprintf("The person withdrew: %d delivered before, %d erased, %d in flight", m.Delivered, m.Scrubbed, m.Undecided)
	case "session.privacy_request.settled":
		return fmt.Sprintf("The withdrawal is settled: %d delivered before, %d erased", m.Delivered, m.Scrubbed)
	}
	return e.Event
}

func (p *page) sessionFacts(v sessionParts) []ui.Fact {
	badge := sessionBadge(v.Status)
	facts := []ui.Fact{
		{Term: "Session", ID: idPtr(ui.NewID(v.ID.String(), "session id", ""))},
		{Term: "Status", Badge: &badge},
		{Term: "Created", Time: exactPtr(p, &v.CreatedAt)},
	}
	if v.CompletedAt != nil {
		facts = append(facts, ui.Fact{Term: "Ended", Time: exactPtr(p, v.CompletedAt)})
	} else {
		facts = append(facts, ui.Fact{Term: "Expires", Time: exactPtr(p, &v.ExpiresAt)})
	}
	if v.FailureCode != nil {
		facts = append(facts, ui.Fact{Term: "Failure code", Text: string(*v.FailureCode), Mono: true})
	}
	facts = append(facts, ui.Fact{Term: "Failed checks", Text: fmt.Sprintf("nfc %d of %d, liveness %d of %d", v.NFCTriesUsed, verification.CheckBudget, v.LivenessTriesUsed, verification.CheckBudget)})
	targets := ui.Fact{Term: "Targets", Text: targetsWord(len(v.WebhookEndpointIDs))}
	for _, e := range v.Targets() {
		name := ui.ShortID(e.String())
		if known, ok := v.endpoints[e]; ok {
			name = known.DisplayName()
		}
		targets.Chips = append(targets.Chips, ui.Chip{Text: name, Href: endpointPath(e)})
	}
	facts = append(facts, targets)
	if v.RedirectURL != nil {
		// The path may carry a token of the customer's own session.
		facts = append(facts, ui.Fact{Term: "Returns to", Text: webhook.Origin(*v.RedirectURL), Mono: true})
	}
	if v.CancelTokenConsumedAt != nil {
		facts = append(facts, ui.Fact{Term: "Withdrawn", Time: exactPtr(p, v.CancelTokenConsumedAt)})
	}
	return facts
}

func askCancelSession(p *page) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	path := sessionsPath + "/" + s.ID.String()
	if !s.Status.Active() {
		return p.Redirect(path, ui.Flash{Tone: ui.Info, Text: "This session has ended already."})
	}
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell("Cancel session", sessionsPath),
		Heading: ui.Heading{Title: "Cancel session", Crumbs: []ui.Link{{Label: "Sessions", Href: sessionsPath}, {Label: ui.ShortID(s.ID.String()), Href: path}}},
		Confirm: ui.Confirm{
			ID: "cancel", Title: "Cancel this session?", Action: path + "/cancel", Icon: "square", Danger: true, Submit: "Cancel session", BackHref: path, Back: "Keep it open",
			Effects: []string{
				"The check ends at once and cannot be resumed; the person needs a new session.",
				"Endpoints that subscribe to session.cancelled are told, with the outcome not_verified.",
			},
		},
	})
}

func cancelSession(p *page) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	if err := p.Sessions.Cancel(p.Ctx, p.Actor, s.ID); err != nil {
		return err
	}
	after, err := p.session()
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "The session is cancelled."}
	switch {
	case !s.Status.Active():
		flash = ui.Flash{Tone: ui.Info, Text: "This session had ended already; nothing was changed."}
	case after.Status != verification.Cancelled: // its time was over, or the check was faster
		flash = ui.Flash{Tone: ui.Info, Text: "The session ended before it could be cancelled: " + lowerFirst(sessionBadge(after.Status).Label) + "."}
	}
	return p.Redirect(sessionsPath+"/"+s.ID.String(), flash)
}
