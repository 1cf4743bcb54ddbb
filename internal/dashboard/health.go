package dashboard

import (
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

// health is what people are told about an endpoint; it is derived, never stored.
type health string

// The values of health, worst first.
const (
	healthNoKey    health = "no_key"
	healthFailing  health = "failing"
	healthDegraded health = "degraded"
	healthPaused   health = "paused"
	healthUnproven health = "unproven"
	healthOK       health = "healthy"
)

// healths lists every value, worst first.
func healths() []health {
	return []health{healthNoKey, healthFailing, healthDegraded, healthPaused, healthUnproven, healthOK}
}

func (h health) rank() int {
	for i, other := range healths() {
		if h == other {
			return i
		}
	}
	return len(healths())
}

// Numbers of the health rule.
const (
	failingStreak     = 10 // attempts in a row without a 2xx
	failingHour       = 3  // attempts within the hour, none of them 2xx
	degradedAttempts  = 20 // first attempts within a day that a share needs to mean something
	degradedPerMille  = 990
	healthRuleSummary = "Healthy: at least 99 % of first attempts in 24 h got a 2xx, or there were fewer than 20. Degraded: fewer, with 20 attempts or more. " +
		"Failing: no 2xx in the last 10 attempts, or in this hour and the last with 3 attempts or more. Unproven: no 2xx yet. " +
		"No key: nothing can be encrypted, so nothing is sent. Paused: nothing is sent; what waits is parked, and new events skip it."
)

// vitals is what health is judged by.
type vitals struct {
	Enabled, HasKey bool
	// RecentFailures counts the attempts since the last 2xx; Proven tells that there was one.
	RecentFailures int
	Proven         bool
	// Hour is what happened in the present and the last full hour, Day in the last 24 hours.
	Hour, Day delivery.Stats
}

// judge applies the health rule.
func judge(v vitals) health {
	switch {
	case !v.Enabled:
		return healthPaused
	case !v.HasKey:
		return healthNoKey
	case v.RecentFailures >= failingStreak, v.Hour.Attempts >= failingHour && v.Hour.Succeeded == 0:
		return healthFailing
	case v.Day.FirstAttempts >= degradedAttempts && v.Day.FirstSucceeded*1000 < v.Day.FirstAttempts*degradedPerMille:
		return healthDegraded
	case !v.Proven && v.Day.Succeeded == 0:
		return healthUnproven
	}
	return healthOK
}

// healthBadge is a health as people see it.
func healthBadge(h health) ui.Badge {
	b := ui.Badge{Title: healthRuleSummary}
	switch h {
	case healthNoKey:
		b.Tone, b.Icon, b.Label, b.Outline = ui.Bad, "blocked", "No key", true
	case healthFailing:
		b.Tone, b.Icon, b.Label = ui.Bad, "cross", "Failing"
	case healthDegraded:
		b.Tone, b.Icon, b.Label = ui.Warn, "warn", "Degraded"
	case healthPaused:
		b.Tone, b.Icon, b.Label = ui.Neutral, "pause", "Paused"
	case healthUnproven:
		b.Tone, b.Icon, b.Label = ui.Neutral, "dash", "Unproven"
	case healthOK:
		b.Tone, b.Icon, b.Label = ui.OK, "check", "Healthy"
	}
	return b
}

// healthDoor is a health that leads to what proves it.
func (p *page) healthDoor(e id.Endpoint, h health) ui.Badge {
	b, path := healthBadge(h), endpointPath(e)
	switch h {
	case healthNoKey:
		b.Href = path + "/keys"
	case healthFailing, healthUnproven:
		b.Href = path + "/deliveries"
	case healthDegraded:
		b.Href = p.dayHref(e, "attempts", "2")
	case healthPaused:
		b.Href = path + "/activity"
	case healthOK:
		b.Href = p.dayHref(e)
	}
	return b
}

// failuresHref is the list of an endpoint's failures: of what is tried again or, when that has all been given up, of what failed.
func failuresHref(e id.Endpoint, s delivery.Standing) string {
	status := string(delivery.StateRetrying)
	if s.Retrying == 0 {
		status = anyFailed
	}
	return link(endpointPath(e)+"/deliveries", "status", status)
}

// vitalsOf gathers what health is judged by. hours are those of the endpoint in the last 24 hours.
func vitalsOf(e webhook.Endpoint, hasKey bool, s delivery.Standing, hours []delivery.HourStats, now time.Time) vitals {
	v := vitals{Enabled: e.Enabled, HasKey: hasKey, RecentFailures: s.RecentFailures, Proven: s.LastSuccess != nil}
	lastHour := now.UTC().Truncate(time.Hour).Add(-time.Hour)
	for _, h := range hours {
		v.Day.Add(h.Stats)
		if !h.Hour.Before(lastHour) {
			v.Hour.Add(h.Stats)
		}
	}
	return v
}

// noSuccess says of a failing endpoint for how long, by the figures of its day.
func noSuccess(day delivery.Stats) string {
	if day.Attempts > 0 && day.Succeeded == 0 {
		return "no 2xx in 24 h"
	}
	return "no 2xx in its latest attempts"
}

// verdict is the sentence at the top of an endpoint's page.
func verdict(h health, s delivery.Standing, day delivery.Stats) ui.Verdict {
	badge := healthBadge(h)
	v := ui.Verdict{Tone: badge.Tone, Icon: badge.Icon}
	waiting := s.Waiting + s.Parked
	switch h {
	case healthNoKey:
		v.Say = "New webhooks for this endpoint are blocked: it has no active encryption key."
		v.Next = "Add a public key. What was blocked meanwhile is recorded and cannot be sent later."
	case healthFailing:
		v.Say = "This endpoint is failing: " + noSuccess(day) + "."
		v.Next = "Look at the latest attempt for the reason. " + counted(waiting, "delivery waits and goes on by itself", "deliveries wait and go on by themselves") + " when the endpoint is back."
	case healthDegraded:
		v.Say = "This endpoint is degraded: " + percent(day.FirstSucceeded, day.FirstAttempts) + " of first attempts got a 2xx in 24 h."
		v.Next = "Failed attempts are repeated on the schedule; look at the error kinds below."
	case healthPaused:
		v.Say = "This endpoint is paused: new events skip it."
		if s.Parked > 0 {
			v.Next = counted(s.Parked, "delivery is parked", "deliveries are parked") + " and become due when it is resumed, unless their payload expires first."
		} else {
			v.Next = "Nothing is waiting for it. Events that happen meanwhile are recorded as skipped."
		}
	case healthUnproven:
		v.Say = "Nothing has been delivered here yet."
		v.Next = "Send a test event to see whether the receiver verifies and decrypts it."
	case healthOK:
		v.Say = "This endpoint is healthy."
		if day.FirstAttempts > 0 {
			v.Say = "This endpoint is healthy: " + percent(day.FirstSucceeded, day.FirstAttempts) + " of first attempts got a 2xx in 24 h."
		}
		if waiting > 0 {
			v.Next = counted(waiting, "delivery waits", "deliveries wait") + " for the next attempt."
		}
	}
	return v
}
