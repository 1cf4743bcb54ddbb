package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const helpPath = "/help/receivers"

// chosenEndpoint is the endpoint that the help is filled in for, if one is named and alive.
func chosenEndpoint(endpoints []webhook.Endpoint, text string) (webhook.Endpoint, bool) {
	i := slices.IndexFunc(endpoints, func(e webhook.Endpoint) bool { return e.ID.String() == text })
	if i < 0 {
		return webhook.Endpoint{}, false
	}
	return endpoints[i], true
}

func showReceivers(p *page) error {
	return p.renderReceivers(http.StatusOK, p.Query("endpoint"), checkTry{}, pages.CheckResult{})
}

// checkTry is what was entered into the checker. Nothing of it is stored.
type checkTry struct {
	endpoint, signature, body string
	found                     problems
}

func (p *page) renderReceivers(status int, chosen string, try checkTry, result pages.CheckResult) error {
	all, err := p.endpointsByID()
	if err != nil {
		return err
	}
	endpoints := byName(all)
	e, known := chosenEndpoint(endpoints, cmp.Or(chosen, try.endpoint))
	lang, ok := languageOf(p.Query("lang"))
	if !ok {
		lang = languages[0]
	}
	kid := "your-key-id"
	v := pages.Receivers{
		Shell:   p.Shell("Help for receivers", helpPath),
		Heading: ui.Heading{Title: "Help for receivers", Sub: []ui.SubItem{{Text: "How to verify, decrypt and answer what this system sends."}}},
		Rules:   receiverRules(), Events: eventSamples(),
	}
	if len(endpoints) > 0 {
		options := []ui.Option{{Label: "No endpoint", Selected: !known}}
		for _, o := range endpoints {
			options = append(options, ui.Option{Value: o.ID.String(), Label: o.DisplayName(), Selected: known && o.ID == e.ID})
		}
		v.Endpoint = &ui.Filters{
			Action: helpPath, Hidden: []ui.Hidden{{Name: "lang", Value: lang.name}},
			Fields: []ui.FilterField{{Name: "endpoint", Label: "Fill the samples for", Options: options, Set: known}},
		}
		v.Checker = p.checker(endpoints, e.ID, lang.name, try, result)
	}
	switch {
	case len(endpoints) == 0:
		v.Missing = &ui.Alert{Tone: ui.Info, Icon: "info", Text: "There is no endpoint yet, so the samples carry placeholders.", Actions: []ui.Action{{Label: "Endpoints", Href: "/endpoints", Small: true}}}
	case known:
		active, err := webhook.ActiveKeys(p.DB.Reader(p.Ctx), p.Actor.Organization)
		if err != nil {
			return err
		}
		if k, ok := active[e.ID]; ok {
			kid = k.KeyID
			break
		}
		v.Missing = &ui.Alert{Tone: ui.Warn, Icon: "key", Text: e.DisplayName() + " has no active key yet, so nothing is sent to it and the samples carry a placeholder."}
		v.Missing.Actions = p.offered(access.WebhooksWrite, ui.Action{Label: "Add a key", Href: endpointPath(e.ID) + "/keys", Small: true})
	}
	for _, l := range languages {
		href := link(helpPath, "lang", l.name, "endpoint", cmp.Or(chosen, try.endpoint))
		v.Langs = append(v.Langs, ui.Link{Label: l.label, Href: href, Current: l.name == lang.name})
	}
	v.Samples = lang.samples(kid)
	return p.Render(status, pages.ReceiversPage(v))
}

func (p *page) checker(endpoints []webhook.Endpoint, chosen id.Endpoint, lang string, try checkTry, result pages.CheckResult) *pages.Checker {
	c := &pages.Checker{
		Action: link(helpPath+"/check", "lang", lang), Result: result, Private: webhook.PrivateKeyPattern,
		Endpoint:  ui.Select{ID: "check-endpoint", Name: "endpoint", Label: "Endpoint", Error: try.found["endpoint"]},
		Signature: ui.Field{Name: "signature", Label: webhook.SignatureHeader, Value: try.signature, Required: true, Mono: true, Autocomplete: "off", Placeholder: "t=…,v1=…", Error: try.found["signature"]},
		Message:   ui.Textarea{Name: "body", Label: "Body as received", Value: try.body, Rows: 5, Required: true, Sensitive: true, Hint: "Exactly the bytes that came; never a private key.", Error: try.found["body"]},
		Errors:    formErrors(try.found, "it can be checked", labelled{"endpoint", "check-endpoint", "Endpoint"}, labelled{"signature", "f-signature", "Signature"}, labelled{"body", "f-body", "Body"}),
	}
	for _, e := range endpoints {
		c.Endpoint.Options = append(c.Endpoint.Options, ui.Option{Value: e.ID.String(), Label: e.DisplayName(), Selected: e.ID == chosen})
	}
	return c
}

// checkSignature tells step by step what a receiver would find.
func checkSignature(p *page) error {
	try := checkTry{endpoint: p.Value("endpoint"), signature: headerValue(p.Value("signature")), body: p.Raw("body"), found: problems{}}
	endpoint, err := id.Parse[id.EndpointKind](try.endpoint)
	if err != nil {
		try.found["endpoint"] = "Choose an endpoint."
	}
	for _, field := range []struct {
		name, missing string
		value         *string
	}{{"signature", "Paste the value of the header.", &try.signature}, {"body", "Paste the body.", &try.body}} {
		switch {
		case *field.value == "":
			try.found[field.name] = field.missing
		case webhook.LooksPrivate(*field.value):
			// Not echoed, not looked at: it should not have come here.
			*field.value, try.found[field.name] = "", "This holds a private key. It was not kept, but treat it as exposed."
		}
	}
	if len(try.found) > 0 {
		if p.Fragment() {
			return p.Render(http.StatusUnprocessableEntity, pages.CheckResultPanel(complaintsResult(try.found)))
		}
		return p.renderReceivers(http.StatusUnprocessableEntity, "", try, pages.CheckResult{})
	}
	e, err := p.Webhooks.GetEndpoint(p.Ctx, p.Actor, endpoint)
	if err != nil {
		return err
	}
	secrets, err := webhook.SigningSecrets(p.Keyring, e.ID, e.SigningSecret, e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt, p.Now)
	if err != nil {
		return fmt.Errorf("open signing secret of %s: %w", e.ID, err)
	}
	keys, err := p.Webhooks.ListKeys(p.Ctx, p.Actor, e.ID, nil, postgres.Page{Limit: listMax})
	if err != nil {
		return err
	}
	result := checkResult(webhook.Verify(try.signature, secrets, []byte(try.body), p.Now), try, keys.Rows, len(secrets))
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.CheckResultPanel(result))
	}
	return p.renderReceivers(http.StatusOK, "", try, result)
}

// headerValue drops the name when a whole header line was pasted.
func headerValue(text string) string {
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(strings.TrimSpace(name), webhook.SignatureHeader) {
		return strings.TrimSpace(value)
	}
	return text
}

func complaintsResult(found problems) pages.CheckResult {
	v := pages.CheckResult{Badge: &ui.Badge{Tone: ui.Warn, Icon: "warn", Label: "Not checked"}}
	for _, name := range []string{"endpoint", "signature", "body"} {
		if found[name] != "" {
			v.Rules = append(v.Rules, ui.Rule{State: "fail", Text: found[name]})
		}
	}
	return v
}

// checkResult puts the steps of the signature and of the JWE header together.
func checkResult(verdict webhook.Verdict, try checkTry, keys []webhook.Key, secrets int) pages.CheckResult {
	v := pages.CheckResult{Badge: &ui.Badge{Tone: ui.OK, Icon: "check", Label: "The signature is right"}}
	if !verdict.OK {
		v.Badge = &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "The signature is not right"}
		if verdict.Matched >= 0 {
			v.Badge = &ui.Badge{Tone: ui.Warn, Icon: "clock", Label: "The signature is right, but not fresh"}
		}
	}
	for _, s := range verdict.Steps {
		rule := ui.Rule{State: "pass", Text: s.Label, Sub: s.Detail}
		if !s.OK {
			rule.State = "fail"
		}
		if s.Name == webhook.StepSignature && !s.OK && strings.TrimSpace(try.body) != try.body {
			rule.Sub += " The pasted body has spaces or a line break at an end; the body that was sent has none."
		}
		v.Rules = append(v.Rules, rule)
	}
	if secrets > 1 {
		v.Rules = append(v.Rules, ui.Rule{State: "skip", Text: "Two secrets sign at present", Sub: "The header should have two v1; a receiver accepts either."})
	}
	header, err := webhook.ParseProtectedHeader(try.body)
	if err != nil {
		sub := "Its header cannot be read."
		if n := strings.Count(try.body, ".") + 1; n != 5 {
			sub = "It has " + counted(n, "part", "parts") + " joined by dots; a compact JWE has five."
		}
		v.Rules = append(v.Rules, ui.Rule{State: "fail", Text: "The body is a compact JWE", Sub: sub})
		return v
	}
	v.Rules = append(v.Rules, ui.Rule{State: "pass", Text: "The body is a compact JWE", Got: fmt.Sprintf("%s, %s", header.Algorithm, header.Encryption)})
	if !header.Conforms {
		v.Rules = append(v.Rules, ui.Rule{State: "fail", Text: "The header has alg, enc and kid as this system writes them", Sub: "Expected " + webhook.KeyAlgorithm + ", " + webhook.ContentEncryption + " and a kid, and nothing else."})
	}
	rule := ui.Rule{State: "fail", Text: "The kid names a key of this endpoint", Got: header.KeyID, Sub: "It was encrypted to a key of another endpoint or system."}
	for _, k := range keys {
		if k.KeyID != header.KeyID {
			continue
		}
		if rule.State, rule.Sub = "pass", "It is the active key."; !k.IsActive {
			rule.State, rule.Sub = "warn", "The key is not active any more; decrypt with its private half all the same."
		}
		break
	}
	v.Rules = append(v.Rules, rule, ui.Rule{State: "skip", Text: "Decrypting", Sub: "Only you can: the private key never leaves your systems, and this page never asks for it."})
	return v
}

// receiverRules are contract section 14 in short.
func receiverRules() []string {
	return []string{
		"Take the raw body before any parser touches it.",
		"Read t and every v1 of X-Kayle-Signature. Refuse if t is more than 5 minutes off; accept if any v1 is the HMAC-SHA256 of “t.body” with your secret, compared in constant time.",
		"Decrypt the body, a JWE, with the private key named by kid. Only then parse JSON.",
		"Answer 2xx within 15 seconds, then work. Everything else, redirects included, counts as a failure and is tried again.",
		"Drop repeats by metadata.event_id, and do not rely on the order of events.",
		"A cancelled event with a privacy_… reason overrides an earlier result of the same session: delete what that gave you.",
		"Keep a private key for as long as something encrypted to it can arrive, and never put personal data into answers.",
	}
}

// eventSamples are example payloads; every value is made up.
func eventSamples() []pages.EventSample {
	data := map[event.Type]struct {
		when string
		data any
	}{
		event.SessionSucceeded: {"all checks passed", map[string]any{
			"claims": map[string]any{"family_name": "DOE", "date_of_birth": nil, "kayle_document_id": strings.Repeat("0f", 32)}, "selected_field_keys": []string{"family_name", "kayle_document_id"},
		}},
		event.SessionFailed:    {"a check failed for good", map[string]any{"failure_code": "document_authenticity_failed", "nfc_tries_used": 3, "liveness_tries_used": 0}},
		event.SessionExpired:   {"the person did not finish within 60 minutes", map[string]any{}},
		event.SessionCancelled: {"it was cancelled, or the person withdrew", map[string]any{"outcome": "not_verified", "reason": "cancelled", "nfc_tries_used": 0, "liveness_tries_used": 0}},
		event.Test:             {"somebody sent a test to one endpoint", map[string]any{"message": "…"}},
	}
	var samples []pages.EventSample
	for _, t := range event.Types() {
		metadata := map[string]any{"contract_version": event.ContractVersion, "event_id": "evt_01h455vb4pex5vsknk084sn02q", "verification_session_id": "vs_01h455vb4pex5vsknk084sn02q"}
		if t == event.Test {
			metadata["verification_session_id"] = nil
		}
		b, err := json.MarshalIndent(map[string]any{"type": t, "metadata": metadata, "data": data[t].data}, "", "  ")
		if err != nil {
			continue // maps of plain values always encode
		}
		samples = append(samples, pages.EventSample{Type: string(t), When: data[t].when, Code: string(b)})
	}
	return samples
}
