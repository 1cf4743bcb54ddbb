package pages

import "kaylehooks/web/templates/ui"

// Problem is every page that stands for an error inside the dashboard: 403,
// 404, 409, 429, 500.
//
//	GET /find?q=   the search box answers 303 to the thing found, else 404 here
type Problem struct {
	Shell     ui.Shell
	Status    int
	Title     string // the h1, for example "This page does not exist"
	Icon      string
	Text      string
	Sub       string // second paragraph, for example who holds the needed role
	RequestID string
	Query     string // what was searched for, fills the search box of a 404
	Search    bool   // shows a search form
	Actions   []ui.Action
}

// Unavailable is the 503 page: it needs no session and no database, and
// reloads itself.
type Unavailable struct {
	Bare      ui.Bare
	Title     string
	Text      string
	Checks    []ui.Rule // named parts and their state
	RequestID string
	RetryHref string
	Refresh   int // seconds until the header Refresh loads the page again
}
