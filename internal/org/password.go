package org

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"kaylehooks/internal/fault"
)

const (
	passwordMin = 12
	passwordMax = 200
	// hashesAtOnce bounds the memory that sign-ins can take: 2 x 64 MiB with StandardParams.
	hashesAtOnce = 2
)

// ErrPassword reports a password that is not the user's.
var ErrPassword = &fault.Error{
	Kind: fault.Invalid, Code: fault.CodeBadRequest, Message: "The password is wrong.",
	Fields: []fault.Field{{Name: "password", Message: "This is not the password."}},
}

// StandardParams is the second recommended option of RFC 9106 (argon2id with 64 MiB).
func StandardParams() argon2id.Params {
	return argon2id.Params{Memory: 64 * 1024, Iterations: 3, Parallelism: 4, SaltLength: 16, KeyLength: 32}
}

// Passwords hashes and checks passwords, a few at a time. It is safe for concurrent use.
type Passwords struct {
	params argon2id.Params
	slots  chan struct{}
	decoy  string
}

// NewPasswords returns a hasher with the given cost.
func NewPasswords(params argon2id.Params) *Passwords {
	noise := make([]byte, params.SaltLength+params.KeyLength)
	_, _ = rand.Read(noise) // never fails (crypto/rand)
	enc := base64.RawStdEncoding.EncodeToString
	return &Passwords{
		params: params,
		slots:  make(chan struct{}, hashesAtOnce),
		// A well-formed hash of nothing, for a check that must take as long as a real one.
		decoy: fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", params.Memory, params.Iterations, params.Parallelism,
			enc(noise[:params.SaltLength]), enc(noise[params.SaltLength:])),
	}
}

// Hash returns the argon2id hash of a password. It waits for a free slot as long as ctx allows.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	release, err := p.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(password, &p.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Check reports whether the password has the hash. With an empty hash it is false after the same amount of work.
func (p *Passwords) Check(ctx context.Context, password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = p.decoy
	}
	release, err := p.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if len(password) > passwordMax*utf8.UTFMax {
		password = "" // no stored password is that long, and none is empty
	}
	same, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	return same && known, nil
}

func (p *Passwords) acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// checkNewPassword returns a complaint about a password that may not be set.
func checkNewPassword(field, password, email string) *fault.Field {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return &fault.Field{Name: field, Message: "Use text."}
	case n < passwordMin:
		return &fault.Field{Name: field, Message: fmt.Sprintf("Use at least %d characters.", passwordMin)}
	case n > passwordMax:
		return &fault.Field{Name: field, Message: fmt.Sprintf("Use at most %d characters.", passwordMax)}
	case strings.EqualFold(strings.TrimSpace(password), email):
		return &fault.Field{Name: field, Message: "Use something other than the e-mail address."}
	}
	return nil
}
