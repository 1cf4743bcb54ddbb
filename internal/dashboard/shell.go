package dashboard

import (
	"log/slog"
	"net/http"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/web/templates/ui"
)

// navItem is a link of the main navigation; it is left out for people who may not open it.
type navItem struct {
	label, href, icon string
	scope             access.Scope
}

var navigation = []struct {
	title string
	items []navItem
}{
	{"Deliver", []navItem{
		{"Overview", "/", "overview", access.WebhooksRead},
		{"Endpoints", "/endpoints", "endpoint", access.WebhooksRead},
		{"Events", "/events", "event", access.WebhooksRead},
		{"Deliveries", "/deliveries", "delivery", access.WebhooksRead},
		{"Sessions", "/sessions", "session", access.SessionsRead},
	}},
	{"Operate", []navItem{
		{"Bulk retries", "/jobs", "job", access.WebhooksRead},
		{"Queue", "/queue", "queue", access.QueueRead},
	}},
	{"Organization", []navItem{
		{"API keys", "/api-keys", "key", access.APIKeysManage},
		{"Members", "/members", "users", access.MembersRead},
		{"Audit log", "/audit", "audit", access.AuditRead},
		{"Settings", "/settings", "settings", ""},
		{"Help for receivers", "/help/receivers", "help", ""},
	}},
}

// Shell is what every page shares. active is the Href of the navigation item that the page belongs to. Without a session
// it is an empty frame.
func (p *page) Shell(title, active string) ui.Shell {
	s := ui.Shell{Title: title, Path: p.here(), Flashes: p.flashes, NoSearch: !p.signedIn()}
	if !p.signedIn() {
		return s
	}
	user, organization := p.Session.User, p.Session.Organization
	s.Organization, s.Environment, s.EnvTone = organization.Name, organization.Environment, environmentTone(organization.EnvironmentColor, organization.Environment)
	s.CSRF = p.Session.CSRFToken
	s.User = ui.User{Name: user.Name, Initials: initials(user.Name), Email: user.Email, Role: string(p.Session.Role)}
	s.LocalZone, s.Density, s.Shortcuts = user.TimeZone == localZone, user.Density, user.Shortcuts
	if user.Theme != "system" {
		s.Theme = user.Theme
	}
	s.ZoneName = "The zone of this browser"
	if zone, ok := p.browserZone(); ok {
		s.ZoneName = zone.String()
	}
	s.Nav = p.navigation(active)
	if p.Query("live") == "1" && p.R.Method == http.MethodGet {
		s.Reload = reloadEvery
	}
	s.Foot = []ui.FootFact{{Term: "Version", Value: p.Version}}
	if p.Session.HasFlash && !p.Fragment() && p.R.Method != http.MethodHead { // what shows no messages must not use one up
		if text, err := p.Login.TakeFlash(p.Ctx, p.Session.ID); err != nil {
			p.Log.LogAttrs(p.Ctx, slog.LevelWarn, "flash not read", slog.String("error", err.Error()))
		} else if text != "" {
			var flash ui.Flash
			flash, p.sight = decodeFlash(text)
			s.Flashes = append(s.Flashes, flash)
		}
		p.Session.HasFlash = false
	}
	return s
}

func (p *page) navigation(active string) []ui.NavGroup {
	var groups []ui.NavGroup
	for _, g := range navigation {
		group := ui.NavGroup{Title: g.title}
		for _, item := range g.items {
			if item.scope != "" && !p.Can(item.scope) || !p.serves(item.href) {
				continue
			}
			n := ui.NavItem{Label: item.label, Href: item.href, Icon: item.icon, Current: item.href == active}
			if item.href == "/deliveries" {
				n.Count, n.Tone, n.What = p.failedBadge()
				n.CountHref = link(deliveriesPath, "status", anyFailed, "failed_from", p.FormTime(p.Now.Add(-badgeSpan)))
			}
			group.Items = append(group.Items, n)
		}
		if len(group.Items) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

// badgeSpan is how far back the number in the navigation looks, badgeLife how old it may be, badgeMax how far it counts.
const (
	badgeSpan = 24 * time.Hour
	badgeLife = 10 * time.Second
	badgeMax  = 100
)

type badgeCount struct {
	n  int
	at time.Time
}

// failedBadge counts the deliveries of the last day that have failed.
func (p *page) failedBadge() (count string, tone ui.Tone, what string) {
	org := p.Actor.Organization
	p.mu.Lock()
	known, ok := p.badges[org]
	p.mu.Unlock()
	if !ok || p.Now.Sub(known.at) > badgeLife || p.Now.Before(known.at) {
		n, err := p.Deliveries.Count(p.Ctx, p.Actor, delivery.Filter{State: delivery.AnyFailed, FailedFrom: p.Now.Add(-badgeSpan)}, badgeMax)
		if err != nil {
			return "", "", "" // the page itself will say what is wrong
		}
		known = badgeCount{n, p.Now}
		p.mu.Lock()
		p.badges[org] = known
		p.mu.Unlock()
	}
	switch {
	case known.n == 0:
		return "", "", ""
	case known.n >= badgeMax:
		return "99+", ui.Bad, "failed in 24 h"
	}
	return ui.Count(known.n), ui.Bad, "failed in 24 h"
}

// environmentTones are the badges of the colours that can be chosen.
var environmentTones = map[string]ui.Tone{"plain": "", "blue": ui.Info, "green": ui.OK, "amber": ui.Warn, "red": ui.Bad, "violet": ui.Test}

// environmentTone is the colour of the badge. Where none is chosen the plain one is kept for production, so that anything else
// stands out.
func environmentTone(color, name string) ui.Tone {
	if tone, chosen := environmentTones[color]; chosen {
		return tone
	}
	switch name {
	case "production", "Production":
		return ""
	case "development", "Development", "test", "Test":
		return ui.Test
	}
	return ui.Info
}

func (p *page) footer() string {
	if p.Version == "" {
		return ""
	}
	return "Kaylehooks " + p.Version
}

// bare is the shell of a page without a session.
func (p *page) bare(title string) (ui.Bare, error) {
	token, err := p.ensureFormToken()
	return ui.Bare{Title: title, CSRF: token, Version: p.footer()}, err
}
