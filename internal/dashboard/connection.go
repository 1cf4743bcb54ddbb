package dashboard

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// certificateSoon is the remaining life of a certificate that is worth a warning.
const certificateSoon = 21 * 24 * time.Hour

// blockedURL is the one finding that keeps an endpoint from being saved by the form.
const blockedURL = "The host leads to a private, reserved or otherwise refused address, so nothing would ever be sent to it."

// look sees what a webhook to the URL would meet. The request goes out in this person's name, so it is audited before it is
// made; an endpoint that does not exist yet is no target.
func (p *page) look(url string, target audit.Target) (*egress.Sight, error) {
	if err := p.require(access.WebhooksWrite); err != nil {
		return nil, err
	}
	err := p.DB.InTx(p.preparing(), func(tx *postgres.Tx) error {
		return audit.Record(tx, p.Actor, "webhook_endpoint.connection_checked", target, audit.Metadata{"url": webhook.Origin(url)})
	})
	if err != nil {
		return nil, err
	}
	seen := p.Receivers.Look(p.Ctx, url)
	return &seen, nil
}

// lookBeforeSaving looks at a URL that is about to be stored, unless it is the one that is stored already. Only the address
// guard keeps it from being stored; whatever else is found may change by itself, and is shown after the form.
func (p *page) lookBeforeSaving(entered, stored string, target audit.Target) (*egress.Sight, error) {
	url, reason := webhook.NormalizeURL(entered, p.Webhooks.AllowPrivate)
	if reason != "" || url == stored {
		return nil, nil //nolint:nilnil // there is nothing to look at
	}
	seen, err := p.look(url, target)
	if err == nil && seen.ErrorKind == egress.KindBlockedAddress {
		return nil, fault.InvalidFields(fault.Field{Name: "url", Message: blockedURL})
	}
	return seen, err
}

func checkConnection(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	if p.sight, err = p.look(e.URL, endpointTarget(e)); err != nil {
		return err
	}
	return p.Redirect(endpointPath(e.ID)+"/settings", ui.Flash{Tone: ui.Info, Text: "The connection to " + e.DisplayName() + " was checked.", Sub: "What was found is below."})
}

func endpointTarget(e webhook.Endpoint) audit.Target {
	return audit.Target{Type: "webhook_endpoint", ID: e.ID.String()}
}

// connection is the panel about the way to an endpoint, with what was seen when it was looked at just now.
func (p *page) connection(e webhook.Endpoint) pages.Connection {
	v := pages.Connection{Action: endpointPath(e.ID) + "/check"}
	if p.sight != nil {
		v.Rules = connectionRules(*p.sight, strings.HasPrefix(e.URL, "https:"), p.Now, p.Zone())
		v.Badge = connectionBadge(v.Rules)
	}
	return v
}

// connectionBadge sums up what was found.
func connectionBadge(rules []ui.Rule) *ui.Badge {
	states := map[string]int{}
	for _, r := range rules {
		states[r.State]++
	}
	switch {
	case states["fail"] > 0:
		return &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "Webhooks would fail"}
	case states["warn"] > 0:
		return &ui.Badge{Tone: ui.Warn, Icon: "warn", Label: counted(states["warn"], "thing to look at", "things to look at")}
	case states["pass"] == 0:
		return &ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Not checked"}
	}
	return &ui.Badge{Tone: ui.OK, Icon: "check", Label: "The way is clear"}
}

// The steps of a connection, in the order of connectionRules.
const (
	stepNone = iota - 1 // not even begun
	stepName
	stepAddress
	stepConnect
	stepTLS
	stepCertificate
	stepAnswer
	stepRedirect
	stepDone
)

// connectionRules puts what was seen into words, each with what to do about it. What comes after a step that failed was not
// looked at.
func connectionRules(s egress.Sight, secure bool, now time.Time, zone *time.Location) []ui.Rule {
	rules := []ui.Rule{
		stepName:        {Text: "The host name resolves"},
		stepAddress:     {Text: "Its addresses may be reached"},
		stepConnect:     {Text: "It accepts connections", Got: s.RemoteAddress},
		stepTLS:         {Text: "It speaks TLS 1.2 or newer"},
		stepCertificate: {Text: "Its certificate is trusted and lasts"},
		stepAnswer:      {Text: "It answers"},
		stepRedirect:    {Text: "It does not redirect"},
	}
	broken, sub := brokenStep(s, secure)
	for i := range rules {
		switch {
		case i < broken:
			rules[i].State = "pass"
		case i == broken:
			rules[i].State, rules[i].Sub = "fail", sub
		default:
			rules[i].State = "skip"
		}
	}
	if broken == stepNone {
		rules[0].Sub = sub
	}
	if s.TLSVersion != 0 {
		rules[stepTLS].Got = tls.VersionName(s.TLSVersion)
	}
	if !secure && broken > stepTLS {
		rules[stepTLS] = ui.Rule{State: "warn", Text: "No TLS: the URL is plain http", Sub: "Anybody on the way can read and change the request around the encrypted payload. Only an installation for development allows it."}
		rules[stepCertificate].State = "skip"
	}
	if !s.Expires.IsZero() {
		judgeExpiry(&rules[stepCertificate], s.Expires, now, zone)
	}
	if s.StatusCode != 0 {
		judgeStatus(rules, s)
	}
	return rules
}

// brokenStep is the step that a connection did not get past, and what to do about it; stepDone when it got past all.
func brokenStep(s egress.Sight, secure bool) (step int, remedy string) {
	connected, secured := s.RemoteAddress != "", s.TLSVersion != 0 || !secure
	switch s.ErrorKind {
	case egress.KindDNS:
		return stepName, "Look for a typing error, and whether the host has an A or AAAA record that the whole internet sees. A new record takes a while to be known everywhere."
	case egress.KindBlockedAddress:
		return stepAddress, blockedURL + " Every address of the host must be public. Nothing was sent."
	case egress.KindTLS:
		switch s.Certificate {
		case egress.CertificateExpired:
			return stepCertificate, "It has expired, or is not valid yet. Renew it, and see that the server was told to load the new one."
		case egress.CertificateHost:
			return stepCertificate, "It was issued for another host name. Use one that names the host of the URL."
		case egress.CertificateAuthority:
			return stepCertificate, "Its issuer is not known. Use a certificate of a public authority, and send the intermediate certificates along with it."
		case egress.CertificateInvalid:
			return stepCertificate, "It cannot be used for a server of this name."
		}
		return stepTLS, "The handshake failed. See that this port serves https, with TLS 1.2 or 1.3."
	case egress.KindRefused:
		return stepConnect, "The connection was refused, or there is no way to the host. See that the receiver runs, and that a firewall lets this port through."
	case egress.KindTimeoutConnect:
		if connected {
			return stepTLS, "The handshake was not done in time. See that this port serves https."
		}
		return stepConnect, "Nobody answered in time. A firewall that drops packets looks like this."
	case egress.KindTimeoutResponse:
		return stepAnswer, "There was no answer to HEAD in time. Webhooks may wait longer, but the receiver should answer at once and work afterwards."
	case egress.KindReset:
		switch {
		case !connected:
			return stepConnect, "The connection was broken off at once."
		case !secured:
			return stepTLS, "The connection was broken off in the handshake. See that this port serves https."
		}
		return stepAnswer, "The connection was broken off, or what came back is not HTTP."
	case egress.KindInternal:
		return stepNone, "The check could not be made; this says nothing about the receiver. Try again."
	}
	return stepDone, ""
}

// judgeExpiry adds the end of the certificate to its rule, and warns of one that is near.
func judgeExpiry(r *ui.Rule, expires, now time.Time, zone *time.Location) {
	left := expires.Sub(now)
	day := expires.In(zone).Format("Jan 2, 2006")
	switch days := int(left / (24 * time.Hour)); {
	case left <= 0:
		r.Got = "ended " + day
	case days == 0:
		r.Got = "ends within a day, " + day
	default:
		r.Got = counted(days, "day", "days") + " left, until " + day
	}
	if r.State == "pass" && left < certificateSoon {
		r.State, r.Sub = "warn", "Renew it before it ends: from then on every webhook fails with a TLS error."
	}
}

// judgeStatus judges the answer. A receiver need not know HEAD, so only what a POST would meet as well is worth a warning.
func judgeStatus(rules []ui.Rule, s egress.Sight) {
	answer, redirect := &rules[stepAnswer], &rules[stepRedirect]
	answer.Got = fmt.Sprintf("%d to HEAD", s.StatusCode)
	switch s.StatusCode / 100 {
	case 3:
		redirect.State, redirect.Sub = "warn", "Webhooks follow no redirect: one that is redirected counts as failed. Enter the address that it leads to."
		redirect.Got = "to somewhere unreadable"
		if s.RedirectHost != "" {
			redirect.Got = "to " + s.RedirectHost
		}
	case 4:
		answer.Sub = "Many receivers know POST only, so this need not mean anything. Send a test event to be sure."
	case 5:
		answer.State, answer.Sub = "warn", "The receiver, or a proxy in front of it, reports a fault of its own."
	}
}
