package main

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"kaylehooks/internal/badreceiver"
	"kaylehooks/receiver"
)

type listenCommand struct {
	Addr     string   `help:"Address to listen on." default:"127.0.0.1:3000"`
	Secret   []string `help:"Signing secret; repeat it during a rotation." env:"SIGNING_SECRET" required:""`
	Key      []string `help:"Private key file (PEM) as kid=path; repeat for several." required:"" placeholder:"KID=PATH"`
	Status   int      `help:"Answer every good webhook with this status (200 to 599), to see what a failure does."`
	ShowData bool     `help:"Print the decrypted data. It is personal data: mind where the output goes."`
	JSON     bool     `help:"Print one JSON object per request." name:"json"`
}

// Help is shown below the usage.
func (listenCommand) Help() string {
	return `It answers 204 to what it can verify and decrypt, and says what was wrong with the rest. Ctrl-C ends it.

Examples:
  web listen --secret whsec_… --key key-1=keys/private.pem
  web listen --secret whsec_new --secret whsec_old --key key-1=keys/private.pem --key key-2=keys2/private.pem
  SIGNING_SECRET=whsec_… web listen --key key-1=keys/private.pem --json | jq -c 'select(.outcome == "rejected")'
  web listen --secret whsec_… --key key-1=keys/private.pem --status 503

Exit codes: 0 it was ended; 2 the arguments or a key file must be mended, or the address is taken; 1 anything else.`
}

// receipt is what listen prints of a request.
type receipt struct {
	Outcome    string          `json:"outcome"`
	Reason     string          `json:"reason,omitempty"`
	DeliveryID string          `json:"delivery_id,omitempty"`
	EventID    string          `json:"event_id,omitempty"`
	Type       string          `json:"type,omitempty"`
	SessionID  string          `json:"session_id,omitempty"`
	KeyID      string          `json:"key_id,omitempty"`
	Answer     int             `json:"answer"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// Run receives until a signal comes.
func (c listenCommand) Run(env environment) error {
	if c.Status != 0 && (c.Status < http.StatusOK || c.Status > 599) {
		return usagef("--status must be 200 to 599")
	}
	keys, err := readKeys(c.Key)
	if err != nil {
		return err
	}
	listener, err := listen(env.ctx, c.Addr)
	if err != nil {
		return usagef("%w (or choose another with --addr)", err)
	}
	options := badreceiver.Options{Options: receiver.Options{
		Secrets: c.Secret, Keys: keys, OnRequest: func(r receiver.Receipt) { c.print(env, r) },
	}}
	if c.Status != 0 {
		options.Behave = badreceiver.Always(c.Status)
	}
	url := "http://" + listener.Addr().String() + "/"
	if c.JSON {
		_ = json.NewEncoder(env.stdout).Encode(map[string]string{"listening": url})
	} else {
		_, _ = fmt.Fprintf(env.stdout, "listening on %s (Ctrl-C ends)\n", url)
	}
	return serve(env.ctx, listener, badreceiver.New(options), slog.New(slog.DiscardHandler))
}

func readKeys(pairs []string) (map[string]*rsa.PrivateKey, error) {
	keys := map[string]*rsa.PrivateKey{}
	for _, pair := range pairs {
		kid, path, ok := cutLast(pair, '=')
		if !ok {
			return nil, usagef("--key %q: write it as kid=path", pair)
		}
		text, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return nil, usagef("--key: %w", err)
		}
		key, err := receiver.ParsePrivateKey(text)
		if err != nil {
			return nil, usagef("--key %s: %w", path, err)
		}
		keys[kid] = key
	}
	return keys, nil
}

// cutLast splits at the last separator, since a key id may contain it and a path rarely does.
func cutLast(s string, sep byte) (before, after string, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func (c listenCommand) print(env environment, r receiver.Receipt) {
	out := receipt{Outcome: "accepted", Answer: r.Status, DeliveryID: r.Header.Get("X-Kayle-Delivery-Id")}
	switch {
	case r.Err != nil:
		out.Outcome, out.Reason = "rejected", r.Err.Error()
	case r.Duplicate:
		out.Outcome = "duplicate"
	case r.Status >= http.StatusMultipleChoices:
		out.Outcome = "refused"
	}
	if r.Event != nil {
		out.EventID, out.Type, out.SessionID, out.KeyID = r.Event.ID, r.Event.Type, r.Event.SessionID, r.Event.KeyID
		if c.ShowData {
			out.Data = r.Event.Data
		}
	}
	if c.JSON {
		_ = json.NewEncoder(env.stdout).Encode(out)
		return
	}
	line := fmt.Sprintf("%-9s %s", out.Outcome, out.DeliveryID)
	if out.Reason != "" {
		line += ": " + out.Reason
	}
	if r.Event != nil {
		line += fmt.Sprintf(" %s %s event %s, decrypted with %s", out.Type, out.SessionID, out.EventID, out.KeyID)
	}
	if out.Data != nil {
		line += "\n  " + string(out.Data)
	}
	_, _ = fmt.Fprintf(env.stdout, "%s, answered %d\n", line, out.Answer)
}
