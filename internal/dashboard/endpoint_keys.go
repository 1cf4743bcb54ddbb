package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// keysMax is how many keys of an endpoint a page shows unless the address says otherwise.
const keysMax = 100

func showKeys(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	return p.renderKeys(http.StatusOK, e, keyOffer{})
}

// renderKeys shows the page with what was entered, as far as it may be shown again.
func (p *page) renderKeys(status int, e webhook.Endpoint, offer keyOffer) error {
	st, err := p.endpointHead(e, "keys")
	if err != nil {
		return err
	}
	at := postgres.Page{Limit: keysMax}
	if p.R.Method == http.MethodGet { // the address of a posted form is no list
		at, err = pageOf(p, func(ctx context.Context, actor access.Actor, key id.Key) (*postgres.Position, error) {
			return p.Webhooks.KeyPosition(ctx, actor, e.ID, key)
		})
		if err != nil {
			return err
		}
		if p.Query("limit") == "" {
			at.Limit = keysMax
		}
	}
	list, err := p.Webhooks.ListKeys(p.Ctx, p.Actor, e.ID, nil, at)
	if err != nil {
		return err
	}
	uses, err := p.Deliveries.KeyUses(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return err
	}
	v := pages.EndpointKeys{Shell: p.Shell(e.DisplayName()+" keys", "/endpoints"), Head: st.EndpointHead, Generate: keySnippets()}
	active := st.key // on every page of the list
	challenged := make([]webhook.Key, 0, len(list.Rows)+1)
	if active != nil {
		v.Active = p.activeKey(*active, uses[active.ID])
		challenged = append(challenged, *active)
	}
	for _, k := range list.Rows {
		if k.IsActive {
			continue
		}
		challenged = append(challenged, k)
		if k.Staged() {
			v.Staged = append(v.Staged, p.stagedKey(k))
		} else {
			v.Retired = append(v.Retired, p.retiredKey(k, uses[k.ID]))
		}
	}
	if v.Challenges, err = p.challenges(challenged, offer); err != nil {
		return err
	}
	switch {
	case p.R.Method == http.MethodGet && (list.HasOlder || list.HasNewer):
		v.RetirePager = pager(p, list, at.Limit, func(k webhook.Key) string { return k.ID.String() })
		v.RetirePager.Shown = counted(len(v.Retired), "retired key", "retired keys") + " shown, newest first"
	case list.HasOlder:
		v.RetireNow = fmt.Sprintf("the latest %d are shown", keysMax)
	}
	if active == nil {
		v.Blocked = &ui.Alert{
			Tone: ui.Bad, Icon: "blocked", Urgent: true, Title: "New deliveries to this endpoint are blocked until a key is active",
			Text: "What is blocked meanwhile is recorded and cannot be sent later.",
		}
	}
	if p.Can(access.WebhooksWrite) {
		if active == nil {
			v.Blocked.Text = "Add the receiver's public key, or reactivate a retired one. " + v.Blocked.Text
			v.Blocked.Actions = []ui.Action{{Label: "Add a key", Icon: "key", Href: "#add", Small: true}, {Label: "Make a key pair", Icon: "plus", Href: "#generate", Small: true}}
		}
		v.Add = p.keyForm(e, active, uses, offer)
	} else if active == nil {
		v.Blocked.Text += " " + takesRole("Adding a key", access.WebhooksWrite)
	}
	return p.Render(status, pages.EndpointKeysPage(v))
}

func (p *page) keyForm(e webhook.Endpoint, active *webhook.Key, uses map[id.Key]delivery.KeyUse, offer keyOffer) *pages.KeyForm {
	path := endpointPath(e.ID) + "/keys"
	f := &pages.KeyForm{
		Action: path, CheckAction: path + "/check", Check: offer.check, FileError: offer.found["file"], Private: webhook.PrivateKeyPattern,
		Text: ui.Textarea{
			ID: "keytext", Name: "keytext", Label: "Public key", Rows: 10, Sensitive: true, Value: offer.shown, Error: offer.found["key"],
			Hint: "JWK, JWK set, PEM or certificate. RSA, 2048 to 8192 bits. Public half only.",
		},
		KeyID: ui.Field{
			ID: "keyid", Name: "key_id", Label: "Key id", Value: offer.keyID, Mono: true, MaxLength: webhook.MaxKeyID, Error: offer.found["key_id"],
			Hint: "Sent as kid. Leave it empty for the key's own, or the start of its thumbprint. It chooses one key of a JWK set.",
		},
		Errors: formErrors(offer.found, "this key can be added",
			labelled{"key", "keytext", "Public key"}, labelled{"file", "keyfile", "File"}, labelled{"key_id", "keyid", "Key id"}),
		Preview: "Add and activate: new deliveries are encrypted to this key at once, though nobody has shown that the receiver can read them. Add only: verify it first, and activate it later.",
	}
	if active != nil {
		if staying := p.stayingNote(*active, uses[active.ID]); staying != "" {
			f.Preview += " " + staying
		}
	}
	return f
}

func (p *page) activeKey(k webhook.Key, use delivery.KeyUse) *pages.KeyView {
	v := &pages.KeyView{
		Badges: []ui.Badge{{Tone: ui.OK, Icon: "play", Label: "Active"}, p.verifiedBadge(k)},
		Left: []ui.Fact{
			{Term: "Key id", Text: k.KeyID, Mono: true},
			{Term: "Record", ID: idPtr(ui.NewID(k.ID.String(), "key record id", ""))},
			{Term: "Algorithm", Text: fmt.Sprintf("%s, %d bit", k.Algorithm, k.Bits)},
			{Term: "Added", Time: exactPtr(p, &k.CreatedAt), Sub: addedBy(k)},
			{Term: "Encrypted", Text: encrypted(use), Href: link("/deliveries", "key", k.ID.String())},
		},
		Right:   keyHashes(k),
		Actions: []ui.Action{jwkAction(k)},
		Note:    p.waitingNote(use),
	}
	if use.Waiting > 0 {
		v.Left = append(v.Left, ui.Fact{Term: "Undelivered", Text: counted(use.Waiting, "webhook", "webhooks"), Href: heldHref(k)})
	}
	first, last := ui.Fact{Term: "First used", Time: exactPtr(p, k.FirstUsedAt)}, ui.Fact{Term: "Last used", Time: exactPtr(p, use.LastUsed)}
	switch {
	case k.FirstUsedAt == nil:
		v.Left = append(v.Left, ui.Fact{Term: "First used", Text: "not yet"})
	case use.LastUsed == nil:
		v.Left = append(v.Left, first)
	default:
		v.Left = append(v.Left, first, last)
	}
	v.Actions = append(v.Actions, p.offered(access.WebhooksWrite, verifyAction(k),
		ui.Action{Label: "Deactivate…", Kind: "danger", Href: keyPath(k.ID) + "/deactivate", Small: true, Dialog: true})...)
	return v
}

func jwkAction(k webhook.Key) ui.Action {
	return ui.Action{Label: "JWK", Icon: "down", Href: keyPath(k.ID) + "/jwk", Download: true, Small: true, Name: "Download " + k.KeyID + " as JWK"}
}

// keyHashes are the names of a key that anybody can work out, each with a command that does.
func keyHashes(k webhook.Key) []ui.Fact {
	return []ui.Fact{
		{Term: "RFC 7638", Text: k.Thumbprint, Hash: true, Copy: "Copy thumbprint", Pre: thumbprintCommand(k.Exponent)},
		{Term: "SPKI SHA-256", Text: k.SPKISHA256, Hash: true, Copy: "Copy SPKI hash", Pre: "openssl pkey -pubin -in public.pem -outform der | openssl dgst -sha256"},
	}
}

// encrypted is how many webhooks were encrypted to a key.
func encrypted(use delivery.KeyUse) string {
	if use.More {
		return "more than " + counted(use.Deliveries, "webhook", "webhooks")
	}
	return counted(use.Deliveries, "webhook", "webhooks")
}

// waitingNote says how long the private half is still needed.
func (p *page) waitingNote(use delivery.KeyUse) string {
	if use.Waiting == 0 || use.LastExpiry == nil {
		return ""
	}
	return "The receiver needs its private half at least until " + p.Moment(*use.LastExpiry) + ", for what is not delivered yet."
}

func addedBy(k webhook.Key) string {
	if k.CreatedBy == "" {
		return ""
	}
	return "by " + k.CreatedBy
}

func (p *page) retiredKey(k webhook.Key, use delivery.KeyUse) pages.RetiredKey {
	row := pages.RetiredKey{
		ID: k.ID.String(), KeyID: k.KeyID, Sub: fmt.Sprintf("%d bit", k.Bits), Badge: ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Retired"}, Verified: p.verifiedBadge(k),
		Hashes: keyHashes(k), Active: p.day(k.CreatedAt) + " –", Exact: p.Exact(k.CreatedAt).Text + " –", Used: p.used(k, use), Encrypted: encrypted(use), Waiting: ui.Count(use.Waiting),
	}
	if by := addedBy(k); by != "" {
		row.Sub += ", added " + by
	}
	if k.DisabledAt != nil {
		row.Active += " " + p.day(*k.DisabledAt)
		row.Exact += " " + p.Exact(*k.DisabledAt).Text
	}
	if use.Waiting > 0 && use.LastExpiry != nil {
		row.Badge = ui.Badge{Tone: ui.Warn, Icon: "hourglass", Label: "Retiring", Title: p.waitingNote(use)}
		row.Waiting += ", until " + p.Moment(*use.LastExpiry)
		row.WaitingHref = heldHref(k)
	}
	if use.Deliveries > 0 {
		row.EncryptedHref = link(deliveriesPath, "key", k.ID.String())
	}
	row.Actions = append([]ui.Action{jwkAction(k)}, p.offered(access.WebhooksWrite, activateAction(k))...)
	return row
}

// heldHref is the list of what is encrypted to a key and still held for its endpoint.
func heldHref(k webhook.Key) string {
	return link(deliveriesPath, "endpoint", k.WebhookEndpointID.String(), "key", k.ID.String(), "held", "1")
}

// used is when something was encrypted to a key that is no longer active.
func (p *page) used(k webhook.Key, use delivery.KeyUse) string {
	switch {
	case k.FirstUsedAt == nil:
		return "never used"
	case use.LastUsed == nil || p.day(*use.LastUsed) == p.day(*k.FirstUsedAt): // what was sent last is not on record any more, or says nothing new
		return "first used " + p.day(*k.FirstUsedAt)
	}
	return "used " + p.day(*k.FirstUsedAt) + " – " + p.day(*use.LastUsed)
}

// day is a date for tables.
func (p *page) day(t time.Time) string { return t.In(p.Zone()).Format("Jan 2, 2006") }

// key loads the key of the route.
func (p *page) key() (webhook.Key, error) {
	key, err := pathID[id.KeyKind](p, "id", webhook.ErrKeyNotFound)
	if err != nil {
		return webhook.Key{}, err
	}
	return p.keyOf(key)
}

// keyOf loads a key; one of an endpoint that was deleted leads to the tombstone.
func (p *page) keyOf(key id.Key) (webhook.Key, error) {
	k, err := p.Webhooks.GetKey(p.Ctx, p.Actor, key)
	if f, ok := fault.As(err); !ok || f.Kind != fault.NotFound {
		return k, err
	}
	known, findErr := webhook.KeysByID(p.DB.Reader(p.Ctx), p.Actor.Organization, []id.Key{key})
	if findErr != nil {
		return k, findErr
	}
	return k, p.orTombstone(known[key].WebhookEndpointID, err)
}

func downloadKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	p.W.Header().Set("Content-Type", "application/json")
	p.W.Header().Set("Content-Disposition", `attachment; filename="`+k.ID.String()+`.jwk.json"`)
	_, _ = p.W.Write(k.JWK())
	return nil
}

func reactivateKey(p *page) error {
	key, err := p.key()
	if err != nil {
		return err
	}
	if key, err = p.Webhooks.ReactivateKey(p.Ctx, p.Actor, key.ID); err != nil {
		return err
	}
	return p.Redirect(endpointPath(key.WebhookEndpointID)+"/keys", ui.Flash{Tone: ui.OK, Text: key.KeyID + " is the active key.", Sub: "New deliveries are encrypted to it."})
}

func askDeactivateKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	return p.renderDeactivate(http.StatusOK, k, "", nil)
}

// renderDeactivate asks first: without an active key nothing more can be sent.
func (p *page) renderDeactivate(status int, k webhook.Key, typed string, found problems) error {
	e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, k.WebhookEndpointID)
	if err != nil {
		return err
	}
	st, err := p.endpointHead(e, "keys")
	if err != nil {
		return err
	}
	uses, err := p.Deliveries.KeyUses(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return err
	}
	effects := []string{
		"New deliveries to this endpoint are blocked until another key is active. They are recorded as failed and cannot be sent later.",
		"Deliveries already encrypted to this key are still sent. To replace the key, add the new one instead: it takes over at once.",
	}
	if note := p.waitingNote(uses[k.ID]); note != "" {
		effects = append(effects, note)
	}
	v := pages.EndpointDelete{
		Shell: p.Shell("Deactivate "+k.KeyID, "/endpoints"), Head: st.EndpointHead,
		Confirm: ui.Confirm{
			ID: "deactivate", Title: "Leave this endpoint without an active key?", Effects: effects, Action: "/keys/" + k.ID.String() + "/deactivate",
			Typed: &ui.Field{
				Name: "confirm", Label: "Type the key id “" + k.KeyID + "” to confirm", Value: typed, Required: true, Autocomplete: "off", Mono: true, Exactly: k.KeyID, Error: found["confirm"],
			},
			Submit: "Deactivate key", Icon: "key", Danger: true, BackHref: endpointPath(e.ID) + "/keys", Back: "Keep key active",
			Errors: formErrors(found, "the key can be deactivated", labelled{"confirm", "f-confirm", "Confirmation"}),
		},
	}
	return p.ask(status, v.Confirm, pages.EndpointDeletePage(v))
}

func deactivateKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	typed := p.Value("confirm")
	if k.IsActive && typed != k.KeyID {
		return p.renderDeactivate(http.StatusUnprocessableEntity, k, typed, problems{"confirm": "This is not “" + k.KeyID + "”."})
	}
	if k, err = p.Webhooks.DeactivateKey(p.Ctx, p.Actor, k.ID); err != nil {
		return err
	}
	return p.Redirect(endpointPath(k.WebhookEndpointID)+"/keys", ui.Flash{Tone: ui.Warn, Text: k.KeyID + " is deactivated.", Sub: "New deliveries are blocked until a key is active."})
}

func addKey(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	path := endpointPath(e.ID) + "/keys"
	offer, err := p.readKeyOffer(e)
	if err != nil {
		return err
	}
	if !offer.acceptable {
		return p.renderKeys(http.StatusUnprocessableEntity, e, offer)
	}
	add := p.Webhooks.AddKey
	staged := p.Value("then") == "stage"
	if staged {
		add = p.Webhooks.StageKey
	}
	k, err := add(p.Ctx, p.Actor, e.ID, offer.input)
	if f, ok := fault.As(err); ok && f.Is(webhook.ErrKeyIDTaken) {
		offer.found = problems{"key_id": f.Message + " " + f.Hint}
		return p.renderKeys(http.StatusConflict, e, offer)
	}
	if found, ok := problemsOf(err); ok {
		offer.found = found
		return p.renderKeys(http.StatusUnprocessableEntity, e, offer)
	}
	if err != nil {
		return err
	}
	verify := verifyAction(k)
	flash := ui.Flash{Tone: ui.OK, Text: k.KeyID + " is the active key.", Sub: "Verify it to be sure that the receiver can decrypt.", Action: &verify}
	if staged {
		flash.Text, flash.Sub = k.KeyID+" is staged.", "Nothing is encrypted to it yet. Verify it, then activate it."
	}
	return p.Redirect(path, flash)
}

// checkKey answers with the verdict about a key without saving it: the panel to htmx, else the page.
func checkKey(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	offer, err := p.readKeyOffer(e)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !offer.acceptable && !offer.empty {
		status = http.StatusUnprocessableEntity
	}
	if p.Fragment() {
		return p.Render(status, pages.KeyCheckPanel(offer.check))
	}
	return p.renderKeys(status, e, offer)
}
