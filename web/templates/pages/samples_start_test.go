package pages_test

import (
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func startPages() []page {
	setup := pages.Setup{
		Bare:        bare("Set up"),
		Token:       ui.Field{Name: "token", Label: "Set-up token", Value: "kst_7f31c09e2d711642b726", Hint: "Printed by the server when it started. It works once.", Required: true, Mono: true},
		Org:         ui.Field{Name: "organization", Label: "Organization", Required: true, MaxLength: 120},
		Environment: ui.Field{Name: "environment", Label: "Environment", Value: "Production", Hint: "Shown in the top bar", Required: true},
		Name:        ui.Field{Name: "name", Label: "Your name", Required: true, Autocomplete: "name"},
		Email:       ui.Field{Name: "email", Label: "Your email", Type: "email", Required: true, Autocomplete: "username"},
		Password:    ui.Field{Name: "password", Label: "Password", Type: "password", Hint: "At least 12 characters. A sentence is fine.", Required: true, Autocomplete: "new-password"},
		Zone:        ui.Select{Name: "zone_name", Label: "Times", Options: []ui.Option{{Value: "UTC", Label: "UTC", Selected: true}, {Value: "local", Label: "Local: Europe/Berlin"}}},
		Checks:      []ui.Rule{{State: "pass", Text: "Postgres reachable, schema current"}, {State: "pass", Text: "Redis reachable"}, {State: "warn", Text: "No worker seen yet", Sub: "Start one with: web worker"}},
	}
	setupErrors := setup
	setupErrors.Bare = bare("Set up: corrections")
	setupErrors.Errors = ui.FormErrors{Title: "2 things to correct", Items: []ui.FormError{{FieldID: "f-organization", Text: "Organization: a name is needed"}, {FieldID: "f-password", Text: "Password: at least 12 characters"}}}
	setupErrors.Org.Error, setupErrors.Password.Error = "Give the organization a name.", "At least 12 characters, this has 7."
	wrong := pages.SignIn{Bare: bare("Sign in: refused"), Email: "ana@fjordpay.example", Next: "/deliveries", Error: "Email or password is wrong. 7 tries left this minute."}

	first := overview()
	first.Shell.Title = "Overview, first steps"
	first.Attention = pages.Attention{Calm: "Nothing needs you. Endpoints, keys and workers are watched here."}
	first.Empty = &ui.Empty{
		Icon: "endpoint", Title: "No endpoints yet", Text: "An endpoint is a URL that receives encrypted results of identity checks. Until one exists, events are recorded and sent nowhere.",
		Actions: []ui.Action{{Label: "Create endpoint", Icon: "plus", Href: "/endpoints/new", Kind: "primary"}, {Label: "Use the built-in test receiver", Href: "/help/receivers"}},
	}
	return []page{
		{"sign-in", pages.SignInPage(pages.SignIn{Bare: bare("Sign in"), Next: "/"})},
		{"sign-in-error", pages.SignInPage(wrong)},
		{"setup", pages.SetupPage(setup)},
		{"setup-errors", pages.SetupPage(setupErrors)},
		{"setup-expired", pages.SetupPage(pages.Setup{Bare: bare("Set up: new token"), Expired: true, Command: "web setup --new-token"})},
		{"accept", pages.AcceptPage(pages.Accept{
			Bare: bare("Join"), Action: "/invitations/sample", Organization: "Fjordpay", Email: "mira@fjordpay.example", Role: "admin", InvitedBy: "Ana Lindqvist",
			Name:     ui.Field{Name: "name", Label: "Your name", Required: true, Autocomplete: "name"},
			Password: ui.Field{Name: "password", Label: "Choose a password", Type: "password", Required: true, Autocomplete: "new-password", Hint: "At least 12 characters"},
		})},
		{"reauthenticate", pages.ReauthenticatePage(pages.Reauthenticate{
			Shell: shell("Confirm your password", ""), Heading: ui.Heading{Title: "Confirm your password"}, Next: "/members", Reason: "Managing members needs a password entered within the last 10 minutes.",
			Password: ui.Field{Name: "password", Label: "Your password", Type: "password", Required: true, Autocomplete: "current-password", Autofocus: true},
		})},
		{"overview", pages.OverviewPage(overview())},
		{"overview-first", pages.OverviewPage(first)},
	}
}

func overview() pages.Overview {
	return pages.Overview{
		Shell: shell("Overview", "/"),
		Heading: ui.Heading{
			Title: "Overview", Live: &ui.Live{Text: "Live, updated", At: ptr(ui.Clock(now, time.UTC))}, RangeOf: "Range",
			Range: []ui.Link{{Label: "1 h", Href: "/?range=1h"}, {Label: "24 h", Href: "/?range=24h", Current: true}, {Label: "7 d", Href: "/?range=7d"}, {Label: "30 d", Href: "/?range=30d"}},
		},
		Attention: pages.Attention{
			PollHref: "/attention", Count: "4 open", Note: ui.Link{Label: "the worst 4 are shown", Href: "/endpoints"},
			Items: []pages.AttentionItem{
				{Tone: ui.Bad, Icon: "cross", Subject: "Risk engine", Href: "/endpoints/" + riskID, Text: "is failing: no 2xx in the last 63 attempts.", Why: "It answers 503. 501 deliveries are waiting for their next attempt; the first encrypted body expires Mar 14, 12:21.", When: "5 h 41 m", Action: &ui.Action{Label: "Open endpoint", Href: "/endpoints/" + riskID, Small: true}},
				{Tone: ui.Bad, Icon: "blocked", Subject: "Lumen Leasing", Href: "/endpoints/x", Text: "has no active key.", Why: "31 events could not be encrypted for it and will not be sent later. Add a key before the next event.", When: "1 h 12 m", Action: &ui.Action{Label: "Add a key", Href: "/endpoints/x/keys", Small: true}},
				{Tone: ui.Warn, Icon: "warn", Subject: "Onboarding CRM", Href: "/endpoints/y", Text: "is degraded: 97.4 % first-attempt success.", Why: "28 response timeouts since 09:00. Retries recover 100 % of them.", When: "since 09:04", Action: &ui.Action{Label: "See timeouts", Href: "/deliveries?error=timeout_response", Small: true}},
				{Tone: ui.Warn, Icon: "clock", Lead: "Signing-secret overlap of", Subject: "KYC core", Href: "/endpoints/z", Text: "ends in 3 h 20 m.", Why: "12 waiting deliveries will then be signed with the new secret only. Confirm the receiver has it.", When: "ends 17:47", Action: &ui.Action{Label: "Review", Href: "/endpoints/z/secret", Small: true}},
			},
		},
		Tiles: []ui.Tile{
			{Label: "Deliveries", Number: "4,839", Href: "/deliveries", Meter: meter(4839, part(4590, ui.FillStrong), part(249, ui.FillBad)), Note: "+6.1 % against the day before", NoteTone: ui.OK},
			{Label: "First-attempt success", Number: "94.9", Unit: "%", Href: "/deliveries", Meter: &ui.Meter{Total: 1000, Parts: []ui.MeterPart{part(949, ui.FillStrong)}, Mark: 990}, Note: "Target 99.0 %, 4.1 below", NoteTone: ui.Bad},
			{Label: "Latency p50 / p95", Number: "182", Unit: "/ 1,240 ms", Href: "/deliveries", Meter: meter(2000, part(182, ui.FillStrong), part(1058, ui.FillWarn)), Note: "Bar ends at 2 s; 28 timed out at 15 s"},
			{Label: "Waiting for retry", Number: "533", Href: "/deliveries?status=retrying", Meter: meter(1540, part(533, ui.FillWarn)), Note: "184 due in the next hour"},
			{Label: "Failed, body still held", Number: "214", Href: "/deliveries?status=failed", Meter: meter(214, part(38, ui.FillWarn), part(176, ui.FillLine)), Note: "38 bodies expire within 6 h"},
		},
		Volume: volumeChart(), Latency: latencyChart(), Forecast: forecastChart(), Errors: errorKinds(),
		Failing: pages.FailingEndpoints{AllHref: "/endpoints", Items: []pages.FailingEndpoint{
			{Name: "Risk engine", Href: "/endpoints/" + riskID, Health: failing, FirstTry: "61.2 %", Waiting: "501", WaitHref: "/deliveries"},
			{Name: "Onboarding CRM", Href: "/endpoints/y", Health: degraded, FirstTry: "97.4 %", Waiting: "9", WaitHref: "/deliveries"},
			{Name: "Data warehouse", Href: "/endpoints/d", Health: healthy, FirstTry: "99.2 %", Waiting: "11", WaitHref: "/deliveries"},
			{Name: "KYC core", Href: "/endpoints/z", Health: healthy, FirstTry: "99.9 %", Waiting: "12", WaitHref: "/deliveries"},
			{Name: "Staging mirror", Href: "/endpoints/s", Health: unproven, FirstTry: "no data", Waiting: "1", WaitHref: "/deliveries"},
		}},
		Checklist: &pages.Checklist{Note: "5 of 6 done", Items: []ui.CheckStep{
			{Done: true, Text: "Create an endpoint", Note: "Nov 3"},
			{Done: true, Text: "Add an encryption key", Note: "Nov 3"},
			{Done: true, Text: "Send a test event", Note: "Nov 4"},
			{Done: true, Text: "First 2xx for a test", Note: "Nov 4"},
			{Done: true, Text: "First 2xx for a real event", Note: "Nov 6"},
			{Text: "Invite a second owner", Href: "/members#invite", Note: "recovery needs two"},
		}},
	}
}

// errorPages are the pages that stand for a failure.
func errorPages() []page {
	notFound := pages.Problem{Shell: shell("Not found", ""), Status: 404, Icon: "search", Title: "This page does not exist", Text: "The address is wrong, or what it named was removed. Paste any id below to find it.", Query: "whd_01kk8zhp", Search: true, Actions: []ui.Action{{Label: "Go to the overview", Href: "/"}}}
	forbidden := pages.Problem{Shell: shell("Not allowed", ""), Status: 403, Icon: "lock", Title: "Revealing a secret needs the owner role", Text: "You are signed in as admin.", Sub: "Owners of Fjordpay: Ana Lindqvist, Jonas Vik. This attempt was recorded in the audit log.", RequestID: "req_8f2c41d0", Actions: []ui.Action{{Label: "Back to the endpoint", Href: "/endpoints/" + riskID}}}
	broken := pages.Problem{Shell: shell("Fault on our side", ""), Status: 500, Icon: "warn", Title: "This page could not be built", Text: "The fault is on our side and was logged. Deliveries keep going out.", RequestID: "req_8f2c41d0", Actions: []ui.Action{{Label: "Try again", Icon: "loop", Href: "/deliveries", Kind: "primary"}, {Label: "Queue page", Href: "/queue"}}}
	return []page{
		{"error-404", pages.ProblemPage(notFound)},
		{"error-403", pages.ProblemPage(forbidden)},
		{"error-500", pages.ProblemPage(broken)},
		{"error-503", pages.UnavailablePage(pages.Unavailable{
			Bare: ui.Bare{Title: "Database away", Version: "Kaylehooks 1.0.0", Status: "Database not reachable", StatusBad: true}, Title: "The database is not reachable", Text: "Pages need it; deliveries wait safely and go out when it is back.",
			Checks: []ui.Rule{{State: "fail", Text: "Postgres", Got: "no answer in 3 s"}, {State: "pass", Text: "Redis"}}, RequestID: "req_8f2c41d0", RetryHref: "/", Refresh: 10,
		})},
		{"endpoint-gone", pages.EndpointGonePage(pages.EndpointGone{
			Shell: shell("Deleted endpoint", "/endpoints"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Title: "Audit archive", Badges: []ui.Badge{{Tone: ui.Neutral, Icon: "square", Label: "Deleted"}}},
			Text:  "This endpoint was deleted. Its keys and secret are gone and nothing is sent to it. Past deliveries stay readable.",
			Facts: []ui.Fact{{Term: "Deleted", Time: ptr(exact(30 * time.Hour)), Sub: "by Ana Lindqvist"}, {Term: "Ended", Text: "87 waiting deliveries failed, their bodies were erased"}}, Actions: []ui.Action{{Label: "Its deliveries", Href: "/deliveries?endpoint=x"}},
		})},
	}
}
