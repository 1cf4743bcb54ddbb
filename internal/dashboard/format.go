package dashboard

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // the zones people live in, also where the system has no zone files

	"kaylehooks/web/templates/ui"
)

// localZone is the preference "local": the zone of the browser.
const localZone = "local"

var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// browserZone is the zone that app.js noted in a cookie; ok is false when it is unknown.
func (p *page) browserZone() (zone *time.Location, ok bool) {
	c, err := p.R.Cookie(zoneCookie)
	if err != nil {
		return time.UTC, false
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil || len(name) > 64 || !zoneName.MatchString(name) { // it becomes a file name
		return time.UTC, false
	}
	zone, err = time.LoadLocation(name)
	if err != nil || name == "Local" {
		return time.UTC, false
	}
	return zone, true
}

// Zone is the zone in which this person reads times.
func (p *page) Zone() *time.Location {
	if p.Session.User.TimeZone != localZone {
		return time.UTC
	}
	zone, _ := p.browserZone()
	return zone
}

// ZoneLabel names the zone, for the heads of tables and axes: "UTC" or "CET".
func (p *page) ZoneLabel() string { return p.Now.In(p.Zone()).Format("MST") }

// At is a time for lists: relative within a day, absolute beyond.
func (p *page) At(t time.Time) ui.Time { return ui.At(t, p.Now, p.Zone()) }

// Past is At for what has happened: also when that was after the page began to be made, it is not in the future.
func (p *page) Past(t time.Time) ui.Time { return p.At(earlier(t, p.Now)) }

// Exact is a time for detail pages, with milliseconds.
func (p *page) Exact(t time.Time) ui.Time { return ui.Exact(t, p.Zone()) }

// Clock is the time of day, for "updated" notes.
func (p *page) Clock(t time.Time) ui.Time { return ui.Clock(t, p.Zone()) }

// AtPtr is At for a time that may be absent.
func (p *page) AtPtr(t *time.Time) *ui.Time {
	if t == nil {
		return nil
	}
	at := p.At(*t)
	return &at
}

// Moment writes a time inside a sentence: "Mar 10, 17:47 UTC".
func (p *page) Moment(t time.Time) string { return t.In(p.Zone()).Format("Jan 2, 15:04 MST") }

// counted writes a number with its noun: "1 thing", "1,204 things".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return ui.Count(n) + " " + many
}

// orNone counts like counted and has words of its own for none.
func orNone(n int, one, many, none string) string {
	if n == 0 {
		return none
	}
	return counted(n, one, many)
}

// percent writes a share: "97.4 %", "100 %". It never rounds a failure away. Of nothing it is "".
func percent(part, whole int) string {
	if whole <= 0 {
		return ""
	}
	if part >= whole {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", min(float64(part)*100/float64(whole), 99.9))
}

// listed joins words: "a", "a or b", "a, b or c".
func listed(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// initials are one or two letters for the account button.
func initials(name string) string {
	words := strings.Fields(name)
	var out []rune
	for i, w := range words {
		if i == 0 || i == len(words)-1 {
			out = append(out, []rune(strings.ToUpper(w))[0])
		}
	}
	return string(out)
}

// formTime is the form of a time in a filter: what <input type="datetime-local"> takes, in the person's zone. exactFormTime is for the
// addresses of times that this leaves open, since a zone has them twice when its summer ends.
const (
	formTime      = "2006-01-02T15:04"
	exactFormTime = formTime + "Z07:00"
)

// FieldTime writes a time for the field of a filter, to the minute. Fields hold no offset: an hour that a zone has twice is read as one of them.
func (p *page) FieldTime(t time.Time) string { return t.In(p.Zone()).Format(formTime) }

// FormTime writes a time for the address of a list, to the minute, so that ParseFormTime reads the same minute.
func (p *page) FormTime(t time.Time) string {
	text := p.FieldTime(t)
	if read, ok := p.ParseFormTime(text, false); !ok || !read.Equal(t.Truncate(time.Minute)) {
		return t.In(p.Zone()).Format(exactFormTime)
	}
	return text
}

// ParseFormTime reads a time of a filter: as FormTime writes it or a person does, with seconds, as a date, or in RFC 3339. end makes it the
// last moment of the minute or day that was named.
func (p *page) ParseFormTime(text string, end bool) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), true
	}
	for _, form := range []struct {
		layout string
		days   int // of which some have 23 or 25 hours
		span   time.Duration
	}{{formTime, 0, time.Minute}, {exactFormTime, 0, time.Minute}, {"2006-01-02 15:04", 0, time.Minute}, {"2006-01-02T15:04:05", 0, time.Second}, {time.DateOnly, 1, 0}} {
		if t, err := time.ParseInLocation(form.layout, text, p.Zone()); err == nil {
			if end {
				if form.days > 0 { // by the clock, which would mistake an hour that it shows twice
					t = t.AddDate(0, 0, form.days)
				}
				t = t.Add(form.span - time.Microsecond)
			}
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
