package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"kaylehooks/internal/config"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
)

type resetPasswordCommand struct {
	Email         string `help:"E-mail address of the account." required:""`
	PasswordStdin bool   `help:"Read the new password from standard input instead of making one."`
	JSON          bool   `help:"Print one JSON object." name:"json"`
}

// Help is shown below the usage.
func (resetPasswordCommand) Help() string {
	return `Needs DATABASE_URL. The account's browsers are signed out, and each of its organizations has a row in the audit log. The password (only when it made one) is printed once.

Examples:
  web reset-password --email owner@example.com
  pass show kaylehooks | web reset-password --email owner@example.com --password-stdin

Exit codes: 0 done; 2 the arguments, the settings or what they point to must be mended; 1 anything else.`
}

// Run sets the password.
func (c resetPasswordCommand) Run(env environment) error {
	cfg, err := loadConfig(env, config.Database)
	if err != nil {
		return err
	}
	db, err := openDatabase(env.ctx, cfg, nil, "reset-password")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkSchema(env.ctx, db); err != nil {
		return err
	}
	made := ""
	var password string
	if c.PasswordStdin {
		if password, err = readPassword(env.stdin); err != nil {
			return err
		}
	} else {
		made = newPassword()
		password = made
	}
	orgs := &org.Service{DB: db, Passwords: org.NewPasswords(org.StandardParams())}
	if err := (&login.Service{DB: db, Org: orgs}).ResetPassword(env.ctx, c.Email, password); err != nil {
		return err
	}
	result := struct {
		Email    string `json:"email"`
		Password string `json:"password,omitempty"`
	}{org.NormalEmail(c.Email), made}
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(result) //nolint:gosec // printing the password once is what it is for
	}
	_, _ = fmt.Fprintf(env.stdout, "sign in as    %s\n", result.Email)
	if made != "" {
		_, _ = fmt.Fprintf(env.stdout, "password      %s\n", made)
	}
	return nil
}

// newPassword makes a password that is typed once and changed afterwards: 100 random bits.
func newPassword() string { return strings.ToLower(rand.Text())[:20] }

// readPassword reads a password from standard input, without the end of its line.
func readPassword(stdin io.Reader) (string, error) {
	const longest = 4096
	b, err := io.ReadAll(io.LimitReader(stdin, longest))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" { // what should have written it failed
		return "", usagef("--password-stdin: no password came on standard input")
	}
	return password, nil
}
