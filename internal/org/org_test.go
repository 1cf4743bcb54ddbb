package org_test

import (
	"testing"

	"github.com/alexedwards/argon2id"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// cheap makes hashing cost next to nothing.
var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// newService returns the rooms on a fresh database whose clock the test moves.
func newService(t *testing.T) (*org.Service, *postgres.DB, *fixture.Clock) {
	t.Helper()
	clock := fixture.NewClock()
	db := fixture.DBAt(t, clock)
	return &org.Service{DB: db, Passwords: org.NewPasswords(cheap)}, db, clock
}

func ptr[T any](v T) *T { return &v }

// first is the first page of any list.
var first = postgres.Page{Limit: 50}
