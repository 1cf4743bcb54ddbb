package postgres

import (
	"bytes"
	"testing"
	"time"
)

func TestNewUUID_SortsWithinATransaction(t *testing.T) {
	t.Parallel()
	tx := &Tx{Now: time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)}
	last := tx.NewUUID()
	for range 1000 {
		next := tx.NewUUID()
		if bytes.Compare(last[:], next[:]) >= 0 {
			t.Fatalf("%s comes after %s", last, next)
		}
		last = next
	}
}
