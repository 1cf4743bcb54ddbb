package pages

import "kaylehooks/web/templates/ui"

// Reauthenticate asks a signed-in person for the password again.
//
//	GET  /reauthenticate?next=/path
//	POST /reauthenticate   password, next
type Reauthenticate struct {
	Shell    ui.Shell
	Heading  ui.Heading
	Next     string
	Reason   string // why it is asked
	Password ui.Field
	Errors   ui.FormErrors
}
