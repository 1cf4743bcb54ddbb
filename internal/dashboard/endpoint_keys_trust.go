package dashboard

import (
	"fmt"
	"net/http"
	"strings"
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

// challengePolled is how long after a challenge its page looks for the answer by itself.
const challengePolled = 10 * time.Minute

func keyPath(key id.Key) string { return "/keys/" + key.String() }

// verifiedBadge says whether somebody has shown that the receiver can decrypt with the key.
func (p *page) verifiedBadge(k webhook.Key) ui.Badge {
	if k.VerifiedAt == nil {
		return ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Not verified", Title: "Nobody has shown yet that the receiver can decrypt with it."}
	}
	return ui.Badge{Tone: ui.OK, Icon: "check", Label: "Verified", Title: p.verifiedNote(k)}
}

func (p *page) verifiedNote(k webhook.Key) string {
	if k.VerifiedAt == nil {
		return "Nobody has shown yet that the receiver can decrypt with it."
	}
	note := "Verified " + p.Moment(*k.VerifiedAt)
	if k.VerifiedBy != "" {
		note += " by " + k.VerifiedBy
	}
	return note + ": the receiver decrypted a code."
}

// verifyAction sends a challenge.
func verifyAction(k webhook.Key) ui.Action {
	a := ui.Action{Label: "Verify", Icon: "check", Href: keyPath(k.ID) + "/challenge", Post: true, Small: true, Name: "Verify " + k.KeyID}
	if k.VerifiedAt != nil {
		a.Label, a.Name = "Verify again", "Verify again: "+k.KeyID
	}
	return a
}

func activateAction(k webhook.Key) ui.Action {
	a := ui.Action{Label: "Reactivate…", Icon: "play", Href: keyPath(k.ID) + "/reactivate", Small: true, Name: "Reactivate " + k.KeyID, Dialog: true}
	if k.Staged() {
		a.Label, a.Name = "Activate…", "Activate "+k.KeyID
	}
	return a
}

func (p *page) stagedKey(k webhook.Key) pages.RetiredKey {
	row := pages.RetiredKey{
		ID: k.ID.String(), KeyID: k.KeyID, Sub: fmt.Sprintf("%d bit", k.Bits), Badge: ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Staged"}, Verified: p.verifiedBadge(k),
		Hashes: keyHashes(k), Active: p.day(k.CreatedAt), Exact: p.Exact(k.CreatedAt).Text,
	}
	if by := addedBy(k); by != "" {
		row.Sub += ", added " + by
	}
	row.Actions = append([]ui.Action{jwkAction(k)}, p.offered(access.WebhooksWrite, verifyAction(k), activateAction(k))...)
	return row
}

// challengeAnchor is where a page shows the open challenge of a key.
func challengeAnchor(key id.Key) string { return "challenge-" + key.String() }

// challenges shows the open challenges of the keys: what became of each, and where its code is entered.
func (p *page) challenges(keys []webhook.Key, offer keyOffer) ([]pages.KeyChallenge, error) {
	if !p.Can(access.WebhooksWrite) {
		return nil, nil
	}
	sent := make([]id.Event, 0, len(keys))
	for _, k := range keys {
		if k.ChallengeEventID != nil {
			sent = append(sent, *k.ChallengeEventID)
		}
	}
	if len(sent) == 0 {
		return nil, nil
	}
	deliveries, err := p.Deliveries.OfEvents(p.Ctx, p.Actor, sent)
	if err != nil {
		return nil, err
	}
	var all []pages.KeyChallenge
	for _, k := range keys {
		if k.ChallengeEventID == nil {
			continue
		}
		found := problems(nil)
		if offer.challenged == k.ID {
			found = offer.found
		}
		c := pages.KeyChallenge{
			ID: challengeAnchor(k.ID), KeyID: k.KeyID, Action: keyPath(k.ID) + "/verify", EventHref: eventsPath + "/" + k.ChallengeEventID.String(),
			State: ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Gone", Title: "The test event is past its retention."},
			Code: ui.Field{
				ID: "code-" + k.ID.String(), Name: "challenge", Label: "Code that the receiver read", Mono: true, Required: true, Autocomplete: "off", Placeholder: "kch_…", Error: found["challenge"],
				Hint: "In the message of the test event, which only the private half of " + k.KeyID + " opens.",
			},
		}
		if of := deliveries[*k.ChallengeEventID]; len(of) > 0 {
			c.State, c.Poll = statusBadge(of[0]), p.live() && p.Now.Sub(of[0].CreatedAt) < challengePolled
		}
		all = append(all, c)
	}
	return all, nil
}

// challengeDelivery is the delivery with the key's open challenge, nil when it is gone.
func (p *page) challengeDelivery(k webhook.Key) (*delivery.Delivery, error) {
	all, err := p.Deliveries.OfEvents(p.Ctx, p.Actor, []id.Event{*k.ChallengeEventID})
	if err != nil || len(all[*k.ChallengeEventID]) == 0 {
		return nil, err
	}
	return &all[*k.ChallengeEventID][0], nil
}

func challengeKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	ev, err := p.Deliveries.SendChallenge(p.Ctx, p.Actor, k.ID)
	if err != nil {
		return err
	}
	return p.Redirect(endpointPath(k.WebhookEndpointID)+"/keys#"+challengeAnchor(k.ID), ui.Flash{
		Tone: ui.OK, Text: "A code is on its way, encrypted to " + k.KeyID + ".",
		Action: &ui.Action{Label: "Follow", Href: eventsPath + "/" + ev.ID.String(), Small: true},
	})
}

// verifyKey takes the code of a challenge from the form or, when that is empty, from what the receiver answered.
func verifyKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	answer, way := p.Value("challenge"), webhook.AnswerPasted
	if answer == "" {
		way = webhook.AnswerReturned
		if answer, err = p.returned(k); err != nil {
			return err
		}
	}
	_, err = p.Webhooks.VerifyKey(p.Ctx, p.Actor, k.ID, answer, way)
	path := endpointPath(k.WebhookEndpointID) + "/keys"
	switch f, ok := fault.As(err); {
	case p.Fragment() && way == webhook.AnswerReturned && ok: // a poll that finds nothing, or finds that another page was there first
		if f.Kind == fault.Conflict {
			return p.Redirect(path, ui.Flash{})
		}
		return p.NoChange()
	case ok && f.Kind == fault.Invalid && way == webhook.AnswerReturned:
		return p.Redirect(path+"#"+challengeAnchor(k.ID), ui.Flash{Tone: ui.Info, Text: "The receiver has not returned the code.", Sub: "It may be on its way. If the receiver answers with something else, paste the code."})
	case ok && f.Kind == fault.Invalid:
		e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, k.WebhookEndpointID)
		if err != nil {
			return err
		}
		return p.renderKeys(http.StatusUnprocessableEntity, e, keyOffer{challenged: k.ID, found: problems{"challenge": "This is not the code that was sent. The latest test event counts."}})
	case err != nil:
		return err
	}
	return p.Redirect(path, ui.Flash{Tone: ui.OK, Text: k.KeyID + " is verified.", Sub: "The receiver can decrypt what is encrypted to it."})
}

// returned is what the receiver answered to the key's challenge.
func (p *page) returned(k webhook.Key) (string, error) {
	if k.ChallengeEventID == nil {
		return "", nil
	}
	sent, err := p.challengeDelivery(k)
	if err != nil || sent == nil {
		return "", err
	}
	attempts, _, err := p.Deliveries.Attempts(p.Ctx, p.Actor, sent.ID, delivery.AttemptsPage{Limit: attemptsMax})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, a := range attempts {
		if a.ResponseBody != nil {
			b.WriteString(*a.ResponseBody + "\n")
		}
	}
	return b.String(), nil
}

// askReactivateKey shows what a change of the active key does before it does it.
func askReactivateKey(p *page) error {
	k, err := p.key()
	if err != nil {
		return err
	}
	path := endpointPath(k.WebhookEndpointID) + "/keys"
	if k.IsActive {
		return p.Redirect(path, ui.Flash{Tone: ui.Info, Text: k.KeyID + " is the active key already."})
	}
	e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, k.WebhookEndpointID)
	if err != nil {
		return err
	}
	st, err := p.endpointHead(e, "keys")
	if err != nil {
		return err
	}
	effects, err := p.activationEffects(e, k)
	if err != nil {
		return err
	}
	verb := "Reactivate"
	if k.Staged() {
		verb = "Activate"
	}
	v := pages.EndpointDelete{
		Shell: p.Shell(verb+" "+k.KeyID, "/endpoints"), Head: st.EndpointHead,
		Confirm: ui.Confirm{
			ID: "activate", Title: verb + " " + k.KeyID + "?", Icon: "key", Effects: effects, Action: keyPath(k.ID) + "/reactivate", Submit: verb + " key", BackHref: path, Back: "Not now",
		},
	}
	if k.VerifiedAt == nil {
		v.Confirm.Warning = &ui.Alert{Tone: ui.Warn, Icon: "warn", Title: "This key is not verified", Text: "Nobody has shown yet that the receiver can decrypt with it. If it cannot, its webhooks are rejected until another key is active. Verify it first to be sure."}
	}
	return p.ask(http.StatusOK, v.Confirm, pages.EndpointDeletePage(v))
}

// activationEffects are what making k the active key does.
func (p *page) activationEffects(e webhook.Endpoint, k webhook.Key) ([]string, error) {
	effects := []string{"New deliveries to " + e.DisplayName() + " are encrypted to this key from now on."}
	on := true
	active, err := p.Webhooks.ListKeys(p.Ctx, p.Actor, e.ID, &on, postgres.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	uses, err := p.Deliveries.KeyUses(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return nil, err
	}
	for _, old := range active.Rows {
		if staying := p.stayingNote(old, uses[old.ID]); staying != "" {
			effects = append(effects, staying)
		} else {
			effects = append(effects, "Nothing undelivered is encrypted to "+old.KeyID+", which becomes retired.")
		}
	}
	if len(active.Rows) == 0 {
		effects = append(effects, "Deliveries are blocked now; that ends. What was blocked cannot be sent later.")
	}
	if k.VerifiedAt != nil {
		effects = append(effects, p.verifiedNote(k))
	}
	return append(effects, "RFC 7638 thumbprint: "+k.Thumbprint), nil
}

// stayingNote says which deliveries stay with the key that another one follows, and until when its private half is needed.
func (p *page) stayingNote(old webhook.Key, use delivery.KeyUse) string {
	if use.Waiting == 0 || use.LastExpiry == nil {
		return ""
	}
	return fmt.Sprintf("%s encrypted to %s: the receiver must keep its private half until %s.",
		counted(use.Waiting, "undelivered webhook stays", "undelivered webhooks stay"), old.KeyID, p.Moment(*use.LastExpiry))
}
