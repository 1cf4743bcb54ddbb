package dashboard

import (
	"fmt"
	"slices"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/web/templates/ui"
)

// span is a choice of how far back figures go. The roll-ups behind them are hourly, so the shortest one shows the present
// and the last full hour.
type span struct {
	name, label, words string
	hours              int // how many, the present one included
	step               int // hours per bar
}

var spans = []span{
	{"1h", "1 h", "the last hour", 2, 1},
	{"24h", "24 h", "24 hours", 24, 1},
	{"7d", "7 d", "7 days", 168, 6},
	{"30d", "30 d", "30 days", 720, 24},
}

// spanOf returns the named span, or 24 hours.
func spanOf(name string) span {
	for _, s := range spans {
		if s.name == name {
			return s
		}
	}
	return spans[1]
}

// bucket is one bar of a chart: what happened from From up to To.
type bucket struct {
	From, To time.Time
	delivery.Stats
	SoFar bool
}

// bucketsOf sorts hours into the bars of a span. Bars begin at multiples of their length on the person's clock, the last
// one is not over yet; hours without traffic make empty bars.
func bucketsOf(hours []delivery.HourStats, s span, now time.Time, zone *time.Location) []bucket {
	end := now.UTC().Truncate(time.Hour).Add(time.Hour)
	if s.step > 1 {
		for end.In(zone).Hour()%s.step != 0 {
			end = end.Add(time.Hour)
		}
	}
	out := make([]bucket, s.hours/s.step)
	for i := range out {
		out[i].From, out[i].To = earlierBy(len(out)-i, s.step, end.In(zone)), earlierBy(len(out)-i-1, s.step, end.In(zone))
		out[i].SoFar = out[i].To.After(now)
	}
	for _, h := range hours {
		if i := slices.IndexFunc(out, func(b bucket) bool { return h.Hour.Before(b.To) }); i >= 0 && !h.Hour.Before(out[i].From) {
			out[i].Add(h.Stats)
		}
	}
	return out
}

// earlierBy is where the bar begins that is n bars before end. Bars of several hours begin at the same hours of the clock every day, so that
// a day with a change of the clock has 23 or 25 of them.
func earlierBy(n, step int, end time.Time) time.Time {
	if step == 1 {
		return end.Add(-time.Duration(n) * time.Hour).UTC()
	}
	return time.Date(end.Year(), end.Month(), end.Day(), end.Hour()-n*step, end.Minute(), 0, 0, end.Location()).UTC()
}

// sumOf adds the bars up.
func sumOf(buckets []bucket) delivery.Stats {
	var sum delivery.Stats
	for _, b := range buckets {
		sum.Add(b.Stats)
	}
	return sum
}

// label names a bar: "15:00–16:00", or with its day when the bars are longer or the span is, and tells of one that is not over.
func (b bucket) label(s span, zone *time.Location) string {
	from, to := b.From.In(zone), b.To.In(zone)
	text := from.Format("15:04") + "–" + to.Format("15:04")
	switch {
	case s.step >= 24:
		text = from.Format("Mon, Jan 2")
	case s.hours > 24:
		text = from.Format("Jan 2, ") + text
	}
	if b.SoFar {
		text += " so far"
	}
	return text
}

// axis is up to five labels under the bars.
func axis(buckets []bucket, s span, zone *time.Location) []ui.XLabel {
	layout := "15:04"
	if s.hours > 24 {
		layout = "Jan 2"
	}
	var out []ui.XLabel
	const parts = 4
	for at := 0; at < len(buckets)-1; at += (len(buckets) + parts - 1) / parts {
		out = append(out, ui.XLabel{At: at, Text: buckets[at].From.In(zone).Format(layout)})
	}
	return append(out, ui.XLabel{At: len(buckets), Text: "now"})
}

func (s span) barName() string {
	switch s.step {
	case 1:
		return "Hour"
	case 24:
		return "Day"
	}
	return fmt.Sprintf("%d hours", s.step)
}

// volumeChart draws first attempts, the failed share hatched. href gives the list behind a bar.
func (p *page) volumeChart(buckets []bucket, s span, href func(from, to time.Time) string) ui.BarChart {
	zone := p.Zone()
	c := ui.BarChart{
		ID: "volume", Title: "First attempts", Head: s.barName() + " (" + p.ZoneLabel() + ")", Value: "First attempts", Part: "Not 2xx",
		Legend:  []ui.Legend{{Label: "Got a 2xx", Fill: ui.FillVolume}, {Label: "Did not", Fill: "hatch"}},
		XLabels: axis(buckets, s, zone), Empty: "Nothing was sent in " + s.words + ".",
	}
	sum, worst, worstAt := sumOf(buckets), 0, ""
	for _, b := range buckets {
		failed, label := b.FirstAttempts-b.FirstSucceeded, b.label(s, zone)
		if failed > worst {
			worst, worstAt = failed, label
		}
		c.Bars = append(c.Bars, ui.Bar{
			Label: label, Value: b.FirstAttempts, Part: failed, SoFar: b.SoFar, Href: href(b.From, b.To),
			Title: fmt.Sprintf("%s: %s, %s not 2xx", label, counted(b.FirstAttempts, "first attempt", "first attempts"), ui.Count(failed)),
		})
	}
	c.Summary = fmt.Sprintf("%s in %s, %s not 2xx", counted(sum.FirstAttempts, "first attempt", "first attempts"), s.words, ui.Count(sum.FirstAttempts-sum.FirstSucceeded))
	if worst > 0 {
		c.Summary += ", most of them " + worstAt
	}
	c.Summary += "."
	return c
}

// latencyChart draws p50 and p95 of the response times; bars without an answer leave a gap.
func (p *page) latencyChart(buckets []bucket, s span, href func(from, to time.Time) string) ui.LineChart {
	zone := p.Zone()
	c := ui.LineChart{
		ID: "latency", Title: "Response time", Head: s.barName() + " (" + p.ZoneLabel() + ")", First: "p50", Second: "p95",
		Legend:  []ui.Legend{{Label: "p50", Fill: "line-1"}, {Label: "p95", Fill: "line-2"}},
		XLabels: axis(buckets, s, zone), Format: ui.Millis, Empty: "No endpoint answered in " + s.words + ".",
	}
	for _, b := range buckets {
		label := b.label(s, zone)
		point := ui.Point{Label: label, SoFar: b.SoFar, Href: href(b.From, b.To)}
		p50, ok := b.Latency.Quantile(0.5)
		p95, _ := b.Latency.Quantile(0.95)
		point.First, point.Second, point.Gap = int(p50), int(p95), !ok
		point.Title = label + ": no answers"
		if ok {
			point.Title = fmt.Sprintf("%s: p50 %s, p95 %s", label, ui.Millis(int(p50)), ui.Millis(int(p95)))
		}
		c.Points = append(c.Points, point)
	}
	sum := sumOf(buckets)
	if p50, ok := sum.Latency.Quantile(0.5); ok {
		p95, _ := sum.Latency.Quantile(0.95)
		c.Summary = fmt.Sprintf("Half of the answers came within %s, 95 %% within %s.", ui.Millis(int(p50)), ui.Millis(int(p95)))
	}
	return c
}

// forecastStart is where the hours of a forecast begin: at a full minute, as the filters behind its bars have it.
func (p *page) forecastStart() time.Time { return p.Now.Truncate(time.Minute) }

// forecastChart draws what becomes due in each of the next hours, at endpoints with the label if there is one.
func (p *page) forecastChart(due []int, title, label string) ui.BarChart {
	c := ui.BarChart{
		ID: "forecast", Title: title, Head: "Within", Value: "Due", Fill: ui.FillWarn,
		Empty: "Nothing is waiting for an attempt.",
	}
	total := 0
	for i, n := range due {
		total += n
		from := p.forecastStart().Add(time.Duration(i) * time.Hour)
		name, dueFrom, dueTo := fmt.Sprintf("in %d–%d h", i, i+1), p.FormTime(from), p.FormTime(from.Add(59*time.Minute))
		if i == 0 {
			name, dueFrom = "within 1 h", "" // with what is due already
		}
		c.Bars = append(c.Bars, ui.Bar{
			Label: name, Value: n, Title: name + ": " + counted(n, "attempt due", "attempts due"),
			Href: link(deliveriesPath, "due_from", dueFrom, "due_to", dueTo, "label", label),
		})
	}
	for _, h := range []int{0, 6, 12, 18, 24} {
		if h <= len(due) {
			text := "now"
			if h > 0 {
				text = fmt.Sprintf("+%d h", h)
			}
			c.XLabels = append(c.XLabels, ui.XLabel{At: h, Text: text})
		}
	}
	c.Summary = counted(total, "attempt becomes", "attempts become") + " due in the next " + counted(len(due), "hour", "hours") + "."
	return c
}

// rangeLinks are the choices of a span.
func (p *page) rangeLinks(current span, offered ...span) []ui.Link {
	out := make([]ui.Link, len(offered))
	for i, s := range offered {
		out[i] = ui.Link{Label: s.label, Href: p.With("range", s.name), Current: s.name == current.name}
	}
	return out
}
