package dashboard

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/org"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// setupToken is the token that the first-run setup takes, or "" when there is nothing to set up.
func (h *Handler) setupToken() string {
	if h.SetupToken == nil {
		return ""
	}
	return h.SetupToken()
}

func showSetup(p *page) error {
	done, err := p.Org.Exists(p.Ctx)
	if err != nil {
		return err
	}
	if done {
		return p.Redirect("/sign-in", ui.Flash{})
	}
	return p.renderSetup(http.StatusOK, org.SetupInput{Environment: org.DefaultEnvironment}, p.Query("token"), nil)
}

// renderSetup shows the form with what was entered, except the password.
func (p *page) renderSetup(status int, in org.SetupInput, token string, found problems) error {
	bare, err := p.bare("Set up")
	if err != nil {
		return err
	}
	v := pages.Setup{
		Bare:    bare,
		Token:   ui.Field{Name: "token", Label: "Set-up token", Value: token, Hint: "The server printed it when it started.", Required: true, Mono: true, Autocomplete: "off", Error: found["token"]},
		Org:     ui.Field{Name: "organization", Label: "Organization", Value: in.Organization, Required: true, MaxLength: 120, Autocomplete: "organization", Error: found["organization"]},
		Name:    ui.Field{Name: "name", Label: "Your name", Value: in.Name, Required: true, MaxLength: 120, Autocomplete: "name", Error: found["name"]},
		Email:   ui.Field{Name: "email", Label: "Email", Type: "email", Value: in.Email, Required: true, Autocomplete: "username", Error: found["email"]},
		Expired: p.setupToken() == "", Command: p.SetupCommand,
		Zone:   p.zoneSelect(in.TimeZone, found["time_zone"]),
		Checks: p.setupChecks(),
	}
	v.Environment = ui.Field{
		Name: "environment", Label: "Environment", Value: in.Environment, Required: true, MaxLength: 20,
		Hint: "A badge on every page, so that nobody acts on the wrong system.", Error: found["environment"],
	}
	v.Color = colorChoice(in.EnvironmentColor, in.Environment, found["environment_color"])
	v.Password = ui.Field{
		Name: "password", Label: "Password", Type: "password", Required: true, Autocomplete: "new-password",
		Hint: "At least 12 characters.", Error: found["password"],
	}
	v.Errors = formErrors(found, "the organization can be made",
		labelled{"token", "f-token", "Set-up token"}, labelled{"organization", "f-organization", "Organization"},
		labelled{"environment", "f-environment", "Environment"}, labelled{"environment_color", "f-color", "Colour"}, labelled{"name", "f-name", "Your name"}, labelled{"time_zone", "f-zone_name", "Times"},
		labelled{"email", "f-email", "Email"}, labelled{"password", "f-password", "Password"})
	return p.Render(status, pages.SetupPage(v))
}

// postgresReachable is true of every page but the one that is shown without it.
var postgresReachable = ui.Rule{State: "pass", Text: "Postgres", Got: "reachable"}

// setupChecks names what an installation needs and says of each whether it is there.
func (p *page) setupChecks() []ui.Rule {
	checks := []ui.Rule{postgresReachable, p.addressRule()}
	if p.Queue == nil {
		return checks
	}
	redis := p.redisRule(p.Ctx)
	checks = append(checks, redis)
	if redis.State != "pass" {
		return append(checks, ui.Rule{State: "skip", Text: "Worker", Got: "not known", Sub: "Workers report over Redis."})
	}
	worker := ui.Rule{State: "warn", Text: "Worker", Got: "none has reported", Sub: "Nothing is delivered until one is started: " + workerCommand}
	if now := p.queueNow(); now.current && now.working() {
		worker = ui.Rule{State: "pass", Text: "Worker", Got: "running"}
	}
	return append(checks, worker)
}

// addressRule shows the public base URL, and warns somebody who came by another address: links would lead elsewhere.
func (p *page) addressRule() ui.Rule {
	rule := ui.Rule{State: "pass", Text: "Public address", Got: trimSlash(p.absolute(""))}
	if public, err := url.Parse(p.absolute("")); err != nil || !strings.EqualFold(public.Host, p.R.Host) {
		rule.State, rule.Sub = "warn", "You came by "+p.R.Host+". Invitations and samples name the public address; PUBLIC_URL sets it."
	}
	return rule
}

func doSetup(p *page) error {
	in := org.SetupInput{
		Organization: p.Value("organization"), Environment: p.Value("environment"), EnvironmentColor: p.Value("color"),
		Name: p.Value("name"), Email: p.Value("email"), Password: p.Raw("password"), TimeZone: p.Value("zone_name"),
	}
	token := p.Value("token")
	if refused, ok := p.throttle(); !ok { // the token must not be guessed either
		return p.renderSetup(http.StatusTooManyRequests, in, token, problems{"token": refused})
	}
	want := p.setupToken()
	if want == "" || subtle.ConstantTimeCompare([]byte(token), []byte(want)) != 1 {
		return p.renderSetup(http.StatusUnprocessableEntity, in, token, problems{
			"token": "This is not the token that the server printed. Each start prints a new one and ends the former: " + p.SetupCommand,
		})
	}
	_, _, err := p.Org.SetupFirst(p.Ctx, access.Actor{IP: p.ip, RequestID: p.RequestID}, in)
	if found, ok := problemsOf(err); ok {
		return p.renderSetup(http.StatusUnprocessableEntity, in, token, found)
	}
	if err != nil {
		return err
	}
	_, session, err := p.Login.SignIn(p.Ctx, in.Email, in.Password, p.client())
	if err != nil {
		return err
	}
	return p.enter(session, "/")
}
