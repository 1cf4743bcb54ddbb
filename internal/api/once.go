package api

import (
	"context"
	"fmt"

	"kaylehooks/internal/id"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/postgres"
)

// once runs a write of a route that honours Idempotency-Key (contract section 8.5): the effect, its audit row and the
// stored response are one transaction. A repeated request gets the stored bytes,
// which ServeHTTP puts in place of what is returned here. check says what the operation would refuse whatever is stored, since
// validation comes before the key (section 8.2); without a key the operation itself is soon enough. It may be nil.
func once[T any](ctx context.Context, d *door, check func() error, operation func(tx *postgres.Tx) (T, error)) (*one[T], error) {
	x := exchangeOf(ctx)
	if x.key != "" && check != nil {
		if err := check(); err != nil {
			return nil, err
		}
	}
	var data T
	err := d.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		if x.key == "" {
			data, err = operation(tx)
			return err
		}
		key, err := id.Parse[id.APIKeyKind](x.actor.ID)
		if err != nil {
			return fmt.Errorf("acting API key: %w", err)
		}
		request := idempotency.Request{APIKey: key, Key: x.key, Method: x.route.method, Path: x.path, Body: x.body}
		stored, replayed, err := idempotency.Once(tx, d.Keyring, request, func() (idempotency.Response, error) {
			if data, err = operation(tx); err != nil {
				return idempotency.Response{}, err
			}
			encoded, err := encode(envelope[T]{Data: data})
			return idempotency.Response{Status: x.route.status, Body: encoded}, err
		})
		x.stored, x.replayed = &stored, replayed
		return err
	})
	if err != nil {
		return nil, err
	}
	return oneOf(data), nil
}
