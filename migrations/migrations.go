// Package migrations holds the schema as goose files, embedded into the binary. A file is never edited after it landed;
// the previous release must run on the new schema.
package migrations

import "embed"

// Files are the migrations in order.
//
//go:embed *.sql
var Files embed.FS
