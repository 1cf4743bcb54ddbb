package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// endpointInput is the form of an endpoint as it was entered.
type endpointInput struct {
	Name, Labels, URL, Retention string
	Enabled                      bool
	Events                       []string
}

func (p *page) readEndpoint() endpointInput {
	return endpointInput{
		Name: p.Value("name"), Labels: p.Value("labels"), URL: p.Value("url"), Retention: p.Value("retention"),
		Enabled: p.Value("enabled") == "1", Events: p.Values("events"),
	}
}

func inputOf(e webhook.Endpoint) endpointInput {
	in := endpointInput{
		Labels: strings.Join(e.Labels, ", "), URL: e.URL, Retention: strconv.Itoa(e.UndeliveredPayloadRetentionHours),
		Enabled: e.Enabled, Events: e.SubscribedEventTypes,
	}
	if e.Name != nil {
		in.Name = *e.Name
	}
	return in
}

func newInput() endpointInput {
	in := endpointInput{Enabled: true, Retention: strconv.Itoa(webhook.DefaultRetention)}
	for _, t := range event.SubscribableTypes() {
		in.Events = append(in.Events, string(t))
	}
	return in
}

// labels splits the field; commas separate.
func (in endpointInput) labels() []string {
	var out []string
	for part := range strings.SplitSeq(in.Labels, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// retention is the chosen number of hours; text that is no number becomes one that the room refuses.
func (in endpointInput) retention() int {
	n, err := strconv.Atoi(in.Retention)
	if err != nil {
		return -1
	}
	return n
}

// endpointFields names the room's fields as the form shows them, in its order.
var endpointFields = []labelled{
	{"url", "f-url", "URL"},
	{"name", "f-name", "Name"},
	{"labels", "f-labels", "Labels"},
	{"subscribed_event_types", "f-events", "Events"},
	{"undelivered_payload_retention_hours", "f-retention", "Payload retention"},
}

// endpointForm fills the form.
func endpointForm(in endpointInput, found problems, done string) pages.EndpointForm {
	v := pages.EndpointForm{
		URL: ui.Field{
			Name: "url", Label: "URL", Type: "url", Value: in.URL, Required: true, Mono: true, Placeholder: "https://hooks.example.com/kayle",
			Hint: "https, a public host, port 443 or 1024 and above. Redirects are not followed.", Error: found["url"],
		},
		Name: ui.Field{Name: "name", Label: "Name", Value: in.Name, MaxLength: webhook.MaxName, Hint: "Shown instead of the host.", Error: found["name"]},
		Labels: ui.Field{
			Name: "labels", Label: "Labels", Value: in.Labels, Error: found["labels"],
			Hint: fmt.Sprintf("Up to %d, separated by commas.", webhook.MaxLabels),
		},
		Events: ui.CheckGroup{Name: "events", Legend: "Events", Error: found["subscribed_event_types"]},
		Retention: ui.Select{
			Name: "retention", Label: "Keep undelivered payloads", Error: found["undelivered_payload_retention_hours"],
			Hint: "How long the encrypted payload of a failed delivery can still be retried.",
		},
		Enabled: ui.CheckGroup{Name: "enabled", Legend: "State", Options: []ui.Check{{
			Value: "1", Label: "Enabled", Checked: in.Enabled, Hint: "A paused endpoint receives nothing; new events skip it.",
		}}},
		Errors: formErrors(found, done, endpointFields...),
	}
	for _, t := range event.SubscribableTypes() {
		v.Events.Options = append(v.Events.Options, ui.Check{Value: string(t), Label: string(t), Mono: true, Checked: slices.Contains(in.Events, string(t))})
	}
	for _, hours := range webhook.RetentionOptions() {
		text := strconv.Itoa(hours)
		v.Retention.Options = append(v.Retention.Options, ui.Option{Value: text, Label: retentionLabel(hours), Selected: text == in.Retention})
	}
	return v
}

func retentionLabel(hours int) string {
	switch {
	case hours == 0:
		return "not at all"
	case hours%24 == 0:
		return counted(hours/24, "day", "days")
	}
	return counted(hours, "hour", "hours")
}

// newEndpoint shows the empty form or, with from, one that is filled in as another endpoint is.
func newEndpoint(p *page) error {
	from := p.Query("from")
	if from == "" {
		return p.renderNewEndpoint(http.StatusOK, newInput(), nil)
	}
	source, err := id.Parse[id.EndpointKind](from)
	if err != nil {
		return webhook.ErrEndpointNotFound
	}
	e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, source)
	if err != nil {
		return err
	}
	in := inputOf(e)
	in.Name, in.Enabled = cutText("Copy of "+e.DisplayName(), webhook.MaxName), true
	return p.renderNewEndpoint(http.StatusOK, in, nil, ui.Alert{
		Tone: ui.Neutral, Icon: "copy", Text: "Filled in as " + e.DisplayName() + " is. The copy gets a signing secret of its own, and needs a key: neither is copied.",
	})
}

func (p *page) renderNewEndpoint(status int, in endpointInput, found problems, notes ...ui.Alert) error {
	list, err := p.Webhooks.ListEndpoints(p.Ctx, p.Actor, nil, postgres.Page{Limit: webhook.MaxEndpoints})
	if err != nil {
		return err
	}
	v := endpointForm(in, found, "this endpoint can be created")
	v.Shell = p.Shell("New endpoint", "/endpoints")
	v.Heading = ui.Heading{Title: "New endpoint", Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}}
	v.Action, v.Submit, v.BackHref = "/endpoints", "Create endpoint", "/endpoints"
	v.Notes = notes
	v.Limit = fmt.Sprintf("%d of %d endpoints are in use", len(list.Rows), webhook.MaxEndpoints)
	return p.Render(status, pages.EndpointFormPage(v))
}

func createEndpoint(p *page) error {
	in := p.readEndpoint()
	retention := in.retention()
	create := webhook.NewEndpoint{Labels: in.labels(), URL: in.URL, Enabled: &in.Enabled, EventTypes: in.Events, RetentionHours: &retention}
	if in.Name != "" {
		create.Name = &in.Name
	}
	if create.EventTypes == nil {
		create.EventTypes = []string{} // nil would mean "all"
	}
	var e webhook.Endpoint
	var secret string
	err := p.Webhooks.CheckNew(create)
	if err == nil {
		p.sight, err = p.lookBeforeSaving(in.URL, "", audit.Target{})
	}
	if err == nil {
		e, secret, err = p.Webhooks.CreateEndpoint(p.Ctx, p.Actor, create)
	}
	if found, ok := problemsOf(err); ok {
		return p.renderNewEndpoint(http.StatusUnprocessableEntity, in, found)
	}
	if errors.Is(err, webhook.ErrTooManyEndpoints) {
		return p.renderNewEndpoint(http.StatusConflict, in, problems{"": webhook.ErrTooManyEndpoints.Message + " " + webhook.ErrTooManyEndpoints.Hint})
	}
	if err != nil {
		return err
	}
	made := endpointPath(e.ID)
	p.showsSecret(made)
	connection := p.connection(e)
	connection.Action = "" // another check would leave the page that shows the secret
	return p.Render(http.StatusOK, pages.EndpointCreatedPage(pages.EndpointCreated{
		Shell:   p.Shell("Endpoint created", "/endpoints"),
		Heading: ui.Heading{Title: e.DisplayName() + " was created", Crumbs: []ui.Link{{Label: "Endpoints", Href: "/endpoints"}}, Sub: []ui.SubItem{{Text: addressOf(e.URL), Mono: true}}},
		Secret: pages.SecretOnce{
			ID: "secret", Label: "Signing secret", Value: secret, Env: secretVariable + "=" + secret,
			Note: "Give it to the receiver now: it is shown here once. It signs every webhook to this endpoint.",
		},
		Connection: connection,
		NextHref:   made + "/keys", Next: "Next: add the receiver's public key", SkipHref: made,
	}))
}

// seenLayout keeps the microseconds of updated_at in a form's address, to notice that somebody else saved meanwhile.
const seenLayout = "2006-01-02T15:04:05.000000Z"

func editEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	return p.renderEditEndpoint(http.StatusOK, e, inputOf(e), nil, nil)
}

func (p *page) renderEditEndpoint(status int, e webhook.Endpoint, in endpointInput, found problems, note *ui.Alert) error {
	v := endpointForm(in, found, "the changes can be saved")
	head, err := p.endpointHead(e, "settings")
	if err != nil {
		return err
	}
	path := endpointPath(e.ID)
	v.Shell, v.Heading, v.SubNav = p.Shell(e.DisplayName()+" settings", "/endpoints"), head.Heading, &head.SubNav
	v.Action, v.Submit, v.BackHref = link(path, "seen", e.UpdatedAt.UTC().Format(seenLayout)), "Save changes", path
	if note != nil {
		v.Notes = append(v.Notes, *note)
	}
	if p.Can(access.WebhooksWrite) {
		connection := p.connection(e)
		v.Connection = &connection
		v.DuplicateHref = link("/endpoints/new", "from", e.ID.String())
		v.Danger = &pages.DangerZone{
			Title: "Delete this endpoint", Href: path + "/delete", Label: "Delete…",
			Text: "Waiting webhooks are dropped and its keys and secret are erased. Events and deliveries stay readable.",
		}
	} else {
		v.ReadOnly = fmt.Sprintf("You are signed in as %s. %s", p.Session.Role, takesRole("Changing an endpoint", access.WebhooksWrite))
	}
	return p.Render(status, pages.EndpointFormPage(v))
}

func updateEndpoint(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	in := p.readEndpoint()
	retention, labels, types := in.retention(), in.labels(), slices.Clone(in.Events)
	change := webhook.EndpointChange{
		Labels: &labels, URL: &in.URL, Enabled: &in.Enabled, EventTypes: &types, RetentionHours: &retention,
		Name: &in.Name, ClearName: in.Name == "",
	}
	if text := p.Query("seen"); text != "" {
		seen, _ := time.Parse(seenLayout, text) // what cannot be read is no version that is stored
		change.ExpectedUpdatedAt = &seen
	}
	var updated webhook.Endpoint
	var seen *egress.Sight
	if change.ExpectedUpdatedAt != nil && !change.ExpectedUpdatedAt.Equal(e.UpdatedAt) { // before what is wrong with it: that page carries the newer version
		err = webhook.ErrEndpointChanged
	} else {
		err = p.Webhooks.CheckChange(change)
	}
	if err == nil {
		seen, err = p.lookBeforeSaving(in.URL, e.URL, endpointTarget(e))
	}
	var missed event.Missed
	if err == nil && in.Enabled {
		missed, err = p.missedMeanwhile(e)
	}
	if err == nil {
		updated, err = p.Webhooks.UpdateEndpoint(p.Ctx, p.Actor, e.ID, change)
	}
	if errors.Is(err, webhook.ErrEndpointChanged) {
		return p.renderConflict(e.ID, in)
	}
	if found, ok := problemsOf(err); ok {
		return p.renderEditEndpoint(http.StatusUnprocessableEntity, e, in, found, nil)
	}
	if err != nil {
		return err
	}
	p.sight = seen
	flash := ui.Flash{Tone: ui.OK, Text: "Changes to " + updated.DisplayName() + " are saved.", Sub: whatSavingDid(e, updated)}
	p.tellMissed(&flash, e, missed)
	return p.Redirect(endpointPath(e.ID)+"/settings", flash)
}

// renderConflict keeps what was entered and says what is stored now, so that nobody overwrites an edit unseen. Sending
// the form again carries the newer version and wins.
func (p *page) renderConflict(endpoint id.Endpoint, in endpointInput) error {
	now, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, endpoint)
	if err != nil {
		return err
	}
	stored := inputOf(now)
	var differs []string
	for _, f := range []struct{ label, stored, entered string }{
		{"URL", stored.URL, in.URL},
		{"Name", stored.Name, in.Name},
		{"Labels", strings.Join(stored.labels(), ", "), strings.Join(in.labels(), ", ")},
		{"Events", strings.Join(stored.Events, ", "), strings.Join(in.Events, ", ")},
		{"Payload retention", retentionLabel(stored.retention()), retentionLabel(in.retention())},
		{"State", enabledWord(stored.Enabled), enabledWord(in.Enabled)},
	} {
		if f.stored != f.entered {
			differs = append(differs, fmt.Sprintf("%s is now “%s”", f.label, f.stored))
		}
	}
	note := &ui.Alert{
		Tone: ui.Warn, Icon: "warn", Urgent: true, Title: "Somebody else changed this endpoint in the meantime",
		Text: "Nothing was saved. Your entries are still below. Send the form again to replace what is stored",
	}
	if len(differs) > 0 {
		note.Text += ": " + strings.Join(differs, "; ")
	}
	note.Text += "."
	return p.renderEditEndpoint(http.StatusConflict, now, in, nil, note)
}

func enabledWord(on bool) string {
	if on {
		return "enabled"
	}
	return "paused"
}

// whatSavingDid names the effects that are not on the form.
func whatSavingDid(before, after webhook.Endpoint) string {
	switch {
	case before.Enabled && !after.Enabled:
		return "It is paused: waiting deliveries are parked and new events skip it."
	case !before.Enabled && after.Enabled:
		return "It is enabled: parked deliveries are due now."
	case before.URL != after.URL:
		return "Later attempts go to the new URL, those of waiting deliveries too."
	}
	return ""
}
