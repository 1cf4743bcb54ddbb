package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// attemptsMax is how many attempts of a delivery are shown: 60 runs.
const attemptsMax = 480

// deliveryParts is everything that the page of a delivery is made of.
type deliveryParts struct {
	story
	event    event.Event
	endpoint webhook.Endpoint
	key      *webhook.Key
	// bodyHash is the SHA-256 of the body, while that is held.
	bodyHash string
	// makers are who made each run, as far as it is on record.
	makers map[int]runMaker
	// askers are who asked for single attempts: of a test, or of a run that they did not want to wait for.
	askers map[id.Attempt]string
}

func (p *page) loadDelivery() (deliveryParts, error) {
	d, err := p.delivery()
	if err != nil {
		return deliveryParts{}, err
	}
	v := deliveryParts{story: story{Delivery: d, Now: p.Now, Moment: p.Moment}, makers: map[int]runMaker{}, askers: map[id.Attempt]string{}}
	if v.Attempts, _, err = p.Deliveries.Attempts(p.Ctx, p.Actor, d.ID, delivery.AttemptsPage{Limit: attemptsMax}); err != nil {
		return v, err
	}
	if v.event, err = event.Get(p.Ctx, p.DB, p.Actor, d.EventID); err != nil {
		return v, err
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return v, err
	}
	v.endpoint = endpoints[d.WebhookEndpointID]
	v.Gone, v.Paused = v.endpoint.DeletedAt != nil, !v.endpoint.Enabled
	active, err := p.keysIfBlocked(d)
	if err != nil {
		return v, err
	}
	v.WantsKey = wantsKey(d, v.endpoint, active)
	if d.WebhookEncryptionKeyID != nil {
		keys, err := webhook.KeysByID(p.DB.Reader(p.Ctx), p.Actor.Organization, []id.Key{*d.WebhookEncryptionKeyID})
		if err != nil {
			return v, err
		}
		if k, ok := keys[*d.WebhookEncryptionKeyID]; ok {
			v.key = &k
		}
	}
	if d.PayloadExpiresAt != nil {
		if v.bodyHash, err = p.Deliveries.PayloadHash(p.Ctx, p.Actor, d.ID); err != nil {
			return v, err
		}
	}
	asked := func(t delivery.Trigger) bool {
		return slices.ContainsFunc(v.Attempts, func(a delivery.Attempt) bool { return a.Trigger == t })
	}
	if asked(delivery.TestSend) {
		if err := p.nameTester(&v); err != nil {
			return v, err
		}
	}
	if d.Run > 1 || asked(delivery.Manual) {
		return v, p.nameRuns(&v)
	}
	return v, nil
}

// nameTester finds out who sent the test event.
func (p *page) nameTester(v *deliveryParts) error {
	at := v.event.CreatedAt // the entry is of the same transaction
	entries, err := audit.List(p.Ctx, p.DB, p.Actor, audit.Filter{TargetID: v.WebhookEndpointID.String(), From: at, To: at}, postgres.Page{Limit: 100})
	if err != nil {
		return err
	}
	for _, e := range entries.Rows {
		var metadata struct {
			EventID id.Event `json:"event_id"`
		}
		if json.Unmarshal(e.Metadata, &metadata) == nil && metadata.EventID == v.EventID {
			v.askers[v.Attempts[0].ID] = e.ActorName
		}
	}
	return nil
}

// runMaker is who made a run, and the bulk retry by which they did.
type runMaker struct {
	name string
	job  *ui.Link
}

// nameRuns finds out who made the runs after the first: by a retry of the delivery, by a replay of its event, by a bulk retry. A
// replay is on record with its time only, so nobody is named where it may have been one of two.
func (p *page) nameRuns(v *deliveryParts) error {
	if err := p.nameRetries(v); err != nil {
		return err
	}
	jobs, err := p.Deliveries.JobsOf(p.Ctx, p.Actor, v.ID)
	if err != nil {
		return err
	}
	var replayed []madeRun
	for i, a := range v.Attempts {
		if i == 0 || a.Run == v.Attempts[i-1].Run {
			continue
		}
		if a.Trigger != delivery.Manual { // somebody may have hurried it, but did not make it
			delete(v.makers, a.Run)
		}
		switch a.Trigger {
		case delivery.Replay:
			replayed = append(replayed, madeRun{a.Run, v.Attempts[i-1].StartedAt, a.StartedAt})
		case delivery.Bulk:
			if job, ok := jobs[a.Run]; ok {
				v.makers[a.Run] = runMaker{job.CreatedByName, &ui.Link{Label: ui.ShortID(job.ID.String()), Href: jobPath(job.ID)}}
			}
		case delivery.Automatic, delivery.Manual, delivery.TestSend:
		}
	}
	return p.nameReplays(v, replayed)
}

// madeRun is a run after the first, and between which times somebody made it.
type madeRun struct {
	run      int
	from, to time.Time
}

// replaysMax is how many replays of an event are looked through.
const replaysMax = 1000

// nameReplays finds out who made the runs by a replay of the event.
func (p *page) nameReplays(v *deliveryParts, runs []madeRun) error {
	if len(runs) == 0 {
		return nil
	}
	filter := audit.Filter{TargetID: v.EventID.String(), EventPrefix: "webhook_event.replayed", From: runs[0].from, To: runs[len(runs)-1].to}
	replays, err := audit.List(p.Ctx, p.DB, p.Actor, filter, postgres.Page{Limit: replaysMax})
	if err != nil || replays.HasOlder { // of which any may have been the one
		return err
	}
	for _, r := range runs {
		during := slices.DeleteFunc(slices.Clone(replays.Rows), func(e audit.Entry) bool { return e.CreatedAt.Before(r.from) || e.CreatedAt.After(r.to) })
		if len(during) == 1 {
			v.makers[r.run] = runMaker{name: during[0].ActorName}
		}
	}
	return nil
}

// nameRetries finds out who retried the delivery by hand.
func (p *page) nameRetries(v *deliveryParts) error {
	entries, err := audit.List(p.Ctx, p.DB, p.Actor, audit.Filter{TargetID: v.ID.String(), EventPrefix: "webhook_delivery.retried"}, postgres.Page{Limit: 100})
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(entries.Rows) { // oldest first: a retry of a waiting run came later than the one that made it
		var metadata struct{ Run int }
		if json.Unmarshal(e.Metadata, &metadata) == nil && v.makers[metadata.Run].name == "" {
			v.makers[metadata.Run] = runMaker{name: e.ActorName}
		}
	}
	var since time.Time
	for _, a := range v.Attempts {
		i := slices.IndexFunc(entries.Rows, func(e audit.Entry) bool { return e.CreatedAt.After(since) && !e.CreatedAt.After(a.StartedAt) })
		if since = a.StartedAt; i >= 0 && a.Trigger == delivery.Manual {
			v.askers[a.ID] = entries.Rows[i].ActorName
		}
	}
	return nil
}

func showDelivery(p *page) error { return p.renderDelivery(http.StatusOK) }

func (p *page) renderDelivery(status int) error {
	v, err := p.loadDelivery()
	if err != nil {
		return err
	}
	version := deliveryVersion(v)
	open := v.Status == delivery.Pending || v.Status == delivery.Delivering
	part := p.Fragment() && status == http.StatusOK
	switch {
	case part && p.Query(seenParam) == version:
		return p.NoChange()
	case part && (open || p.Query(seenParam) == ""): // the latter is asked for by people, who have the heading already
		return p.Render(status, pages.DeliveryRegion(p.deliveryBody(v, version)))
	}
	text := v.ID.String()
	number := ui.NewID(text, "delivery id", "")
	heading := ui.Heading{
		Crumbs: []ui.Link{{Label: "Deliveries", Href: deliveriesPath}, {Label: v.endpoint.DisplayName(), Href: endpointPath(v.WebhookEndpointID)}},
		Title:  "Delivery", ID: &number,
		Actions: []ui.Action{{Label: "Open event", Icon: "event", Href: eventsPath + "/" + v.EventID.String()}},
	}
	if v.EventType == event.Test {
		heading.Badges = append(heading.Badges, ui.TestBadge())
	}
	if open {
		heading.Live = p.liveNote()
	}
	if !open || !p.live() { // the heading is not polled, and a badge that lags behind would mislead
		heading.Badges = append([]ui.Badge{statusBadge(v.Delivery)}, heading.Badges...)
	}
	page := pages.Delivery{Shell: p.Shell("Delivery "+ui.ShortID(text), deliveriesPath), Heading: heading, Body: p.deliveryBody(v, version)}
	if part {
		return p.Render(status, pages.DeliveryEnd(page))
	}
	return p.Render(status, pages.DeliveryPage(page))
}

// deliveryVersion changes with everything that the page of a delivery shows, so that a poll can tell whether to redraw.
func deliveryVersion(v deliveryParts) string {
	last := ""
	if n := len(v.Attempts); n > 0 {
		last = v.Attempts[n-1].ID.String()
	}
	return fmt.Sprintf("%s.%d.%d.%s.%s", v.Status, v.Run, v.UpdatedAt.UnixMicro(), last, v.due())
}

func (p *page) deliveryBody(v deliveryParts, version string) pages.DeliveryBody {
	body := pages.DeliveryBody{CSRF: p.Session.CSRFToken, Zone: p.ZoneLabel(), Verdict: deliveryVerdict(v.story), Facts: p.deliveryFacts(v)}
	path := deliveriesPath + "/" + v.ID.String()
	open := p.Query("attempt")
	if (v.Status == delivery.Pending || v.Status == delivery.Delivering) && p.live() {
		body.PollHref = link(path, "attempt", open, "check", p.Query("check"), "live", p.Query("live"), seenParam, version)
	}
	body.Verdict.Actions = p.deliveryActions(v)
	body.Before, body.After = p.deliverySteps(v)
	body.Attempts, body.Scale = p.attemptViews(v, open)
	body.Retry = retryInfo(v)
	body.FootActs = []ui.Action{{Label: "How to verify and decrypt", Href: link("/help/receivers", "endpoint", v.WebhookEndpointID.String()), Small: true}}
	return body
}

// deliveryActions are what can be done about a delivery.
func (p *page) deliveryActions(v deliveryParts) []ui.Action {
	path := deliveriesPath + "/" + v.ID.String()
	refusal := v.retryRefusal()
	var actions []ui.Action
	switch v.State() {
	case delivery.StateSucceeded, delivery.StateWithdrawn, delivery.StateEndpointDeleted:
	case delivery.StateBlocked:
		if v.WantsKey {
			actions = append(actions, p.offered(access.WebhooksWrite, ui.Action{Label: "Add a key", Icon: "key", Href: endpointPath(v.WebhookEndpointID) + "/keys", Kind: "primary"})...)
		}
	case delivery.StateParked:
		actions = append(actions, ui.Action{Label: "Open endpoint", Icon: "endpoint", Href: endpointPath(v.WebhookEndpointID), Kind: "primary"})
	case delivery.StateScheduled, delivery.StateInFlight, delivery.StateRetrying, delivery.StateFailed, delivery.StateExpired:
		retry := ui.Action{Label: "Retry now", Icon: "loop", Href: path + "/retry", Post: true, Fields: []ui.Hidden{{Name: "run", Value: strconv.Itoa(v.Run)}}, Disabled: refusal}
		if v.Status == delivery.Failed {
			retry.Kind = "primary"
		}
		actions = append(actions, p.offered(access.WebhooksWrite, retry)...)
	}
	if v.LastErrorKind != nil && v.Status != delivery.Succeeded {
		code := ""
		if v.LastStatusCode != nil {
			code = strconv.Itoa(*v.LastStatusCode)
		}
		actions = append(actions, ui.Action{Label: "See others like this", Href: link(deliveriesPath, "endpoint", v.WebhookEndpointID.String(), "error", string(*v.LastErrorKind), "code", code)})
	}
	return actions
}

// deliverySteps are the lines before and after the attempts.
func (p *page) deliverySteps(v deliveryParts) (before, after []ui.Step) {
	before = append(before, ui.Step{
		Tone: ui.Neutral, Icon: "event", Lead: "Event", Link: &ui.Link{Label: v.EventType.Short(), Href: eventsPath + "/" + v.EventID.String()},
		Text: routedText(v), Time: exactPtr(p, &v.CreatedAt),
	})
	if v.key != nil && v.PayloadBytes > 0 {
		before = append(before, ui.Step{
			Tone: ui.Neutral, Icon: "lock", Lead: "Encrypted once, for every attempt, to key", Mono: v.key.KeyID + " (" + shortThumbprint(*v.key) + "…)", Time: exactPtr(p, &v.CreatedAt),
		})
	}
	switch v.State() {
	case delivery.StateScheduled, delivery.StateRetrying:
		exact := p.Exact(*v.NextAttemptAt)
		after = append(after, ui.Step{
			Tone: ui.Info, Icon: "clock", Lead: fmt.Sprintf("Attempt %d of %d is due", v.AttemptCount+1, delivery.AttemptsPerRun),
			Time: p.AtPtr(v.NextAttemptAt), After: &exact,
		})
	case delivery.StateInFlight:
		after = append(after, ui.Step{Tone: ui.Info, Icon: "arrow", Lead: fmt.Sprintf("Attempt %d of %d is in flight", v.AttemptCount+1, delivery.AttemptsPerRun)})
	case delivery.StateParked:
		after = append(after, ui.Step{Tone: ui.Neutral, Icon: "pause", Lead: "Parked until the endpoint is resumed", Time: exactPtr(p, v.endpoint.DisabledAt)})
	case delivery.StateSucceeded:
		return before, append(after, ui.Step{Tone: ui.OK, Icon: "check", Lead: "Delivered; the encrypted payload was erased", Time: exactPtr(p, v.PayloadScrubbedAt)})
	case delivery.StateFailed:
		after = append(after, ui.Step{
			Tone: ui.Bad, Icon: "square", Lead: fmt.Sprintf("Gave up: %d of %d attempts used", v.AttemptCount, delivery.AttemptsPerRun), Time: exactPtr(p, v.LastAttemptAt),
		})
	case delivery.StateBlocked:
		return before, append(after, ui.Step{Tone: ui.Bad, Icon: "blocked", Lead: "Nothing was sent: " + lowerFirst(statusBadge(v.Delivery).Label), Time: exactPtr(p, &v.CreatedAt)})
	case delivery.StateExpired, delivery.StateWithdrawn, delivery.StateEndpointDeleted:
	}
	switch {
	case v.PayloadExpiresAt != nil:
		after = append(after, ui.Step{Tone: ui.Neutral, Icon: "hourglass", Lead: "The encrypted payload will be erased", Time: exactPtr(p, v.PayloadExpiresAt)})
	case v.PayloadScrubbedAt != nil:
		after = append(after, ui.Step{Tone: lookOf(v.State()).Tone, Icon: lookOf(v.State()).Icon, Lead: "Payload " + payloadWords(v.Delivery, v.Now), Time: exactPtr(p, v.PayloadScrubbedAt)})
	}
	return before, after
}

// routedText is why the event came to this endpoint.
func routedText(v deliveryParts) string {
	for _, r := range v.event.Routing {
		if r.EndpointID == v.WebhookEndpointID {
			word, _ := routeWords(r.Reason)
			if r.Decision == event.Delivered {
				return "routed here: " + string(r.Reason)
			}
			return "meant for this endpoint: " + lowerFirst(word)
		}
	}
	return ""
}

func (p *page) deliveryFacts(v deliveryParts) []ui.Fact {
	strip := attemptStrip(v.Delivery)
	if v.Run > 1 {
		strip.Text += ", run " + strconv.Itoa(v.Run)
	}
	eventID := ui.NewID(v.EventID.String(), "event id", eventsPath+"/"+v.EventID.String())
	state := statusBadge(v.Delivery)
	facts := []ui.Fact{
		{Term: "Status", Badge: &state},
		{Term: "Endpoint", Text: v.endpoint.DisplayName(), Href: endpointPath(v.WebhookEndpointID), Sub: addressOf(v.endpoint.URL), SubMono: true},
		{Term: "Event", ID: &eventID, Sub: string(v.EventType), SubMono: true},
	}
	if session := v.event.SessionID(); !session.IsZero() {
		sessionID := ui.NewID(session.String(), "session id", sessionsPath+"/"+session.String())
		facts = append(facts, ui.Fact{Term: "Session", ID: &sessionID})
	}
	if v.key != nil {
		facts = append(facts, ui.Fact{Term: "Key", Text: v.key.KeyID, Href: endpointPath(v.WebhookEndpointID) + "/keys", Mono: true, Sub: "thumbprint " + v.key.Thumbprint, SubMono: true})
	} else {
		facts = append(facts, ui.Fact{Term: "Key", Text: "none was active"})
	}
	facts = append(facts, ui.Fact{Term: "Attempts", Strip: &strip}, ui.Fact{Term: "Created", Time: exactPtr(p, &v.CreatedAt)})
	payload := ui.Fact{Term: "Payload", Text: payloadWords(v.Delivery, v.Now)}
	switch {
	case v.PayloadHeld(v.Now):
		payload.Text = ui.Bytes(int64(v.PayloadBytes)) + ", encrypted"
		payload.Sub = "until " + p.Moment(*v.PayloadExpiresAt) + " (in " + length(v.PayloadExpiresAt.Sub(v.Now)) + "); nobody here can read it"
	case v.PayloadScrubbedAt != nil && v.PayloadBytes > 0:
		payload.Sub = ui.Bytes(int64(v.PayloadBytes)) + ", erased " + p.Moment(*v.PayloadScrubbedAt)
	}
	if task, ok := p.taskFact(v.Delivery); ok {
		facts = append(facts, task)
	}
	return append(facts, payload)
}

// retryInfo says what a retry would do, or why there is none.
func retryInfo(v deliveryParts) pages.RetryInfo {
	if refusal := v.retryRefusal(); refusal != "" {
		info := pages.RetryInfo{Alert: &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: refusal}}
		switch {
		case v.Status == delivery.Delivering || v.Gone:
		case v.PayloadHeld(v.Now):
			info.Alert.Actions = []ui.Action{{Label: "Open endpoint", Href: endpointPath(v.WebhookEndpointID), Small: true}}
		case v.Status == delivery.Failed:
			info.Text = "What was sent exists only encrypted to the receiver's key, and that copy is erased. Get the result from the source of the session instead."
		}
		return info
	}
	info := pages.RetryInfo{Text: "Makes the next attempt due now, in the same run: no attempt is added and none is lost. It goes to the endpoint's present address."}
	if v.Status == delivery.Failed {
		info.Text = fmt.Sprintf("Starts run %d at attempt 1 of %d, now, to the endpoint's present address. The attempts so far stay.", v.Run+1, delivery.AttemptsPerRun)
	}
	if v.key != nil {
		info.Note = "The payload stays encrypted to " + v.key.KeyID + ", so the receiver must still hold that private key."
		if !v.key.IsActive {
			info.Note += " That key is no longer active; new events use another one."
		}
	}
	return info
}

// askRetryDelivery is the question before a retry by key, where a slip of the finger is likely; the button asks nothing.
func askRetryDelivery(p *page) error {
	v, err := p.loadDelivery()
	if err != nil {
		return err
	}
	short, path := ui.ShortID(v.ID.String()), deliveriesPath+"/"+v.ID.String()
	info, text := retryInfo(v), statusBadge(v.Delivery).Label
	if info.Alert != nil || v.Status == delivery.Succeeded {
		return fault.New(fault.Conflict, fault.CodeConflict, "This delivery cannot be retried now: "+lowerFirst(text)+".").WithHint(v.retryRefusal())
	}
	c := ui.Confirm{
		ID: "retry", Title: "Retry " + short + " now?", Icon: "loop", Action: path + "/retry", Submit: "Retry now", BackHref: path, Back: "Not now",
		Effects: []string{v.endpoint.DisplayName() + ", " + string(v.EventType) + ": " + lowerFirst(text) + ".", info.Text},
		Hidden:  []ui.Hidden{{Name: "run", Value: strconv.Itoa(v.Run)}, {Name: "return", Value: p.here()}},
	}
	if info.Note != "" {
		c.Effects = append(c.Effects, info.Note)
	}
	if !p.Fragment() {
		c.Hidden = c.Hidden[:1]
	}
	return p.askPage(pages.ConfirmPage{
		Shell: p.Shell("Retry "+short, deliveriesPath), Confirm: c,
		Heading: ui.Heading{Title: "Retry a delivery", Crumbs: []ui.Link{{Label: "Deliveries", Href: deliveriesPath}, {Label: short, Href: path}}},
	})
}

// retryDelivery makes a delivery due now. The form names the run that the person saw: when a newer one exists already, a
// second click or another person was there first, and nothing more is done.
func retryDelivery(p *page) error {
	d, err := p.delivery()
	if err != nil {
		return err
	}
	path := deliveriesPath + "/" + d.ID.String()
	follow := &ui.Action{Label: "Follow", Href: path, Small: true}
	if back := p.Back(path); back == path {
		follow = nil
	}
	if seen, err := strconv.Atoi(p.Value("run")); err == nil && d.Run > seen {
		return p.Redirect(p.Back(path), ui.Flash{Tone: ui.Info, Text: fmt.Sprintf("It was retried already: run %d exists.", d.Run), Action: follow})
	}
	wasFailed := d.Status == delivery.Failed
	d, err = p.Deliveries.Retry(p.Ctx, p.Actor, d.ID)
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict {
		flash := ui.Flash{Tone: ui.Bad, Text: f.Message, Sub: "Nothing was changed. " + f.Hint}
		if p.Fragment() {
			return p.swapRow(http.StatusConflict, flash)
		}
		p.Flash(flash)
		return p.renderDelivery(http.StatusConflict)
	}
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: fmt.Sprintf("Attempt %d of %d is due now.", d.AttemptCount+1, delivery.AttemptsPerRun), Action: follow}
	if wasFailed {
		flash.Text = fmt.Sprintf("Run %d has started; its first attempt is due now.", d.Run)
	}
	if p.Fragment() { // from its row in a list
		p.ledTo = p.Back(path)
		return p.swapRow(http.StatusOK, flash)
	}
	return p.Redirect(p.Back(path), flash)
}
