// Package browser holds the browser suite: a real Chromium uses the real program, as its operators do. It visits every
// page of the dashboard's route list, in every state and at every size, in light and dark, carries out every action, and
// fails on whatever the console, the content security policy, the network or axe-core complain of.
//
// The lists of pages and actions are read from internal/dashboard: a route that no visit or action reaches fails the suite.
package browser
