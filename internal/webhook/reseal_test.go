package webhook_test

import (
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/webhook"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// noDeliveries is an organization without any.
type noDeliveries struct{}

func (noDeliveries) Park(*postgres.Tx, id.Endpoint) error                            { return nil }
func (noDeliveries) Resume(*postgres.Tx, id.Endpoint) error                          { return nil }
func (noDeliveries) Abandon(*postgres.Tx, id.Organization, id.Endpoint) (int, error) { return 0, nil }

// vault is the endpoints of an organization, sealed under the master key "old" at first.
type vault struct {
	t     *testing.T
	db    *postgres.DB
	clock *fixture.Clock
	owner access.Actor
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{t: t, clock: fixture.NewClock()}
	v.db = fixture.DBAt(t, v.clock)
	_, v.owner = fixture.Organization(t, v.db)
	return v
}

var oldKeys, bothKeys, newKeys = fixture.KeyringOf("old"), fixture.KeyringOf("new", "old"), fixture.KeyringOf("new")

func (v *vault) under(k *seal.Keyring) *webhook.Service {
	return &webhook.Service{DB: v.db, Keyring: k, Deliveries: noDeliveries{}}
}

func (v *vault) create(k *seal.Keyring) (id.Endpoint, string) {
	v.t.Helper()
	e, secret, err := v.under(k).CreateEndpoint(v.t.Context(), v.owner, webhook.NewEndpoint{URL: "https://example.com/"})
	if err != nil {
		v.t.Fatal(err)
	}
	return e.ID, secret
}

func (v *vault) reseal(k *seal.Keyring) webhook.Resealed {
	v.t.Helper()
	var r webhook.Resealed
	err := v.db.InTx(v.t.Context(), func(tx *postgres.Tx) (err error) {
		r, err = webhook.ResealSecrets(tx, k, v.owner.Organization)
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return r
}

// open returns the secrets that sign now, as an attempt opens them.
func (v *vault) open(k *seal.Keyring, endpoint id.Endpoint) []string {
	v.t.Helper()
	e, err := webhook.Find(v.db.Reader(v.t.Context()), v.owner.Organization, endpoint)
	if err != nil {
		v.t.Fatal(err)
	}
	secrets, err := webhook.SigningSecrets(k, e.ID, e.SigningSecret, e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt, v.db.Now())
	if err != nil {
		v.t.Fatal(err)
	}
	return secrets
}

func TestResealSecrets_MovesBothSecretsAndNothingElse(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	e, first := v.create(oldKeys)
	deleted, _ := v.create(oldKeys)
	fresh, freshSecret := v.create(bothKeys)
	rotated, err := v.under(oldKeys).RotateSecret(t.Context(), v.owner, e, 24, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.under(oldKeys).DeleteEndpoint(t.Context(), v.owner, deleted); err != nil {
		t.Fatal(err)
	}
	_, stranger := fixture.Organization(t, v.db)
	elsewhere := *v
	elsewhere.owner = stranger
	other, otherSecret := elsewhere.create(oldKeys)
	before, err := webhook.Find(v.db.Reader(t.Context()), v.owner.Organization, e)
	if err != nil {
		t.Fatal(err)
	}
	v.clock.Advance(time.Hour)

	if got := v.reseal(bothKeys); got != (webhook.Resealed{Moved: 2}) {
		t.Errorf("first run %+v", got)
	}
	if got := v.reseal(bothKeys); got != (webhook.Resealed{}) {
		t.Errorf("second run %+v", got)
	}
	if got := v.open(newKeys, e); len(got) != 2 || got[0] != rotated.Secret || got[1] != first {
		t.Error("the secrets are not those from before")
	}
	if got := v.open(newKeys, fresh); got[0] != freshSecret {
		t.Error("a secret under the first key changed")
	}
	if got := elsewhere.open(oldKeys, other); got[0] != otherSecret {
		t.Error("another organization's secret changed")
	}
	found, err := webhook.Find(v.db.Reader(t.Context()), v.owner.Organization, e)
	if err != nil || !found.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("updated at %s, %v, want %s", found.UpdatedAt, err, before.UpdatedAt)
	}
}

func TestResealSecrets_OneUnreadableSecretDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	lost, _ := v.create(fixture.KeyringOf("lost"))
	e, secret := v.create(oldKeys)
	if got := v.reseal(bothKeys); got != (webhook.Resealed{Moved: 1, Unreadable: 1}) {
		t.Errorf("got %+v", got)
	}
	if got := v.open(newKeys, e); got[0] != secret {
		t.Error("the secret is not the one from before")
	}
	if got := v.reseal(fixture.KeyringOf("new", "lost")); got != (webhook.Resealed{Moved: 1}) {
		t.Errorf("with its key back %+v", got)
	}
	v.open(newKeys, lost)
}

// What a rotation or a deletion writes while a reseal has already read the former secret must stand.
func TestResealSecrets_NeverUndoesAConcurrentRotation(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	e, _ := v.create(oldKeys)
	var stop sync.WaitGroup
	done := make(chan struct{})
	stop.Go(func() {
		// Back and forth, so that there is something to do each time.
		for k := bothKeys; ; {
			select {
			case <-done:
				return
			default:
			}
			v.reseal(k)
			if k == bothKeys {
				k = fixture.KeyringOf("old", "new")
			} else {
				k = bothKeys
			}
		}
	})
	var former string
	for i := range 40 {
		r, err := v.under(bothKeys).RotateSecret(t.Context(), v.owner, e, 24, true)
		if err != nil {
			t.Error(err)
			break
		}
		for range 3 {
			got := v.open(bothKeys, e)
			if got[0] != r.Secret || (i > 0 && got[1] != former) {
				t.Fatalf("after rotation %d another secret is current", i)
			}
		}
		former = r.Secret
	}
	if err := v.under(bothKeys).DeleteEndpoint(t.Context(), v.owner, e); err != nil {
		t.Error(err)
	}
	close(done)
	stop.Wait()
	if fixture.Scalar[bool](t, v.db, "SELECT signing_secret IS NOT NULL FROM webhook_endpoints WHERE id = $1", e) {
		t.Error("a deleted endpoint has a secret again")
	}
}
