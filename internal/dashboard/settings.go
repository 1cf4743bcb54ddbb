package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const settingsPath = "/settings"

// settingsTry is what was entered into one of the forms, with the complaints about it.
type settingsTry struct {
	organization, profile, password problems
	name, environment, color        *string
	preferences                     *org.Preferences
	conflict, profileConflict       *ui.Alert
}

func showSettings(p *page) error { return p.renderSettings(http.StatusOK, settingsTry{}) }

func (p *page) renderSettings(status int, try settingsTry) error {
	devices, err := p.deviceRows()
	if err != nil {
		return err
	}
	v := pages.Settings{
		Shell: p.Shell("Settings", settingsPath), Heading: ui.Heading{Title: "Settings"},
		Organization: p.organizationForm(try), Profile: p.profileForm(try), Devices: devices,
		Password: &pages.PasswordForm{
			Current: ui.Field{Name: "current", Label: "Current password", Type: "password", Required: true, Autocomplete: "current-password", Error: try.password["password"]},
			New:     ui.Field{Name: "password", ID: "f-new-password", Label: "New password", Type: "password", Required: true, Autocomplete: "new-password", Hint: "At least 12 characters.", Error: try.password["new_password"]},
			Errors:  formErrors(try.password, "the password can be changed", labelled{"password", "f-current", "Current password"}, labelled{"new_password", "f-new-password", "New password"}),
		},
	}
	if p.Fragment() {
		switch csrf := v.Shell.CSRF; p.pattern { // a form is answered by its section
		case "POST " + settingsPath + "/organization":
			return p.Render(status, pages.OrganizationSection(*v.Organization, csrf))
		case "POST " + settingsPath + "/profile":
			return p.Render(status, pages.ProfileSection(v.Profile, csrf))
		case "POST " + settingsPath + "/password":
			return p.Render(status, pages.PasswordSection(*v.Password, csrf))
		}
	}
	if p.Can(access.QueueRead) { // how the server is run concerns those who run it
		v.Locked = lockedGroups(slices.Concat(p.Settings, builtIn()))
	}
	return p.Render(status, pages.SettingsPage(v))
}

func (p *page) organizationForm(try settingsTry) *pages.OrganizationForm {
	o := p.Session.Organization
	name, environment, color := o.Name, o.Environment, o.EnvironmentColor
	if try.name != nil {
		name = *try.name
	}
	if try.environment != nil {
		environment = *try.environment
	}
	if try.color != nil {
		color = *try.color
	}
	f := &pages.OrganizationForm{
		Name:        ui.Field{Name: "name", ID: "f-org-name", Label: "Name", Value: name, Required: true, MaxLength: 120, Autocomplete: "organization", Error: try.organization["name"]},
		Environment: ui.Field{Name: "environment", Label: "Environment", Value: environment, Required: true, MaxLength: 20, Autocomplete: "off", Hint: "The badge on every page, so that nobody acts on the wrong system.", Error: try.organization["environment"]},
		Color:       colorChoice(color, environment, try.organization["environment_color"]),
		Errors: formErrors(try.organization, "the organization can be saved",
			labelled{"name", "f-org-name", "Name"}, labelled{"environment", "f-environment", "Environment"}, labelled{"environment_color", "f-color", "Colour"}),
		Conflict: try.conflict, Seen: o.UpdatedAt.Format(time.RFC3339Nano),
		Facts: []ui.Fact{
			{Term: "Organization", ID: idPtr(ui.NewID(o.ID.String(), "organization id", ""))}, {Term: "Created", Time: exactPtr(p, &o.CreatedAt)},
		},
	}
	if !p.Can(access.OrganizationManage) {
		f.ReadOnly = needsRole(access.OrganizationManage)
	}
	return f
}

// colorChoice offers the colours of the badge, each as it will look.
func colorChoice(chosen, environment, complaint string) ui.CheckGroup {
	g := ui.CheckGroup{Name: "color", Legend: "Colour of the badge", Radio: true, Error: complaint}
	for _, color := range org.EnvironmentColors() {
		o := ui.Check{Value: color, Label: upperFirst(color), Checked: color == chosen, Sample: &ui.EnvBadge{Text: cmp.Or(environment, org.DefaultEnvironment), Tone: environmentTone(color, environment)}}
		if color == "" {
			o.Label, o.Hint = "By its name", "Plain for production, violet for test and development, blue for all else."
		}
		g.Options = append(g.Options, o)
	}
	return g
}

// lastChange says who changed the organization last, and when; without a trace of it that somebody did.
func (p *page) lastChange() (string, error) {
	list, err := audit.List(p.Ctx, p.DB, p.Actor, audit.Filter{EventPrefix: "organization.", TargetID: p.Session.Organization.ID.String()}, postgres.Page{Limit: 1})
	if err != nil || len(list.Rows) == 0 {
		return org.ErrChanged.Message, err
	}
	last := list.Rows[0]
	who := cmp.Or(last.ActorName, actorWord(last.ActorType))
	if last.ActorID == p.Actor.ID {
		return "You changed this " + length(p.Now.Sub(last.CreatedAt)) + " ago, in another window.", nil
	}
	return who + " changed this " + length(p.Now.Sub(last.CreatedAt)) + " ago.", nil
}

// zoneSelect offers the zones in which somebody can read times.
func (p *page) zoneSelect(chosen, complaint string) ui.Select {
	local := "Local: the zone of this browser"
	if zone, ok := p.browserZone(); ok {
		local = "Local: " + zone.String()
	}
	return ui.Select{Name: "zone_name", Label: "Times", Error: complaint, Options: []ui.Option{
		{Value: org.TimeZones()[0], Label: org.TimeZones()[0], Selected: chosen != localZone}, {Value: localZone, Label: local, Selected: chosen == localZone},
	}}
}

func (p *page) profileForm(try settingsTry) pages.ProfileForm {
	prefs := p.Session.User.Preferences
	if try.preferences != nil {
		prefs = *try.preferences
	}
	check := func(value, label, chosen string) ui.Check {
		return ui.Check{Value: value, Label: label, Checked: value == chosen}
	}
	theme := prefs.Theme
	if theme == "system" {
		theme = "auto"
	}
	return pages.ProfileForm{
		Zone:    p.zoneSelect(prefs.TimeZone, try.profile["time_zone"]),
		Theme:   ui.CheckGroup{Name: "theme", Legend: "Theme", Radio: true, Options: []ui.Check{check("auto", "As the system", theme), check("light", "Light", theme), check("dark", "Dark", theme)}, Error: try.profile["theme"]},
		Density: ui.CheckGroup{Name: "density", Legend: "Rows", Radio: true, Options: []ui.Check{check("compact", "Compact", prefs.Density), check("normal", "Normal", prefs.Density), check("relaxed", "Relaxed", prefs.Density)}, Error: try.profile["density"]},
		Shortcuts: ui.CheckGroup{Name: "shortcuts", Legend: "Keyboard", Options: []ui.Check{{
			Value: "1", Label: "Single-key shortcuts", Checked: prefs.Shortcuts, Hint: "Never while you type. “?” lists them; Help for receivers, search and every action work without them.",
		}}},
		Live: ui.CheckGroup{Name: "live", Legend: "Live updates", Options: []ui.Check{{
			Value: "1", Label: "Pages update themselves", Checked: prefs.Live, Hint: "Also switched by “Pause” and “Resume” on a page that updates itself.",
		}}},
		Seen: prefsText(p.Session.User.Preferences), Conflict: try.profileConflict,
		Errors: formErrors(try.profile, "your settings can be saved", labelled{"time_zone", "f-zone_name", "Times"}, labelled{"theme", "f-theme", "Theme"}, labelled{"density", "f-density", "Rows"}),
	}
}

// builtIn is what people look for among the settings, and nothing changes.
func builtIn() []Setting {
	delays := make([]string, len(delivery.RetryDelays()))
	for i, d := range delivery.RetryDelays() {
		delays[i] = delayWords(d)
	}
	return []Setting{
		{Group: "Delivery", Label: "Waits before the attempts 2 to " + strconv.Itoa(len(delays)+1), Value: strings.Join(delays, ", ")},
		{Group: "Delivery", Label: "Kept of a receiver's answer", Value: "4 KiB of the body, 100 characters of a header"},
	}
}

// lockedGroups are the values fixed by the environment, under the headings that the caller chose.
func lockedGroups(settings []Setting) []pages.LockedGroup {
	var groups []pages.LockedGroup
	for _, s := range settings {
		n := len(groups)
		if n == 0 || groups[n-1].Title != s.Group {
			groups = append(groups, pages.LockedGroup{Title: s.Group, Note: "fixed when the server starts"})
			n++
		}
		row := pages.LockedValue{Label: s.Label, Value: cmp.Or(s.Value, "none"), Variable: s.Variable, Source: "environment"}
		switch {
		case s.Variable == "":
			row.Source = "built in"
		case s.Default:
			row.Source = "default"
		}
		groups[n-1].Rows = append(groups[n-1].Rows, row)
	}
	return groups
}

// unchanged is the answer to a form that was sent as it was.
var unchanged = ui.Flash{Tone: ui.Info, Text: "Nothing was different, so nothing was changed."}

func saveOrganization(p *page) error {
	name, environment, color := p.Value("name"), p.Value("environment"), p.Value("color")
	before := p.Session.Organization
	seen, err := time.Parse(time.RFC3339Nano, p.Value("seen"))
	if err != nil { // a form of another release
		seen = p.Session.Organization.UpdatedAt
	}
	try := settingsTry{name: &name, environment: &environment, color: &color}
	after, err := p.Org.UpdateOrganization(p.Ctx, p.Actor, org.OrganizationUpdate{Name: &name, Environment: &environment, EnvironmentColor: &color, Expected: &seen})
	if found, ok := problemsOf(err); ok {
		try.organization = found
		return p.renderSettings(http.StatusUnprocessableEntity, try)
	}
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict {
		title, err := p.lastChange()
		if err != nil {
			return err
		}
		shade := ""
		if before.EnvironmentColor != "" {
			shade = " in " + before.EnvironmentColor
		}
		try.conflict = &ui.Alert{Tone: ui.Warn, Icon: "warn", Title: title, Text: "Now it is “" + before.Name + "”, " + before.Environment + shade + ". Your entries are still below; save again to put them in its place.", Urgent: true}
		return p.renderSettings(http.StatusConflict, try)
	}
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "The organization is saved."}
	if after.Name == before.Name && after.Environment == before.Environment && after.EnvironmentColor == before.EnvironmentColor {
		flash = unchanged
	}
	return p.Redirect(settingsPath, flash)
}

func saveProfile(p *page) error {
	prefs := p.Session.User.Preferences
	prefs.TimeZone = cmp.Or(p.Value("zone_name"), prefs.TimeZone)
	prefs.Theme = cmp.Or(p.Value("theme"), prefs.Theme)
	prefs.Density = cmp.Or(p.Value("density"), prefs.Density)
	prefs.Shortcuts = p.Value("shortcuts") == "1"
	prefs.Live = p.Value("live") == "1"
	if prefs.Theme == "auto" {
		prefs.Theme = "system"
	}
	if prefs == p.Session.User.Preferences {
		return p.Redirect(settingsPath, unchanged)
	}
	now := p.Session.User.Preferences
	err := error(org.ErrChanged)
	if seen := p.Value("seen"); seen == "" || seen == prefsText(now) {
		err = p.Org.UpdatePreferences(p.Ctx, p.Actor, prefs, &now)
	}
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict {
		if p.Session.User, err = p.Org.User(p.Ctx, p.Actor); err != nil {
			return err
		}
		return p.renderSettings(http.StatusConflict, settingsTry{preferences: &prefs, profileConflict: prefsConflict(p.Session.User.Preferences, prefs)})
	}
	if found, ok := problemsOf(err); ok {
		return p.renderSettings(http.StatusUnprocessableEntity, settingsTry{profile: found, preferences: &prefs})
	}
	if err != nil {
		return err
	}
	return p.Redirect(settingsPath, ui.Flash{Tone: ui.OK, Text: "Your settings are saved."})
}

// prefsText stands for one's settings in the form that changes them.
func prefsText(prefs org.Preferences) string { return fmt.Sprint(prefs) }

// prefsConflict says what one's settings are now, where that is not what was entered.
func prefsConflict(now, entered org.Preferences) *ui.Alert {
	onOff := map[bool]string{true: "on", false: "off"}
	var differs []string
	for _, s := range []struct{ label, now, entered string }{
		{"Times", now.TimeZone, entered.TimeZone},
		{"Theme", now.Theme, entered.Theme},
		{"Rows", now.Density, entered.Density},
		{"Single-key shortcuts", onOff[now.Shortcuts], onOff[entered.Shortcuts]},
		{"Live updates", onOff[now.Live], onOff[entered.Live]},
	} {
		if s.now != s.entered {
			differs = append(differs, fmt.Sprintf("%s is now “%s”", s.label, s.now))
		}
	}
	return &ui.Alert{
		Tone: ui.Warn, Icon: "warn", Urgent: true, Title: "You changed your settings in another window",
		Text: "Nothing was saved. Your entries are still below; save again to replace what is stored: " + strings.Join(differs, "; ") + ".",
	}
}

func savePassword(p *page) error {
	if refused, ok := p.throttle(); !ok {
		return p.renderSettings(http.StatusTooManyRequests, settingsTry{password: problems{"password": refused}})
	}
	err := p.Login.ChangePassword(p.Ctx, p.Actor, p.Session.ID, p.Raw("current"), p.Raw("password"))
	if found, ok := problemsOf(err); ok {
		return p.renderSettings(http.StatusUnprocessableEntity, settingsTry{password: found})
	}
	if err != nil {
		return err
	}
	return p.Redirect(settingsPath, ui.Flash{Tone: ui.OK, Text: "The password is changed.", Sub: "Your other browsers are signed out."})
}

func (p *page) deviceRows() ([]pages.DeviceRow, error) {
	devices, err := p.Login.Devices(p.Ctx, p.Actor)
	if err != nil {
		return nil, err
	}
	var rows []pages.DeviceRow
	for _, d := range devices {
		row := pages.DeviceRow{What: browserWords(d.UserAgent), Address: cmp.Or(d.IP, "address unknown"), Seen: p.At(d.LastSeenAt), Current: d.ID == p.Session.ID}
		if d.OrganizationName != p.Session.Organization.Name {
			row.What += ", in " + d.OrganizationName
		}
		switch {
		case !row.Current:
			row.Actions = []ui.Action{{Label: "Sign out", Href: settingsPath + "/sessions/" + d.ID.String() + "/revoke", Post: true, Small: true, Name: "Sign out " + row.What}}
		case len(devices) > 1:
			row.Actions = []ui.Action{{Label: "Sign out the others", Href: settingsPath + "/sessions/others", Post: true, Small: true}}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// browserWords names a browser and its system from the User-Agent, as far as that tells.
func browserWords(agent string) string {
	pick := func(choices ...[2]string) string {
		for _, c := range choices {
			if strings.Contains(agent, c[0]) {
				return c[1]
			}
		}
		return ""
	}
	// The order matters: later browsers claim to be earlier ones.
	browser := pick([2]string{"Edg/", "Edge"}, [2]string{"OPR/", "Opera"}, [2]string{"Firefox/", "Firefox"}, [2]string{"Chrome/", "Chrome"}, [2]string{"Safari/", "Safari"}, [2]string{"curl/", "curl"})
	system := pick([2]string{"iPhone", "iPhone"}, [2]string{"iPad", "iPad"}, [2]string{"Android", "Android"}, [2]string{"Windows", "Windows"}, [2]string{"Mac OS X", "macOS"}, [2]string{"CrOS", "ChromeOS"}, [2]string{"Linux", "Linux"})
	switch {
	case browser == "" && system == "":
		return "Unknown browser"
	case system == "":
		return browser
	case browser == "":
		return "Browser on " + system
	}
	return browser + " on " + system
}

// revokeDevice signs another of the person's browsers out.
func revokeDevice(p *page) error {
	session, err := pathID[id.LoginKind](p, "id", fault.Missing("session"))
	if err != nil {
		return err
	}
	if err := p.Login.Revoke(p.Ctx, p.Actor, session); err != nil {
		return err
	}
	return p.Redirect(settingsPath, ui.Flash{Tone: ui.OK, Text: "That browser is signed out."})
}

func revokeOtherDevices(p *page) error {
	n, err := p.Login.RevokeOthers(p.Ctx, p.Actor, p.Session.ID)
	if err != nil {
		return err
	}
	return p.Redirect(settingsPath, ui.Flash{Tone: ui.OK, Text: counted(int(n), "other browser is", "other browsers are") + " signed out."})
}
