// Package pages holds the pages of the dashboard, one pair per page: a templ
// file with the markup and a Go file with the view struct it takes.
//
// A view struct carries display-ready values only; the doc comment of each lists
// its routes, with the method, the action and the names of every form field, so
// that the HTTP handlers can be written from it. Conventions for all pages:
//
//   - GET with HX-Request: true returns the region "#results" of a list page,
//     rendered by its …Results component; a plain GET returns the whole page.
//   - Every POST form carries "csrf_token". Success answers 303, a rejected form
//     422 with the same page, a conflict 409 with the current state.
//   - Empty href or action strings hide the link or the form, so a handler leaves
//     out what the person may not do, or sets Disabled to say why.
//   - Secrets appear only through SecretOnce; a page that carries one must be sent
//     with Cache-Control: no-store.
package pages
