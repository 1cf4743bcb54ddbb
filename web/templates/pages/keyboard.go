package pages

import "kaylehooks/web/templates/ui"

// Keyboard lists the shortcuts.
//
//	GET /help/keyboard   HX-Request: the content of the dialog, else the page
type Keyboard struct {
	Shell   ui.Shell
	Heading ui.Heading
	Off     bool // this person has switched them off
	Keys    []Shortcut
}

// Shortcut is what keys, pressed one after the other, do.
type Shortcut struct {
	Keys []string
	Does string
}
