package dashboard

import (
	"kaylehooks/internal/org"
	"kaylehooks/web/templates/ui"
)

// doLive pauses or resumes live updates, on every page of the person; it comes back to the page it was used on.
func doLive(p *page) error {
	prefs := p.Session.User.Preferences
	prefs.Live = p.Value("live") != "0"
	if err := p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs); err != nil {
		return err
	}
	return p.Redirect(p.Back(p.here()), ui.Flash{})
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
	if err := p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs); err != nil {
		return err
	}
	return p.Redirect(p.Back(p.here()), flash)
}
