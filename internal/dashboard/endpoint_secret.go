package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const (
	// secretSeconds is how long a revealed secret stays on the screen.
	secretSeconds = 60
	// defaultOverlap is the choice offered first: long enough for a deployment.
	defaultOverlap = 24
)

// secretView is what an action adds to the secret page.
type secretView struct {
	shown   *pages.SecretOnce
	overlap int // chosen hours
	found   problems
}

func showSecret(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	return p.renderSecret(http.StatusOK, e, secretView{overlap: defaultOverlap})
}

func (p *page) renderSecret(status int, e webhook.Endpoint, in secretView) error {
	st, err := p.endpointHead(e, "secret")
	if err != nil {
		return err
	}
	path := endpointPath(e.ID) + "/secret"
	v := pages.EndpointSecret{
		Shell: p.Shell(e.DisplayName()+" secret", "/endpoints"), Head: st.EndpointHead, Shown: in.shown,
		Facts: []ui.Fact{
			{Term: "Secret", Text: "whsec_••••••••••••", Mono: true, Sub: "Signs every webhook with HMAC-SHA256"},
			{Term: "In use since", Time: exactPtr(p, &e.SigningSecretRotatedAt)},
			{Term: "Last signed", Text: "nothing yet"},
			{Term: "In code", Text: "How a receiver verifies with it", Href: link(helpPath, "endpoint", e.ID.String())},
		},
		Errors: formErrors(in.found, "this can be done", labelled{"password", "f-password", "Password"}, labelled{"overlap_hours", "f-overlap", "Overlap"}),
	}
	if st.standing.LastAttempt != nil {
		v.Facts[2] = ui.Fact{Term: "Last signed", Time: exactPtr(p, st.standing.LastAttempt)}
	}
	n := st.standing.Waiting + st.standing.Parked
	var waiting ui.Link
	var are string
	waiting.Label, are = whatWaits(n)
	if n > 0 {
		waiting.Href = link(endpointPath(e.ID)+"/deliveries", "status", anyWaiting)
	}
	overlapping := e.InOverlap(p.Now)
	if overlapping {
		until := *e.PreviousSigningSecretExpiresAt
		v.Overlap = &pages.Overlap{
			Text: "Both secrets sign until " + p.Moment(until) + ".", Left: ui.Away(until, p.Now, p.Zone()),
			Waiting: waiting, Next: are + "signed with both until then, and with the new secret alone afterwards. End the overlap once the receiver knows the new secret.",
		}
	}
	if p.Can(access.WebhooksWrite) {
		v.RotateAction, v.ForceNeeded = path+"/rotate", overlapping
		v.OverlapHours = ui.CheckGroup{
			Name: "overlap", Radio: true, Legend: "The former secret goes on signing for", Error: in.found["overlap_hours"],
			Hint: "Meanwhile each webhook carries both signatures.",
		}
		v.OverlapHours.Options = overlapChoices(webhook.OverlapOptions(), in.overlap, "The receiver refuses webhooks until it has the new secret.")
		v.RotateNote = waiting.Label + are + "signed with whatever is valid at the time of sending."
		if overlapping {
			v.Overlap.EndHref = path + "/end-overlap"
		}
	} else {
		v.RotateNote = takesRole("Rotating the secret", access.WebhooksWrite)
	}
	if p.Can(access.WebhooksSecrets) {
		v.RevealAction, v.NeedPassword = path+"/reveal", !p.Session.RecentlyAuthenticated(p.Now)
		v.Password = passwordField(in.found["password"])
		v.RevealHint = fmt.Sprintf("Shown for %d s. Every reveal is in the audit log.", secretSeconds)
	} else {
		v.RevealHint = takesRole("Revealing the secret", access.WebhooksSecrets)
		if holders := p.holders(access.Owner); holders != "" {
			v.RevealHint += " " + holders + " can do it."
		}
	}
	return p.Render(status, pages.EndpointSecretPage(v))
}

// overlapChoices offers hours of overlap; atOnce is what comes of none.
func overlapChoices(hours []int, chosen int, atOnce string) []ui.Check {
	choices := make([]ui.Check, len(hours))
	for i, h := range hours {
		choices[i] = ui.Check{Value: strconv.Itoa(h), Label: counted(h, "hour", "hours"), Checked: h == chosen}
		switch {
		case h == 0:
			choices[i].Label, choices[i].Hint = "no time", atOnce
		case h > 24:
			choices[i].Label = counted(h/24, "day", "days")
		}
	}
	return choices
}

func rotateSecret(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(p.Value("overlap"))
	if err != nil || !slices.Contains(webhook.OverlapOptions(), hours) {
		return p.renderSecret(http.StatusUnprocessableEntity, e, secretView{overlap: defaultOverlap, found: problems{"overlap_hours": "Choose how long the former secret goes on signing."}})
	}
	rotation, err := p.Webhooks.RotateSecret(p.Ctx, p.Actor, e.ID, hours, p.Value("force") == "1")
	if f, ok := fault.As(err); ok && f.Is(webhook.ErrOverlapRunning) {
		return p.renderSecret(http.StatusConflict, e, secretView{overlap: hours, found: problems{"": f.Message + " End the overlap first, or tick the box that drops the older secret."}})
	}
	if err != nil {
		return err
	}
	p.showsSecret(endpointPath(e.ID) + "/secret")
	p.Flash(ui.Flash{Tone: ui.OK, Text: "The secret is rotated.", Sub: "The new one signs from now on."})
	return p.renderSecret(http.StatusOK, rotation.Endpoint, secretView{overlap: defaultOverlap, shown: &pages.SecretOnce{
		ID: "secret", Label: "New signing secret", Value: rotation.Secret, Env: secretVariable + "=" + rotation.Secret,
		Note: "Give it to the receiver now: it is shown here once.",
	}})
}

// whatWaits names so many deliveries that wait to be signed, with the verb that follows; where there is none, what comes.
func whatWaits(n int) (text, verb string) {
	switch n {
	case 0:
		return "Nothing waits now; what comes", " is "
	case 1:
		return "1 waiting delivery", " is "
	}
	return ui.Count(n) + " waiting deliveries", " are "
}

// askEndOverlap says what the end of an overlap does: the former secret cannot be brought back.
func askEndOverlap(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	path := endpointPath(e.ID) + "/secret"
	if !e.InOverlap(p.Now) {
		return p.Redirect(path, ui.Flash{Tone: ui.Info, Text: "No overlap is running.", Sub: "Only the current secret signs."})
	}
	st, err := p.endpointHead(e, "secret")
	if err != nil {
		return err
	}
	waiting, are := whatWaits(st.standing.Waiting + st.standing.Parked)
	v := pages.EndpointDelete{
		Shell: p.Shell("End overlap of "+e.DisplayName(), "/endpoints"), Head: st.EndpointHead,
		Confirm: ui.Confirm{
			ID: "end-overlap", Title: "End the overlap of two secrets now?", Icon: "clock", Danger: true, Action: path + "/end-overlap", Submit: "End overlap", BackHref: path, Back: "Keep both secrets",
			Effects: []string{
				"The former secret is erased at once and cannot be brought back. By itself it would stop signing " + p.Moment(*e.PreviousSigningSecretExpiresAt) + ".",
				waiting + are + "signed with the new secret alone, like everything from then on.",
				"A receiver that knows only the former secret refuses them.",
			},
		},
	}
	return p.ask(http.StatusOK, v.Confirm, pages.EndpointDeletePage(v))
}

func endOverlap(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	if _, err := p.Webhooks.EndOverlap(p.Ctx, p.Actor, e.ID); err != nil {
		return err
	}
	return p.Redirect(endpointPath(e.ID)+"/secret", ui.Flash{Tone: ui.OK, Text: "The overlap has ended.", Sub: "Only the current secret signs now."})
}

// revealSecret shows the current secret to an owner who entered the password within the last ten minutes.
func revealSecret(p *page) error {
	e, err := p.endpoint()
	if err != nil {
		return err
	}
	refuse := func(found problems) error {
		return p.renderSecret(http.StatusUnprocessableEntity, e, secretView{overlap: defaultOverlap, found: found})
	}
	if !p.Session.RecentlyAuthenticated(p.Now) {
		if p.Raw("password") == "" {
			return refuse(problems{"password": "Enter your password to see the secret."})
		}
		found, err := p.checkPassword(p.Raw("password"))
		if err != nil {
			return err
		}
		if found != nil {
			return refuse(found)
		}
	}
	secret, err := p.Webhooks.RevealSecret(p.Ctx, p.Actor, e.ID)
	if err != nil {
		return err
	}
	return p.renderSecret(http.StatusOK, e, secretView{overlap: defaultOverlap, shown: &pages.SecretOnce{
		ID: "secret", Label: "Signing secret", Value: secret, HideAfter: secretSeconds,
		Note: "This reveal is in the audit log.",
	}})
}
