package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// These formats are the voice of the dashboard in figures. Handlers use them so
// that server-rendered text and the ticking in app.js read alike.

// ShortID cuts a long id in its middle: prefix and start for reading, the end
// for telling two apart.
func ShortID(id string) string {
	prefix, rest, found := strings.Cut(id, "_")
	if !found || len(rest) <= 13 {
		return id
	}
	return prefix + "_" + rest[:8] + "…" + rest[len(rest)-4:]
}

// Count writes n with thousands separators.
func Count(n int) string {
	s := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Millis writes the duration of an attempt: "840 ms", "12.4 s".
func Millis(ms int) string {
	if ms < 1000 {
		return strconv.Itoa(ms) + " ms"
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', 1, 64) + " s"
}

// Span writes a length of time in at most two units: "41 s", "8 min",
// "1 h 12 m", "3 d 4 h". Negative lengths are written as their size.
func Span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	s := int(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d m", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	}
}

// Bytes writes a size: "142 bytes", "3.9 MiB".
func Bytes(n int64) string {
	switch {
	case n < 10_000:
		return Count(int(n)) + " bytes"
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
	case n < 1<<30:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
	default:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB"
	}
}

// Away is how far a time is from now, however far.
func Away(t, now time.Time, zone *time.Location) Time {
	out := Time{RFC3339: rfc3339(t), Title: t.In(zone).Format("2006-01-02 15:04:05 MST"), Relative: true}
	if away := t.Sub(now); away < time.Second { // what a request did is a little later than its beginning
		out.Text = Span(away) + " ago"
	} else {
		out.Text = "in " + Span(away)
	}
	return out
}

// Every is the trigger of htmx for something asked for again and again.
func Every(d time.Duration) string {
	return "every " + strconv.Itoa(int(d/time.Second)) + "s"
}

// At is the time for lists: relative within a day of now, absolute beyond.
func At(t, now time.Time, zone *time.Location) Time {
	out := Away(t, now, zone)
	if away := t.Sub(now); away > -24*time.Hour && away < 24*time.Hour {
		return out
	}
	out.Relative = false
	switch {
	case t.In(zone).Year() == now.In(zone).Year():
		out.Text = t.In(zone).Format("Jan 2, 15:04")
	default:
		out.Text = t.In(zone).Format("Jan 2, 2006")
	}
	return out
}

// Exact is the time for detail pages: date, milliseconds and zone.
func Exact(t time.Time, zone *time.Location) Time {
	return Time{
		RFC3339: rfc3339(t),
		Text:    t.In(zone).Format("2006-01-02 15:04:05.000 MST"),
		Title:   t.In(zone).Format("2006-01-02 15:04:05.000 MST"),
	}
}

// Clock is the time of day, for "updated" notes.
func Clock(t time.Time, zone *time.Location) Time {
	return Time{RFC3339: rfc3339(t), Text: t.In(zone).Format("15:04:05"), Title: t.In(zone).Format("2006-01-02 15:04:05 MST")}
}

func rfc3339(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
