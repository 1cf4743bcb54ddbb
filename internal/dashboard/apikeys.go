package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const (
	apiKeysPath = "/api-keys"
	// listMax is the page of lists that are short in practice.
	listMax = 500
)

// keyLives are the choices of how long a key works, in days; 0 is without end. The first one is the default.
var keyLives = []int{90, 30, 365, 0}

// keyPresets are sets of scopes to start from.
var keyPresets = []struct {
	name, label string
	scopes      []access.Scope
}{
	{"read", "Read only", []access.Scope{access.SessionsRead, access.WebhooksRead, access.AnalyticsRead}},
	{"server", "Server", []access.Scope{access.SessionsWrite, access.WebhooksRead}},
	{"admin", "Administration", []access.Scope{access.SessionsWrite, access.WebhooksWrite, access.AnalyticsRead}},
	{"engine", "Check engine", []access.Scope{access.ChecksWrite}},
}

func listAPIKeys(p *page) error {
	var form *pages.APIKeyForm
	if preset := p.Query("preset"); preset != "" || p.Query("new") != "" {
		var scopes []access.Scope
		for _, known := range keyPresets {
			if known.name == preset {
				scopes = known.scopes
			}
		}
		form = p.apiKeyForm("", scopes, keyLives[0], nil)
	}
	return p.renderAPIKeys(http.StatusOK, form, nil)
}

func (p *page) renderAPIKeys(status int, form *pages.APIKeyForm, created *pages.SecretOnce) error {
	at, err := pageOfMost(p, p.APIKeys.Position)
	if err != nil {
		return err
	}
	list, err := p.APIKeys.List(p.Ctx, p.Actor, at)
	if err != nil {
		return err
	}
	start := ui.Action{Label: "Create key", Icon: "plus", Href: link(apiKeysPath, "new", "1"), Kind: "primary"}
	if p.Fragment() && form != nil { // one that cannot be made
		return p.Render(status, pages.APIKeyFormSection(*form, p.Session.CSRFToken))
	}
	v := pages.APIKeys{
		Shell: p.Shell("API keys", apiKeysPath), Created: created, Form: form,
		Heading: ui.Heading{Title: "API keys", Actions: []ui.Action{start}},
	}
	if p.R.Method == http.MethodGet { // the address of a posted form is no list
		v.Pager = pager(p, list, at.Limit, func(k apikey.Key) string { return k.ID.String() })
	}
	calls, err := p.callsOf(list.Rows)
	if err != nil {
		return err
	}
	for _, k := range list.Rows {
		v.Rows = append(v.Rows, p.apiKeyRow(k, calls[k.ID]))
	}
	if len(v.Rows) == 0 {
		v.State.Empty = &ui.Empty{
			Icon: "key", Title: "No API key yet", Text: "A key lets a server of yours call the JSON API. It is shown once, when it is made.",
			Sample:  "curl " + p.absolute("/v1/webhooks/endpoints") + " -H 'Authorization: Bearer kk_…'",
			Actions: []ui.Action{start},
		}
	}
	if p.Fragment() && created != nil {
		return p.Render(status, pages.APIKeyCreated(v))
	}
	return p.Render(status, pages.APIKeysPage(v))
}

// callsOf reads how often the keys were used on which day.
func (p *page) callsOf(keys []apikey.Key) (map[id.APIKey][]apikey.DayCalls, error) {
	ids := make([]id.APIKey, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	days, err := p.APIKeys.Calls(p.Ctx, p.Actor, ids)
	if err != nil {
		return nil, err
	}
	of := make(map[id.APIKey][]apikey.DayCalls, len(keys))
	for _, d := range days {
		of[d.APIKeyID] = append(of[d.APIKeyID], d)
	}
	return of, nil
}

// callSpark draws the calls of a key, a bar per day (UTC), and sums them up. Without any it is empty.
func callSpark(name string, days []apikey.DayCalls, now time.Time) (spark ui.Spark, sum string) {
	const day = 24 * time.Hour
	today := now.UTC().Truncate(day)
	bars := make([]ui.SparkBar, apikey.CallDays)
	total, most := 0, 0
	for _, d := range days {
		i := len(bars) - 1 - int(today.Sub(d.Day)/day)
		if i < 0 || i >= len(bars) {
			continue
		}
		bars[i].Value += int(d.Calls)
		total += int(d.Calls)
		if bars[i].Value > bars[most].Value {
			most = i
		}
	}
	if total == 0 {
		return ui.Spark{}, ""
	}
	last := bars[len(bars)-1].Value
	peak := today.AddDate(0, 0, most-len(bars)+1).Format("Mon, Jan 2")
	return ui.Spark{
		Bars: bars, Label: fmt.Sprintf("%s: %d days, %s, %s of them today (UTC), most on %s: %s", name, len(bars), counted(total, "call", "calls"), ui.Count(last), peak, ui.Count(bars[most].Value)),
	}, counted(total, "call", "calls") + ", " + ui.Count(last) + " today"
}

func (p *page) apiKeyRow(k apikey.Key, calls []apikey.DayCalls) pages.APIKeyRow {
	path := apiKeysPath + "/" + k.ID.String()
	row := pages.APIKeyRow{
		ID: ui.NewID(k.ID.String(), "", ""), Name: k.Name, Prefix: "kk_" + k.Hint + "…", By: k.CreatedByName, Created: p.At(k.CreatedAt),
		Ends: "no end", Expires: p.AtPtr(k.ExpiresAt), LastUsed: p.AtPtr(k.LastUsedAt), UsedBy: k.LastUsedIP, UsedFor: k.LastUsedRoute,
	}
	row.Calls, row.CallsSum = callSpark(k.Name, calls, p.Now)
	if row.By == "" {
		row.By = "someone who left"
	}
	for _, s := range k.Scopes {
		row.Scopes = append(row.Scopes, string(s))
	}
	switch {
	case k.Expired(p.Now):
		row.Ends = "ended"
	case k.ExpiresAt != nil:
		row.Ends = "ends"
	}
	named := k.Name + ", " + row.Prefix // a rotated key has the name of its successor
	change := ui.Action{Label: "Disable", Href: path + "/disable", Post: true, Small: true, Name: "Disable " + named}
	switch {
	case k.Expired(p.Now):
		row.Status = ui.Badge{Tone: ui.Neutral, Icon: "hourglass", Label: "Expired"}
		change.Label = ""
	case !k.Enabled:
		row.Status = ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Disabled"}
		change.Label, change.Name, change.Href = "Enable", "Enable "+named, path+"/enable"
	case k.ReplacedAt != nil:
		row.Status = ui.Badge{Tone: ui.Warn, Icon: "clock", Label: "Replaced", Title: "works for " + length(k.ExpiresAt.Sub(p.Now)) + " still"}
	default:
		row.Status = ui.Badge{Tone: ui.OK, Icon: "check", Label: "Active"}
		if k.ExpiresAt != nil && k.ExpiresAt.Sub(p.Now) < 7*24*time.Hour {
			row.Status = ui.Badge{Tone: ui.Warn, Icon: "clock", Label: "Expires soon", Title: "in " + length(k.ExpiresAt.Sub(p.Now))}
		}
	}
	if k.Usable(p.Now) && k.ReplacedAt == nil {
		rotate := ui.Action{Label: "Rotate…", Href: path + "/rotate", Small: true, Name: "Rotate " + named, Dialog: true}
		if slices.ContainsFunc(k.Scopes, func(s access.Scope) bool { return !p.Actor.CanGrant(s) }) {
			rotate.Disabled = "Only an owner can grant what it carries."
		}
		row.Actions = append(row.Actions, rotate)
	}
	if change.Label != "" {
		row.Actions = append(row.Actions, change)
	}
	row.Actions = append(row.Actions, ui.Action{Label: "Delete…", Href: path + "/delete", Small: true, Kind: "quiet", Name: "Delete " + named, Dialog: true})
	return row
}

// scopeHints say what each scope lets a key do.
var scopeHints = map[access.Scope]string{
	access.SessionsRead: "Read sessions.", access.SessionsWrite: "Open and cancel sessions; includes reading.",
	access.WebhooksRead: "Read endpoints, keys, events and deliveries.", access.WebhooksWrite: "Change endpoints and keys, retry and replay; includes reading.",
	access.WebhooksSecrets: "Reveal signing secrets.", access.ChecksWrite: "Report the results of checks; for the check engine only.",
	access.AnalyticsRead: "Read statistics.",
}

// apiKeyForm is the form with what was chosen. Scopes that the person may not grant are shown with the reason.
func (p *page) apiKeyForm(name string, chosen []access.Scope, days int, found problems) *pages.APIKeyForm {
	f := &pages.APIKeyForm{
		Open:    true,
		Name:    ui.Field{Name: "name", Label: "Name", Value: name, Required: true, MaxLength: 120, Autocomplete: "off", Autofocus: found == nil, Hint: "What will use it, for example “billing server”.", Error: found["name"]},
		Scopes:  ui.CheckGroup{Name: "scopes", Legend: "Scopes", Hint: "Choose as few as it needs.", Error: found["scopes"]},
		Expires: ui.Select{Name: "expires", Label: "Works for", Error: found["expires_at"]},
		Errors:  formErrors(found, "the key can be made", labelled{"name", "f-name", "Name"}, labelled{"scopes", "f-scopes", "Scopes"}, labelled{"expires_at", "f-expires", "Works for"}),
	}
	for _, s := range access.Scopes() {
		c := ui.Check{Value: string(s), Label: string(s), Hint: scopeHints[s], Checked: slices.Contains(chosen, s), Mono: true}
		if !p.Actor.CanGrant(s) {
			c.Disabled, c.Checked = true, false
			c.Hint += " Only an owner can grant it."
		}
		f.Scopes.Options = append(f.Scopes.Options, c)
	}
	for _, d := range slices.Sorted(slices.Values(keyLives[:3])) {
		f.Expires.Options = append(f.Expires.Options, ui.Option{Value: strconv.Itoa(d), Label: counted(d, "day", "days"), Selected: d == days})
	}
	f.Expires.Options = append(f.Expires.Options, ui.Option{Value: "0", Label: "Without end", Selected: days == 0})
	for _, preset := range keyPresets {
		if slices.ContainsFunc(preset.scopes, func(s access.Scope) bool { return !p.Actor.CanGrant(s) }) {
			continue
		}
		f.Presets = append(f.Presets, ui.Link{Label: preset.label, Href: link(apiKeysPath, "preset", preset.name), Current: p.Query("preset") == preset.name})
	}
	return f
}

// createAPIKey answers with the key itself, once: a redirect or a message kept for the next page would have to store it.
func createAPIKey(p *page) error {
	name := p.Value("name")
	var scopes []access.Scope
	for _, s := range p.Values("scopes") {
		scopes = append(scopes, access.Scope(s))
	}
	days, err := strconv.Atoi(p.Value("expires"))
	if err != nil || !slices.Contains(keyLives, days) {
		days = keyLives[0]
	}
	in := apikey.Input{Name: name, Scopes: scopes}
	if days > 0 {
		end := p.Now.Add(time.Duration(days) * 24 * time.Hour)
		in.ExpiresAt = &end
	}
	key, secret, err := p.APIKeys.Issue(p.Ctx, p.Actor, in)
	if found, ok := problemsOf(err); ok {
		return p.renderAPIKeys(http.StatusUnprocessableEntity, p.apiKeyForm(name, scopes, days, found), nil)
	}
	if err != nil {
		return err
	}
	return p.showNewKey(key, secret)
}

func (p *page) showNewKey(key apikey.Key, secret string) error {
	p.showsSecret(apiKeysPath)
	return p.renderAPIKeys(http.StatusOK, nil, &pages.SecretOnce{
		ID: "new-secret", Label: "The key “" + key.Name + "”", Value: secret, Env: "KAYLEHOOKS_API_KEY=" + secret, Last: true,
		Note: "Copy it now: it is stored as a hash only and cannot be shown again.",
	})
}

func (p *page) apiKey() (apikey.Key, error) {
	key, err := pathID[id.APIKeyKind](p, "id", fault.Missing("API key"))
	if err != nil {
		return apikey.Key{}, err
	}
	return p.APIKeys.Get(p.Ctx, p.Actor, key)
}

func enableAPIKey(p *page) error  { return p.switchAPIKey(true) }
func disableAPIKey(p *page) error { return p.switchAPIKey(false) }

func (p *page) switchAPIKey(on bool) error {
	k, err := p.apiKey()
	if err != nil {
		return err
	}
	if k, err = p.APIKeys.Update(p.Ctx, p.Actor, k.ID, apikey.Update{Enabled: &on}); err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "The key “" + k.Name + "” is enabled."}
	undo := &ui.Action{Label: "Undo", Post: true, Small: true, Href: apiKeysPath + "/" + k.ID.String() + "/disable"}
	if !on {
		flash.Text, flash.Sub = "The key “"+k.Name+"” is disabled.", "Requests with it are refused from now on."
		undo.Href = apiKeysPath + "/" + k.ID.String() + "/enable"
	}
	flash.Action = undo
	return p.Redirect(p.Back(apiKeysPath), flash)
}

// lastUse says in a sentence when, from where and for what the key was used last.
func (p *page) lastUse(k apikey.Key) string {
	if k.LastUsedAt == nil {
		return "It was never used."
	}
	used := "It was last used " + length(p.Now.Sub(*k.LastUsedAt)) + " ago"
	if k.LastUsedIP != "" {
		used += " from " + k.LastUsedIP
	}
	if k.LastUsedRoute != "" {
		used += ", for " + k.LastUsedRoute
	}
	return used + "."
}

func askRotateAPIKey(p *page) error {
	k, err := p.apiKey()
	if err != nil {
		return err
	}
	return p.askRotation(http.StatusOK, k, defaultOverlap, nil)
}

func (p *page) askRotation(status int, k apikey.Key, overlap int, found problems) error {
	life := "The new key has the same name and scopes, and works without end."
	if k.ExpiresAt != nil {
		life = "The new key has the same name and scopes, and works for " + counted(int(k.ExpiresAt.Sub(k.CreatedAt).Round(24*time.Hour)/(24*time.Hour)), "day", "days") + ", as this one was made for."
	}
	v := pages.ConfirmPage{
		Shell:   p.Shell("Rotate API key", apiKeysPath),
		Heading: ui.Heading{Title: "Rotate API key", Crumbs: []ui.Link{{Label: "API keys", Href: apiKeysPath}, {Label: k.Name, Href: apiKeysPath + "#" + k.ID.String()}}},
		Confirm: ui.Confirm{
			ID: "rotate", Title: "Make a new key in place of “" + k.Name + "”?", Icon: "key", Submit: "Rotate key", BackHref: apiKeysPath, Back: "Keep key",
			Action: apiKeysPath + "/" + k.ID.String() + "/rotate",
			Effects: []string{
				p.lastUse(k), life, "It is shown once, when it is made.",
			},
			Choice: &ui.CheckGroup{
				Name: "overlap", Radio: true, Legend: "The former key goes on working for", Error: found["overlap_hours"],
				Hint:    "Give the new key to what uses the former one meanwhile.",
				Options: overlapChoices(apikey.OverlapOptions(), overlap, "Requests with it are refused from now on."),
			},
			Errors: formErrors(found, "this can be done", labelled{"overlap_hours", "f-overlap", "Overlap"}),
		},
	}
	return p.ask(status, v.Confirm, pages.ConfirmationPage(v))
}

// rotateAPIKey answers with the new key itself, once, as createAPIKey does.
func rotateAPIKey(p *page) error {
	k, err := p.apiKey()
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(p.Value("overlap"))
	if err != nil {
		hours = -1 // none of those on offer
	}
	fresh, secret, err := p.APIKeys.Rotate(p.Ctx, p.Actor, k.ID, hours)
	if found, ok := problemsOf(err); ok {
		return p.askRotation(http.StatusUnprocessableEntity, k, defaultOverlap, found)
	}
	if err != nil {
		return err
	}
	former := "The former key is refused from now on."
	if until := p.Now.Add(time.Duration(hours) * time.Hour); hours > 0 {
		if k.ExpiresAt != nil && until.After(*k.ExpiresAt) {
			until = *k.ExpiresAt
		}
		former = "The former key works until " + p.Moment(until) + "."
	}
	p.Flash(ui.Flash{Tone: ui.OK, Text: "The key “" + k.Name + "” is rotated.", Sub: former})
	return p.showNewKey(fresh, secret)
}

func askDeleteAPIKey(p *page) error {
	k, err := p.apiKey()
	if err != nil {
		return err
	}
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell("Delete API key", apiKeysPath),
		Heading: ui.Heading{Title: "Delete API key", Crumbs: []ui.Link{{Label: "API keys", Href: apiKeysPath}, {Label: k.Name, Href: apiKeysPath + "#" + k.ID.String()}}},
		Confirm: ui.Confirm{
			ID: "delete", Title: "Delete the key “" + k.Name + "” for good?", Icon: "trash", Danger: true, Submit: "Delete key", BackHref: apiKeysPath, Back: "Keep key",
			Action:  apiKeysPath + "/" + k.ID.String() + "/delete",
			Effects: []string{p.lastUse(k), "Requests with it are refused from now on.", "The audit log keeps its name and what was done with it."},
		},
	})
}

// deleteAPIKey ends a key for good.
func deleteAPIKey(p *page) error {
	k, err := p.apiKey()
	if err != nil {
		return err
	}
	if err := p.APIKeys.Delete(p.Ctx, p.Actor, k.ID); err != nil {
		return err
	}
	return p.Redirect(apiKeysPath, ui.Flash{Tone: ui.OK, Text: "The key “" + k.Name + "” is deleted."})
}

// absolute is the address of a local path as others reach it.
func (p *page) absolute(path string) string {
	if p.PublicURL != "" {
		return trimSlash(p.PublicURL) + path
	}
	scheme := "https"
	if p.R.TLS == nil && isLoopback(p.R.Host) {
		scheme = "http"
	}
	return scheme + "://" + p.R.Host + path
}
