package ui

import "slices"

// Shell is what every page of the signed-in dashboard shares: who looks, at
// which organization, with which settings, and the way around.
type Shell struct {
	Title        string // document title, unique per page; " · Kaylehooks" is added
	Path         string // path and query of this page; forms send it back as "return"
	Organization string
	Environment  string // badge in the top bar, for example "Production"; empty hides it
	EnvTone      Tone   // colour of the environment badge; empty is the plain dark one
	CSRF         string // token written as hidden field "csrf_token" into every POST form
	User         User
	LocalZone    bool   // true: times are shown in ZoneName, false: in UTC
	ZoneName     string // the person's zone, for example "Europe/Oslo"
	Theme        string // "" follows the system, "light" or "dark"
	Shortcuts    bool   // single keys act on the page
	Density      string // "" is normal, "compact" or "relaxed"
	Nav          []NavGroup
	Foot         []FootFact // short system facts under the navigation
	Flashes      []Flash
	NoSearch     bool // hides the search box, for pages shown without a database
	Reload       int  // seconds after which the page loads again by itself where there is no scripting; 0 is never
}

// User is the signed-in person as shown in the top bar. A zero User hides the
// menu; it is used for error pages outside a session.
type User struct {
	Name     string
	Initials string
	Email    string
	Role     string
}

// NavGroup is one titled block of the main navigation.
type NavGroup struct {
	Title string
	Items []NavItem
}

// NavItem is one link of the main navigation.
type NavItem struct {
	Label   string
	Href    string
	Icon    string
	Current bool
	// Count is an optional number at the end of the line, CountHref the list of what it counts, which is What, for example "failed".
	Count     string
	CountHref string
	What      string
	Tone      Tone // colour of Count
}

// FootFact is one line of the small system summary under the navigation.
type FootFact struct {
	Term  string
	Value string
	Tone  Tone
}

// Bare is the shell of pages without a session: sign-in, first set-up, an
// accepted invitation.
type Bare struct {
	Title       string
	Environment string
	EnvTone     Tone
	CSRF        string
	Version     string // shown in the footer, for example "Kaylehooks 1.0.0"
	Status      string // one line about the system, for example "Database and queue reachable"
	StatusBad   bool
}

// Heading is the head of a page: crumbs, the one h1, a line of facts, actions.
type Heading struct {
	Crumbs  []Link
	Title   string
	ID      *ID     // shown after the title, in mono, with a copy button
	Badges  []Badge // state of the thing the page is about
	Actions []Action
	Sub     []SubItem
	Live    *Live
	Range   []Link // segmented choice at the right, for example 1 h / 24 h
	RangeOf string // accessible name of Range, for example "Range"
}

func (h Heading) exports() bool {
	return slices.ContainsFunc(h.Actions, func(a Action) bool { return a.Export > 0 })
}

// SubItem is one fact in the line under a page title. Exactly one of Text, ID
// and Time is shown; Lead is put before it.
type SubItem struct {
	Lead string
	Text string
	Href string
	Mono bool
	ID   *ID
	Time *Time
}

// Live says how fresh a page is and offers to pause or resume its polling.
type Live struct {
	Text   string // before At. app.js moves the time on while Text begins with "Live", and says when no answer comes
	At     *Time
	Toggle *Action // pauses or resumes; nil hides it
	Paused bool
	// RefreshHref is the page again, for those without scripting; ReloadHref is the page that does or does not load again by
	// itself, named by Reload.
	RefreshHref, ReloadHref, Reload string
}

// Link is a plain link. Current marks the chosen one among several.
type Link struct {
	Label   string
	Href    string
	Current bool
	// Count is a number beside the link, which leads to CountHref; CountOf says of what.
	Count, CountHref, CountOf string
}

// htmlClass is the class of <html>: theme and density of the person.
func (s Shell) htmlClass() string { return htmlClass(s.Theme, s.Density) }

func htmlClass(theme, density string) string {
	class := ""
	switch theme {
	case "light", "dark":
		class = "theme-" + theme
	}
	switch density {
	case "compact", "relaxed":
		if class != "" {
			class += " "
		}
		class += "density-" + density
	}
	return class
}

// htmxConfig keeps htmx to the part that works under the content security
// policy. 5xx answers never land in a target: the page keeps what it shows and
// app.js says that the server did not answer. The indicator rules ship in
// app.css, and the back button loads the page instead of restoring a copy, so
// no snapshot with a secret survives in the browser. What a person opened in a
// region stays open when the region is morphed.
const htmxConfig = `{"noSwap":[204,304,"5xx"],"includeIndicatorCSS":false,"history":"reload","defaultTimeout":20000,"morphIgnore":["data-htmx-powered","open"]}`
