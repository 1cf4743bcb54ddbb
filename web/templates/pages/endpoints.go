package pages

import (
	"strconv"

	"kaylehooks/web/templates/ui"
)

// Endpoints is the list of endpoints.
//
//	GET  /endpoints?q=&health=&event=&label=&sort=health|failures|last   #results
//	GET  /endpoints/new
//	POST /endpoints/{id}/test | /pause | /resume   (row actions); HX-Request: pause and resume answer with EndpointSwap
type Endpoints struct {
	Shell   ui.Shell
	Heading ui.Heading
	Filters ui.Filters
	Results EndpointsResults
}

// EndpointsResults is the region #results of the endpoint list.
type EndpointsResults struct {
	CSRF   string
	Active ui.ActiveFilters
	Rows   []EndpointRow
	State  ui.ListState // used when Rows is empty
	Pager  ui.Pager
	Status string // announced after a filter change, for example "7 endpoints"
}

// EndpointRow is one endpoint.
type EndpointRow struct {
	ID         string
	Name       string // the host when the endpoint has no name
	Href       string
	Address    string // host and path, without scheme and query
	Labels     []string
	Health     ui.Badge
	Events     string // for example "3 / 4"
	EventsHref string
	KeyID      string // active key; empty: none
	KeyPrint   string // short thumbprint
	NoKey      string // shown instead of a key: "Add a key", or what those see who may not
	KeyHref    string // to the keys page
	Spark      ui.Spark
	FirstTry   string // for example "97.4 %"; empty is shown as "no data"
	FirstHref  string
	P95        string
	P95Href    string
	Waiting    string
	WaitHref   string
	Last       *ui.Time
	Actions    []ui.Action // small, for example Send test and Pause
}

// EndpointForm creates or edits an endpoint.
//
//	GET  /endpoints/new
//	POST /endpoints         name, labels (comma separated), url, enabled ("1"),
//	                        events (repeated), retention (hours: 0, 24, 72, 168)
//	GET  /endpoints/{id}/settings
//	POST /endpoints/{id}    the same fields; an address that is refused is a 422 at url
//
// After creation the secret is shown once: see EndpointCreated.
type EndpointForm struct {
	Shell     ui.Shell
	Heading   ui.Heading
	SubNav    *ui.SubNav // settings of an existing endpoint only
	Action    string     // "/endpoints" or "/endpoints/{id}"
	Submit    string     // "Create endpoint" or "Save changes"
	BackHref  string
	Name      ui.Field      // name "name"
	Labels    ui.Field      // name "labels"
	URL       ui.Field      // name "url"
	Enabled   ui.CheckGroup // name "enabled", one option with value "1"
	Events    ui.CheckGroup // name "events"
	Retention ui.Select     // name "retention"
	Errors    ui.FormErrors
	Notes     []ui.Alert // advisory findings, for example of the address check
	ReadOnly  string     // why the form cannot be sent, for members; hides the buttons
	Danger    *DangerZone
	// Connection is the way to the endpoint; nil hides it.
	Connection *Connection
	// DuplicateHref leads to the form of a new endpoint, filled in as this one is; empty hides it.
	DuplicateHref string
	Limit         string // for example "7 of 100 endpoints are in use"
}

// Connection is the panel about the way to an endpoint's receiver.
//
//	POST /endpoints/{id}/check   looks, and leads to the settings, where Rules has what was seen
type Connection struct {
	Action string    // empty offers no check
	Badge  *ui.Badge // nil before the check
	Rules  []ui.Rule // in the order of a connection
}

// DangerZone links to the confirmation of a deletion.
type DangerZone struct {
	Title string
	Text  string
	Href  string // "/endpoints/{id}/delete"
	Label string
}

// EndpointCreated shows the signing secret of a new endpoint, once. Send it
// with Cache-Control: no-store.
//
//	answer to POST /endpoints
type EndpointCreated struct {
	Shell   ui.Shell
	Heading ui.Heading
	Secret  SecretOnce
	// Connection is what was seen when the URL was saved.
	Connection Connection
	NextHref   string // to the keys page: the next step is a key
	Next       string
	SkipHref   string
}

// SecretOnce is a secret on the one page that ever shows it. app.js hides it
// after HideAfter seconds.
type SecretOnce struct {
	ID        string // unique element id
	Label     string
	Value     string
	HideAfter int    // seconds; 0 leaves it shown
	Last      bool   // it cannot be shown again: leaving it behind uncopied is warned of
	Note      string // what to do with it
	Env       string // optional example line, for example "KAYLE_WEBHOOK_SECRET=…"
}

func seconds(n int) string { return strconv.Itoa(n) }

func connectionVerb(c Connection) string {
	if len(c.Rules) > 0 {
		return "Check again"
	}
	return "Check connection"
}
