package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const membersPath = "/members"

var errNoMember = fault.Missing("member")

func listMembers(p *page) error { return p.renderMembers(http.StatusOK, inviteTry{}, nil) }

// inviteTry is what was entered into the invitation form, with the complaints about it.
type inviteTry struct {
	email string
	role  access.Role
	found problems
}

// renderMembers shows the page; link, when there is one, is shown this once.
func (p *page) renderMembers(status int, try inviteTry, link *pages.SecretOnce) error {
	at, err := pageOfMost(p, p.Org.MemberPosition)
	if err != nil {
		return err
	}
	members, err := p.Org.Members(p.Ctx, p.Actor, p.memberFilter(), at)
	if err != nil {
		return err
	}
	rows, owners, err := p.memberRows(members.Rows)
	if err != nil {
		return err
	}
	manage := p.Can(access.MembersManage)
	v := pages.Members{Shell: p.Shell("Members", membersPath), Heading: ui.Heading{Title: "Members"}, Link: link, Matrix: roleMatrix(), Filters: p.memberFilters()}
	v.List.Rows = rows
	if p.R.Method == http.MethodGet { // the address of a posted form is no list
		v.List.Active = p.withSearch(p.activeFilters([3]string{"role", "Role", p.Query("role")}, [3]string{"state", "State", p.Query("state")}))
		v.List.Pager = pager(p, members, at.Limit, func(m org.Member) string { return m.ID.String() })
	}
	v.List.Status = counted(len(v.List.Rows), "member", "members")
	if len(v.List.Rows) == 0 {
		v.List.State.NoMatch = noMatch("members", v.List.Active)
	}
	if p.Fragment() && p.R.Method == http.MethodGet {
		return p.Render(status, pages.MemberResults(v.List, v.Shell.CSRF))
	}
	if len(owners) == 1 {
		v.Advice = &ui.Alert{Tone: ui.Info, Icon: "info", Title: "There is one owner only", Text: "If that person leaves or loses the password, nobody can manage members or reveal secrets. A second owner is safer."}
	}
	if !manage {
		v.Heading.Sub = []ui.SubItem{{Text: "Owners manage members."}}
		return p.Render(status, pages.MembersPage(v))
	}
	v.Invite = inviteForm(try)
	invitations, err := p.Org.Invitations(p.Ctx, p.Actor, postgres.Page{Limit: listMax})
	if err != nil {
		return err
	}
	for _, i := range invitations.Rows {
		v.Invitations = append(v.Invitations, p.invitationRow(i))
	}
	if p.Fragment() {
		return p.Render(status, pages.InviteSwap(v))
	}
	return p.Render(status, pages.MembersPage(v))
}

// memberFilters are the fields by which the list is narrowed.
func (p *page) memberFilters() ui.Filters {
	roles := []ui.Option{{Label: "Any"}}
	for _, r := range access.Roles() {
		roles = append(roles, ui.Option{Value: string(r), Label: upperFirst(string(r))})
	}
	return ui.Filters{
		Action: membersPath, Search: &ui.SearchBox{Label: "Search members", Placeholder: "Name or address", Value: p.Query("q")},
		Fields: []ui.FilterField{
			p.selectField("role", "Role", roles...),
			p.selectField("state", "State", ui.Option{Label: "Any"}, ui.Option{Value: "active", Label: "Active"}, ui.Option{Value: "suspended", Label: "Suspended"}),
		},
		Hidden: p.carried("limit"),
	}
}

func (p *page) memberFilter() org.MemberFilter {
	f := org.MemberFilter{Text: p.Query("q"), Role: access.Role(p.Query("role"))}
	switch p.Query("state") {
	case "active":
		f.Suspended = new(bool)
	case "suspended":
		yes := true
		f.Suspended = &yes
	}
	return f
}

// owners are the active owners.
func (p *page) owners() ([]id.User, error) {
	list, err := p.Org.Members(p.Ctx, p.Actor, org.MemberFilter{Role: access.Owner, Suspended: new(bool)}, postgres.Page{Limit: listMax})
	if err != nil {
		return nil, err
	}
	owners := make([]id.User, len(list.Rows))
	for i, m := range list.Rows {
		owners[i] = m.ID
	}
	return owners, nil
}

// memberRows are the members as the table shows them, and the owners of the organization.
func (p *page) memberRows(members []org.Member) (rows []pages.MemberRow, owners []id.User, err error) {
	if owners, err = p.owners(); err != nil {
		return nil, nil, err
	}
	for _, m := range members {
		rows = append(rows, p.memberRow(m, p.Can(access.MembersManage), len(owners) == 1 && owners[0] == m.ID))
	}
	return rows, owners, nil
}

func (p *page) memberRow(m org.Member, manage, lastOwner bool) pages.MemberRow {
	text := m.ID.String()
	row := pages.MemberRow{
		ID: text, Name: m.Name, Email: m.Email, You: text == p.Actor.ID, Role: string(m.Role), Joined: p.At(m.CreatedAt), LastSeen: p.AtPtr(m.LastSeenAt),
		Status: ui.Badge{Tone: ui.OK, Icon: "check", Label: "Active"},
	}
	if !m.Active() {
		row.Status = ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Suspended", Title: "since " + p.Moment(*m.SuspendedAt)}
	}
	path := membersPath + "/" + text
	change := ui.Action{Label: "Suspend", Href: path + "/suspend", Post: true, Small: true, Name: "Suspend " + m.Name}
	if !m.Active() {
		change.Label, change.Href, change.Name = "Restore", path+"/restore", "Restore "+m.Name
	}
	remove := ui.Action{Label: "Remove…", Href: path + "/remove", Small: true, Kind: "quiet", Name: "Remove " + m.Name, Dialog: true}
	if lastOwner {
		row.Locked = "the last owner: make another person an owner first"
		change.Disabled, remove.Disabled = "The last owner stays.", "The last owner stays."
	}
	row.Actions = p.offered(access.MembersManage, change, remove)
	if lastOwner || !manage {
		return row
	}
	choice := ui.Select{ID: "role-" + text, Name: "role", Label: "Role of " + m.Name}
	for _, r := range access.Roles() {
		choice.Options = append(choice.Options, ui.Option{Value: string(r), Label: string(r), Selected: r == m.Role})
	}
	row.RoleForm = &pages.RoleForm{Action: path + "/role", Role: choice}
	return row
}

// roleMatrix shows what the table in access grants; the words are for people, the ticks come from there.
func roleMatrix() pages.RoleMatrix {
	var v pages.RoleMatrix
	for _, r := range access.Roles() {
		v.Roles = append(v.Roles, string(r))
	}
	for _, row := range []struct {
		what, sub string
		scope     access.Scope
	}{
		{"See endpoints, events, deliveries", "", access.WebhooksRead},
		{"See sessions", "never claim values", access.SessionsRead},
		{"Change endpoints and keys, retry, replay", "", access.WebhooksWrite},
		{"Cancel sessions", "", access.SessionsWrite},
		{"Manage API keys", "", access.APIKeysManage},
		{"Read the audit log", "", access.AuditRead},
		{"See the queue", "", access.QueueRead},
		{"Pause queues", "", access.QueueManage},
		{"Reveal signing secrets", "after entering the password again", access.WebhooksSecrets},
		{"Manage members", "", access.MembersManage},
		{"Change the organization", "", access.OrganizationManage},
	} {
		line := pages.RoleRow{What: row.what, Sub: row.sub}
		for _, r := range access.Roles() {
			line.Allowed = append(line.Allowed, r.AtLeast(access.LeastRole(row.scope)))
		}
		v.Rows = append(v.Rows, line)
	}
	return v
}

// member loads the member of the route.
func (p *page) member() (org.Member, error) {
	usr, err := pathID[id.UserKind](p, "id", errNoMember)
	if err != nil {
		return org.Member{}, err
	}
	return p.Org.Member(p.Ctx, p.Actor, usr)
}

// changeMember carries out f on the member of the route. A conflict, such as the last owner, is shown on the page itself.
func (p *page) changeMember(done string, f func(m org.Member) error) error {
	m, err := p.member()
	if err != nil {
		return err
	}
	err = f(m)
	if refusal, ok := fault.As(err); ok && refusal.Kind == fault.Conflict && !p.Fragment() {
		p.Flash(ui.Flash{Tone: ui.Bad, Text: refusal.Message, Sub: "Nothing was changed. " + refusal.Hint})
		return p.renderMembers(http.StatusConflict, inviteTry{}, nil)
	}
	if err != nil {
		return err
	}
	return p.Redirect(membersPath, ui.Flash{Tone: ui.OK, Text: fmt.Sprintf(done, m.Name)})
}

func changeRole(p *page) error {
	role := access.Role(p.Value("role"))
	done := "%s is " + article(role) + " now."
	change := func(m org.Member) error {
		return p.Org.ChangeRole(p.Ctx, p.Actor, m.ID, role, access.Role(p.Value("seen")))
	}
	if !p.Fragment() {
		return p.changeMember(done, change)
	}
	m, err := p.member()
	if err != nil {
		return err
	}
	err = change(m)
	if refusal, ok := fault.As(err); ok && refusal.Kind == fault.Conflict {
		return p.swapMember(http.StatusConflict, m.ID, ui.Flash{Tone: ui.Bad, Text: refusal.Message, Sub: "Nothing was changed. " + refusal.Hint})
	}
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: fmt.Sprintf(done, m.Name)}
	if role == access.Owner || m.Role == access.Owner { // which the rest of the page depends on, and what it may show
		return p.Redirect(membersPath, flash)
	}
	p.ledTo = membersPath
	return p.swapMember(http.StatusOK, m.ID, flash)
}

// swapMember answers htmx with the row of a member as it is now, and with a message.
func (p *page) swapMember(status int, member id.User, flash ui.Flash) error {
	m, err := p.Org.Member(p.Ctx, p.Actor, member)
	if err != nil {
		return err
	}
	rows, _, err := p.memberRows([]org.Member{m})
	if err != nil {
		return err
	}
	return p.Render(status, pages.MemberSwap(rows[0], flash, p.Session.CSRFToken))
}

// article names a role in a sentence; an unknown one is refused by the room before anybody reads this.
func article(r access.Role) string {
	switch r {
	case access.Owner:
		return "an owner"
	case access.Admin:
		return "an admin"
	case access.Member:
	}
	return "a member"
}

func suspendMember(p *page) error {
	return p.changeMember("%s is suspended and signed out of this organization.", func(m org.Member) error { return p.Org.Suspend(p.Ctx, p.Actor, m.ID) })
}

func restoreMember(p *page) error {
	return p.changeMember("%s is active again.", func(m org.Member) error { return p.Org.Reinstate(p.Ctx, p.Actor, m.ID) })
}

func removeMember(p *page) error {
	return p.changeMember("%s was removed.", func(m org.Member) error { return p.Org.Remove(p.Ctx, p.Actor, m.ID) })
}

func askRemoveMember(p *page) error {
	m, err := p.member()
	if err != nil {
		return err
	}
	effects := []string{"They lose access to this organization at once.", "API keys they made go on working; look through the list of keys.", "The audit log keeps what they did."}
	if m.ID.String() == p.Actor.ID {
		effects = slices.Insert(effects, 0, "This is you: you leave the organization.")
	}
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell("Remove member", membersPath),
		Heading: ui.Heading{Title: "Remove member", Crumbs: []ui.Link{{Label: "Members", Href: membersPath}}},
		Confirm: ui.Confirm{
			ID: "remove", Title: "Remove " + m.Name + "?", Effects: effects, Action: membersPath + "/" + m.ID.String() + "/remove",
			Icon: "trash", Danger: true, Submit: "Remove " + m.Name, BackHref: membersPath, Back: "Keep " + m.Name,
		},
	})
}

func inviteForm(try inviteTry) *pages.InviteForm {
	f := &pages.InviteForm{
		Email:  ui.Field{Name: "email", Label: "Email", Type: "email", Value: try.email, Required: true, Autocomplete: "off", Error: try.found["email"]},
		Role:   ui.Select{Name: "role", Label: "Role", Error: try.found["role"]},
		Errors: formErrors(try.found, "the invitation can be made", labelled{"email", "f-email", "Email"}, labelled{"role", "f-role", "Role"}),
	}
	chosen := cmp.Or(try.role, access.Member)
	for _, r := range slices.Backward(access.Roles()) {
		f.Role.Options = append(f.Role.Options, ui.Option{Value: string(r), Label: string(r), Selected: r == chosen})
	}
	return f
}

// invitationRow is one invitation that was not accepted.
func (p *page) invitationRow(i org.Invitation) pages.InvitationRow {
	path := membersPath + "/invitations/" + i.ID.String()
	row := pages.InvitationRow{
		Email: i.Email, Role: string(i.Role), By: cmp.Or(i.InvitedByName, "someone who left"), Sent: p.At(i.CreatedAt), Expires: p.At(i.ExpiresAt), Expired: i.Expired(p.Now),
	}
	row.Actions = []ui.Action{
		{Label: "New link", Href: path + "/resend", Post: true, Small: true, Name: "New link for " + i.Email},
		{Label: "Withdraw", Href: path + "/revoke", Post: true, Small: true, Kind: "quiet", Name: "Withdraw the invitation of " + i.Email},
	}
	return row
}

func invite(p *page) error {
	try := inviteTry{email: p.Value("email"), role: access.Role(p.Value("role"))}
	made, token, err := p.Org.Invite(p.Ctx, p.Actor, try.email, try.role)
	if f, ok := fault.As(err); ok && (f.Kind == fault.Invalid || f.Kind == fault.Conflict) {
		status := http.StatusUnprocessableEntity
		try.found, ok = problemsOf(err)
		if !ok { // an open invitation, or a member already
			status, try.found = http.StatusConflict, problems{"email": f.Message + " " + f.Hint}
		}
		return p.renderMembers(status, try, nil)
	}
	if err != nil {
		return err
	}
	p.showsSecret(membersPath)
	return p.renderMembers(http.StatusOK, inviteTry{}, p.invitationLink(made, token))
}

// invitationLink shows the link once; only its hash is stored. Nothing here sends mail.
func (p *page) invitationLink(i org.Invitation, token string) *pages.SecretOnce {
	return &pages.SecretOnce{
		ID: "invitation", Label: "Invitation of " + i.Email, Value: p.absolute("/invitations/" + token),
		Note: "Send this link to them. It works once, until " + p.Moment(i.ExpiresAt) + ", and is not shown again.",
	}
}

func (p *page) invitationID() (id.Invitation, error) {
	return pathID[id.InvitationKind](p, "id", fault.Missing("invitation"))
}

func renewInvitation(p *page) error {
	inv, err := p.invitationID()
	if err != nil {
		return err
	}
	renewed, token, err := p.Org.Renew(p.Ctx, p.Actor, inv)
	if err != nil {
		return err
	}
	p.Flash(ui.Flash{Tone: ui.OK, Text: "The earlier link has stopped working."})
	p.showsSecret(membersPath)
	return p.renderMembers(http.StatusOK, inviteTry{}, p.invitationLink(renewed, token))
}

func revokeInvitation(p *page) error {
	inv, err := p.invitationID()
	if err != nil {
		return err
	}
	if err := p.Org.Revoke(p.Ctx, p.Actor, inv); err != nil {
		return err
	}
	return p.Redirect(membersPath, ui.Flash{Tone: ui.OK, Text: "The invitation is withdrawn; its link has stopped working."})
}

// showInvitation is the page behind the link of an invitation, for people who may have no account yet.
func showInvitation(p *page) error { return p.renderInvitation(http.StatusOK, "", nil) }

func (p *page) renderInvitation(status int, name string, found problems) error {
	bare, err := p.bare("Invitation")
	if err != nil {
		return err
	}
	offer, err := p.Org.Offer(p.Ctx, p.R.PathValue("token"))
	if f, ok := fault.As(err); ok && f.Kind == fault.NotFound {
		return p.Render(http.StatusNotFound, pages.AcceptPage(pages.Accept{Bare: bare, Expired: true}))
	}
	if err != nil {
		return err
	}
	v := pages.Accept{
		Bare: bare, Action: "/invitations/" + p.R.PathValue("token"), Organization: offer.Organization, Email: offer.Email, Role: article(offer.Role), InvitedBy: offer.Organization,
		Name:     ui.Field{Name: "name", Label: "Your name", Value: name, Required: true, MaxLength: 120, Autocomplete: "name", Error: found["name"]},
		Password: ui.Field{Name: "password", Label: "Choose a password", Type: "password", Required: true, Autocomplete: "new-password", Hint: "At least 12 characters.", Error: found["password"]},
		Errors:   formErrors(found, "you can join", labelled{"name", "f-name", "Your name"}, labelled{"password", "f-password", "Password"}),
	}
	if offer.KnownUser {
		v.Name = ui.Field{}
		v.Password.Label, v.Password.Hint, v.Password.Autocomplete = "Your password", "You have an account already; its password proves that the address is yours.", "current-password"
	}
	return p.Render(status, pages.AcceptPage(v))
}

func acceptInvitation(p *page) error {
	name := p.Value("name")
	if refused, ok := p.throttle(); !ok { // a known person's password could be guessed here
		return p.renderInvitation(http.StatusTooManyRequests, name, problems{"password": refused})
	}
	actor := access.Actor{IP: p.ip, RequestID: p.RequestID}
	user, place, err := p.Org.Accept(p.Ctx, actor, p.R.PathValue("token"), org.AcceptInput{Name: name, Password: p.Raw("password")})
	if found, ok := problemsOf(err); ok {
		return p.renderInvitation(http.StatusUnprocessableEntity, name, found)
	}
	if f, ok := fault.As(err); ok && f.Kind == fault.NotFound {
		return p.renderInvitation(http.StatusNotFound, name, nil)
	}
	if err != nil {
		return err
	}
	session, token, err := p.Login.SignIn(p.Ctx, user.Email, p.Raw("password"), p.client())
	if err != nil {
		return err
	}
	// Somebody of several organizations is signed in where they were last; they came for this one.
	if err := p.Login.Switch(p.Ctx, session.Actor(p.ip, p.RequestID), session.ID, place); err != nil {
		return err
	}
	return p.enter(token, "/")
}
