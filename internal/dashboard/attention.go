package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// Limits of the attention block.
const (
	overlapSoon  = 24 * time.Hour  // an overlap that ends within this is shown
	backlogLate  = 2 * time.Minute // deliveries that are due for longer mean that no worker takes them
	attentionMax = 12
)

// showAttention is the poll of the attention block: nothing while it is what the browser shows already.
func showAttention(p *page) error {
	f, err := p.loadFleet()
	if err != nil {
		return err
	}
	v, seen, err := p.attention(f)
	if err != nil {
		return err
	}
	if p.Query(seenParam) == seen {
		return p.NoChange()
	}
	return p.Render(http.StatusOK, pages.AttentionBlock(v, p.Session.CSRFToken))
}

// attention lists what needs a person, worst first. seen stands for the list in a poll.
func (p *page) attention(f *fleet) (v pages.Attention, seen string, err error) {
	var items []pages.AttentionItem
	for _, e := range f.endpoints {
		items = append(items, p.attentionOf(f, e)...)
	}
	if p.Can(access.QueueRead) { // the machinery concerns those who run it
		late, err := p.lateBacklog()
		if err != nil {
			return v, "", err
		}
		items = append(items, late...)
		items = append(items, p.queueTrouble()...)
	}
	slices.SortStableFunc(items, func(a, b pages.AttentionItem) int { return cmp.Compare(toneRank(a.Tone), toneRank(b.Tone)) })
	v.Calm = "Nothing needs you right now."
	if len(items) > 0 {
		v.Count = fmt.Sprintf("%d open", len(items))
	}
	if len(items) > attentionMax {
		v.Note = ui.Link{Label: fmt.Sprintf("the worst %d are shown", attentionMax), Href: "/endpoints?sort=health"}
		items = items[:attentionMax]
	}
	v.Items = items
	if seen, err = seenOf(v); err != nil {
		return v, "", err
	}
	if p.live() {
		v.PollHref = link("/attention", seenParam, seen, "live", p.Query("live"))
	}
	return v, seen, nil
}

// deliveriesThat are n deliveries of the endpoint at the path, with the list of those in the status, and what one of them, or several, do.
func deliveriesThat(n int, path, status, one, several string) (them ui.Link, do string) {
	them = ui.Link{Label: counted(n, "delivery", "deliveries"), Href: link(path+"/deliveries", "status", status)}
	if n == 1 {
		return them, one
	}
	return them, several
}

func (p *page) attentionOf(f *fleet, e webhook.Endpoint) []pages.AttentionItem {
	path, s := endpointPath(e.ID), f.standings[e.ID]
	item := pages.AttentionItem{Subject: e.DisplayName(), Href: path, Tone: ui.Bad}
	var items []pages.AttentionItem
	switch f.health(e) {
	case healthNoKey:
		item.Icon, item.Text = "blocked", "has no active key: new webhooks for it are blocked."
		item.Why = "What is blocked is recorded as failed and cannot be sent later."
		item.Action = p.offer(access.WebhooksWrite, ui.Action{Label: "Add a key", Href: path + "/keys", Small: true, Name: "Add a key for " + e.DisplayName()})
		items = append(items, item)
	case healthFailing:
		item.Icon, item.Text = "cross", "is failing: "+noSuccess(f.vitals(e).Day)+"."
		if s.LastSuccess != nil {
			item.When = "last 2xx " + p.Moment(*s.LastSuccess)
		}
		if n := s.Waiting; n > 0 {
			item.Cause, item.Why = deliveriesThat(n, path, anyWaiting, "waits for the next attempt.", "wait for the next attempt.")
		}
		item.Action = &ui.Action{Label: "See failures", Href: failuresHref(e.ID, s), Small: true}
		items = append(items, item)
	case healthDegraded:
		day := f.vitals(e).Day
		item.Tone, item.Icon = ui.Warn, "warn"
		item.Text = "is degraded: " + percent(day.FirstSucceeded, day.FirstAttempts) + " of first attempts got a 2xx in 24 h."
		if n := s.Retrying; n > 0 {
			item.Cause, item.Why = deliveriesThat(n, path, string(delivery.StateRetrying), "is tried again by the schedule.", "are tried again by the schedule.")
		}
		item.Action = &ui.Action{Label: "See retries", Href: p.dayHref(e.ID, "attempts", "2"), Small: true}
		items = append(items, item)
	case healthPaused, healthUnproven, healthOK:
	}
	if s.Parked+s.Held > 0 && s.FirstExpiry != nil && s.FirstExpiry.Sub(p.Now) < expirySoon {
		state := string(delivery.StateParked)
		if s.Held > 0 {
			state = anyFailed
		}
		tone := ui.Warn
		if s.FirstExpiry.Sub(p.Now) < time.Hour {
			tone = ui.Bad
		}
		why := "Of " + counted(s.Parked+s.Held, "payload that is held", "payloads that are held") + ", the first is erased undelivered then, unless it is sent before."
		if s.Parked+s.Held == 1 {
			why = "It is the one that is held, and is erased undelivered then, unless it is sent before."
		}
		items = append(items, pages.AttentionItem{
			Tone: tone, Icon: "hourglass", Lead: "Payloads for", Subject: e.DisplayName(), Href: path, Text: "are about to expire.",
			Why: why, When: "first " + p.Moment(*s.FirstExpiry),
			Action: &ui.Action{Label: "See deliveries", Href: link(path+"/deliveries", "status", state, "held", "1"), Small: true},
		})
	}
	if until := e.PreviousSigningSecretExpiresAt; e.InOverlap(p.Now) && until.Sub(p.Now) < overlapSoon {
		items = append(items, pages.AttentionItem{
			Tone: ui.Warn, Icon: "clock", Lead: "The old signing secret of", Subject: e.DisplayName(), Href: path + "/secret",
			Text: "stops signing soon.", Why: "The receiver must know the new secret by then.", When: p.Moment(*until),
		})
	}
	return items
}

// lateBacklog tells when deliveries are due and nothing takes them.
func (p *page) lateBacklog() ([]pages.AttentionItem, error) {
	b, err := p.Deliveries.CountBacklog(p.Ctx, p.Actor.Organization)
	if err != nil {
		return nil, err
	}
	if b.OldestDue == nil || p.Now.Sub(*b.OldestDue) < backlogLate {
		return nil, nil
	}
	return []pages.AttentionItem{{
		Tone: ui.Bad, Icon: "queue", Subject: counted(b.Due, "delivery is", "deliveries are"), Href: "/queue", Text: "due and not taken.",
		Why: "Either no worker runs or there are too few of them.", When: "since " + p.Moment(*b.OldestDue),
	}}, nil
}

// queueTrouble tells when Redis or the workers are away, and which queues somebody has paused.
func (p *page) queueTrouble() []pages.AttentionItem {
	if p.Queue == nil {
		return nil
	}
	now := p.queueLately()
	item := pages.AttentionItem{Tone: ui.Bad, Icon: "queue", Href: queuePath}
	switch {
	case !now.current:
		item.Subject, item.Text, item.Why = "Redis", "does not answer.", "What is due waits in Postgres and goes on when Redis is back."
		if !now.at.IsZero() {
			item.When = "last answer " + p.Moment(now.at)
		}
		return []pages.AttentionItem{item}
	case now.workersGone(p.Now):
		item.Subject, item.Text, item.Why = "No worker", "is running.", "Nothing is delivered until one is started: "+workerCommand+"."
		if !now.workerAt.IsZero() {
			item.When = "last seen " + p.Moment(now.workerAt)
		}
		return []pages.AttentionItem{item}
	}
	var items []pages.AttentionItem
	for _, w := range now.lost() {
		items = append(items, pages.AttentionItem{
			Tone: ui.Warn, Icon: "warn", Lead: "The worker", Subject: w.Name + " at " + w.Host, Href: queuePath + "#workers-t", Text: "is silent: it was stopped, or it died.",
			Why: "What it had under way is taken up by the others.", When: "last seen " + p.Moment(w.SeenAt),
		})
	}
	for _, q := range now.Queues {
		if q.Paused {
			items = append(items, pages.AttentionItem{
				Tone: ui.Warn, Icon: "pause", Lead: "The queue", Subject: q.Name, Href: queuePath, Text: "is paused.", Why: q.Purpose + " of every organization wait until it is resumed.",
			})
		}
	}
	return items
}

func toneRank(t ui.Tone) int {
	switch t {
	case ui.Bad:
		return 0
	case ui.Warn:
		return 1
	case ui.OK, ui.Info, ui.Neutral, ui.Test:
	}
	return 2
}
