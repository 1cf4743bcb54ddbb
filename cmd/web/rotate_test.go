package main_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/fixture"
)

// rotated is what rotate-master-key prints.
type rotated struct {
	MasterKeyID     string `json:"master_key_id"`
	Organizations   int    `json:"organization_count"`
	SigningSecrets  int    `json:"signing_secret_count"`
	StoredResponses int    `json:"stored_response_count"`
	Unreadable      int    `json:"unreadable_count"`
	OlderMasterKeys []struct {
		ID           string
		Known        bool
		APIKeys      int `json:"api_key_count"`
		CancelTokens int `json:"cancel_token_count"`
	} `json:"older_master_keys"`
}

// withKeys is the installation with other master keys; "m1" is the one it began with.
func (i *installation) withKeys(names ...string) *installation {
	other := *i
	other.env = append(slices.Clone(i.env), masterKeys(names...))
	return &other
}

func (i *installation) rotate() rotated {
	i.t.Helper()
	var r rotated
	decode(i.t, i.command("rotate-master-key", "--json").Succeed(), &r)
	return r
}

func (i *installation) reveal(endpoint string) string {
	i.t.Helper()
	var out struct {
		SigningSecret string `json:"signing_secret"`
	}
	i.call("POST", "/v1/webhooks/endpoints/"+endpoint+"/signing-secret/reveal", nil, &out)
	return out.SigningSecret
}

// idempotent opens a session under an Idempotency-Key and returns the answer.
func (i *installation) idempotent(key string) string {
	i.t.Helper()
	res, answer, err := i.ask(i.t.Context(), http.MethodPost, "/v1/sessions", "{}", "Idempotency-Key", key)
	if err != nil {
		i.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		i.t.Fatalf("%d %s", res.StatusCode, answer)
	}
	return string(answer)
}

func TestRotateMasterKey_UntilTheOldOneCanGo(t *testing.T) {
	t.Parallel()
	one := install(t)
	one.web()
	var created endpointJSON
	one.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": "https://example.com/"}, &created)
	id := created.Endpoint.ID
	one.call("POST", "/v1/webhooks/endpoints/"+id+"/signing-secret/rotate", map[string]any{"overlap_hours": 24}, nil)
	secret := one.reveal(id)
	session := one.openSession()
	stored := one.idempotent("first")

	two := one.withKeys("m2", "m1")
	first := two.rotate()
	if first.MasterKeyID != "m2" || first.SigningSecrets != 2 || first.StoredResponses != 1 || first.Organizations != 1 || first.Unreadable != 0 || len(first.OlderMasterKeys) != 1 {
		t.Fatalf("rotated %+v", first)
	}
	if old := first.OlderMasterKeys[0]; old.ID != "m1" || !old.Known || old.APIKeys != 1 || old.CancelTokens != 2 {
		t.Errorf("of the old key %+v", old)
	}
	if again := two.rotate(); again.SigningSecrets != 0 || again.Organizations != 0 {
		t.Errorf("the second run did %+v", again)
	}

	// A server with the new order reads what was moved, and moves the API key by itself.
	two.web()
	if got := two.reveal(id); got != secret {
		t.Error("another secret is revealed under both keys")
	}
	if got := two.idempotent("first"); got != stored {
		t.Errorf("stored response %s, want %s", got, stored)
	}
	two.call("POST", "/v1/sessions/"+session+"/cancel", nil, nil)
	if old := two.rotate().OlderMasterKeys[0]; old.APIKeys != 0 || old.CancelTokens != 2 {
		t.Errorf("of the old key %+v", old) // a cancel by API key does not consume the token
	}
	if out := two.command("rotate-master-key").Succeed(); !strings.Contains(out, "master key m1: 0 API keys (moved when they are next used) and 2 cancel tokens") {
		t.Errorf("printed %s", out)
	}

	// And without the old key.
	three := one.withKeys("m2")
	three.web()
	if got := three.reveal(id); got != secret {
		t.Error("another secret is revealed without the old key")
	}
	last := three.rotate()
	if last.Unreadable != 0 || len(last.OlderMasterKeys) != 1 || last.OlderMasterKeys[0].Known || last.OlderMasterKeys[0].CancelTokens != 2 {
		t.Errorf("rotated %+v", last)
	}

	db := two.database()
	metadata := fixture.Scalar[string](t, db, "SELECT json_agg(metadata)::text FROM audit_logs WHERE event = 'system.master_key_rotated' AND actor_type = 'system'")
	var rows []map[string]any
	decode(t, metadata, &rows)
	if diff := cmp.Diff([]map[string]any{{"master_key_id": "m2", "signing_secret_count": 2., "stored_response_count": 1.}}, rows); diff != "" {
		t.Errorf("audited (-want +got)\n%s", diff)
	}
}

// setting returns the value of an environment variable of the installation.
func (i *installation) setting(name string) string {
	for _, entry := range slices.Backward(i.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
