package dashboard

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

// Choices of the status filter that stand for several display states.
const (
	anyWaiting = "waiting"
	anyFailed  = delivery.AnyFailed
)

const (
	// noCode is the choice of the code filter for "no answer came".
	noCode = "none"
	// codeExamples say what that filter takes.
	codeExamples = "503, 5xx, " + noCode
)

// deliveryFilter reads the filters of a deliveries list from the address: status, endpoint, type, code, error, attempts, next,
// trigger, label, key, event, job, failed_from, from, to, due_from, due_to, took, held. impossible is true when one of them can match nothing, such as an id that is none.
func (p *page) deliveryFilter() (f delivery.Filter, impossible bool) {
	switch status := p.Query("status"); status {
	case "":
	case anyWaiting:
		f.Status = delivery.Pending
	case anyFailed:
		f.State = delivery.AnyFailed
	default:
		f.State = delivery.State(status)
		impossible = !slices.Contains(delivery.States(), f.State)
	}
	var bad bool
	f.EndpointID, bad = queryID[id.EndpointKind](p, "endpoint")
	impossible = impossible || bad
	f.KeyID, bad = queryID[id.KeyKind](p, "key")
	impossible = impossible || bad
	f.EventID, bad = queryID[id.EventKind](p, "event")
	impossible = impossible || bad
	if t := event.Type(p.Query("type")); t != "" {
		f.EventType, impossible = t, impossible || !t.Known()
	}
	if kind := delivery.ErrorKind(p.Query("error")); kind != "" {
		f.ErrorKind, impossible = kind, impossible || !slices.Contains(delivery.ErrorKinds(), kind)
	}
	f.StatusCode, f.StatusClass, f.Unanswered, bad = parseCode(p.Query("code"))
	impossible = impossible || bad
	f.MinAttempts, bad = parseAttempts(p.Query("attempts"))
	impossible = impossible || bad
	f.NextAttempt, bad = parseAttempts(p.Query("next"))
	impossible = impossible || bad
	if t := delivery.Trigger(p.Query("trigger")); t != "" {
		f.Trigger, impossible = t, impossible || !slices.Contains(delivery.Triggers(), t)
	}
	f.Label = cutText(p.Query("label"), 200)
	f.From, f.To, bad = p.querySpan()
	impossible = impossible || bad
	f.FailedFrom, bad = p.queryTime("failed_from", false)
	impossible = impossible || bad
	f.DueFrom, bad = p.queryTime("due_from", false)
	impossible = impossible || bad
	f.DueTo, bad = p.queryTime("due_to", true)
	impossible = impossible || bad
	f.Held = p.Query("held") != ""
	f.MinDuration, bad = parseTook(p.Query("took"))
	impossible = impossible || bad
	f.JobID, f.JobOutcome, bad = parseVisited(p.Query("job"))
	return f, impossible || bad
}

// visitedBy is the filter of the deliveries that a bulk retry came to with that outcome.
func visitedBy(j id.Job, outcome delivery.JobOutcome) string {
	return link(deliveriesPath, "job", j.String()+"/"+string(outcome))
}

// parseVisited reads what visitedBy wrote; a job alone stands for what it requeued.
func parseVisited(text string) (j id.Job, outcome delivery.JobOutcome, bad bool) {
	if text == "" {
		return j, "", false
	}
	job, did, _ := strings.Cut(text, "/")
	outcome = cmp.Or(delivery.JobOutcome(did), delivery.JobRequeued)
	j, err := id.Parse[id.JobKind](job)
	return j, outcome, err != nil || !slices.Contains(delivery.JobOutcomes(), outcome)
}

// visitedWords is such a filter for people.
func visitedWords(text string) string {
	j, outcome, bad := parseVisited(text)
	if bad {
		return cutText(text, 200)
	}
	if outcome == delivery.JobRequeued {
		return "requeued by " + ui.ShortID(j.String())
	}
	return "skipped by " + ui.ShortID(j.String()) + ", " + skipWords(outcome)
}

// queryID reads an id from the address; bad is true for text that is no such id.
func queryID[K id.Kind](p *page, name string) (v id.ID[K], bad bool) {
	text := p.Query(name)
	if text == "" {
		return v, false
	}
	v, err := id.Parse[K](text)
	return v, err != nil
}

// parseAttempts reads a number of attempts; bad is true for what no delivery has.
func parseAttempts(text string) (n int, bad bool) {
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err != nil || n < 1 || n > delivery.AttemptsPerRun
}

// parseCode reads "503", "5xx" or "none", which stands for no answer; bad is true for what is no such thing.
func parseCode(s string) (code, class int, unanswered, bad bool) {
	switch {
	case s == "":
		return 0, 0, false, false
	case s == noCode:
		return 0, 0, true, false
	case len(s) == 3 && s[1:] == "xx" && s[0] >= '1' && s[0] <= '5':
		return 0, int(s[0] - '0'), false, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		return 0, 0, false, true
	}
	return n, 0, false, false
}

// tookAtLeast is the filter of deliveries whose last attempt took so many milliseconds at least, which is all of them for none.
func tookAtLeast(ms int64) string {
	if ms == 0 {
		return ""
	}
	return strconv.FormatInt(ms, 10)
}

// parseTook reads what tookAtLeast wrote.
func parseTook(text string) (d time.Duration, bad bool) {
	if text == "" {
		return 0, false
	}
	ms, err := strconv.Atoi(text)
	return time.Duration(ms) * time.Millisecond, err != nil || ms < 1 || ms > math.MaxInt32
}

// tookWords is such a filter for people.
func tookWords(text string) string {
	d, bad := parseTook(text)
	if bad || d == 0 {
		return text
	}
	return ui.Millis(int(d.Milliseconds()))
}

// deliveryFilters is the filter bar of a deliveries list. Without endpoints the list is that of one endpoint.
func (p *page) deliveryFilters(action string, endpoints []webhook.Endpoint) ui.Filters {
	states := stateOptions()
	states = slices.Insert(states, 1, ui.Option{Value: anyWaiting, Label: "Any waiting"}, ui.Option{Value: anyFailed, Label: "Any failed"})
	v := ui.Filters{Action: action, Fields: []ui.FilterField{p.selectField("status", "Status", states...)}}
	if len(endpoints) > 0 {
		options := []ui.Option{{Label: "Any"}}
		var labels []string
		for _, e := range endpoints {
			options = append(options, ui.Option{Value: e.ID.String(), Label: e.DisplayName()})
			labels = append(labels, e.Labels...)
		}
		v.Fields = append(v.Fields, p.selectField("endpoint", "Endpoint", options...))
		if len(labels) > 0 {
			v.More = append(v.More, labelField("Endpoint label", p.Query("label"), labels))
		}
	}
	v.Fields = append(v.Fields, p.selectField("type", "Event", eventTypeOptions()...))
	triggers := []ui.Option{{Label: "Any"}}
	for _, t := range delivery.Triggers() {
		triggers = append(triggers, ui.Option{Value: string(t), Label: upperFirst(triggerWord(t))})
	}
	v.More = append(v.More,
		p.selectField("error", "Last error", errorOptions()...),
		p.selectField("trigger", "Attempt made by", triggers...),
		withPlaceholder(p.inputField("code", "Code", "text"), codeExamples),
		p.inputField("attempts", "Attempts ≥", "number"),
		p.inputField("from", "From", "datetime-local"),
		p.inputField("to", "To", "datetime-local"),
		p.inputField("due_from", "Due from", "datetime-local"),
		p.inputField("due_to", "Due to", "datetime-local"),
	)
	for _, name := range []string{"limit", "key", "event", "next", "took", "held", "failed_from", "job", "live"} {
		if value := p.Query(name); value != "" {
			v.Hidden = append(v.Hidden, ui.Hidden{Name: name, Value: value})
		}
	}
	return v
}

// errorOptions are the choices of an error filter.
func errorOptions() []ui.Option {
	options := []ui.Option{{Label: "Any"}}
	for _, k := range delivery.ErrorKinds() {
		options = append(options, ui.Option{Value: string(k), Label: explainError(k, 0).Name})
	}
	return options
}

// labelField chooses endpoints by a label, which is one in any letter case.
func labelField(title, chosen string, labels []string) ui.FilterField {
	slices.SortFunc(labels, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	options := []ui.Option{{Label: "Any"}}
	for _, label := range slices.CompactFunc(labels, strings.EqualFold) {
		options = append(options, ui.Option{Value: label, Label: label, Selected: strings.EqualFold(label, chosen)})
	}
	return ui.FilterField{Name: "label", Label: title, Options: options, Set: chosen != ""}
}

func withPlaceholder(f ui.FilterField, text string) ui.FilterField {
	f.Placeholder = text
	return f
}

func (p *page) inputField(name, label, kind string) ui.FilterField {
	value := p.Query(name)
	shown := value
	if kind == "datetime-local" {
		if t, ok := p.ParseFormTime(value, false); ok {
			shown = p.FieldTime(t)
		}
	}
	return ui.FilterField{Name: name, Label: label, Type: kind, Value: shown, Set: value != ""}
}

// deliveryActive lists the filters of a deliveries list that are in use.
func (p *page) deliveryActive(endpoints map[id.Endpoint]webhook.Endpoint) ui.ActiveFilters {
	status := p.Query("status")
	switch status {
	case anyWaiting:
		status = "any waiting"
	case anyFailed:
		status = "any failed"
	default:
		status = lowerFirst(lookOf(delivery.State(status)).Word)
	}
	endpoint := p.Query("endpoint")
	if e, err := id.Parse[id.EndpointKind](endpoint); err == nil {
		if found, ok := endpoints[e]; ok {
			endpoint = found.DisplayName()
		}
	}
	return p.activeFilters(
		[3]string{"status", "Status", status}, [3]string{"endpoint", "Endpoint", endpoint},
		[3]string{"type", "Event", event.Type(p.Query("type")).Short()},
		[3]string{"error", "Last error", explainError(delivery.ErrorKind(p.Query("error")), 0).Name},
		[3]string{"code", "Code", p.Query("code")}, [3]string{"attempts", "Attempts at least", p.Query("attempts")}, [3]string{"next", "Waits for attempt", p.Query("next")},
		[3]string{"trigger", "Attempt made by", triggerWord(delivery.Trigger(p.Query("trigger")))}, [3]string{"label", "Endpoint label", p.Query("label")},
		[3]string{"key", "Key", ui.ShortID(p.Query("key"))}, [3]string{"event", "Event", ui.ShortID(p.Query("event"))},
		[3]string{"from", "From", p.momentOf(p.Query("from"), false)}, [3]string{"to", "To", p.momentOf(p.Query("to"), true)},
		[3]string{"failed_from", "Failed since", p.momentOf(p.Query("failed_from"), false)}, [3]string{"due_from", "Due from", p.momentOf(p.Query("due_from"), false)}, [3]string{"due_to", "Due to", p.momentOf(p.Query("due_to"), true)},
		[3]string{"took", "Took at least", tookWords(p.Query("took"))}, [3]string{"held", "Payload", heldWord(p.Query("held"))},
		[3]string{"job", "Bulk retry", visitedWords(p.Query("job"))},
	)
}

func heldWord(text string) string {
	if text == "" {
		return ""
	}
	return "held, not delivered"
}

func (p *page) momentOf(text string, end bool) string {
	if t, ok := p.ParseFormTime(text, end); ok {
		return p.Moment(t)
	}
	return text
}
