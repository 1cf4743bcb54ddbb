package pages

import "kaylehooks/web/templates/ui"

// APIKeys is the list of API keys.
//
//	GET  /api-keys
//	POST /api-keys                         name, scopes (repeated), expires (days: 30, 90, 365, 0)
//	POST /api-keys/{id}/disable | /enable
//	GET  /api-keys/{id}/rotate             confirmation: ConfirmPage
//	POST /api-keys/{id}/rotate             overlap (hours)
//	GET  /api-keys/{id}/delete             confirmation: ConfirmPage
//	POST /api-keys/{id}/delete
//
// The answer to a creation or a rotation is this page with Created set, sent with
// Cache-Control: no-store.
type APIKeys struct {
	Pager   ui.Pager
	Shell   ui.Shell
	Heading ui.Heading
	Created *SecretOnce
	Form    *APIKeyForm // nil for people who may not create keys
	Rows    []APIKeyRow
	State   ui.ListState
}

// APIKeyForm creates a key.
type APIKeyForm struct {
	Open    bool // shown expanded, after an error or with ?new=1
	Name    ui.Field
	Scopes  ui.CheckGroup // name "scopes"; Disabled with a hint where the role is too low
	Expires ui.Select     // name "expires"
	Errors  ui.FormErrors
	Presets []ui.Link // links that reload the form with scopes chosen, for example ?preset=read
}

// APIKeyRow is one key; its plaintext is never known here.
type APIKeyRow struct {
	ID       ui.ID
	Name     string
	Prefix   string
	Scopes   []string
	Status   ui.Badge // Active, Disabled, Expired
	By       string
	Created  ui.Time
	Ends     string // "ends" or "ended", before Expires; "no end" without it
	Expires  *ui.Time
	LastUsed *ui.Time
	UsedBy   string   // address of the last use
	UsedFor  string   // method and route of the last use
	Calls    ui.Spark // a bar per day; without bars when there was no call
	CallsSum string
	Actions  []ui.Action
}

// ConfirmPage is a confirmation page without sub-navigation.
type ConfirmPage struct {
	Shell   ui.Shell
	Heading ui.Heading
	Confirm ui.Confirm
}
