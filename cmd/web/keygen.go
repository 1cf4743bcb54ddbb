package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"kaylehooks/internal/webhook"
	"kaylehooks/receiver"
)

type keygenCommand struct {
	Kid    string `help:"Key id that the public key will carry." default:"key-1"`
	Bits   int    `help:"Size of the RSA modulus: 2048 to 8192." default:"3072"`
	Out    string `help:"Directory for private.pem and public.jwk.json; without it both are printed." type:"path"`
	Master bool   `help:"Make a master key for MASTER_KEYS instead."`
	JSON   bool   `help:"Print one JSON object." name:"json"`
}

// Help is shown below the usage.
func (keygenCommand) Help() string {
	return `The private half never leaves this machine; register the public one on the endpoint's keys page, or with
POST /v1/webhooks/endpoints/{endpoint_id}/keys. Files that exist are never overwritten.

Examples:
  web keygen --kid key-1 --out keys
  web keygen --json | jq .public_jwk
  export MASTER_KEYS=$(web keygen --master)

Exit codes: 0 done; 2 the arguments must be mended, or a file exists already; 1 anything else.`
}

// keygenResult is what keygen prints as JSON.
type keygenResult struct {
	MasterKey      string          `json:"master_key,omitempty"`
	PrivateKeyFile string          `json:"private_key_file,omitempty"`
	PublicJWKFile  string          `json:"public_jwk_file,omitempty"`
	PrivateKey     string          `json:"private_key,omitempty"`
	PublicJWK      json.RawMessage `json:"public_jwk,omitempty"`
}

// Run makes a key pair, or a master key.
func (c keygenCommand) Run(env environment) error {
	if c.Master {
		var key [32]byte
		_, _ = rand.Read(key[:]) // never fails (crypto/rand)
		text := "m1:" + base64.StdEncoding.EncodeToString(key[:])
		return c.print(env, keygenResult{MasterKey: text}, text)
	}
	const least, most = 2048, 8192
	if c.Bits < least || c.Bits > most {
		return usagef("--bits must be %d to %d", least, most)
	}
	private, public, err := receiver.GenerateKeyPair(c.Kid, c.Bits)
	if err != nil {
		return fmt.Errorf("--kid: %w", err)
	}
	if _, err := webhook.AcceptKey(webhook.PublicKeyInput{KeyID: c.Kid, Algorithm: webhook.KeyAlgorithm, KeyType: webhook.KeyType, JWK: public}); err != nil {
		return err // what could not be registered is of no use
	}
	if c.Out == "" {
		return c.print(env, keygenResult{PrivateKey: string(private), PublicJWK: public}, string(private)+string(public))
	}
	const ownerOnly, readable, ownerDir = 0o600, 0o644, 0o700
	if err := os.MkdirAll(c.Out, ownerDir); err != nil {
		return usagef("--out: %w", err)
	}
	result := keygenResult{PrivateKeyFile: filepath.Join(c.Out, "private.pem"), PublicJWKFile: filepath.Join(c.Out, "public.jwk.json"), PublicJWK: public}
	if err := writeNew(result.PrivateKeyFile, private, ownerOnly); err != nil {
		return err
	}
	if err := writeNew(result.PublicJWKFile, public, readable); err != nil {
		return err
	}
	return c.print(env, result, "wrote "+result.PrivateKeyFile+"\nwrote "+result.PublicJWKFile)
}

// writeNew writes a file that does not exist yet: a private key is never overwritten.
func writeNew(path string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return usagef("--out: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (c keygenCommand) print(env environment, result keygenResult, text string) error {
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(result) //nolint:gosec // printing the private key is what it is for without --out
	}
	_, err := fmt.Fprintln(env.stdout, text)
	return err
}
