// Package postgres opens the database, runs transactions with a fixed clock, pages through lists by keyset and names
// the constraint behind an error. Every room writes its SQL on a *Tx; nothing here knows any table.
package postgres
