package pages_test

import (
	"fmt"
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func eventPages() []page {
	reached := func(ok, wait, bad, skip int) ui.Meter {
		return ui.Meter{Total: ok + wait + bad + skip, Parts: []ui.MeterPart{part(ok, ui.FillOK), part(wait, ui.FillWarn), part(bad, ui.FillBad)}, Label: fmt.Sprintf("%d delivered, %d waiting, %d failed, %d skipped", ok, wait, bad, skip)}
	}
	row := func(i int, kind string, badge ui.Badge, m ui.Meter, of, held string, age time.Duration) pages.EventRow {
		id := fmt.Sprintf("evt_01kk8zhp2re6cvm3w01k1vrs%02d", i)
		return pages.EventRow{ID: ui.NewID(id, "", "/events/"+id), Type: kind, Subject: ui.NewID(sessionID, "", "/sessions/"+sessionID), Outcome: badge, Reach: m, ReachOf: of, Payloads: held, Created: ago(age)}
	}
	delivered := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Delivered"}
	waiting := ui.Badge{Tone: ui.Warn, Icon: "loop", Label: "Waiting"}
	nobody := ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "No endpoint"}
	test := row(5, "webhook.test", delivered, reached(1, 0, 0, 6), "1 sent, 6 skipped", "none held", 3*time.Minute)
	test.Test, test.Subject = true, ui.NewID(riskID, "", "/endpoints/"+riskID)
	list := pages.Events{
		Shell: shell("Events", "/events"), Heading: ui.Heading{Title: "Events", Sub: []ui.SubItem{{Text: "One row for each result of an identity check, sent or not. Content is never stored in plain text."}}},
		Filters: ui.Filters{Action: "/events", Search: &ui.SearchBox{Label: "Search", Placeholder: "Event or session id"}, Fields: []ui.FilterField{
			{Name: "type", Label: "Type", Options: options("", "", "Any")},
			{Name: "outcome", Label: "Outcome", Options: options("", "", "Any", "failed", "Any failed", "nobody", "No endpoint matched")},
			{Name: "from", Label: "From", Type: "date"},
			{Name: "to", Label: "To", Type: "date"},
		}},
		Results: pages.EventsResults{
			New: &ui.NewRows{PollHref: "/events/new"}, Status: "6 events shown", Pager: ui.Pager{Shown: "6 shown", Newer: "/events?before=x", Older: "/events?after=x"},
			Rows: []pages.EventRow{
				row(1, "verification.session.succeeded", delivered, reached(4, 0, 0, 3), "4 sent, 3 skipped", "none held", 9*time.Second),
				row(2, "verification.session.succeeded", waiting, reached(2, 1, 0, 4), "2 sent, 1 retrying, 4 skipped", "1 body held", 41*time.Second),
				row(3, "verification.session.failed", failed, reached(2, 1, 1, 3), "2 sent, 1 parked, 1 failed", "2 bodies held", 29*time.Hour),
				row(4, "verification.session.expired", nobody, reached(0, 0, 0, 7), "7 skipped", "none held", 73*time.Minute), test,
				row(6, "verification.session.cancelled", delivered, reached(3, 0, 0, 4), "3 sent, 4 skipped", "none held", 90*time.Minute),
			},
		},
	}
	empty := list
	empty.Shell = shell("Events, none yet", "/events")
	empty.Results = pages.EventsResults{State: ui.ListState{Empty: &ui.Empty{Icon: "event", Title: "No events yet", Text: "An event is written when a verification session ends. Send a test event to see the whole way without one.", Actions: []ui.Action{{Label: "Go to endpoints", Href: "/endpoints"}}, Sample: "curl -X POST https://kaylehooks.example.com/v1/sessions \\\n  -H 'Authorization: Bearer kk_…'"}}}
	return []page{{"events", pages.EventsPage(list)}, {"events-empty", pages.EventsPage(empty)}, {"event", pages.EventPage(event())}}
}

func event() pages.Event {
	sent := ui.Badge{Tone: ui.Info, Icon: "check", Label: "Sent"}
	skipped := ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Skipped"}
	route := func(key, name, host string, decision ui.Badge, reason, why string) pages.RouteRow {
		return pages.RouteRow{Key: key, Endpoint: name, Href: "/endpoints/" + key, Host: host, Decision: decision, Reason: reason, Why: why}
	}
	with := func(r pages.RouteRow, state ui.Badge, cells string, action *ui.Action) pages.RouteRow {
		r.Delivery, r.DelHref, r.Action = &state, "/deliveries/"+deliveryID, action
		if cells != "" {
			r.Strip = ptr(strip(cells))
		}
		return r
	}
	gone := route("old", "Old mirror", "old.fjordpay.example", skipped, "disabled", "It was disabled at that time")
	gone.Gone = true
	return pages.Event{
		Shell: shell("Event evt_01kk8zhp…rsyf", "/events"),
		Heading: ui.Heading{
			Crumbs: []ui.Link{{Label: "Events", Href: "/events"}}, Title: "Event", ID: nid(eventID, "event id", ""),
			Actions: []ui.Action{{Label: "Replay to 1 failed endpoint", Icon: "loop", Href: "/events/" + eventID + "/replay", Post: true, Kind: "primary"}},
			Sub:     []ui.SubItem{{Text: "verification.session.failed", Mono: true}, {Lead: "Created", Time: ptr(exact(1727 * time.Minute))}, {Lead: "Session", ID: nid(sessionID, "", "/sessions/"+sessionID)}},
		},
		Verdict:  ui.Verdict{Tone: ui.Bad, Icon: "cross", Say: "Reached 2 of 8 endpoints; 1 failed, 1 is parked, 4 were skipped for a stated reason.", Next: "Skipped endpoints never receive this event later: it was encrypted once for each receiver when it happened, and no plaintext is stored."},
		RoutedAt: "8 endpoints existed at 09:41:12 UTC",
		Routing: []pages.RouteRow{
			with(route("kyc", "KYC core", "hooks.fjordpay.example", sent, "subscribed", "Enabled, subscribed to this type, key k4"), succeeded, "o", nil),
			with(route("crm", "Onboarding CRM", "crm.fjordpay.example", sent, "subscribed", "Enabled, subscribed to this type, key crm-key-2"), succeeded, "rro", nil),
			with(route("risk", "Risk engine", "risk.fjordpay.example", sent, "subscribed", "Enabled, subscribed to this type, key risk-2026"), failed, "ffffffff", &ui.Action{Label: "Retry", Name: "Retry Risk engine", Icon: "loop", Href: "/deliveries/x/retry", Post: true, Small: true}),
			with(route("arch", "Audit archive", "archive.fjordpay.example", sent, "subscribed", "Paused 2 h later; waits until resumed"), parked, "rr", nil),
			route("dwh", "Data warehouse", "ingest.fjordpay.example", skipped, "not_subscribed", "Subscribes to succeeded and cancelled only"),
			with(route("lumen", "Lumen Leasing", "api.lumen-leasing.example", skipped, "no_active_key", "Would have been sent, but nothing to encrypt to"), blocked, "", &ui.Action{Label: "Add a key", Href: "/endpoints/x/keys", Small: true}),
			route("stage", "Staging mirror", "mirror.fjordpay.example:8443", skipped, "not_targeted", "The session names its endpoints; this is not one"), gone,
		},
		Facts:   []ui.Fact{{Term: "Event", Text: eventID, Mono: true, Hash: true, Copy: "Copy full event id"}, {Term: "Type", Text: "verification.session.failed", Mono: true}, {Term: "Trigger", Text: "Session reached its terminal state", Sub: "3rd liveness failure, reported by the check engine"}, {Term: "Superseded by", Text: "none"}},
		Payload: []ui.Fact{{Term: "Content", Text: "Never stored in plain text", Sub: "Only the receivers can read it"}, {Term: "Still held", Text: "2 of 4 encrypted bodies", Sub: "Risk engine until Mar 13, 14:04; Audit archive until Mar 13, 13:16"}, {Term: "Kept until", Text: "Apr 8, 2026", Sub: "metadata, 30 days"}},
	}
}

func sessionPages() []page {
	open := ui.Badge{Tone: ui.Info, Icon: "arrow", Label: "In progress"}
	done := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Succeeded"}
	row := func(i int, b ui.Badge, reason, of string, age time.Duration) pages.SessionRow {
		id := fmt.Sprintf("vs_01kk8zabprf9n98mfjmmpg72%02d", i)
		r := pages.SessionRow{ID: ui.NewID(id, "", "/sessions/"+id), Status: b, Reason: reason, Targets: "all endpoints", Created: ago(age), ReachOf: of}
		if of == "" {
			r.Expires = ptr(in(40 * time.Minute))
			return r
		}
		r.Event, r.Finished = nid(eventID, "", "/events/"+eventID), ptr(ago(age/2))
		r.Reach = ui.Meter{Total: 4, Parts: []ui.MeterPart{part(3, ui.FillOK), part(1, ui.FillWarn)}, Label: of}
		return r
	}
	list := pages.Sessions{
		Shell: shell("Sessions", "/sessions"), Heading: ui.Heading{Title: "Sessions", Sub: []ui.SubItem{{Text: "Identity checks and whether their result arrived. No claims and no personal data are kept."}}},
		Filters: ui.Filters{Action: "/sessions", Search: &ui.SearchBox{Label: "Search", Placeholder: "Session id"}, Fields: []ui.FilterField{{Name: "status", Label: "Status", Options: options("", "", "Any", "created", "Created")}, {Name: "delivery", Label: "Delivery", Options: options("", "", "Any", "undelivered", "Ended but not delivered")}, {Name: "from", Label: "From", Type: "date"}, {Name: "to", Label: "To", Type: "date"}}},
		Results: pages.SessionsResults{Status: "5 sessions shown", Pager: ui.Pager{Shown: "5 shown"}, Rows: []pages.SessionRow{
			row(1, open, "", "", 20*time.Minute), row(2, done, "", "3 delivered, 1 waiting", 41*time.Minute), row(3, ui.Badge{Tone: ui.Neutral, Icon: "cross", Label: "Failed"}, "document_anti_cloning_attestation_failed", "1 delivered, 1 waiting, 1 retrying, 1 failed", 29*time.Hour),
			row(4, ui.Badge{Tone: ui.Neutral, Icon: "hourglass", Label: "Expired"}, "", "4 delivered", 73*time.Minute), row(5, ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Cancelled"}, "cancelled", "4 delivered", 90*time.Minute),
		}},
	}
	detail := pages.Session{
		Shell: shell("Session vs_01kk8zab…722k", "/sessions"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Sessions", Href: "/sessions"}}, Title: "Session", ID: nid(sessionID, "session id", ""), Badges: []ui.Badge{done}},
		Body: pages.SessionBody{
			CSRF: token, Verdict: ui.Verdict{Tone: ui.Warn, Icon: "loop", Say: "The result was sent to 4 endpoints: 3 have it, 1 is being retried.", Next: "Risk engine answers 503; its next attempt is in 8 min."},
			Steps:      []ui.Step{{Tone: ui.Neutral, Icon: "session", Lead: "Created by API key", Mono: "checkout", Time: ptr(exact(60 * time.Minute))}, {Tone: ui.Info, Icon: "arrow", Lead: "Started by the check engine", Time: ptr(exact(55 * time.Minute))}, {Tone: ui.Warn, Icon: "warn", Lead: "Check failed once:", Mono: "document_chip_authentication_failed", Time: ptr(exact(50 * time.Minute))}, {Tone: ui.OK, Icon: "check", Lead: "Succeeded; event", Link: &ui.Link{Label: ui.ShortID(eventID), Href: "/events/" + eventID}, Text: "written", Time: ptr(exact(41 * time.Minute))}},
			Facts:      []ui.Fact{{Term: "Session", ID: nid(sessionID, "full session id", "")}, {Term: "Targets", Text: "all endpoints"}, {Term: "Tries used", Text: "1 of 3 nfc, 0 of 3 liveness"}, {Term: "Created", Time: ptr(exact(60 * time.Minute))}, {Term: "Ended", Time: ptr(exact(41 * time.Minute))}},
			Deliveries: deliveryRows()[2:8], Share: []pages.ShareField{{Key: "kayle_document_id", Required: true, Source: "default", Reason: "Always sent"}, {Key: "date_of_birth", Source: "rc", Reason: "Age check"}}, ShareNote: "Values are never stored here.",
		},
	}
	opened := detail
	opened.Shell = shell("Session, still open", "/sessions")
	opened.Heading.Badges, opened.Heading.Actions = []ui.Badge{open}, []ui.Action{{Label: "Cancel session", Icon: "square", Href: "/sessions/x/cancel", Post: true, Kind: "danger"}}
	opened.Body.PollHref, opened.Body.PollEvery, opened.Body.Deliveries, opened.Body.Verdict = "/sessions/x", "every 5s", nil, ui.Verdict{Tone: ui.Info, Icon: "arrow", Say: "In progress. No event yet.", Next: "It ends by itself in 40 min if nothing happens; that, too, sends an event."}
	opened.Body.NoEvent = &ui.Empty{Icon: "event", Title: "No event yet", Text: "A session sends exactly one event, when it ends. It expires at 15:07 UTC."}
	return []page{{"sessions", pages.SessionsPage(list)}, {"session", pages.SessionPage(detail)}, {"session-open", pages.SessionPage(opened)}}
}
