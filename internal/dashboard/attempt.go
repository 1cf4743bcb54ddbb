package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// attemptPath opens the panel of one attempt on the page of its delivery.
func attemptPath(d id.Delivery, a id.Attempt) string {
	return link(deliveriesPath+"/"+d.String(), "attempt", a.String())
}

// attemptViews are the lines of the timeline, and the labels of the axis above their bars. The attempt named by open has
// its panel.
func (p *page) attemptViews(v deliveryParts, open string) (views []pages.AttemptView, labels []string) {
	scale := axisOf(v.Attempts)
	open = namedAttempt(v.Attempts, open)
	for i, a := range v.Attempts {
		view := pages.AttemptView{
			ID: a.ID.String(), Open: a.ID.String() == open, Number: "–",
			Started: withoutZone(p.Exact(a.StartedAt)), Result: resultCode(kindOf(a), codeOf(a)), Phases: phasesOf(a, scale), Took: "–", Trigger: triggerWord(a.Trigger),
		}
		if a.Counted {
			view.Number = fmt.Sprintf("%d/%d", a.Number, delivery.AttemptsPerRun)
		}
		if a.DurationMS != nil {
			view.Took = ui.Millis(int(*a.DurationMS))
		}
		view.Tone, view.Icon = attemptTone(a, v.Delivery, i == len(v.Attempts)-1)
		if i > 0 && a.Run != v.Attempts[i-1].Run {
			view.RunHead = fmt.Sprintf("Run %d: %s", a.Run, triggerWord(a.Trigger))
			if by := v.makers[a.Run]; by.name != "" {
				view.RunHead += ", by " + by.name
				view.RunJob = by.job
			}
		}
		target := a.ID.String()
		if view.Open {
			target = "" // a second click closes it
			panel := p.attemptPanel(v, a)
			view.Panel = &panel
		}
		view.Href = link(deliveriesPath+"/"+v.ID.String(), "attempt", target, "live", p.Query("live"))
		views = append(views, view)
	}
	for i := range 5 {
		label := strconv.Itoa(scale * i / 4)
		if i == 4 {
			label += " ms"
		}
		labels = append(labels, label)
	}
	return views, labels
}

// namedAttempt is the id of the attempt that an address names: by its id, or by its number in the latest run that has it.
func namedAttempt(attempts []delivery.Attempt, text string) string {
	number, err := strconv.Atoi(text)
	for _, a := range slices.Backward(attempts) {
		if err == nil && a.Number == number && a.Counted {
			return a.ID.String()
		}
	}
	return text
}

// attemptTone keeps red for the attempt that ended the delivery.
func attemptTone(a delivery.Attempt, d delivery.Delivery, last bool) (ui.Tone, string) {
	switch {
	case a.Status == delivery.Succeeded:
		return ui.OK, "check"
	case !a.Counted:
		return ui.Neutral, "dash"
	case last && d.Status == delivery.Failed:
		return ui.Bad, "cross"
	}
	return ui.Warn, "loop"
}

// axisOf chooses the milliseconds at the right end of the bars: enough for nearly all attempts, so that one that ran into
// the deadline does not press the others flat.
func axisOf(attempts []delivery.Attempt) int {
	var took []int
	for _, a := range attempts {
		if a.DurationMS != nil {
			took = append(took, int(*a.DurationMS))
		}
	}
	if len(took) == 0 {
		return 1000
	}
	slices.Sort(took)
	longest := took[len(took)-1]
	if usual := took[len(took)/2]; longest > 10*max(usual, 50) {
		longest = 2 * usual
	}
	for _, top := range []int{100, 200, 400, 1000, 2000, 4000, 10000} {
		if longest <= top {
			return top
		}
	}
	return 16000
}

// phasesOf splits an attempt's duration by what took it.
func phasesOf(a delivery.Attempt, scale int) ui.Phases {
	v := ui.Phases{Scale: scale}
	var words []string
	for _, part := range []struct {
		kind, label string
		ms          *int64
	}{{"dns", "Resolve", a.DNSMS}, {"conn", "Connect", a.ConnectMS}, {"tls", "TLS", a.TLSMS}, {"wait", "Wait", a.FirstByteMS}} {
		if part.ms == nil {
			continue
		}
		v.Parts = append(v.Parts, ui.Phase{Kind: part.kind, Label: part.label, Text: ui.Millis(int(*part.ms)), Ms: int(*part.ms)})
		words = append(words, lowerFirst(part.label)+" "+ui.Millis(int(*part.ms)))
	}
	if a.DurationMS != nil {
		v.Cut = int(*a.DurationMS) > scale
		// The phase in which it failed has no end, but it has a length: the rest.
		if phase, label, end := failedIn(kindOf(a)); phase != "" && !slices.ContainsFunc(v.Parts, func(part ui.Phase) bool { return part.Kind == phase }) {
			rest := int(*a.DurationMS)
			for _, part := range v.Parts {
				rest -= part.Ms
			}
			v.Parts = append(v.Parts, ui.Phase{Kind: phase, Label: label, Text: ui.Millis(max(rest, 0)), Ms: max(rest, 0)})
			words = append(words, end)
		}
	}
	v.Label = "No phases were measured"
	if len(words) > 0 {
		v.Label = upperFirst(strings.Join(words, ", "))
	}
	return v
}

// failedIn is the phase of an attempt that such an error ends, and how.
func failedIn(kind delivery.ErrorKind) (phase, label, end string) {
	switch kind {
	case delivery.DNS:
		return "dns", "Resolve", "no address"
	case delivery.TimeoutConnect, delivery.Refused:
		return "conn", "Connect", "then no connection"
	case delivery.TLS:
		return "tls", "TLS", "then no TLS"
	case delivery.TimeoutResponse:
		return "wait", "Wait", "then no answer"
	case delivery.Reset:
		return "wait", "Wait", "then no connection any more"
	case "", delivery.HTTPStatus, delivery.RedirectRefused, delivery.WorkerLost, delivery.Internal, delivery.BlockedAddress, delivery.NoSigningSecret, delivery.DisabledBeforeSend:
	}
	return "", "", ""
}

// sent reports whether the request of an attempt left, as far as is known.
func sent(kind delivery.ErrorKind) bool {
	switch kind {
	case "", delivery.HTTPStatus, delivery.RedirectRefused, delivery.TimeoutResponse, delivery.Reset, delivery.WorkerLost, delivery.Internal:
		return true
	case delivery.TimeoutConnect, delivery.DNS, delivery.TLS, delivery.Refused, delivery.BlockedAddress, delivery.NoSigningSecret, delivery.DisabledBeforeSend:
	}
	return false
}

// attemptPanel is what was sent, what came back and what it means. The ciphertext itself is never shown: it is erased on
// delivery and no page returns it before.
func (p *page) attemptPanel(v deliveryParts, a delivery.Attempt) pages.AttemptPanel {
	kind := kindOf(a)
	panel := pages.AttemptPanel{Remote: deref(a.RemoteAddress), Worker: deref(a.Worker), Asker: v.askers[a.ID]}
	if p.Can(access.QueueRead) {
		panel.WorkerHref = queuePath + "#workers-t"
	}
	if sent(kind) {
		p.requestOf(&panel, v, a)
		panel.BodyHash = v.bodyHash
	} else {
		panel.RequestLine = "Nothing was sent."
	}
	if v.key != nil {
		panel.JWEHeader = jweHeader(v.key.KeyID)
		if sent(kind) {
			panel.Local = p.localCheck(v, a)
		}
	}
	responseOf(&panel, v.Delivery, a)
	if kind != "" {
		words := explainError(kind, codeOf(a))
		panel.Meaning, panel.Next = words.Meaning, words.Next
	}
	return panel
}

// requestOf describes the request from what is known of every request (contract section 7.4).
func (p *page) requestOf(panel *pages.AttemptPanel, v deliveryParts, a delivery.Attempt) {
	path, host := v.endpoint.URL, ""
	if u, err := url.Parse(v.endpoint.URL); err == nil {
		path, host = u.RequestURI(), u.Host
	}
	note := ""
	if v.endpoint.UpdatedAt.After(a.StartedAt) {
		note = "the present address; the endpoint was changed after this attempt"
	}
	panel.RequestLine = "POST " + path
	panel.RequestHead = []pages.Header{
		{Name: "Host", Value: host, Note: note},
		{Name: "Content-Type", Value: "application/jose"},
		{Name: "Content-Length", Value: strconv.Itoa(v.PayloadBytes)},
		{Name: "User-Agent", Value: "Kaylehooks/" + p.Version},
		{Name: "X-Kayle-Delivery-Id", Value: v.ID.String()},
		{Name: "X-Kayle-Event", Value: string(v.EventType)},
		{Name: webhook.SignatureHeader, Value: fmt.Sprintf("t=%d,v1=••••••••", a.StartedAt.Unix()), Note: "fresh for each attempt, never stored"},
	}
	if v.PayloadBytes > 0 {
		panel.BodyFact = ui.Bytes(int64(v.PayloadBytes))
	}
	panel.Curl = curlOf(v.endpoint.URL, v.ID.String(), string(v.EventType))
}

// localCheck offers to verify and decrypt the request of an attempt where its private key is, in a language that is chosen.
func (p *page) localCheck(v deliveryParts, a delivery.Attempt) *pages.LocalCheck {
	local := &pages.LocalCheck{
		KeyID: v.key.KeyID, Variable: secretVariable,
		Help: ui.Link{Label: "Help for receivers", Href: link(helpPath, "endpoint", v.WebhookEndpointID.String(), "lang", p.Query("check"))},
	}
	for _, l := range languages {
		chosen, target := l.name == p.Query("check"), l.name
		if chosen {
			local.Needs = l.needs
			local.Command = l.localCommand(receivedRequest{delivery: v.ID.String(), kid: v.key.KeyID, sentAt: a.StartedAt.Unix(), hash: v.bodyHash})
			target = "" // a second click closes it
		}
		href := link(deliveriesPath+"/"+v.ID.String(), "attempt", a.ID.String(), "check", target, "live", p.Query("live"))
		local.Languages = append(local.Languages, ui.Link{Label: l.label, Href: href, Current: chosen})
	}
	return local
}

// jweHeader is the protected header of everything encrypted to a key (contract section 7.3).
func jweHeader(kid string) string {
	b, err := json.MarshalIndent(struct {
		Alg string `json:"alg"`
		Enc string `json:"enc"`
		KID string `json:"kid"`
	}{webhook.KeyAlgorithm, webhook.ContentEncryption, kid}, "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

// curlOf is a command that sends a signed request like ours, with a fresh time and a secret to fill in.
func curlOf(target, deliveryID, eventType string) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	return strings.Join([]string{
		"SECRET='whsec_…'; BODY=\"$(cat body.jwe)\"; T=\"$(date +%s)\"",
		`V1="$(printf '%s.%s' "$T" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -hex | sed 's/^.* //')"`,
		"curl -i -X POST " + quote(target) + ` \`,
		`  -H 'Content-Type: application/jose' \`,
		"  -H " + quote("X-Kayle-Delivery-Id: "+deliveryID) + ` \`,
		"  -H " + quote("X-Kayle-Event: "+eventType) + ` \`,
		`  -H "X-Kayle-Signature: t=$T,v1=$V1" \`,
		`  --data-binary "$BODY"`,
	}, "\n")
}

// responseOf describes the answer. Everything in it came from outside and is shown as inert text.
func responseOf(panel *pages.AttemptPanel, d delivery.Delivery, a delivery.Attempt) {
	code := resultCode(kindOf(a), codeOf(a))
	panel.Response = &code
	panel.ResponseNote = http.StatusText(codeOf(a))
	var headers map[string]string
	if json.Unmarshal(a.ResponseHeaders, &headers) == nil {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			panel.ResponseHead = append(panel.ResponseHead, pages.Header{Name: name, Value: inert(headers[name])})
		}
	}
	switch {
	case a.ResponseBody != nil && *a.ResponseBody != "":
		panel.ResponseBody = inert(*a.ResponseBody)
		panel.BodyTitle = "Body, complete (" + ui.Bytes(int64(len(*a.ResponseBody))) + ")"
		if a.ResponseBodyTruncated {
			panel.BodyTitle = "Body, first " + ui.Bytes(int64(len(*a.ResponseBody)))
		}
	case codeOf(a) == 0:
		panel.NotCaptured = "No answer came."
	case d.EventType == event.SessionSucceeded:
		panel.NotCaptured = "Only the status is kept of the answer to a succeeded event: a receiver may repeat the personal data that it decrypted."
	case d.Reason() == delivery.PrivacyRequest || d.WithdrawnAt != nil:
		panel.NotCaptured = "What was captured of the answer was erased on withdrawal."
	default:
		panel.NotCaptured = "The answer had no body."
	}
}

// inert writes text from outside so that nothing of it acts or hides: what steers a terminal, turns the direction of reading or
// takes no room is written as its code point. Line breaks and tabs stay, and so do the joiners that scripts and emoji need.
func inert(s string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		const joiner, nonJoiner = '\u200d', '\u200c'
		if r == '\n' || r == '\t' || r == joiner || r == nonJoiner || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "⟨U+%04X⟩", r)
	}
	return b.String()
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// withoutZone is an exact time under a heading that names its zone.
func withoutZone(t ui.Time) ui.Time {
	t.Text = t.Text[:strings.LastIndexByte(t.Text, ' ')]
	return t
}
