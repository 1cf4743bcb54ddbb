package dashboard

import (
	"fmt"
	"strings"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/web/templates/ui"
)

// reach is how far an event came: how many endpoints have it, wait for it, missed it or were skipped.
type reach struct {
	Delivered, Waiting, Retrying, Failed, Withdrawn, Skipped int
	// Held counts the payloads that still exist.
	Held int
}

// reachOf counts what became of an event's deliveries. Endpoints with a delivery are counted by it, the others as
// skipped.
func reachOf(routing event.Routing, deliveries []delivery.Delivery, now time.Time) reach {
	var r reach
	for _, route := range routing {
		if route.DeliveryID == nil {
			r.Skipped++
		}
	}
	for _, d := range deliveries {
		if d.PayloadHeld(now) {
			r.Held++
		}
		switch d.State() {
		case delivery.StateSucceeded:
			r.Delivered++
		case delivery.StateRetrying:
			r.Retrying++
		case delivery.StateScheduled, delivery.StateInFlight, delivery.StateParked:
			r.Waiting++
		case delivery.StateFailed, delivery.StateBlocked, delivery.StateExpired, delivery.StateEndpointDeleted:
			r.Failed++
		case delivery.StateWithdrawn:
			r.Withdrawn++
		}
	}
	return r
}

// sent is the number of endpoints that have a delivery.
func (r reach) sent() int { return r.Delivered + r.Waiting + r.Retrying + r.Failed + r.Withdrawn }

func (r reach) words() string {
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{
		{r.Delivered, "delivered"},
		{r.Waiting, "waiting"},
		{r.Retrying, "retrying"},
		{r.Failed, "failed"},
		{r.Withdrawn, "withdrawn"},
		{r.Skipped, "skipped"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.word))
		}
	}
	if len(parts) == 0 {
		return "no endpoint existed"
	}
	return strings.Join(parts, ", ")
}

func (r reach) meter() ui.Meter {
	return ui.Meter{
		Total: r.sent() + r.Skipped, Label: r.words(),
		Parts: []ui.MeterPart{
			{Value: r.Delivered, Fill: ui.FillOK},
			{Value: r.Retrying, Fill: ui.FillWarn},
			{Value: r.Waiting, Fill: ui.FillStrong},
			{Value: r.Failed, Fill: ui.FillBad},
			{Value: r.Withdrawn + r.Skipped, Fill: ui.FillMuted},
		},
	}
}

// badge is the outcome of the whole event; the worst that happened to an endpoint names it.
func (r reach) badge() ui.Badge {
	switch {
	case r.Failed > 0:
		label := "Failed"
		if r.sent() > r.Failed {
			label = "Partly failed"
		}
		return ui.Badge{Tone: ui.Bad, Icon: "cross", Label: label, Title: r.words()}
	case r.Retrying > 0:
		return ui.Badge{Tone: ui.Warn, Icon: "loop", Label: "Retrying", Title: r.words()}
	case r.Waiting > 0:
		return ui.Badge{Tone: ui.Info, Icon: "clock", Label: "Waiting", Title: r.words()}
	case r.Delivered > 0:
		return ui.Badge{Tone: ui.OK, Icon: "check", Label: "Delivered", Title: r.words()}
	case r.Withdrawn > 0:
		return ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Withdrawn", Title: r.words()}
	}
	return ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "No endpoint", Title: r.words()}
}

// held says how many payloads still exist.
func (r reach) held() string {
	if r.Held == 0 {
		return "none held"
	}
	return counted(r.Held, "held", "held")
}
