package pages_test

import (
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func queue() pages.Queue {
	running := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Running"}
	row := func(name, sub string, badge ui.Badge, pending, oldest string) pages.QueueRow {
		verb := "Pause"
		if badge.Label == "Paused" {
			verb = "Resume"
		}
		return pages.QueueRow{Name: name, Href: "/queue/" + name, Sub: sub, State: badge, Pending: pending, Active: "4", Scheduled: "0", Retry: "0", Archived: "0", Oldest: oldest, Processed: "4,839", Failed: "0", Memory: "12.4 KiB", Actions: []ui.Action{{Label: verb, Name: verb + " " + name, Href: "/queue/" + name + "/pause", Post: true, Small: true}}}
	}
	worker := func(name string, busy int, of string) pages.WorkerRow {
		return pages.WorkerRow{Name: name, Host: "app-1:41822", State: running, Queues: "fresh, retry, slow, system", Busy: *meter(64, part(busy, ui.FillStrong)), BusyOf: of, Heartbeat: ptr(ago(2 * time.Second)), Started: ago(52 * time.Hour)}
	}
	return pages.Queue{
		Shell: shell("Queue", "/queue"), Heading: ui.Heading{Title: "Queue", Live: &ui.Live{Text: "Live, updated", At: ptr(ui.Clock(now, time.UTC))}, Actions: []ui.Action{{Label: "Open monitor", Icon: "link", Href: "/monitor", External: true}}},
		Body: pages.QueueBody{
			CSRF: token, PollHref: "/queue", Stale: &ui.Alert{Tone: ui.Warn, Icon: "clock", Title: "Redis did not answer the last call", Text: "Queue figures are from 14:02:11 UTC. What is due is read from Postgres and is current."},
			Tiles: []ui.Tile{
				{Label: "Due now", Number: "12", Href: "/deliveries?status=scheduled", Note: "Oldest 0.4 s"},
				{Label: "In flight", Number: "7", Href: "/deliveries?status=in_flight", Note: "of 256 places", Meter: meter(256, part(7, ui.FillStrong))},
				{Label: "Waiting for retry", Number: "533", Href: "/deliveries?status=retrying", Note: "184 in the next hour"},
				{Label: "Expired leases, 24 h", Number: "0", Note: "No worker was lost", NoteTone: ui.OK},
			},
			Queues:  []pages.QueueRow{row("fresh", "First attempts", running, "8", "0.4 s"), row("retry", "Later attempts", running, "4", "0.2 s"), row("slow", "Endpoints that answer slowly", paused, "31", "12 min"), row("system", "Sweeps and jobs", running, "0", "")},
			Workers: []pages.WorkerRow{worker("wk-1", 4, "4 of 64"), worker("wk-2", 3, "3 of 64")},
			Redis:   []ui.Fact{{Term: "Version", Text: "7.4.1"}, {Term: "Memory", Text: "3.1 MiB"}, {Term: "Clients", Text: "14"}, {Term: "Up", Text: "52 h"}},
			Truth:   []ui.Fact{{Term: "Due", Text: "12", Sub: "oldest 0.4 s"}, {Term: "Parked", Text: "87"}, {Term: "Leases held", Text: "7"}}, Forecast: forecastChart(),
		},
	}
}

func jobPages() []page {
	runs := ui.Badge{Tone: ui.Info, Icon: "loop", Label: "Running"}
	const jobID = "job_01kkc24dn7e9qsnwq1j0h4tmx6"
	progress := ui.Meter{Total: 8412, Parts: []ui.MeterPart{part(1771, ui.FillStrong), part(49, ui.FillMuted)}, Label: "1,820 of 8,412 visited"}
	list := pages.Jobs{
		Shell: shell("Bulk jobs", "/jobs"), Heading: ui.Heading{Title: "Bulk jobs", Actions: []ui.Action{{Label: "New bulk retry", Icon: "plus", Href: "/jobs/new", Kind: "primary"}}},
		Results: pages.JobsResults{Rows: []pages.JobRow{
			{ID: ui.NewID(jobID, "", "/jobs/"+jobID), PollHref: "/jobs/" + jobID + "/row", Status: runs, Filter: "Failed, endpoint Risk engine", Progress: progress, Of: "1,820 of 8,412", Requeued: "1,771", Skipped: "49", Rate: "10/s", By: "Ana Lindqvist", Created: ago(3 * time.Minute)},
			{ID: ui.NewID("job_01kkc24dn7e9qsnwq1j0h4aaa1", "", "/jobs/b"), Status: ui.Badge{Tone: ui.OK, Icon: "check", Label: "Completed"}, Filter: "Failed, all endpoints", Progress: *meter(3, part(3, ui.FillStrong)), Of: "3 of 3", Requeued: "3", Skipped: "0", Rate: "10/s", By: "Jonas Vik", Created: ago(50 * time.Hour)},
		}},
	}
	counts := []pages.CountRow{
		{Label: "Eligible", Sub: "Failed, body held, endpoint enabled", Count: "8,211", Strong: true}, {Label: "In flight", Count: "14"}, {Label: "Body gone", Sub: "Erased after its retention; these can never be sent again", Count: "152", Tone: ui.Warn}, {Label: "Endpoint paused", Count: "35"}, {Label: "Matched", Count: "8,412", Strong: true},
	}
	preview := pages.JobPreview{
		Shell: shell("Preview of a bulk retry", "/jobs"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Bulk jobs", Href: "/jobs"}}, Title: "Bulk retry: preview"}, Filter: "Status failed, endpoint Risk engine, created Mar 8 00:00 to Mar 10 14:20", Counts: counts,
		Scope: &ui.Filters{Action: "/jobs/new", Fields: []ui.FilterField{{Name: "status", Label: "Status", Options: options("failed", "failed", "Failed", "pending", "Waiting"), Set: true}, {Name: "endpoint", Label: "Endpoint", Options: options("x", "", "Any", "x", "Risk engine"), Set: true}, {Name: "type", Label: "Event", Options: options("", "", "Any")}, {Name: "from", Label: "From", Type: "date", Value: "2026-03-08", Set: true}, {Name: "to", Label: "To", Type: "date"}}},
		Form:  &pages.JobForm{Hidden: []ui.Hidden{{Name: "status", Value: "failed"}}, Rate: ui.Field{Name: "rate", Label: "Deliveries per second", Type: "number", Value: "10", Min: "1", Max: "100", Required: true, Hint: "1 to 100. A receiver that just came back may need less."}, Typed: &ui.Field{Name: "confirm", Label: "Type 8211 to confirm", Required: true, Mono: true}, Submit: "Retry 8,211 deliveries", Takes: "About 14 min at 10 per second, oldest first."},
	}
	job := pages.Job{
		Shell:   shell("Bulk retry job", "/jobs"),
		Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Bulk jobs", Href: "/jobs"}}, Title: "Bulk retry", ID: nid(jobID, "job id", ""), Badges: []ui.Badge{runs}, Actions: []ui.Action{{Label: "Open matching deliveries", Href: "/deliveries?status=failed"}, {Label: "Cancel job…", Icon: "square", Href: "/jobs/" + jobID + "/cancel", Kind: "danger", Dialog: true}}, Sub: []ui.SubItem{{Lead: "Started by Ana Lindqvist", Time: ptr(ago(3 * time.Minute))}}},
		Body: pages.JobBody{
			PollHref: "/jobs/" + jobID, Note: "10 per second, oldest first; about 11 min left", Visited: "1,820", VisitOf: "of 8,412 visited, 21.6 %", Progress: progress,
			Legend:  []ui.Legend{{Label: "1,771 requeued", Fill: ui.FillStrong}, {Label: "49 skipped", Fill: ui.FillMuted}, {Label: "6,592 to visit", Fill: ui.FillLine}},
			Tiles:   []ui.Tile{{Label: "Requeued", Number: "1,771", Href: "/deliveries", Note: "97.3 % of visited", Meter: meter(1820, part(1771, ui.FillStrong))}, {Label: "Delivered since", Number: "1,604", Href: "/deliveries", Note: "90.6 % of requeued", Meter: meter(1771, part(1604, ui.FillStrong))}, {Label: "Failed again", Number: "12", Href: "/deliveries", Note: "Retrying on their own", Meter: meter(1771, part(12, ui.FillBad))}, {Label: "Skipped", Number: "49", Note: "Reasons below", Meter: meter(1820, part(49, ui.FillMuted))}},
			Preview: counts, Skipped: []pages.CountRow{{Label: "payload_gone", Count: "38", Mono: true}, {Label: "changed", Sub: "Another person retried them first", Count: "7", Mono: true}, {Label: "in_flight", Count: "4", Mono: true}},
			Facts: []ui.Fact{{Term: "Filter", Text: "Status failed, endpoint Risk engine"}, {Term: "Upper bound", ID: nid("whd_01kkc1x3ereqsvp94ymez8aayw", "", ""), Sub: "Later deliveries are not swept in"}},
		},
	}
	ask := pages.Ask{
		Shell: shell("Pause endpoints by label", "/endpoints"), Heading: ui.Heading{Title: "Pause endpoints by label", Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}},
		Scope:  &ui.Filters{Action: "/endpoints/pause", Fields: []ui.FilterField{{Name: "label", Label: "Label", Options: options("eu", "", "Choose a label", "eu", "eu"), Set: true}}},
		Counts: preview.Counts, CountOf: "Deliveries",
		Confirm: &ui.Confirm{ID: "pause", Title: "Pause 2 endpoints labelled “eu”?", Icon: "pause", Effects: []string{"Risk engine, Ledger."}, Action: "/endpoints/pause", Submit: "Pause 2 endpoints", BackHref: "/endpoints", Back: "Change nothing"},
	}
	tasks := pages.QueueTasks{
		Shell: shell("Queue retry, pending", "/queue"), Heading: ui.Heading{Title: "Queue retry", Crumbs: []ui.Link{{Label: "Queue", Href: "/queue"}}, Range: []ui.Link{{Label: "Pending", Href: "/queue/retry", Current: true}}, RangeOf: "State"},
		Results: pages.QueueTasksResults{CSRF: token, PollHref: "/queue/retry", Pager: ui.Pager{Shown: "2 tasks, the next one first"}, Rows: []pages.QueueTaskRow{
			{ID: "t1", Short: "t1", State: ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Pending"}, For: []pages.QueueTaskFor{{Text: "whd_01j…9qk", Full: "whd_01j9qk", Href: "/deliveries/whd_01j9qk", Endpoint: "Risk engine"}}, Retried: "0", Actions: []ui.Action{{Label: "Delete…", Icon: "trash", Href: "/queue/retry/tasks/t1/delete", Small: true, Name: "Delete task t1"}}},
			{ID: "t2", Short: "t2", State: ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Pending"}, For: []pages.QueueTaskFor{{Text: "whatever is due at Risk engine", Href: "/endpoints/x/deliveries"}}, Others: "1 delivery of other organizations", Retried: "0"},
		}},
	}
	return []page{{"jobs", pages.JobsPage(list)}, {"job-preview", pages.JobPreviewPage(preview)}, {"job", pages.JobPage(job)}, {"ask", pages.AskPage(ask)}, {"queue-tasks", pages.QueueTasksPage(tasks)}}
}

func receivers() pages.Receivers {
	return pages.Receivers{
		Shell: shell("Help for receivers", "/help/receivers"), Heading: ui.Heading{Title: "Help for receivers", Sub: []ui.SubItem{{Text: "How to verify, decrypt and answer what this system sends."}}},
		Endpoint: &ui.Filters{Action: "/help/receivers", Hidden: []ui.Hidden{{Name: "lang", Value: "go"}}, Fields: []ui.FilterField{{Name: "endpoint", Label: "Fill samples for", Options: options("x", "", "No endpoint", "x", "Risk engine"), Set: true}}},
		Missing:  &ui.Alert{Tone: ui.Info, Icon: "info", Text: "Lumen Leasing has no active key yet, so the samples carry placeholders."},
		Langs:    []ui.Link{{Label: "Go", Href: "/help/receivers?lang=go", Current: true}, {Label: "Node", Href: "/help/receivers?lang=node"}, {Label: "Python", Href: "/help/receivers?lang=python"}},
		Samples: []pages.Snippet{
			{ID: "s-verify", Title: "1. Verify the signature over the raw body", Code: "func valid(header string, body []byte, secret string) bool {\n\tt, sums := parse(header) // t=…,v1=…[,v1=…]\n\tif math.Abs(time.Since(time.Unix(t, 0)).Seconds()) > 300 {\n\t\treturn false\n\t}\n\tmac := hmac.New(sha256.New, []byte(secret))\n\tfmt.Fprintf(mac, \"%d.%s\", t, body)\n\twant := mac.Sum(nil)\n\tfor _, got := range sums { // two during an overlap\n\t\tif hmac.Equal(got, want) {\n\t\t\treturn true\n\t\t}\n\t}\n\treturn false\n}", Note: "Compare in constant time, allow 5 minutes, accept any v1."},
			{ID: "s-decrypt", Title: "2. Decrypt with the private key named by kid", Code: "jwe, err := jose.ParseEncrypted(string(body),\n\t[]jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})\nplain, err := jwe.Decrypt(keys[jwe.Header.KeyID])"},
		},
		Rules:   []string{"Read the raw body before any parser touches it.", "Verify the signature, then the time.", "Find the private key by kid and decrypt.", "Drop repeats by metadata.event_id.", "Answer 2xx within 15 seconds, then work."},
		Events:  []pages.EventSample{{Type: "verification.session.succeeded", When: "all checks passed", Code: "{\n  \"type\": \"verification.session.succeeded\",\n  \"metadata\": {\"event_id\": \"evt_…\"}\n}"}, {Type: "verification.session.failed", When: "a check failed for good", Code: "{\n  \"type\": \"verification.session.failed\"\n}"}},
		Checker: &pages.Checker{Action: "/help/receivers/check", Endpoint: ui.Select{ID: "check-endpoint", Name: "endpoint", Label: "Endpoint", Options: options("x", "x", "Risk engine")}, Signature: ui.Field{Name: "signature", Label: "X-Kayle-Signature", Required: true, Mono: true, Placeholder: "t=…,v1=…"}, Message: ui.Textarea{Name: "body", Label: "Body as received", Rows: 5, Required: true}, Result: pages.CheckResult{Badge: &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Signature does not match"}, Rules: []ui.Rule{{State: "pass", Text: "Header has t and v1"}, {State: "fail", Text: "Time within 5 minutes", Got: "41 min old", Sub: "A replayed or very late request."}, {State: "skip", Text: "Signature of the current secret"}}}},
	}
}
