package dashboard

import (
	"net/http"

	"kaylehooks/internal/org"
	"kaylehooks/web/templates/ui"
)

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

// doPreferences sets whichever of zone, theme, density and live the form names, and comes back.
func doPreferences(p *page) error {
	prefs := p.Session.User.Preferences
	for field, to := range map[string]*string{"zone": &prefs.TimeZone, "theme": &prefs.Theme, "density": &prefs.Density} {
		if v := p.Value(field); v != "" {
			*to = v
		}
	}
	if prefs.TimeZone == "utc" {
		prefs.TimeZone = org.TimeZones()[0]
	}
	if v := p.Value("live"); v != "" {
		prefs.Live = v == "1"
	}
	if err := p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs); err != nil {
		return err
	}
	if p.Fragment() {
		p.W.Header().Set("HX-Refresh", "true")
		p.W.WriteHeader(http.StatusOK)
		return nil
	}
	return p.Redirect(p.Back(p.here()), ui.Flash{})
}
