package pages

import "kaylehooks/web/templates/ui"

// Receivers helps the people who write a receiver.
//
//	GET  /help/receivers?endpoint=whe_…&lang=go|node|python
//	POST /help/receivers/check   endpoint, signature, body; HX-Request: the
//	                             CheckResult panel, else the page. Nothing is stored.
type Receivers struct {
	Shell    ui.Shell
	Heading  ui.Heading
	Endpoint *ui.Filters // a GET form choosing the endpoint that fills the samples
	Missing  *ui.Alert   // no key or secret yet: samples carry placeholders
	Langs    []ui.Link
	Samples  []Snippet
	Rules    []string // what a receiver must do, in order
	Events   []EventSample
	Checker  *Checker
}

// EventSample is one event type with an example payload.
type EventSample struct {
	Type string
	When string
	Code string
}

// Checker checks a signature. It never asks for a private key.
type Checker struct {
	Action    string // "/help/receivers/check"
	Endpoint  ui.Select
	Signature ui.Field    // name "signature"
	Message   ui.Textarea // name "body"
	Private   string      // what private keys match, which the browser does not send
	Errors    ui.FormErrors
	Result    CheckResult
}

// CheckResult is the panel #verdict of the checker.
type CheckResult struct {
	Badge *ui.Badge // nil before the first check
	Rules []ui.Rule
}
