package dashboard

import (
	"net/http"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const keyboardPath = "/help/keyboard"

// showKeyboard lists what keys.js does; the two must agree.
func showKeyboard(p *page) error {
	v := pages.Keyboard{
		Heading: ui.Heading{Title: "Keyboard shortcuts"}, Off: !p.Session.User.Shortcuts,
		Keys: []pages.Shortcut{
			{Keys: []string{"/"}, Does: "Find any id"},
			{Keys: []string{"j"}, Does: "Next row of a list"},
			{Keys: []string{"k"}, Does: "Row before"},
			{Keys: []string{"Enter"}, Does: "Open the row"},
			{Keys: []string{"c"}, Does: "Copy the id of the row, or of the page"},
			{Keys: []string{"r"}, Does: "Retry the delivery; asks first"},
			{Keys: []string{"g", "d"}, Does: "Go to deliveries"},
			{Keys: []string{"g", "e"}, Does: "Go to endpoints"},
			{Keys: []string{"g", "k"}, Does: "Go to the keys of this endpoint, or to API keys"},
			{Keys: []string{"g", "q"}, Does: "Go to the queue"},
			{Keys: []string{"?"}, Does: "This list"},
			{Keys: []string{"Esc"}, Does: "Close a dialog or a menu"},
		},
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.KeyboardDialog(v))
	}
	v.Shell = p.Shell(v.Heading.Title, keyboardPath)
	return p.Render(http.StatusOK, pages.KeyboardPage(v))
}
