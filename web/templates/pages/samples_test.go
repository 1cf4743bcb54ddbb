package pages_test

import (
	"fmt"
	"os"
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// now is the moment at which the gallery looks. It is fixed for tests and the
// real time for looking, because app.js counts relative times from then.
var now = func() time.Time {
	if os.Getenv("KAYLEHOOKS_GALLERY") != "" {
		return time.Now().UTC()
	}
	return time.Date(2026, 3, 10, 14, 27, 7, 0, time.UTC)
}()

func ago(d time.Duration) ui.Time        { return ui.At(now.Add(-d), now, time.UTC) }
func in(d time.Duration) ui.Time         { return ui.At(now.Add(d), now, time.UTC) }
func exact(d time.Duration) ui.Time      { return ui.Exact(now.Add(-d), time.UTC) }
func ptr[T any](v T) *T                  { return &v }
func nid(full, kind, href string) *ui.ID { return ptr(ui.NewID(full, kind, href)) }

const (
	riskID     = "whe_01k99mk6n0eej8038wa2t26p2j"
	deliveryID = "whd_01kk8zhp2rf5qt75z6tc846yjg"
	eventID    = "evt_01kk8zhp2re6cvm3w01k1vrsyf"
	sessionID  = "vs_01kk8zabprf9n98mfjmmpg722k"
	token      = "csrf-sample"
)

// shell is the signed-in frame with one navigation entry current.
func shell(title, current string) ui.Shell {
	nav := []ui.NavGroup{
		{Title: "Operate", Items: []ui.NavItem{
			{Label: "Overview", Href: "/", Icon: "overview"},
			{Label: "Deliveries", Href: "/deliveries", Icon: "delivery", Count: "214", CountHref: "/deliveries?status=failed", What: "failed", Tone: ui.Bad},
			{Label: "Events", Href: "/events", Icon: "event"},
			{Label: "Sessions", Href: "/sessions", Icon: "session"},
			{Label: "Bulk jobs", Href: "/jobs", Icon: "job", Count: "1", CountHref: "/jobs", What: "running"},
		}},
		{Title: "Configure", Items: []ui.NavItem{
			{Label: "Endpoints", Href: "/endpoints", Icon: "endpoint", Count: "7", CountHref: "/endpoints"},
			{Label: "API keys", Href: "/api-keys", Icon: "lock"},
			{Label: "Members", Href: "/members", Icon: "users"},
		}},
		{Title: "System", Items: []ui.NavItem{
			{Label: "Queue", Href: "/queue", Icon: "queue"},
			{Label: "Audit log", Href: "/audit", Icon: "audit"},
			{Label: "Settings", Href: "/settings", Icon: "settings"},
			{Label: "Receivers", Href: "/help/receivers", Icon: "help"},
		}},
	}
	for g := range nav {
		for i := range nav[g].Items {
			nav[g].Items[i].Current = nav[g].Items[i].Href == current
		}
	}
	return ui.Shell{
		Shortcuts: true,
		Title:     title, Path: current, Organization: "Fjordpay", Environment: "Production", CSRF: token,
		User:     ui.User{Name: "Ana Lindqvist", Initials: "AL", Email: "ana@fjordpay.example", Role: "owner"},
		ZoneName: "Europe/Oslo", Nav: nav,
		Foot: []ui.FootFact{{Term: "Workers", Value: "4 up"}, {Term: "Heartbeat", Value: "2 s ago"}, {Term: "Oldest due", Value: "0.4 s"}},
	}
}

func bare(title string) ui.Bare {
	return ui.Bare{Title: title, Environment: "Production", CSRF: token, Version: "Kaylehooks 1.0.0", Status: "Database and queue reachable"}
}

// The display states of a delivery, as the handlers derive them.
var (
	scheduled = ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Scheduled"}
	inFlight  = ui.Badge{Tone: ui.Info, Icon: "arrow", Label: "In flight"}
	succeeded = ui.Badge{Tone: ui.OK, Icon: "check", Label: "Succeeded"}
	failed    = ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Failed"}
	parked    = ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Parked"}
	blocked   = ui.Badge{Tone: ui.Bad, Icon: "blocked", Label: "Blocked", Outline: true}
	withdrawn = ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Withdrawn"}
	expired   = ui.Badge{Tone: ui.Neutral, Icon: "hourglass", Label: "Expired"}
	failing   = ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Failing", Title: "No 2xx in the last 10 attempts"}
	degraded  = ui.Badge{Tone: ui.Warn, Icon: "warn", Label: "Degraded"}
	healthy   = ui.Badge{Tone: ui.OK, Icon: "check", Label: "Healthy"}
	unproven  = ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Unproven"}
	paused    = ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Paused"}
	noKey     = ui.Badge{Tone: ui.Bad, Icon: "blocked", Label: "No key", Outline: true}
)

func retrying(n int) ui.Badge {
	return ui.Badge{Tone: ui.Warn, Icon: "loop", Label: fmt.Sprintf("Retrying %d/8", n)}
}

// strip draws a word such as "rro": r retry, f failed, o ok, n in flight.
func strip(word string) ui.Strip {
	cells := make([]ui.Cell, 8)
	for i := range cells {
		cells[i] = ui.CellNone
	}
	for i, c := range word {
		cells[i] = map[rune]ui.Cell{'r': ui.CellRetry, 'f': ui.CellFail, 'o': ui.CellOK, 'n': ui.CellNow}[c]
	}
	text := fmt.Sprintf("%d/8", len(word))
	return ui.Strip{Cells: cells, Text: text, Label: text + " attempts"}
}

func httpCode(status string) *ui.Code {
	c := ui.Code{Tone: ui.Bad, Icon: "cross", Text: status, Mono: true}
	switch status[0] {
	case '2':
		c.Tone, c.Icon = ui.OK, "check"
	case '3':
		c.Tone, c.Icon = ui.Warn, "loop"
	case '4':
		c.Icon = "blocked"
	}
	return &c
}

func words(text string) *ui.Code { return &ui.Code{Tone: ui.Bad, Icon: "cross", Text: text} }

var (
	hourly    = []int{212, 198, 241, 260, 233, 187, 142, 96, 71, 58, 49, 44, 52, 88, 154, 236, 301, 342, 358, 331, 322, 347, 366, 151}
	hourlyBad = []int{3, 2, 4, 3, 2, 2, 1, 1, 0, 0, 0, 1, 1, 2, 9, 14, 22, 31, 28, 24, 26, 29, 31, 13}
)

func hour(i int) string { return now.Add(time.Duration(i-23) * time.Hour).Format("15:00") }

func xLabels() []ui.XLabel {
	var out []ui.XLabel
	for i := 1; i < 24; i += 4 {
		out = append(out, ui.XLabel{At: i, Text: hour(i)})
	}
	return append(out, ui.XLabel{At: 24, Text: "now"})
}

func volumeChart() ui.BarChart {
	c := ui.BarChart{
		ID: "volume-t", Title: "Deliveries per hour", Summary: "4,839 deliveries in 24 hours, 249 not delivered on the first attempt",
		Legend:  []ui.Legend{{Label: "Sent", Fill: ui.FillVolume}, {Label: "Not delivered on first attempt", Fill: "hatch"}},
		XLabels: xLabels(), Head: "Hour (UTC)", Value: "Sent", Part: "Not first time",
	}
	for i, n := range hourly {
		title := fmt.Sprintf("%s: %d deliveries, %d failed", hour(i), n, hourlyBad[i])
		c.Bars = append(c.Bars, ui.Bar{Label: hour(i), Value: n, Part: hourlyBad[i], Title: title, Href: "/deliveries?from=" + hour(i), SoFar: i == 23})
	}
	return c
}

func latencyChart() ui.LineChart {
	c := ui.LineChart{
		ID: "latency-t", Title: "Response time", Summary: "p50 stays near 180 ms, p95 doubles at 07:00",
		Legend:  []ui.Legend{{Label: "p50", Fill: "line-1"}, {Label: "p95", Fill: "line-2"}},
		XLabels: xLabels(), Head: "Hour (UTC)", First: "p50", Second: "p95", Format: ui.Millis,
	}
	for i, n := range hourly {
		p50, p95 := 150+n/4, 600+hourlyBad[i]*36
		c.Points = append(c.Points, ui.Point{
			Label: hour(i), First: p50, Second: p95, Gap: i == 10, Href: "/deliveries?from=" + hour(i),
			Title: fmt.Sprintf("%s: p50 %d ms, p95 %d ms", hour(i), p50, p95),
		})
	}
	return c
}

func forecastChart() ui.BarChart {
	due := []int{184, 61, 38, 22, 16, 96, 74, 19, 8, 4, 4, 2, 2, 1, 1, 1}
	c := ui.BarChart{
		ID: "forecast-t", Title: "Retries due, next 24 hours", Summary: "533 attempts are scheduled, 184 of them in the next hour",
		Legend: []ui.Legend{{Label: "Attempts due", Fill: ui.FillWarn}}, Fill: ui.FillWarn,
		XLabels: []ui.XLabel{{At: 0, Text: "now"}, {At: 12, Text: "+12 h"}, {At: 24, Text: "+24 h"}}, Head: "Hour (UTC)", Value: "Due", Empty: "No retries are due in the next 24 hours.",
	}
	for i := range 24 {
		n := 0
		if i < len(due) {
			n = due[i]
		}
		label := now.Add(time.Duration(i) * time.Hour).Format("15:00")
		c.Bars = append(c.Bars, ui.Bar{Label: label, Value: n, Title: fmt.Sprintf("%s: %d attempts due", label, n), Href: "/deliveries?status=retrying"})
	}
	return c
}

func spark(scale, bad int) ui.Spark {
	s := ui.Spark{Label: "24 hours of deliveries"}
	for i, n := range hourly {
		s.Bars = append(s.Bars, ui.SparkBar{Value: n * scale / 100, Bad: hourlyBad[i] * bad})
	}
	return s
}

func meter(total int, parts ...ui.MeterPart) *ui.Meter { return &ui.Meter{Total: total, Parts: parts} }

func part(n int, f ui.Fill) ui.MeterPart { return ui.MeterPart{Value: n, Fill: f} }

func errorKinds() pages.ErrorKinds {
	row := func(label, at string, n int) ui.HBar {
		return ui.HBar{Label: label, Note: at, Href: "/deliveries?error=" + label, Count: ui.Count(n), Value: n, Max: 184}
	}
	return pages.ErrorKinds{Note: "247 failed attempts in 24 h", At: "Mostly at", Items: []ui.HBar{
		row("HTTP 503", "Risk engine", 184), row("Response timeout", "Onboarding CRM", 28), row("HTTP 429", "Data warehouse", 19),
		row("TLS certificate", "Staging mirror", 11), row("Redirect refused", "Audit archive", 5),
	}}
}

func options(chosen string, pairs ...string) []ui.Option {
	out := []ui.Option{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, ui.Option{Value: pairs[i], Label: pairs[i+1], Selected: pairs[i] == chosen})
	}
	return out
}
