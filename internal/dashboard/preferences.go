package dashboard

import (
	"net/url"
	"strings"

	"kaylehooks/internal/org"
	"kaylehooks/web/templates/ui"
)

// doLive pauses or resumes live updates, on every page of the person; it comes back to the page it was used on.
func doLive(p *page) error {
	prefs := p.Session.User.Preferences
	prefs.Live = p.Value("live") != "0"
	if err := p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs, nil); err != nil {
		return err
	}
	return p.Redirect(p.backHere(), ui.Flash{})
}

// doZone is the UTC/Local switch of the top bar; it comes back to the page it was used on.
func doZone(p *page) error {
	prefs := p.Session.User.Preferences
	prefs.TimeZone = org.TimeZones()[0]
	flash := ui.Flash{}
	if p.Value("zone") == localZone {
		prefs.TimeZone = localZone
		if _, known := p.browserZone(); !known {
			flash = ui.Flash{Tone: ui.Warn, Text: "The zone of this browser is not known yet, so times stay in UTC.", Sub: "It is noted by the page's script on the next page."}
		}
	}
	if err := p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs, nil); err != nil {
		return err
	}
	return p.Redirect(p.backHere(), flash)
}

// backHere is the page that a switch was used on. Filters change its address without loading it, so the browser knows that best, and
// the form knows it where the browser does not tell. What was chosen for one page only ends with a choice for all.
func (p *page) backHere() string {
	to := p.Back(p.here())
	if path, query, _ := strings.Cut(p.here(), "?"); p.R.Referer() != "" && path == strings.Split(to, "?")[0] {
		q, err := url.ParseQuery(query)
		if err != nil {
			return to
		}
		q.Del("live")
		to = address(path, q)
	}
	return to
}
