package pages_test

import (
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func apiKeys() pages.APIKeys {
	row := func(id, name string, badge ui.Badge, scopes ...string) pages.APIKeyRow {
		return pages.APIKeyRow{ID: ui.NewID("key_01kexz8ye0fx49yr10knfm"+id, "", ""), Name: name, Prefix: "kk_7f3…", Scopes: scopes, Status: badge, By: "Ana Lindqvist", Created: ago(900 * time.Hour), Ends: "ends", Expires: ptr(in(90 * 24 * time.Hour)), LastUsed: ptr(ago(4 * time.Minute)), UsedBy: "185.14.97.12", UsedFor: "GET /v1/webhooks/deliveries/{webhook_delivery_id}", Calls: spark(100, 0), CallsSum: "1,204 calls, 87 today", Actions: []ui.Action{{Label: "Disable", Name: "Disable " + name, Href: "/api-keys/" + id + "/disable", Post: true, Small: true}, {Label: "Delete…", Name: "Delete " + name, Href: "/api-keys/" + id + "/delete", Small: true, Kind: "danger"}}}
	}
	active := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Active"}
	old := row("0003", "old pipeline", ui.Badge{Tone: ui.Neutral, Icon: "hourglass", Label: "Expired"}, "webhooks:read")
	old.LastUsed, old.Calls, old.Ends, old.Expires = nil, ui.Spark{}, "ended", ptr(ago(90*24*time.Hour))
	return pages.APIKeys{
		Shell: shell("API keys", "/api-keys"), Heading: ui.Heading{Title: "API keys", Actions: []ui.Action{{Label: "Create key", Icon: "plus", Href: "/api-keys?new=1", Kind: "primary"}}, Sub: []ui.SubItem{{Text: "For the JSON API. Only a keyed hash is kept, so a lost key cannot be shown again."}}},
		Rows: []pages.APIKeyRow{row("0001", "checkout", active, "sessions:write", "analytics:read"), row("0002", "check engine", active, "checks:write"), old},
	}
}

func adminPages() []page {
	create := apiKeys()
	create.Shell.Title = "Create an API key"
	create.Form = &pages.APIKeyForm{
		Open: true, Name: ui.Field{Name: "name", Label: "Name", Required: true, MaxLength: 120, Hint: "Where it is used, for example checkout"},
		Scopes: ui.CheckGroup{Name: "scopes", Legend: "Scopes", Options: []ui.Check{
			{Value: "sessions:read", Label: "sessions:read", Mono: true, Hint: "Read sessions"},
			{Value: "sessions:write", Label: "sessions:write", Mono: true, Hint: "Create and cancel sessions", Checked: true},
			{Value: "webhooks:read", Label: "webhooks:read", Mono: true, Hint: "Read endpoints, events and deliveries"},
			{Value: "webhooks:write", Label: "webhooks:write", Mono: true, Hint: "Change endpoints, retry, replay"},
			{Value: "webhooks:secrets", Label: "webhooks:secrets", Mono: true, Disabled: true, Hint: "Reveal signing secrets; only an owner can grant it"},
		}},
		Expires: ui.Select{Name: "expires", Label: "Expires", Options: options("90", "30", "In 30 days", "90", "In 90 days", "365", "In a year", "0", "Never")},
		Presets: []ui.Link{{Label: "Read only", Href: "/api-keys?new=1&preset=read"}, {Label: "Send", Href: "/api-keys?new=1&preset=send", Current: true}, {Label: "Admin", Href: "/api-keys?new=1&preset=admin"}},
	}
	created := apiKeys()
	created.Shell.Title = "API key created"
	created.Created = &pages.SecretOnce{ID: "new-secret", Label: "API key checkout", Value: "kk_sample0sample0sample0sample0sam", Note: "Copy it now. It is not stored and cannot be shown again."}
	none := apiKeys()
	none.Shell.Title = "API keys, none yet"
	none.Rows, none.State = nil, ui.ListState{Empty: &ui.Empty{Icon: "lock", Title: "No API keys yet", Text: "A key lets a program create sessions and read deliveries.", Sample: "curl https://kaylehooks.example.com/v1/webhooks/endpoints \\\n  -H 'Authorization: Bearer kk_…'", Actions: []ui.Action{{Label: "Create key", Icon: "plus", Href: "/api-keys?new=1", Kind: "primary"}}}}
	return []page{
		{"api-keys", pages.APIKeysPage(apiKeys())},
		{"api-keys-new", pages.APIKeysPage(create)},
		{"api-keys-created", pages.APIKeysPage(created)},
		{"api-keys-empty", pages.APIKeysPage(none)},
		{"api-key-delete", pages.ConfirmationPage(pages.ConfirmPage{Shell: shell("Delete API key", "/api-keys"), Heading: ui.Heading{Crumbs: []ui.Link{{Label: "API keys", Href: "/api-keys"}}, Title: "Delete API key"}, Confirm: ui.Confirm{ID: "delete", Title: "Delete key checkout?", Icon: "trash", Danger: true, Action: "/api-keys/x/delete", Submit: "Delete key", BackHref: "/api-keys", Back: "Keep key", Effects: []string{"Used 4 minutes ago from 185.14.97.12; the next call with it is refused."}}})},
		{"members", pages.MembersPage(members())},
		{"audit", pages.AuditPage(pages.Audit{
			Shell: shell("Audit log", "/audit"), Heading: ui.Heading{Title: "Audit log", Actions: []ui.Action{{Label: "CSV", Icon: "down", Href: "/audit/export", Small: true, Download: true}}, Sub: []ui.SubItem{{Text: "Append-only, kept for 365 days. Secrets never appear here."}}},
			Filters: ui.Filters{Action: "/audit", Search: &ui.SearchBox{Label: "Search", Placeholder: "Event, id or request"}, Fields: []ui.FilterField{{Name: "actor", Label: "Who", Options: options("", "", "Anyone", "user", "Users")}, {Name: "event", Label: "What", Options: options("", "", "Anything")}, {Name: "from", Label: "From", Type: "date"}, {Name: "to", Label: "To", Type: "date"}}},
			Results: pages.AuditResults{Rows: auditRows(), Pager: ui.Pager{Shown: "6 shown", Older: "/audit?after=x"}, Status: "6 rows shown"},
		})},
		{"settings", pages.SettingsPage(settings())},
		{"queue", pages.QueuePage(queue())},
		{"receivers", pages.ReceiversPage(receivers())},
	}
}

func members() pages.Members {
	role := func(id, chosen string) *pages.RoleForm {
		return &pages.RoleForm{Action: "/members/" + id + "/role", Role: ui.Select{ID: "role-" + id, Name: "role", Label: "Role", Options: options(chosen, "owner", "Owner", "admin", "Admin", "member", "Member")}}
	}
	acts := func(id, name string) []ui.Action {
		return []ui.Action{{Label: "Suspend", Name: "Suspend " + name, Href: "/members/" + id + "/suspend", Post: true, Small: true}, {Label: "Remove…", Name: "Remove " + name, Href: "/members/" + id + "/remove", Small: true, Kind: "danger", Dialog: true}}
	}
	active := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Active"}
	return pages.Members{
		Shell: shell("Members", "/members"), Heading: ui.Heading{Title: "Members"},
		Advice:  &ui.Alert{Tone: ui.Info, Icon: "info", Title: "Only one owner", Text: "If this account is lost, nobody can manage members or reveal secrets. Make a second person owner."},
		Filters: ui.Filters{Action: "/members", Search: &ui.SearchBox{Label: "Search members"}, Fields: []ui.FilterField{{Name: "role", Label: "Role", Options: options("", "", "Any", "owner", "Owner")}}},
		List: pages.MemberList{Status: "3 members", Rows: []pages.MemberRow{
			{ID: "usr_1", Name: "Ana Lindqvist", Email: "ana@fjordpay.example", You: true, Role: "Owner", Status: active, LastSeen: ptr(ago(2 * time.Second)), Joined: ago(3000 * time.Hour), Locked: "the last owner cannot be changed"},
			{ID: "usr_2", Name: "Jonas Vik", Email: "jonas@fjordpay.example", Role: "Admin", RoleForm: role("usr_2", "admin"), Status: active, LastSeen: ptr(ago(26 * time.Hour)), Joined: ago(2900 * time.Hour), Actions: acts("usr_2", "Jonas Vik")},
			{ID: "usr_3", Name: "Mira Holt", Email: "mira@fjordpay.example", Role: "Member", RoleForm: role("usr_3", "member"), Status: ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Suspended"}, Joined: ago(500 * time.Hour), Actions: []ui.Action{{Label: "Restore", Name: "Restore Mira Holt", Href: "/members/usr_3/restore", Post: true, Small: true}}},
		}},
		Invitations: []pages.InvitationRow{{Email: "support@fjordpay.example", Role: "Member", By: "Ana Lindqvist", Sent: ago(time.Hour), Expires: in(71 * time.Hour), Actions: []ui.Action{{Label: "Revoke", Name: "Revoke invitation of support@fjordpay.example", Href: "/members/invitations/x/revoke", Post: true, Small: true}}}},
		Invite:      &pages.InviteForm{Email: ui.Field{Name: "email", Label: "Email", Type: "email", Required: true}, Role: ui.Select{Name: "role", Label: "Role", Options: options("member", "member", "Member: read only", "admin", "Admin: change everything", "owner", "Owner: members and secrets")}},
		Matrix: pages.RoleMatrix{Roles: []string{"Owner", "Admin", "Member"}, Rows: []pages.RoleRow{
			{What: "Read deliveries, events, sessions", Allowed: []bool{true, true, true}},
			{What: "Retry, replay, send tests", Allowed: []bool{true, true, false}},
			{What: "Create and change endpoints, keys", Allowed: []bool{true, true, false}},
			{What: "Manage API keys", Sub: "never more scopes than one's own role", Allowed: []bool{true, true, false}},
			{What: "Reveal signing secrets", Sub: "after entering the password again", Allowed: []bool{true, false, false}},
			{What: "Manage members", Allowed: []bool{true, false, false}},
		}},
	}
}

func auditRows() []pages.AuditRow {
	row := func(i, actor, kind, icon, event, target, summary string, tone ui.Tone, age time.Duration) pages.AuditRow {
		return pages.AuditRow{ID: "aud_" + i, Time: ago(age), Actor: actor, ActorKind: kind, ActorIcon: icon, Event: event, Tone: tone, Target: ui.NewID(riskID, "", "/endpoints/"+riskID), TargetName: target, TargetSub: "webhook endpoint", Summary: summary, Address: "185.14.97.12", RequestID: "req_8f2c41d" + i}
	}
	changed := row("1", "Ana Lindqvist", "user", "user", "webhook_endpoint.updated", "Risk engine", "url, undelivered_payload_retention_hours", "", 12*time.Minute)
	changed.Details = []ui.Fact{{Term: "updated_fields", Text: "url, undelivered_payload_retention_hours", Mono: true}, {Term: "retention", Text: "72", Mono: true}}
	system := row("4", "Kaylehooks", "system", "settings", "webhook_job.finished", "Bulk retry", "1,771 requeued, 49 skipped", "", 3*time.Hour)
	system.Address = ""
	return []pages.AuditRow{
		changed, row("2", "Ana Lindqvist", "user", "user", "webhook_endpoint.signing_secret.revealed", "Risk engine", "password entered again", ui.Warn, 20*time.Minute),
		row("3", "checkout", "API key", "lock", "session.cancelled", "vs_01kk8zab…722k", "reason cancelled", "", time.Hour), system,
		row("5", "Jonas Vik", "user", "user", "access.denied", "POST /members/{id}/role", "needs the owner role", ui.Bad, 5*time.Hour), row("6", "Ana Lindqvist", "user", "user", "webhook_key.created", "risk-2026", "RFC 7638 nU3q…c8x0", "", 30*time.Hour),
	}
}

func settings() pages.Settings {
	radio := func(name, legend string, opts ...ui.Check) ui.CheckGroup {
		return ui.CheckGroup{Name: name, Legend: legend, Radio: true, Options: opts}
	}
	return pages.Settings{
		Shell: shell("Settings", "/settings"), Heading: ui.Heading{Title: "Settings"},
		Organization: &pages.OrganizationForm{Name: ui.Field{ID: "org-name", Name: "name", Label: "Organization", Value: "Fjordpay", Required: true}, Environment: ui.Field{Name: "environment", Label: "Environment", Value: "Production", Locked: "KAYLEHOOKS_ENVIRONMENT"}, Color: radio("color", "Colour of the badge", ui.Check{Value: "red", Label: "Red", Checked: true, Sample: &ui.EnvBadge{Text: "Production", Tone: ui.Bad}})},
		Profile: pages.ProfileForm{
			Name: ui.Field{ID: "my-name", Name: "name", Label: "Name", Value: "Ana Lindqvist", Required: true}, Zone: ui.Select{Name: "zone_name", Label: "Time zone", Hint: "Used when the switch at the top says Local", Options: options("Europe/Oslo", "UTC", "UTC", "Europe/Oslo", "Europe/Oslo")},
			Theme:     radio("theme", "Theme", ui.Check{Value: "auto", Label: "As the system", Checked: true}, ui.Check{Value: "light", Label: "Light"}, ui.Check{Value: "dark", Label: "Dark"}),
			Shortcuts: ui.CheckGroup{Name: "shortcuts", Legend: "Keyboard", Options: []ui.Check{{Value: "1", Label: "Single-key shortcuts", Checked: true, Hint: "Never while you type."}}},
			Live:      ui.CheckGroup{Name: "live", Legend: "Live updates", Options: []ui.Check{{Value: "1", Label: "Pages update themselves", Checked: true}}},
			Density:   radio("density", "Rows", ui.Check{Value: "compact", Label: "Compact"}, ui.Check{Value: "normal", Label: "Normal", Checked: true}, ui.Check{Value: "relaxed", Label: "Relaxed"}),
		},
		Password: &pages.PasswordForm{Current: ui.Field{Name: "current", Label: "Current password", Type: "password", Required: true, Autocomplete: "current-password"}, New: ui.Field{Name: "password", Label: "New password", Type: "password", Required: true, Autocomplete: "new-password", Hint: "At least 12 characters"}},
		Devices:  []pages.DeviceRow{{What: "Firefox on Linux", Address: "185.14.97.12", Seen: ago(2 * time.Second), Current: true}, {What: "Safari on iPhone", Address: "84.208.1.9", Seen: ago(30 * time.Hour), Actions: []ui.Action{{Label: "Sign out", Name: "Sign out Safari on iPhone", Href: "/settings/sessions/x/revoke", Post: true, Small: true}}}},
		Locked: []pages.LockedGroup{{Title: "Fixed by the installation", Note: "Read when the program starts", Rows: []pages.LockedValue{
			{Label: "Retry schedule", Value: "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h", Variable: "fixed by the contract", Source: "built in"}, {Label: "Metadata retention", Value: "30 days", Variable: "RETENTION_DAYS", Source: "default"}, {Label: "Private endpoint addresses", Value: "refused", Variable: "ALLOW_PRIVATE_ENDPOINTS", Source: "default"},
		}}},
	}
}
