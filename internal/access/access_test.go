package access_test

import (
	"testing"
	"time"

	"kaylehooks/internal/access"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestRequire_FollowsTheTableOfRoles(t *testing.T) {
	t.Parallel()
	// Contract section 9.2, and the dashboard's own permissions.
	table := map[access.Scope]map[access.Role]bool{
		access.SessionsRead:       {access.Owner: true, access.Admin: true, access.Member: true},
		access.SessionsWrite:      {access.Owner: true, access.Admin: true},
		access.WebhooksRead:       {access.Owner: true, access.Admin: true, access.Member: true},
		access.WebhooksWrite:      {access.Owner: true, access.Admin: true},
		access.WebhooksSecrets:    {access.Owner: true},
		access.ChecksWrite:        {},
		access.AnalyticsRead:      {access.Owner: true, access.Admin: true, access.Member: true},
		access.MembersManage:      {access.Owner: true},
		access.OrganizationManage: {access.Owner: true, access.Admin: true},
		access.APIKeysManage:      {access.Owner: true, access.Admin: true},
		access.AuditRead:          {access.Owner: true, access.Admin: true},
		access.QueueManage:        {access.Owner: true},
	}
	for scope, allowed := range table {
		for _, role := range append(access.Roles(), "stranger", "") {
			a := access.Actor{Type: access.User, Role: role, ReauthenticatedAt: now}
			if got := a.Require(scope, now) == nil; got != allowed[role] {
				t.Errorf("%s for %q: %t, want %t", scope, role, got, allowed[role])
			}
		}
	}
}

func TestRequire_SecretsNeedARecentPassword(t *testing.T) {
	t.Parallel()
	a := access.Actor{Type: access.User, Role: access.Owner, ReauthenticatedAt: now.Add(-access.ReauthWindow)}
	if err := a.Require(access.WebhooksSecrets, now); err != nil {
		t.Errorf("within the window: %v", err)
	}
	if err := a.Require(access.WebhooksSecrets, now.Add(time.Second)); err != access.ErrReauthenticate { //nolint:errorlint // the very variable
		t.Errorf("past the window: %v", err)
	}
}

func TestRequire_KeysHoldTheirScopesAndWriteImpliesRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		held []access.Scope
		want access.Scope
		ok   bool
	}{
		{[]access.Scope{access.SessionsWrite}, access.SessionsRead, true},
		{[]access.Scope{access.WebhooksWrite}, access.WebhooksRead, true},
		{[]access.Scope{access.SessionsRead}, access.SessionsWrite, false},
		{[]access.Scope{access.WebhooksWrite}, access.WebhooksSecrets, false},
		{[]access.Scope{access.WebhooksSecrets}, access.WebhooksRead, false},
		{access.Scopes(), access.MembersManage, false},
		{[]access.Scope{"everything"}, access.SessionsRead, false},
		{nil, access.SessionsRead, false},
	} {
		a := access.Actor{Type: access.APIKey, Scopes: c.held}
		if got := a.Require(c.want, now) == nil; got != c.ok {
			t.Errorf("%v for %s: %t, want %t", c.held, c.want, got, c.ok)
		}
	}
	if (access.Actor{Type: access.Subject}).Require(access.SessionsRead, now) == nil {
		t.Error("a subject may read")
	}
}

func TestCanGrant_OnlyOwnersReachSecretsAndResults(t *testing.T) {
	t.Parallel()
	for _, scope := range access.Scopes() {
		for _, role := range access.Roles() {
			ownerOnly := scope == access.WebhooksSecrets || scope == access.ChecksWrite
			want := role == access.Owner || !ownerOnly && (role == access.Admin || scope == access.SessionsRead || scope == access.WebhooksRead || scope == access.AnalyticsRead)
			if got := (access.Actor{Type: access.User, Role: role}).CanGrant(scope); got != want {
				t.Errorf("%s by %s: %t, want %t", scope, role, got, want)
			}
		}
	}
	if (access.Actor{Type: access.APIKey, Scopes: access.Scopes()}).CanGrant(access.SessionsRead) {
		t.Error("an API key granted a scope")
	}
}
