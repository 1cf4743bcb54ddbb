package pages

import "kaylehooks/web/templates/ui"

// SignIn is the sign-in form.
//
//	GET  /sign-in?next=/path
//	POST /sign-in    email, password, next
//	POST /sign-out   (from the user menu of the shell)
type SignIn struct {
	Bare   ui.Bare
	Email  string      // kept after a refused try
	Next   string      // local path to go to afterwards
	Error  string      // same text for an unknown address and a wrong password
	Kept   []ui.Hidden // a form that arrived after the session had ended
	Note   string      // neutral message, for example "You were signed out after 12 hours."
	Checks []ui.Rule   // what the installation needs, while something of that is away
}

// Setup is the first-run form that creates the organization and its owner.
//
//	GET  /setup?token=…
//	POST /setup   token, organization, environment, name, email, password, zone_name
type Setup struct {
	Bare        ui.Bare
	Token       ui.Field      // name "token"
	Org         ui.Field      // name "organization"
	Environment ui.Field      // name "environment"
	Color       ui.CheckGroup // radio, name "color"
	Name        ui.Field      // name "name"
	Email       ui.Field      // name "email"
	Password    ui.Field      // name "password", type password
	Zone        ui.Select
	Errors      ui.FormErrors
	Expired     bool      // the token is used or too old: shows how to print a new one
	Command     string    // the command that prints a new token
	Checks      []ui.Rule // named system checks, for example Postgres and Redis
}

// Accept is the form by which an invited person joins.
//
//	GET  /invitations/{token}
//	POST /invitations/{token}   name, password
type Accept struct {
	Bare         ui.Bare
	Action       string
	Organization string
	Email        string
	Role         string
	InvitedBy    string
	Name         ui.Field // left out without a name, for a person who has an account
	Password     ui.Field
	Errors       ui.FormErrors
	Expired      bool // the invitation can no longer be used
}
