package pages

import "kaylehooks/web/templates/ui"

// Members lists who belongs to the organization and who is invited.
//
//	GET  /members?q=&role=&state=
//	POST /members/invitations               email, role
//	POST /members/invitations/{id}/revoke | /resend
//	POST /members/{id}/role                 role, seen; HX-Request: MemberSwap
//	POST /members/{id}/suspend | /restore
//	GET  /members/{id}/remove               confirmation: ConfirmPage
//	POST /members/{id}/remove
//
// The answer to an invitation is this page with Link set: the invitation link
// is shown once, since there may be no mail.
type Members struct {
	Shell       ui.Shell
	Heading     ui.Heading
	Advice      *ui.Alert // for example: add a second owner
	Link        *SecretOnce
	Filters     ui.Filters
	List        MemberList
	Invitations []InvitationRow
	Invite      *InviteForm // nil for people who may not invite
	Matrix      RoleMatrix
}

// MemberList is the region #results of the members.
type MemberList struct {
	Rows   []MemberRow
	Active ui.ActiveFilters
	State  ui.ListState
	Status string
	Pager  ui.Pager
}

// MemberRow is one member.
type MemberRow struct {
	ID       string
	Name     string
	Email    string
	You      bool
	Role     string
	RoleForm *RoleForm // nil: the role is shown as text
	Status   ui.Badge
	LastSeen *ui.Time
	Joined   ui.Time
	Actions  []ui.Action
	Locked   string // why nothing can be changed, for example "last owner"
}

// RoleForm changes a role: a select named "role" and a Save button.
type RoleForm struct {
	Action string
	Role   ui.Select
}

// InvitationRow is one open invitation.
type InvitationRow struct {
	Email   string
	Role    string
	By      string
	Sent    ui.Time
	Expires ui.Time
	Expired bool
	Actions []ui.Action
}

// InviteForm invites a person.
type InviteForm struct {
	Email  ui.Field
	Role   ui.Select
	Errors ui.FormErrors
}

// RoleMatrix shows what each role may do.
type RoleMatrix struct {
	Roles []string
	Rows  []RoleRow
}

// RoleRow is one permission; Allowed has one entry per role.
type RoleRow struct {
	What    string
	Sub     string
	Allowed []bool
}
