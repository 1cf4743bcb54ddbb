package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/badreceiver"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/receiver"
)

// demoShareFields is a share contract as a customer asks for it.
const demoShareFields = `{"family_name":{"required":true,"reason":"The contract is made out to you"},"given_names":{"required":true,"reason":"The contract is made out to you"},` +
	`"date_of_birth":{"required":false,"reason":"Tariffs depend on age"},"age_over_18":{"required":true,"reason":"Adults only"}}`

// demoClaims makes up what a person shares: everything required and some of the rest. Nobody real is in here.
func demoClaims(r *mathrand.Rand, share verification.ShareFields) (map[string]json.RawMessage, []string) {
	given := []string{"ANNA MARIA", "JONAS", "LEILA", "MATEO", "SOFIA", "NOAH", "AISHA", "LUKAS"}
	family := []string{"LINDQVIST", "OKAFOR", "MORETTI", "NOVAK", "HANSEN", "DUBOIS", "TANAKA", "SILVA"}
	born := time.Date(1950+r.IntN(55), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	number := fmt.Sprintf("X%08d", r.IntN(100_000_000))
	var document [32]byte
	for i := range document {
		document[i] = byte(r.IntN(256)) //nolint:gosec // below 256
	}
	values := map[string]any{
		"document_type_code": "P", "document_number": number, "family_name": family[r.IntN(len(family))], "given_names": given[r.IntN(len(given))],
		"mrz_optional_data": "", "issuing_country_code": "D", "nationality_code": "D", "date_of_birth": born.Format(time.DateOnly),
		"document_expiry_date": "2031-06-30", "sex_marker": "X", "kayle_document_id": fmt.Sprintf("%x", document), "kayle_human_id": nil, "age_over_18": true,
	}
	claims, selected := map[string]json.RawMessage{}, []string{}
	for key, field := range share {
		if !field.Required && r.IntN(2) == 0 {
			continue
		}
		raw, _ := json.Marshal(values[key]) // strings, booleans and null always encode
		claims[key] = raw
		selected = append(selected, key)
	}
	slices.Sort(selected)
	return claims, selected
}

// The demo's endpoints.
const (
	demoHealthy = "healthy"
	demoFlaky   = "flaky"
	demoBroken  = "broken"
	demoKeyless = "keyless"
)

// demoEndpoint is one endpoint of the demo organization and the receiver behind it.
type demoEndpoint struct {
	Role       string `json:"role"`
	ID         string `json:"id"`
	Address    string `json:"address"` // host:port of its receiver, kept between runs
	Secret     string `json:"secret"`
	PrivateKey []byte `json:"private_key,omitempty"`
}

// demoState is what the demo must remember between runs; a file only its owner can read.
type demoState struct {
	Setup     setupResult    `json:"setup"`
	Endpoints []demoEndpoint `json:"endpoints"`
	Lived     bool           `json:"lived"` // the history is complete
}

type demo struct {
	app   *app
	path  string
	state demoState
	owner access.Actor
	say   func(format string, args ...any)
	seen  atomic.Int64
}

// openDemo loads or creates the demo organization with its endpoints, receivers and history.
func openDemo(ctx context.Context, a *app, dir string, say func(string, ...any)) (*demo, error) {
	d := &demo{app: a, path: filepath.Join(dir, "demo.json"), say: say}
	if err := d.load(ctx); err != nil {
		return nil, err
	}
	if d.state.Setup.OrganizationID == "" {
		if err := d.create(ctx); err != nil {
			return nil, err
		}
	}
	if err := d.receive(ctx); err != nil {
		return nil, err
	}
	if !d.state.Lived {
		if err := d.live(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// load reads the state file; one that does not fit the database is as good as none.
func (d *demo) load(ctx context.Context) error {
	b, err := os.ReadFile(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the demo's state: %w", err)
	}
	var state demoState
	if err := json.Unmarshal(b, &state); err != nil || !state.Lived {
		return nil //nolint:nilerr // a damaged file is written anew
	}
	organization, err := id.Parse[id.OrganizationKind](state.Setup.OrganizationID)
	if err != nil {
		return nil //nolint:nilerr // a damaged file is written anew
	}
	if _, err := d.app.orgs.Organization(ctx, access.ForSystem(organization)); err != nil {
		return nil //nolint:nilerr // another database: start over there
	}
	if _, err := d.app.keys.Authenticate(ctx, state.Setup.APIKey, apikey.Use{Route: "web dev"}); err != nil {
		return nil //nolint:nilerr // other master keys, or somebody deleted it: start over
	}
	d.state = state
	d.owner = access.Actor{Type: access.User, Organization: organization, Name: "Demo owner", Role: access.Owner}
	return nil
}

func (d *demo) save() error {
	b, err := json.MarshalIndent(d.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the demo's state: %w", err)
	}
	const ownerOnly = 0o600
	if err := os.WriteFile(d.path, b, ownerOnly); err != nil {
		return fmt.Errorf("keep the demo's state: %w", err)
	}
	return nil
}

// create sets the organization up.
func (d *demo) create(ctx context.Context) error {
	suffix := strings.ToLower(rand.Text())[:4]
	result, err := setup(ctx, d.app.orgs, d.app.keys, org.SetupInput{
		Organization: "Fjordpay", Environment: "demo", Email: "ana.lindqvist+" + suffix + "@fjordpay.example", Name: "Ana Lindqvist",
	})
	if err != nil {
		return err
	}
	organization, err := id.Parse[id.OrganizationKind](result.OrganizationID)
	if err != nil {
		return err
	}
	d.owner = access.Actor{Type: access.User, Organization: organization, Name: "Ana Lindqvist", Role: access.Owner}
	d.state = demoState{Setup: result, Endpoints: []demoEndpoint{{Role: demoHealthy}, {Role: demoFlaky}, {Role: demoBroken}, {Role: demoKeyless}}}
	return nil
}

// receive starts a receiver for each endpoint, where it was last time if that place is free, and points the endpoints at
// them.
func (d *demo) receive(ctx context.Context) error {
	for i := range d.state.Endpoints {
		e := &d.state.Endpoints[i]
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", e.Address)
		if err != nil || e.Address == "" {
			if listener, err = config.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
				return fmt.Errorf("start a receiver: %w", err)
			}
		}
		moved := listener.Addr().String() != e.Address
		e.Address = listener.Addr().String()
		options := badreceiver.Options{Behave: behaviours[e.Role], Options: receiver.Options{OnRequest: d.print(e.Role)}}
		if e.PrivateKey != nil {
			key, err := receiver.ParsePrivateKey(e.PrivateKey)
			if err != nil {
				return fmt.Errorf("read the key of the %s receiver: %w", e.Role, err)
			}
			options.Keys = map[string]*rsa.PrivateKey{e.kid(): key}
		}
		r := badreceiver.New(options)
		r.SetSecrets(e.Secret)
		if err := d.point(ctx, e, r, moved); err != nil {
			return err
		}
		go func() { _ = serve(ctx, listener, r, d.app.log) }() // ends with the program
	}
	if d.state.Lived {
		return d.save()
	}
	return nil
}

// point makes the endpoint's URL that of its receiver. New endpoints are created with their history.
func (d *demo) point(ctx context.Context, e *demoEndpoint, r *badreceiver.Receiver, moved bool) error {
	if e.ID == "" {
		if e.Role != demoKeyless {
			private, _, err := receiver.GenerateKeyPair(e.kid(), 2048)
			if err != nil {
				return err
			}
			key, err := receiver.ParsePrivateKey(private)
			if err != nil {
				return err
			}
			e.PrivateKey = private
			r.AddKey(e.kid(), key)
		}
		return d.createEndpoint(ctx, e, r)
	}
	if !moved {
		return nil
	}
	endpoint, err := id.Parse[id.EndpointKind](e.ID)
	if err != nil {
		return err
	}
	url := e.url()
	_, err = d.app.webhooks.UpdateEndpoint(ctx, d.owner, endpoint, webhook.EndpointChange{URL: &url})
	if errors.Is(err, webhook.ErrEndpointNotFound) {
		return nil // somebody deleted it in the dashboard, which is what a demo is for
	}
	return err
}

func (e *demoEndpoint) kid() string { return e.Role + "-2026" }
func (e *demoEndpoint) url() string { return "http://" + e.Address + "/webhooks/kayle" }

// behaviours are how the receivers answer.
var behaviours = map[string]badreceiver.Behaviour{
	demoHealthy: func(*http.Request, int) badreceiver.Answer { return badreceiver.Answer{Delay: 40 * time.Millisecond} },
	demoFlaky:   failFirstOfEach(),
	demoBroken: func(*http.Request, int) badreceiver.Answer {
		return badreceiver.Answer{Status: http.StatusServiceUnavailable, Delay: 3 * time.Second, Body: `{"error":"scoring pool has no healthy members"}`}
	},
	demoKeyless: nil,
}

// endpoint creation is part of the history's first moment, so that nothing precedes it.
func (d *demo) createEndpoint(ctx context.Context, e *demoEndpoint, r *badreceiver.Receiver) error {
	names := map[string]string{demoHealthy: "KYC core", demoFlaky: "Onboarding CRM", demoBroken: "Risk engine", demoKeyless: "Data warehouse"}
	labels := map[string][]string{demoHealthy: {"core"}, demoFlaky: {"crm", "eu"}, demoBroken: {"risk"}, demoKeyless: {"analytics"}}
	in := webhook.NewEndpoint{URL: e.url(), Labels: labels[e.Role]}
	name, day := names[e.Role], 24
	in.Name = &name
	switch e.Role {
	case demoBroken:
		in.RetentionHours = &day
		in.EventTypes = []string{string(event.SessionSucceeded), string(event.SessionFailed)}
	case demoKeyless:
		in.EventTypes = []string{string(event.SessionSucceeded)}
	}
	h, err := newHistory(ctx, d.app, d.engine(), d.app.db.Now())
	if err != nil {
		return err
	}
	defer h.db.Close()
	created, secret, err := h.webhooks.CreateEndpoint(ctx, d.owner, in)
	if err != nil {
		return err
	}
	e.ID, e.Secret = created.ID.String(), secret
	r.SetSecrets(secret)
	if e.PrivateKey == nil {
		return nil
	}
	key, err := receiver.ParsePrivateKey(e.PrivateKey)
	if err != nil {
		return err
	}
	jwk, err := receiver.PublicJWK(e.kid(), &key.PublicKey)
	if err != nil {
		return err
	}
	_, err = h.webhooks.AddKey(ctx, d.owner, created.ID, webhook.PublicKeyInput{KeyID: e.kid(), Algorithm: webhook.KeyAlgorithm, KeyType: webhook.KeyType, JWK: jwk})
	return err
}

// engine is the check engine that lived through the history.
func (d *demo) engine() access.Actor {
	return access.Actor{Type: access.APIKey, Organization: d.owner.Organization, ID: "key_demo_history", Name: "Check engine", Scopes: access.Scopes()}
}

// live makes the history.
func (d *demo) live(ctx context.Context) error {
	h, err := newHistory(ctx, d.app, d.engine(), d.app.db.Now())
	if err != nil {
		return err
	}
	defer h.db.Close()
	h.apiKey = d.state.Setup.APIKey
	for _, e := range d.state.Endpoints {
		h.play[e.url()] = played[e.Role]
	}
	former := "http://127.0.0.1:9/old-crm"
	h.play[former] = func(h *history, _ string) egress.Result { return h.broken(delivery.Refused, 2*time.Millisecond) }
	var deleted id.Endpoint
	off, on := false, true
	flaky, err := id.Parse[id.EndpointKind](d.state.Endpoints[1].ID)
	if err != nil {
		return err
	}
	pause := func(enabled *bool) func() error {
		return func() error {
			_, err := h.webhooks.UpdateEndpoint(ctx, d.owner, flaky, webhook.EndpointChange{Enabled: enabled})
			return err
		}
	}
	last := -1
	err = h.run(ctx, map[time.Duration]func() error{
		12 * time.Hour: func() error {
			name := "Old CRM"
			e, _, err := h.webhooks.CreateEndpoint(ctx, d.owner, webhook.NewEndpoint{URL: former, Name: &name, EventTypes: []string{string(event.SessionFailed), string(event.SessionExpired)}})
			if err != nil {
				return err
			}
			deleted = e.ID
			private, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				return err
			}
			jwk, err := receiver.PublicJWK("old-crm", &private.PublicKey)
			if err != nil {
				return err
			}
			_, err = h.webhooks.AddKey(ctx, d.owner, e.ID, webhook.PublicKeyInput{KeyID: "old-crm", Algorithm: webhook.KeyAlgorithm, KeyType: webhook.KeyType, JWK: jwk})
			return err
		},
		30 * time.Hour: func() error { return h.webhooks.DeleteEndpoint(ctx, d.owner, deleted) },
		50 * time.Hour: pause(&off),
		51 * time.Hour: pause(&on),
	}, func(share float64) {
		if ten := int(share * 10); ten > last {
			last = ten
			d.say("  making a week of history: %d %%", ten*10)
		}
	})
	if err != nil {
		return err
	}
	d.state.Lived = true
	return d.save()
}

// played are the receivers as the history saw them. The broken one worked until three days ago.
var played = map[string]func(h *history, delivery string) egress.Result{
	demoHealthy: func(h *history, _ string) egress.Result {
		if h.random.IntN(250) == 0 {
			return h.answer(http.StatusBadGateway, 300*time.Millisecond)
		}
		return h.answer(http.StatusNoContent, 120*time.Millisecond)
	},
	demoFlaky: func(h *history, d string) egress.Result {
		if h.tries[d] == 1 {
			if h.random.IntN(6) == 0 {
				return h.broken(delivery.TimeoutResponse, delivery.HTTPTimeout)
			}
			return h.answer(http.StatusServiceUnavailable, 90*time.Millisecond)
		}
		return h.answer(http.StatusOK, 180*time.Millisecond)
	},
	demoBroken: func(h *history, _ string) egress.Result {
		if h.now.Before(h.end.Add(-72 * time.Hour)) {
			return h.answer(http.StatusOK, 240*time.Millisecond)
		}
		if h.random.IntN(12) == 0 {
			return h.broken(delivery.Reset, time.Second)
		}
		return h.answer(http.StatusServiceUnavailable, 3*time.Second)
	},
}

// failFirstOfEach fails the first request of every delivery and takes the later ones.
func failFirstOfEach() badreceiver.Behaviour {
	first := newOnce()
	return func(r *http.Request, _ int) badreceiver.Answer {
		if first.add(r.Header.Get("X-Kayle-Delivery-Id")) {
			return badreceiver.Answer{Status: http.StatusServiceUnavailable, Body: `{"error":"warming up"}`}
		}
		return badreceiver.Answer{}
	}
}

// print shows what a receiver made of a request, never the personal data in it.
func (d *demo) print(role string) func(receiver.Receipt) {
	return func(r receiver.Receipt) {
		switch {
		case r.Err != nil:
			d.say("  ← %-8s refused a request: %v", role, r.Err)
		case r.Status >= http.StatusMultipleChoices:
			d.say("  ← %-8s answered %d to %s of %s", role, r.Status, short(r.Event.Type), r.Event.SessionID)
		case r.Duplicate:
			d.say("  ← %-8s had %s of %s already", role, short(r.Event.Type), r.Event.SessionID)
		default:
			d.seen.Add(1)
			d.say("  ← %-8s verified and decrypted %s of %s (%d bytes of ciphertext)", role, short(r.Event.Type), r.Event.SessionID, r.Bytes)
		}
	}
}

func short(eventType string) string { return event.Type(eventType).Short() }

// masterKey reads or makes the development master key.
func masterKey(dir string) (string, error) {
	path := filepath.Join(dir, "master-key")
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the development master key: %w", err)
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	text := "dev:" + base64.StdEncoding.EncodeToString(key[:])
	const ownerOnly = 0o600
	if err := os.WriteFile(path, []byte(text+"\n"), ownerOnly); err != nil {
		return "", fmt.Errorf("keep the development master key: %w", err)
	}
	return text, nil
}
