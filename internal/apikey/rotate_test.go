package apikey_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, apikey.Input{Name: "k", Scopes: []access.Scope{access.WebhooksRead}, ExpiresAt: ptr(clock.Now().Add(90 * 24 * time.Hour))})
	clock.Advance(80 * 24 * time.Hour)
	fresh, freshSecret, err := s.Rotate(t.Context(), owner, key.ID, 24)
	if err != nil {
		t.Fatal(err)
	}
	want := apikey.Key{
		ID: fresh.ID, OrganizationID: tenant, Name: "k", Hint: freshSecret[3:7], Scopes: key.Scopes, Enabled: true, CreatedBy: key.CreatedBy, CreatedByName: key.CreatedByName,
		ExpiresAt: ptr(clock.Now().Add(90 * 24 * time.Hour)), CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
	}
	if diff := cmp.Diff(want, fresh); diff != "" {
		t.Error(diff)
	}
	former := key
	former.ExpiresAt, former.ReplacedAt, former.UpdatedAt = ptr(clock.Now().Add(24*time.Hour)), ptr(clock.Now()), clock.Now()
	if got, err := s.Get(t.Context(), owner, key.ID); err != nil || cmp.Diff(former, got) != "" {
		t.Error(cmp.Diff(former, got), err)
	}
	if got := fixture.Scalar[string](t, db, "SELECT metadata ->> 'rotated_from' FROM audit_logs WHERE event = 'api_key.created' AND target_id = $1", fresh.ID.String()); got != key.ID.String() {
		t.Errorf("the audit row of the new key names %q", got)
	}
	if got := fixture.Scalar[string](t, db, "SELECT metadata ->> 'rotated_to' FROM audit_logs WHERE event = 'api_key.updated' AND target_id = $1", key.ID.String()); got != fresh.ID.String() {
		t.Errorf("the audit row of the former key names %q", got)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM audit_logs a, api_keys k WHERE strpos(a::text || k::text, $1) > 0", freshSecret[3:]); n != 0 {
		t.Error("the new key is stored")
	}

	// Both work for a day, and then one.
	call(t, s, secret, 1)
	call(t, s, freshSecret, 1)
	_, _, err = s.Rotate(t.Context(), owner, key.ID, 24)
	fixture.WantKind(t, err, fault.Conflict)
	clock.Advance(24 * time.Hour)
	_, err = s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
	call(t, s, freshSecret, 1)

	// Without an overlap the former key ends at once; one without end has a successor without end.
	endless, endlessSecret := issue(t, s, owner, readOnly)
	if fresh, _, err = s.Rotate(t.Context(), owner, endless.ID, 0); err != nil || fresh.ExpiresAt != nil {
		t.Errorf("rotated to %+v, %v", fresh, err)
	}
	_, err = s.Authenticate(t.Context(), endlessSecret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)

	// An overlap gives nobody time that the key had not.
	short, _ := issue(t, s, owner, apikey.Input{Name: "short", Scopes: readOnly.Scopes, ExpiresAt: ptr(clock.Now().Add(time.Hour))})
	if _, _, err := s.Rotate(t.Context(), owner, short.ID, 168); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), owner, short.ID); err != nil || !got.ExpiresAt.Equal(*short.ExpiresAt) {
		t.Errorf("the former key works until %s, its own end was %s, %v", got.ExpiresAt, short.ExpiresAt, err)
	}
}

func TestRotate_Refusals(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	admin := fixture.User(t, db, tenant, access.Admin)
	plain, _ := issue(t, s, owner, readOnly)
	reserved, _ := issue(t, s, owner, apikey.Input{Name: "engine", Scopes: []access.Scope{access.ChecksWrite}})
	disabled, _ := issue(t, s, owner, readOnly)
	if _, err := s.Update(t.Context(), owner, disabled.ID, apikey.Update{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	expired, _ := issue(t, s, owner, apikey.Input{Name: "old", Scopes: readOnly.Scopes, ExpiresAt: ptr(clock.Now().Add(time.Hour))})
	clock.Advance(time.Hour)
	before := fixture.Scalar[int](t, db, "SELECT count(*) FROM api_keys")
	for name, c := range map[string]struct {
		actor access.Actor
		key   apikey.Key
		hours int
		want  fault.Kind
	}{
		"a member":                     {fixture.User(t, db, tenant, access.Member), plain, 24, fault.Forbidden},
		"the key itself":               {plain.Actor(), plain, 24, fault.Forbidden},
		"another organization":         {stranger, plain, 24, fault.NotFound},
		"scopes that only owners give": {admin, reserved, 24, fault.Forbidden},
		"a disabled key":               {owner, disabled, 24, fault.Conflict},
		"an expired key":               {owner, expired, 24, fault.Conflict},
		"no overlap on offer":          {owner, plain, 2, fault.Invalid},
	} {
		_, _, err := s.Rotate(t.Context(), c.actor, c.key.ID, c.hours)
		if f, ok := fault.As(err); !ok || f.Kind != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if after := fixture.Scalar[int](t, db, "SELECT count(*) FROM api_keys"); after != before {
		t.Errorf("%d keys were made all the same", after-before)
	}
	if got, err := s.Get(t.Context(), owner, plain.ID); err != nil || cmp.Diff(plain, got) != "" {
		t.Error(cmp.Diff(plain, got), err)
	}
}

func TestRotate_ManyAtOnceMakeOneKey(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	key, _ := issue(t, s, owner, readOnly)
	var rotating sync.WaitGroup
	for range 8 {
		rotating.Go(func() {
			_, _, err := s.Rotate(t.Context(), owner, key.ID, 24)
			if f := (*fault.Error)(nil); err != nil && (!errors.As(err, &f) || f.Kind != fault.Conflict) {
				t.Error(err)
			}
		})
	}
	rotating.Wait()
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM api_keys"); n != 2 {
		t.Errorf("%d keys, want the former and one in its place", n)
	}
}
