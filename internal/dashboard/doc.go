// Package dashboard is the door for people: server-rendered pages behind cookie sign-in. It decodes forms, calls the
// rooms below and maps what they return to the view structs of web/templates. It decides nothing itself: permissions,
// rules and audit live in the rooms, and the same rules serve the JSON API. Its one table is form_submissions, by which a form that is sent
// twice does one thing.
//
// routes.go and routes_activity.go list every page. A handler is a func(*page) error: it reads through the page, renders
// with page.Render or leaves with page.Redirect, and returns an error that errors.go turns into a page.
package dashboard
