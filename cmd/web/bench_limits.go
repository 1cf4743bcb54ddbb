package main

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/webhook"
)

// limitTable holds what the limit loops write: the least a delivery system must write per delivery.
const limitTable = `CREATE TABLE IF NOT EXISTS bench_limit (id uuid PRIMARY KEY, status text NOT NULL, payload text);
	CREATE TABLE IF NOT EXISTS bench_limit_attempts (id uuid PRIMARY KEY, delivery_id uuid NOT NULL, status_code smallint NOT NULL, at timestamptz NOT NULL)`

const (
	limitSenders = 64
	limitGroup   = 50
)

// limitLoop is the speed that a sender on this machine could reach without a queue, claims, leases or audit: sign, post, and
// write the results in groups of 50 that nobody waits for. With sealing it also encrypts the payload for each delivery. It
// returns deliveries per second.
func (b *bench) limitLoop(n int, sealing bool) (float64, error) {
	if _, err := b.admin.Exec(b.ctx, limitTable+"; TRUNCATE bench_limit, bench_limit_attempts"); err != nil {
		return 0, fmt.Errorf("make tables of the limit loop: %w", err)
	}
	_, err := b.admin.Exec(b.ctx, "INSERT INTO bench_limit SELECT gen_random_uuid(), 'pending', $1 FROM generate_series(1, $2)", strings.Repeat("x", benchPayloadBytes), n)
	if err != nil {
		return 0, fmt.Errorf("fill the limit loop: %w", err)
	}
	var rows []uuid.UUID
	found, err := b.admin.Query(b.ctx, "SELECT id FROM bench_limit")
	if err != nil {
		return 0, fmt.Errorf("read rows of the limit loop: %w", err)
	}
	for found.Next() {
		var row uuid.UUID
		if err := found.Scan(&row); err != nil {
			return 0, fmt.Errorf("read rows of the limit loop: %w", err)
		}
		rows = append(rows, row)
	}
	key, err := b.publicKey()
	if err != nil {
		return 0, err
	}
	sealed, err := webhook.Seal("bench", key, benchPayload())
	if err != nil {
		return 0, err
	}
	began := time.Now()
	sent := make(chan uuid.UUID, n)
	var writing errgroup.Group
	const writers = 2
	for range writers {
		writing.Go(func() error { return b.writeGroups(b.ctx, sent) })
	}
	sending, ctx := errgroup.WithContext(b.ctx)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: limitSenders, DisableCompression: true}, Timeout: benchPatience}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	for range limitSenders {
		sending.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				body := sealed
				if sealing {
					var err error
					if body, err = webhook.Seal("bench", key, benchPayload()); err != nil {
						return err
					}
				}
				if err := b.limitPost(ctx, client, rows[i].String(), body); err != nil {
					return err
				}
				sent <- rows[i]
			}
		})
	}
	err = sending.Wait()
	close(sent)
	if written := writing.Wait(); err == nil {
		err = written
	}
	return float64(n) / time.Since(began).Seconds(), err
}

func (b *bench) publicKey() (*rsa.PublicKey, error) { return webhook.ParsePublicJWK(b.jwk) }

func (b *bench) limitPost(ctx context.Context, client *http.Client, delivery, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.sinkURL+"/hook/0", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("X-Kayle-Delivery-Id", delivery)
	req.Header.Set(webhook.SignatureHeader, webhook.Sign([]string{"whsec_bench"}, time.Now().Unix(), body))
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("post to the sink: %w", err)
	}
	return res.Body.Close()
}

// writeGroups records what was sent, up to limitGroup deliveries per commit.
func (b *bench) writeGroups(ctx context.Context, sent <-chan uuid.UUID) error {
	for {
		group := make([]uuid.UUID, 0, limitGroup)
		first, ok := <-sent
		if !ok {
			return nil
		}
		group = append(group, first)
	collect:
		for len(group) < limitGroup {
			select {
			case d, ok := <-sent:
				if !ok {
					break collect
				}
				group = append(group, d)
			default:
				break collect
			}
		}
		_, err := b.admin.Exec(ctx, `WITH done AS (UPDATE bench_limit SET status = 'succeeded', payload = NULL WHERE id = ANY($1::uuid[]) RETURNING id)
			INSERT INTO bench_limit_attempts SELECT gen_random_uuid(), id, 200, $2 FROM done`, group, time.Now())
		if err != nil {
			return fmt.Errorf("write group: %w", err)
		}
	}
}

// floorLatency times one post and one committed transaction, one after the other (L3), in milliseconds.
func (b *bench) floorLatency() (samples, error) {
	if _, err := b.admin.Exec(b.ctx, limitTable); err != nil {
		return nil, fmt.Errorf("make tables of the limit loop: %w", err)
	}
	const rounds = 1000
	client := &http.Client{Timeout: benchPatience}
	defer client.CloseIdleConnections()
	var took samples
	body := strings.Repeat("x", benchPayloadBytes)
	for range rounds {
		began := time.Now()
		if err := b.limitPost(b.ctx, client, "floor", body); err != nil {
			return nil, err
		}
		_, err := b.admin.Exec(b.ctx, "INSERT INTO bench_limit_attempts VALUES (gen_random_uuid(), gen_random_uuid(), 200, $1)", began)
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// benchPayloadBytes is about the size of a sealed payload of a whole share.
const benchPayloadBytes = 1200

// benchPayload is a payload of the size that a real one has. Nobody real is in it.
var benchPayload = sync.OnceValue(func() []byte {
	raw, _ := json.Marshal(map[string]any{
		"metadata": map[string]any{"contract_version": 1, "event_id": "evt_01kdvdna00e4hr28t5cy4tqkff", "verification_session_id": "vs_01kdvdna00e4hr28t5cy4tqkff"},
		"type":     "verification.session.succeeded", "data": map[string]any{"claims": benchClaims, "selected_field_keys": slices.Sorted(maps.Keys(benchClaims))},
	})
	return raw
})
