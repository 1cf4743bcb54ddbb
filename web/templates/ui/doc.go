// Package ui holds the layout shell and the reusable parts of the dashboard:
// badges, ids, times, forms, tables, charts and the distinct empty, no-match,
// error and forbidden states.
//
// Every part takes one plain struct of display-ready values. The package knows
// nothing about the rest of the system: it imports templ, the standard library
// and the asset URLs of web/static. Parts follow the strict content security
// policy of the dashboard: no inline script, no style attribute, no on* handler.
// All geometry of server-drawn charts is written as SVG attributes.
package ui
