package pages_test

import (
	"fmt"
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func deliveryFilters(action string) ui.Filters {
	return ui.Filters{
		Action: action, Search: &ui.SearchBox{Label: "Search", Placeholder: "Delivery, event, attempt or session id"},
		Fields: []ui.FilterField{
			{Name: "status", Label: "Status", Options: options("", "", "Any", "scheduled", "Scheduled", "retrying", "Retrying", "failed", "Failed")},
			{Name: "endpoint", Label: "Endpoint", Options: options("", "", "Any", "x", "Risk engine")},
			{Name: "type", Label: "Event", Options: options("session", "", "Any", "session", "session.*"), Set: true},
			{Name: "code", Label: "Result", Options: options("", "", "Any", "5xx", "5xx")},
		},
		More: []ui.FilterField{
			{Name: "error", Label: "Error", Options: options("", "", "Any", "dns", "Name not resolved")},
			{Name: "from", Label: "From", Type: "date", Value: "2026-03-06"},
			{Name: "to", Label: "To", Type: "date"},
		},
	}
}

func deliveryRows() []pages.DeliveryRow {
	n := 0
	row := func(status ui.Badge, endpoint, kind, cells string, result *ui.Code, text, latency string, created time.Duration) pages.DeliveryRow {
		n++
		id := fmt.Sprintf("whd_01kkc29vgzfnwb1mkyn2tt%04x", 0x7e00+n)
		return pages.DeliveryRow{
			ID: id, Short: ui.ShortID(id), Href: "/deliveries/" + id, Status: status, Endpoint: endpoint, EndpointHref: "/endpoints/x",
			Type: "verification." + kind, TypeShort: kind, Strip: strip(cells), Result: result, ResultText: text, Latency: latency,
			Created: ago(created), Selectable: status.Label != "In flight",
		}
	}
	flight := row(inFlight, "Data warehouse", "session.succeeded", "n", nil, "sending", "", 4*time.Second)
	flight.PollHref, flight.PollEvery = flight.Href+"/row", "every 3s"
	test := row(succeeded, "KYC core", "webhook.test", "o", httpCode("200"), "", "201 ms", 3*time.Minute)
	test.Test, test.Type = true, "webhook.test"
	due := row(scheduled, "KYC core", "session.succeeded", "", nil, "", "", 2*time.Second)
	due.Next = "due now"
	next := func(r pages.DeliveryRow, d time.Duration) pages.DeliveryRow { r.NextTime = ptr(in(d)); return r }
	say := func(r pages.DeliveryRow, text, href string) pages.DeliveryRow {
		r.Next, r.NextHref = text, href
		return r
	}
	gone := row(failed, "Staging mirror", "session.succeeded", "ffffffff", words("Name not resolved"), "", "31 ms", 28*time.Hour)
	gone.Expiry = &ui.Chip{Text: "body gone in 4 h", Tone: ui.Warn}
	return []pages.DeliveryRow{
		due, flight,
		row(succeeded, "KYC core", "session.succeeded", "o", httpCode("200"), "", "214 ms", 9*time.Second),
		row(succeeded, "Data warehouse", "session.succeeded", "o", httpCode("202"), "", "388 ms", 12*time.Second),
		next(row(retrying(1), "Risk engine", "session.succeeded", "r", httpCode("503"), "", "402 ms", 41*time.Second), 11*time.Second),
		row(succeeded, "KYC core", "session.cancelled", "o", httpCode("204"), "", "178 ms", time.Minute), test,
		next(row(retrying(3), "Risk engine", "session.succeeded", "rrr", httpCode("503"), "", "377 ms", 23*time.Minute), 8*time.Minute),
		next(row(retrying(2), "Data warehouse", "session.failed", "rr", httpCode("429"), "", "96 ms", 25*time.Minute), time.Minute),
		say(row(blocked, "Lumen Leasing", "session.succeeded", "", words("No active key"), "", "", 72*time.Minute), "Add a key", "/endpoints/x/keys"),
		row(succeeded, "Onboarding CRM", "session.succeeded", "rro", httpCode("200"), "", "12.4 s", 86*time.Minute),
		next(row(retrying(4), "Risk engine", "session.succeeded", "rrrr", httpCode("503"), "", "391 ms", 152*time.Minute), 64*time.Minute),
		next(row(retrying(4), "Staging mirror", "session.cancelled", "rrrr", words("TLS: certificate expired"), "", "63 ms", 156*time.Minute), 48*time.Minute),
		row(withdrawn, "Risk engine", "session.succeeded", "rrrrr", nil, "Privacy request", "", 296*time.Minute),
		say(row(parked, "Audit archive", "session.succeeded", "rr", httpCode("302"), "Redirect refused", "88 ms", 17*time.Hour), "when resumed", ""),
		say(row(failed, "Risk engine", "session.failed", "ffffffff", httpCode("503"), "", "418 ms", 28*time.Hour), "none", ""), gone,
		row(succeeded, "Onboarding CRM", "session.succeeded", "fffffffo", httpCode("200"), "", "14.1 s", 29*time.Hour),
		say(row(expired, "Staging mirror", "session.succeeded", "ffff", words("Connection refused"), "", "12 ms", 80*time.Hour), "body gone", ""),
		say(row(blocked, "Lumen Leasing", "session.cancelled", "", words("Encryption failed"), "", "", 81*time.Hour), "never", ""),
	}
}

func deliveryPages() []page {
	list := pages.Deliveries{
		Shell: shell("Deliveries", "/deliveries"), Filters: deliveryFilters("/deliveries"),
		Heading: ui.Heading{Title: "Deliveries", Live: &ui.Live{Text: "Live, updated", At: ptr(ui.Clock(now, time.UTC)), Toggle: &ui.Action{Label: "Pause", Icon: "pause", Href: "/settings/live", Post: true, Small: true}}, Actions: []ui.Action{{Label: "CSV", Icon: "down", Href: "/deliveries/export", Small: true, Download: true, Export: 2000}, {Label: "JSONL", Icon: "down", Href: "/deliveries/export?format=jsonl", Small: true, Download: true, Export: 2000}}},
		Results: pages.DeliveriesResults{
			CSRF: token, Caption: "Deliveries, newest first", Rows: deliveryRows(), New: &ui.NewRows{PollHref: "/deliveries/new", ShowHref: "/deliveries", Text: "12 new deliveries: show"},
			Active: ui.ActiveFilters{ClearHref: "/deliveries", Items: []ui.ActiveFilter{{Label: "Event: verification.session.*", Href: "/deliveries"}, {Label: "Created: since Mar 6", Href: "/deliveries"}}},
			Pager:  ui.Pager{Shown: "20 of 50+ shown, newest first", Older: "/deliveries?after=x", Sizes: []ui.Link{{Label: "25", Href: "/deliveries?limit=25"}, {Label: "50", Href: "/deliveries", Current: true}, {Label: "100", Href: "/deliveries?limit=100"}}},
			Bulk:   &pages.Bulk{Action: "/jobs/preview", AllHref: "/jobs/new?status=failed", All: "Retry all that match…"}, Status: "20 deliveries shown",
		},
	}
	none := list
	none.Shell = shell("Deliveries, no match", "/deliveries")
	none.Results = pages.DeliveriesResults{CSRF: token, State: ui.ListState{NoMatch: &ui.NoMatch{Title: "No deliveries match 3 filters", Text: "Status failed, endpoint KYC core, created in the last hour. Without the time filter there are 4.", ClearHref: "/deliveries", Actions: []ui.Action{{Label: "Drop the time filter", Href: "/deliveries?status=failed"}}}}}
	broken := list
	broken.Shell = shell("Deliveries, unreadable", "/deliveries")
	broken.Heading.Live = &ui.Live{Text: "Paused at", At: ptr(ui.Clock(now.Add(-25*time.Minute), time.UTC)), Paused: true}
	broken.Results = pages.DeliveriesResults{CSRF: token, State: ui.ListState{Error: &ui.ErrorPanel{Title: "The list could not be read", Text: "The database did not answer within 3 s. Deliveries keep going out.", RequestID: "req_8f2c41d0", RetryHref: "/deliveries"}}}
	return []page{
		{"deliveries", pages.DeliveriesPage(list)},
		{"deliveries-none", pages.DeliveriesPage(none)},
		{"deliveries-error", pages.DeliveriesPage(broken)},
		{"delivery", pages.DeliveryPage(delivery())},
		{"delivery-blocked", pages.DeliveryPage(deliveryBlocked())},
	}
}

func phases(dns, conn, tls, wait int, cut bool) ui.Phases {
	p := ui.Phases{Scale: 1000, Cut: cut, Label: fmt.Sprintf("resolve %d ms, connect %d ms, TLS %d ms, wait %d ms", dns, conn, tls, wait)}
	for i, ms := range []int{dns, conn, tls, wait} {
		p.Parts = append(p.Parts, ui.Phase{Kind: []string{"dns", "conn", "tls", "wait"}[i], Label: []string{"Resolve", "Connect", "TLS", "Wait for response"}[i], Text: ui.Millis(ms), Ms: ms})
	}
	return p
}

func attempts(open int) []pages.AttemptView {
	codes := []string{"503", "503", "503", "", "503", "502", "503", "503"}
	waits := []int{304, 329, 298, 14921, 341, 429, 290, 341}
	at := []time.Duration{1726, 1725, 1720, 1688, 1564, 1258, 628, 22}
	out := []pages.AttemptView{}
	for i, c := range codes {
		a := pages.AttemptView{
			ID: fmt.Sprintf("wha_%d", i+1), Href: fmt.Sprintf("/deliveries/%s?attempt=wha_%d", deliveryID, i+1), Tone: ui.Bad, Icon: "cross", Number: fmt.Sprintf("%d/8", i+1), Started: exact(at[i] * time.Minute),
			Phases: phases(3, 31, 44, waits[i], c == ""), Took: ui.Millis(waits[i] + 78), Trigger: "automatic", Open: i == open,
		}
		if c == "" {
			a.Result = ui.Code{Tone: ui.Bad, Icon: "hourglass", Text: "Timeout", Mono: true}
		} else {
			a.Result = *httpCode(c)
		}
		if a.Open {
			a.Panel = attemptPanel()
		}
		out = append(out, a)
	}
	return out
}

func attemptPanel() *pages.AttemptPanel {
	return &pages.AttemptPanel{
		Remote: "185.14.97.201:443", Worker: "wk-2", RequestLine: "POST /v2/webhooks HTTP/1.1",
		RequestHead: []pages.Header{
			{Name: "Host", Value: "risk.fjordpay.example"},
			{Name: "Content-Type", Value: "application/jose"},
			{Name: "Content-Length", Value: "1287"},
			{Name: "User-Agent", Value: "Kaylehooks/1.0.0"},
			{Name: "X-Kayle-Delivery-Id", Value: deliveryID},
			{Name: "X-Kayle-Event", Value: "verification.session.failed"},
			{Name: "X-Kayle-Signature", Value: "t=1773151468,v1=…", Note: "(made anew for each attempt)"},
		},
		JWEHeader: "{\"alg\":\"RSA-OAEP-256\",\n \"enc\":\"A256GCM\",\n \"kid\":\"risk-2026\"}", BodyFact: "1,287 bytes", BodyHash: "07010b6a5333ceccf747fdcd5daffe0eff9b60edf373a174bfcc1ab9cbde47ae", Curl: "curl -X POST …",
		Response: httpCode("503"), ResponseNote: "Service Unavailable",
		ResponseHead: []pages.Header{{Name: "content-type", Value: "application/json"}, {Name: "content-length", Value: "142"}, {Name: "retry-after", Value: "30"}, {Name: "date", Value: "Tue, 10 Mar 2026 14:04:28 GMT"}},
		BodyTitle:    "Body, complete (142 bytes)", ResponseBody: "{\"error\":\"upstream_unavailable\",\n \"detail\":\"scoring pool has no healthy members\",\n \"pool\":\"score-eu-north-1\",\"healthy\":0,\"of\":6}",
		Meaning: "The receiver asked to be called again in 30 s. The schedule was already later, so it had no effect.", Next: "Ask the people who run the receiver about “no healthy members”.",
	}
}

func delivery() pages.Delivery {
	all := strip("ffffffff")
	all.Text = "8/8, run 1"
	return pages.Delivery{
		Shell: shell("Delivery whd_01kk8zhp…6yjg", "/deliveries"),
		Heading: ui.Heading{
			Crumbs: []ui.Link{{Label: "Deliveries", Href: "/deliveries"}, {Label: "Risk engine", Href: "/endpoints/" + riskID}}, Title: "Delivery", ID: nid(deliveryID, "delivery id", ""), Badges: []ui.Badge{failed},
			Actions: []ui.Action{{Label: "Open event", Icon: "event", Href: "/events/" + eventID}, {Label: "Queue task", Icon: "queue", Href: "/monitor", External: true}},
		},
		Body: pages.DeliveryBody{
			CSRF: token, Zone: "UTC", Scale: []string{"0", "250", "500", "750", "1000 ms"},
			Verdict: ui.Verdict{
				Tone: ui.Bad, Icon: "cross", Say: "Failed after 8 attempts over 28 h 23 m. The endpoint answered 503 six times and 502 once; attempt 4 got no answer within 15 s.",
				Next:    "The name resolved and TLS succeeded every time, so the receiver was reached and refused. The encrypted body is kept until Mar 13, 14:04 UTC; until then you can retry.",
				Actions: []ui.Action{{Label: "Retry now", Icon: "loop", Href: "/deliveries/" + deliveryID + "/retry", Post: true, Kind: "primary", Fields: []ui.Hidden{{Name: "run", Value: "1"}}}, {Label: "Replay event to failed endpoints", Href: "/events/" + eventID + "/replay", Post: true}, {Label: "See 213 like this", Href: "/deliveries?status=failed"}},
			},
			Before: []ui.Step{
				{Tone: ui.Neutral, Icon: "event", Lead: "Event", Link: &ui.Link{Label: "session.failed", Href: "/events/" + eventID}, Text: "routed here: subscribed", Time: ptr(exact(1727 * time.Minute))},
				{Tone: ui.Neutral, Icon: "lock", Lead: "Encrypted once, the same bytes go out each time, to key", Mono: "risk-2026", Time: ptr(exact(1727 * time.Minute))},
			},
			Attempts: attempts(7),
			After: []ui.Step{
				{Tone: ui.Bad, Icon: "square", Lead: "Gave up: 8 of 8 attempts used", Time: ptr(exact(22 * time.Minute))},
				{Tone: ui.Neutral, Icon: "hourglass", Lead: "Encrypted body is erased (72 h retention after the last attempt)", Time: ptr(exact(-71 * time.Hour))},
			},
			Facts: []ui.Fact{
				{Term: "Endpoint", Text: "Risk engine", Href: "/endpoints/" + riskID, Sub: "risk.fjordpay.example/v2/webhooks", SubMono: true},
				{Term: "Event", ID: nid(eventID, "", "/events/"+eventID), Sub: "verification.session.failed", SubMono: true},
				{Term: "Session", ID: nid(sessionID, "", "/sessions/"+sessionID)},
				{Term: "Key", Text: "risk-2026", Href: "/endpoints/" + riskID + "/keys", Mono: true, Sub: "nU3qF1vZk…c8x0", SubMono: true},
				{Term: "Attempts", Strip: &all},
				{Term: "Created", Time: ptr(exact(1727 * time.Minute))},
				{Term: "Body held", Text: "1,287 bytes", Sub: "until Mar 13, 14:04 UTC (in 71 h 37 m)"},
			},
			FootActs: []ui.Action{{Label: "Decrypt locally", Href: "/help/receivers?endpoint=" + riskID, Small: true}},
			Retry:    pages.RetryInfo{Text: "Starts run 2 at attempt 1 of 8, now, to the current URL. The eight attempts above stay.", Note: "The body keeps its encryption to risk-2026, so its private half must still exist."},
		},
	}
}

func deliveryBlocked() pages.Delivery {
	v := delivery()
	v.Shell.Title = "Delivery, blocked"
	v.Heading.Badges = []ui.Badge{blocked, {Tone: ui.Test, Icon: "flask", Label: "Test"}}
	v.Body.PollHref = "/deliveries/" + deliveryID
	v.Body.Verdict = ui.Verdict{Tone: ui.Bad, Icon: "blocked", Say: "Blocked: the endpoint had no active key, so nothing could be encrypted.", Next: "This event is never sent to it later, because no plaintext is stored. Add a key before the next event.", Actions: []ui.Action{{Label: "Add a key", Icon: "key", Href: "/endpoints/" + riskID + "/keys", Kind: "primary"}}}
	v.Body.Attempts, v.Body.After = nil, []ui.Step{{Tone: ui.Bad, Icon: "blocked", Lead: "Nothing was sent: no active key", Time: ptr(exact(time.Hour))}}
	v.Body.Retry = pages.RetryInfo{Alert: &ui.Alert{Tone: ui.Neutral, Icon: "info", Text: "There is no body to send again. The next event is encrypted to the key that is active then."}}
	return v
}
