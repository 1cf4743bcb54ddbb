package pages

import "kaylehooks/web/templates/ui"

// Settings is the settings page: the organization's and the person's own.
//
//	GET  /settings
//	POST /settings/organization   name, environment, color, seen
//	POST /settings/profile        name, zone_name, theme (auto|light|dark), density (compact|normal|relaxed), shortcuts (1), live (1), seen
//	POST /settings/password       current, password
//	POST /settings/zone           zone (utc|local), return: the switch of the top bar
//	POST /settings/live           live (0|1), return: pause and resume of live pages
//	POST /settings/sessions/{id}/revoke
type Settings struct {
	Shell        ui.Shell
	Heading      ui.Heading
	Organization *OrganizationForm // nil hides the section
	Profile      ProfileForm
	Password     *PasswordForm
	Devices      []DeviceRow
	Locked       []LockedGroup
}

// OrganizationForm edits the organization.
type OrganizationForm struct {
	Name        ui.Field
	Environment ui.Field
	Color       ui.CheckGroup // radio, name "color"
	Seen        string        // version of what the person edits, sent back as "seen"
	Errors      ui.FormErrors
	Conflict    *ui.Alert // somebody else saved meanwhile
	ReadOnly    string    // why it cannot be edited
	Facts       []ui.Fact
}

// ProfileForm edits the person's own settings.
type ProfileForm struct {
	Name      ui.Field      // left out without a name
	Zone      ui.Select     // name "zone_name"
	Theme     ui.CheckGroup // radio, name "theme"
	Density   ui.CheckGroup // radio, name "density"
	Shortcuts ui.CheckGroup // name "shortcuts"
	Live      ui.CheckGroup // name "live"
	Seen      string        // what the person edits, sent back as "seen"
	Errors    ui.FormErrors
	Conflict  *ui.Alert // saved in another window meanwhile
}

// PasswordForm changes the person's password.
type PasswordForm struct {
	Current ui.Field // name "current"
	New     ui.Field // name "password"
	Errors  ui.FormErrors
}

// DeviceRow is one signed-in browser.
type DeviceRow struct {
	What    string
	Address string
	Seen    ui.Time
	Current bool
	Actions []ui.Action
}

// LockedGroup is a set of values fixed by the environment.
type LockedGroup struct {
	Title string
	Note  string
	Rows  []LockedValue
}

// LockedValue is one value with the variable that sets it.
type LockedValue struct {
	Label    string
	Value    string
	Variable string
	Source   string // "environment", "default" or "built in"
}
