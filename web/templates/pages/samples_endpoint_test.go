package pages_test

import (
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func endpointFilters() ui.Filters {
	return ui.Filters{Action: "/endpoints", Search: &ui.SearchBox{Label: "Search", Placeholder: "Name, URL or id"}, Fields: []ui.FilterField{
		{Name: "health", Label: "Health", Options: options("", "", "Any", "failing", "Failing")},
		{Name: "event", Label: "Event", Options: options("", "", "Any")},
		{Name: "label", Label: "Label", Options: options("prod", "", "Any", "prod", "prod"), Set: true},
		{Name: "sort", Label: "Sort", Options: options("health", "health", "Health", "last", "Last delivery")},
	}}
}

func endpointRows() []pages.EndpointRow {
	test := func(id string) []ui.Action {
		return []ui.Action{{Label: "Send test", Href: "/endpoints/" + id + "/test", Post: true, Small: true}}
	}
	row := func(id, name, address string, health ui.Badge, labels ...string) pages.EndpointRow {
		return pages.EndpointRow{ID: "whe_" + id, Name: name, Href: "/endpoints/whe_" + id, Address: address, Labels: labels, Health: health, Events: "4 / 4", KeyID: "k4", KeyPrint: "b0Xt…x4MQ", KeyHref: "/endpoints/whe_" + id + "/keys", Spark: spark(100, 0), FirstTry: "99.9 %", P95: "310 ms", Waiting: "12", WaitHref: "/deliveries", Last: ptr(ago(9 * time.Second)), Actions: test("whe_" + id)}
	}
	risk := row("risk", "Risk engine", "risk.fjordpay.example/v2/webhooks", failing, "prod", "eu-north")
	risk.KeyID, risk.KeyPrint, risk.Spark, risk.FirstTry, risk.P95, risk.Waiting = "risk-2026", "nU3q…c8x0", spark(40, 5), "61.2 %", "1.9 s", "501"
	lumen := row("lumen", "Lumen Leasing", "api.lumen-leasing.example/hooks/id", noKey, "partner")
	lumen.Events, lumen.KeyID, lumen.NoKey, lumen.Spark, lumen.FirstTry, lumen.P95, lumen.Waiting, lumen.WaitHref = "2 / 4", "", "31 events not sent", ui.Spark{Label: "No traffic", Bars: make([]ui.SparkBar, 24)}, "", "", "0", ""
	crm := row("crm", "Onboarding CRM", "crm.fjordpay.example/in/identity", degraded, "prod")
	crm.FirstTry, crm.P95, crm.Waiting, crm.Events, crm.Spark = "97.4 %", "14.2 s", "9", "3 / 4", spark(100, 1)
	archive := row("archive", "Audit archive", "archive.fjordpay.example/kayle", paused)
	archive.Waiting, archive.Actions = "87", []ui.Action{{Label: "Send test", Small: true, Disabled: "The endpoint is paused"}}
	staging := row("staging", "mirror.fjordpay.example:8443", "mirror.fjordpay.example:8443/in", unproven, "staging")
	staging.FirstTry, staging.P95, staging.Last, staging.Waiting, staging.WaitHref = "", "", nil, "0", ""
	return []pages.EndpointRow{risk, lumen, crm, row("dwh", "Data warehouse", "ingest.fjordpay.example/kayle/events", healthy, "prod", "batch"), row("kyc", "KYC core", "hooks.fjordpay.example/kyc", healthy, "prod"), archive, staging}
}

func head(current string, badges ...ui.Badge) pages.EndpointHead {
	base := "/endpoints/" + riskID
	links := []ui.Link{{Label: "Overview", Href: base}, {Label: "Deliveries", Href: base + "/deliveries", Count: "501", CountHref: base + "/deliveries?status=waiting", CountOf: "waiting"}, {Label: "Keys", Href: base + "/keys"}, {Label: "Secret", Href: base + "/secret"}, {Label: "Settings", Href: base + "/settings"}, {Label: "Activity", Href: base + "/activity"}}
	for i := range links {
		links[i].Current = links[i].Label == current
	}
	return pages.EndpointHead{
		Heading: ui.Heading{
			Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Title: "Risk engine", Badges: badges,
			Actions: []ui.Action{{Label: "Send test", Icon: "flask", Href: base + "/test", Post: true}, {Label: "Pause", Icon: "pause", Href: base + "/pause", Post: true}, {Label: "Recover…", Icon: "loop", Href: "/jobs/new?endpoint=" + riskID, Kind: "primary"}},
			Sub:     []ui.SubItem{{Text: "https://risk.fjordpay.example/v2/webhooks", Mono: true}, {ID: nid(riskID, "endpoint id", "")}, {Lead: "Last 2xx", Time: ptr(ago(341 * time.Minute))}},
		},
		SubNav: ui.SubNav{Label: "Risk engine", Items: links},
	}
}

func endpointForm() pages.EndpointForm {
	return pages.EndpointForm{
		Shell: shell("Create endpoint", "/endpoints"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Title: "Create endpoint"},
		Action: "/endpoints", Submit: "Create endpoint", BackHref: "/endpoints", Limit: "7 of 100 endpoints are in use",
		URL:    ui.Field{Name: "url", Label: "URL", Type: "url", Required: true, Mono: true, Placeholder: "https://hooks.example.com/kayle", Hint: "https on port 443 or 1024 to 65535, a public host name"},
		Name:   ui.Field{Name: "name", Label: "Name", MaxLength: 120},
		Labels: ui.Field{Name: "labels", Label: "Labels", Hint: "Up to 8, separated by commas"},
		Events: ui.CheckGroup{Name: "events", Legend: "Events", Options: []ui.Check{
			{Value: "verification.session.succeeded", Label: "verification.session.succeeded", Mono: true, Checked: true},
			{Value: "verification.session.failed", Label: "verification.session.failed", Mono: true, Checked: true},
			{Value: "verification.session.expired", Label: "verification.session.expired", Mono: true, Checked: true},
			{Value: "verification.session.cancelled", Label: "verification.session.cancelled", Mono: true, Checked: true},
		}},
		Retention: ui.Select{Name: "retention", Label: "Keep undelivered bodies for", Hint: "Counted from the last attempt. Until then a failed delivery can be retried.", Options: options("72", "0", "0 h: erase at once", "24", "24 h", "72", "72 h", "168", "7 days")},
		Enabled:   ui.CheckGroup{Name: "enabled", Legend: "State", Options: []ui.Check{{Value: "1", Label: "Enabled", Checked: true, Hint: "A disabled endpoint receives no new events; waiting deliveries are parked."}}},
	}
}

func connectionRules() []ui.Rule {
	return []ui.Rule{
		{State: "pass", Text: "The host name resolves"},
		{State: "pass", Text: "Its addresses may be reached"},
		{State: "pass", Text: "It accepts connections", Got: "[2001:db8:85a3:1234:5678:8a2e:370:7334]:8443"},
		{State: "pass", Text: "It speaks TLS 1.2 or newer", Got: "TLS 1.3"},
		{State: "warn", Text: "Its certificate is trusted and lasts", Got: "12 days left, until Mar 14, 2026", Sub: "Renew it before it ends: from then on every webhook fails with a TLS error."},
		{State: "pass", Text: "It answers", Got: "301 to HEAD"},
		{State: "warn", Text: "It does not redirect", Got: "to receiver-of-a-long-name.customers.eu-north.fjordpay.example", Sub: "Webhooks follow no redirect: one that is redirected counts as failed. Enter the address that it leads to."},
	}
}

func endpointPages() []page {
	list := pages.Endpoints{Shell: shell("Endpoints", "/endpoints"), Heading: ui.Heading{Title: "Endpoints", Actions: []ui.Action{{Label: "Create endpoint", Icon: "plus", Href: "/endpoints/new", Kind: "primary"}}, Sub: []ui.SubItem{{Text: "7 of 100 endpoints. Health looks at the last 24 h of first attempts."}}}, Filters: endpointFilters()}
	list.Results = pages.EndpointsResults{CSRF: token, Rows: endpointRows(), Active: ui.ActiveFilters{ClearHref: "/endpoints", Items: []ui.ActiveFilter{{Label: "Label: prod", Href: "/endpoints"}}}, Status: "7 endpoints"}
	list.Shell.Flashes = []ui.Flash{{Tone: ui.OK, Text: "Audit archive paused", Sub: "87 waiting deliveries are parked", Action: &ui.Action{Label: "Undo", Href: "/endpoints/x/resume", Post: true, Small: true, Kind: "quiet"}}}
	empty := list
	empty.Shell = shell("Endpoints, none yet", "/endpoints")
	empty.Results = pages.EndpointsResults{CSRF: token, State: ui.ListState{Empty: &ui.Empty{Icon: "endpoint", Title: "No endpoints yet", Text: "An endpoint is a URL that receives encrypted results of identity checks.", Actions: []ui.Action{{Label: "Create endpoint", Icon: "plus", Href: "/endpoints/new", Kind: "primary"}}}}}

	rejected := endpointForm()
	rejected.Shell.Title = "Create endpoint: corrections"
	rejected.URL.Value, rejected.URL.Error = "https://10.20.0.7/hooks", "10.20.0.7 is an IP address (ipv4_literal_disallowed). Use a public host name."
	rejected.Errors = ui.FormErrors{Title: "1 thing to correct before this endpoint can be saved", Items: []ui.FormError{{FieldID: "f-url", Text: "URL: IP addresses are not allowed"}}}
	settings := endpointForm()
	settings.Shell, settings.Heading, settings.SubNav = shell("Risk engine settings", "/endpoints"), head("Settings", failing).Heading, ptr(head("Settings").SubNav)
	settings.Action, settings.Submit, settings.Limit, settings.BackHref = "/endpoints/"+riskID, "Save changes", "", "/endpoints/"+riskID
	settings.URL.Value, settings.Name.Value, settings.Labels.Value = "https://risk.fjordpay.example/v2/webhooks", "Risk engine", "prod, eu-north"
	settings.Connection = &pages.Connection{Action: "/endpoints/" + riskID + "/check"}
	checked := settings
	checked.Shell = shell("Risk engine settings, checked", "/endpoints")
	checked.Connection = &pages.Connection{Action: settings.Connection.Action, Badge: &ui.Badge{Tone: ui.Warn, Icon: "warn", Label: "2 things to look at"}, Rules: connectionRules()}
	settings.DuplicateHref = "/endpoints/new?from=" + riskID
	settings.Danger = &pages.DangerZone{Title: "Delete endpoint", Text: "501 waiting deliveries would fail and their bodies would be erased at once.", Href: "/endpoints/" + riskID + "/delete", Label: "Delete…"}

	return []page{
		{"endpoints", pages.EndpointsPage(list)},
		{"endpoints-empty", pages.EndpointsPage(empty)},
		{"endpoint-new", pages.EndpointFormPage(endpointForm())},
		{"endpoint-new-errors", pages.EndpointFormPage(rejected)},
		{"endpoint-settings", pages.EndpointFormPage(settings)},
		{"endpoint-settings-checked", pages.EndpointFormPage(checked)},
		{"endpoint-created", pages.EndpointCreatedPage(pages.EndpointCreated{
			Shell: shell("Endpoint created", "/endpoints"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Title: "Risk engine is created"},
			Secret:   pages.SecretOnce{ID: "secret", Label: "Signing secret", Value: "whsec_0000sample0000sample0000sample00", Note: "The receiver verifies every request with it. It can be revealed later by an owner, after the password is entered again.", Env: "KAYLE_WEBHOOK_SECRET=whsec_0000sample0000sample0000sample00", HideAfter: 60},
			NextHref: "/endpoints/" + riskID + "/keys", Next: "Next: add an encryption key", SkipHref: "/endpoints/" + riskID,
			Connection: pages.Connection{Badge: &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Webhooks would fail"}, Rules: []ui.Rule{
				{State: "fail", Text: "The host name resolves", Sub: "Look for a typing error, and whether the host has an A or AAAA record that the whole internet sees."},
				{State: "skip", Text: "Its addresses may be reached"},
				{State: "skip", Text: "It accepts connections"},
				{State: "skip", Text: "It speaks TLS 1.2 or newer"},
			}},
		})},
		{"endpoint", pages.EndpointOverviewPage(endpointOverview())},
		{"endpoint-keys", pages.EndpointKeysPage(endpointKeys())},
		{"endpoint-keys-none", pages.EndpointKeysPage(endpointKeysNone())},
		{"endpoint-secret", pages.EndpointSecretPage(endpointSecret())},
		{"endpoint-secret-shown", pages.EndpointSecretPage(endpointSecretShown())},
		{"endpoint-deliveries", pages.EndpointDeliveriesPage(pages.EndpointDeliveries{Shell: shell("Risk engine deliveries", "/endpoints"), Head: head("Deliveries", failing), Filters: deliveryFilters("/endpoints/" + riskID + "/deliveries"), Results: pages.DeliveriesResults{CSRF: token, AllHref: "/deliveries?endpoint=" + riskID, Caption: "Deliveries of Risk engine", Rows: deliveryRows(), NoEndpoint: true, Bulk: &pages.Bulk{Action: "/jobs/preview"}, Pager: ui.Pager{Shown: "24 shown"}}})},
		{"endpoint-activity", pages.EndpointActivityPage(pages.EndpointActivity{Shell: shell("Risk engine activity", "/endpoints"), Head: head("Activity", failing), Results: pages.AuditResults{Rows: auditRows(), Pager: ui.Pager{Shown: "6 shown"}}})},
		{"endpoint-delete", pages.EndpointDeletePage(pages.EndpointDelete{Shell: shell("Delete Risk engine", "/endpoints"), Head: head("Settings", failing), Confirm: ui.Confirm{
			ID: "delete", Title: "Delete endpoint Risk engine?", Icon: "trash", Danger: true, Action: "/endpoints/" + riskID + "/delete", Submit: "Delete endpoint", BackHref: "/endpoints/" + riskID + "/settings", Back: "Keep endpoint",
			Effects: []string{"501 waiting deliveries become failed and their bodies are erased now.", "22,441 past deliveries stay readable.", "This cannot be undone."},
			Typed:   &ui.Field{Name: "confirm", Label: "Type Risk engine to confirm", Required: true, Autocomplete: "off"},
		}})},
	}
}

func endpointOverview() pages.EndpointOverview {
	schedule := ui.RetrySchedule{Steps: []ui.RetryStep{
		{Label: "1", Delay: "at once", State: "bad"},
		{Label: "2", Delay: "5 s later", State: "bad"},
		{Label: "3", Delay: "5 min later", State: "bad"},
		{Label: "4", Delay: "30 min later", Waiting: "112 waiting", Href: "/deliveries?next=3", State: "load"},
		{Label: "5", Delay: "2 h later", Waiting: "184 waiting", Href: "/deliveries?next=3", State: "load"},
		{Label: "6", Delay: "5 h later", Waiting: "205 waiting", Href: "/deliveries?next=3", State: "load"},
		{Label: "7", Delay: "10 h later"},
		{Label: "8", Delay: "10 h later"},
	}}
	return pages.EndpointOverview{
		Shell: shell("Risk engine", "/endpoints"), Head: head("Overview", failing),
		Verdict: ui.Verdict{Tone: ui.Bad, Icon: "cross", Say: "Failing since 08:46: the last 63 attempts all ended with HTTP 503.", Next: "DNS, connection and TLS are fine, so the server is reached and refuses work. 501 deliveries keep retrying on their own; the first encrypted body expires Mar 14, 12:21 UTC."},
		Tiles: []ui.Tile{
			{Label: "First-attempt success, 24 h", Number: "61.2", Unit: "%", Href: "/deliveries", Meter: &ui.Meter{Total: 100, Parts: []ui.MeterPart{part(61, ui.FillStrong)}, Mark: 99}, Note: "1,024 of 1,673; target 99.0 %"},
			{Label: "Latency p50 / p95", Number: "288", Unit: "/ 1,910 ms", Href: "/deliveries", Meter: meter(2000, part(288, ui.FillStrong), part(1622, ui.FillWarn)), Note: "Before 08:00: 231 / 720 ms"},
			{Label: "Waiting for retry", Number: "501", Href: "/deliveries", Meter: meter(1000, part(501, ui.FillWarn)), Note: "Next due in 11 s"},
			{Label: "Encrypted to active key", Number: "501", Unit: "of 501", Href: "/deliveries", Meter: meter(501, part(501, ui.FillStrong)), Note: "risk-2026, 3072 bit"},
		},
		Volume: volumeChart(), Latency: latencyChart(), Schedule: schedule, Backlog: ui.Link{Label: "501 deliveries wait", Href: "/deliveries"}, Errors: errorKinds(),
		Codes:  []ui.HBar{{Label: "200", Count: "1,024", Value: 1024, Max: 1024, Fill: ui.FillOK}, {Label: "503", Count: "612", Value: 612, Max: 1024}, {Label: "502", Count: "37", Value: 37, Max: 1024}},
		Facts:  []ui.Fact{{Term: "Events", Text: "4 of 4"}, {Term: "Labels", Chips: []ui.Chip{{Text: "prod"}, {Text: "eu-north"}}}, {Term: "Retention", Text: "72 h after the last attempt"}, {Term: "Created", Time: ptr(exact(3000 * time.Hour)), Sub: "by Ana Lindqvist"}},
		Recent: deliveryRows()[:6], AllHref: "/endpoints/" + riskID + "/deliveries",
	}
}
