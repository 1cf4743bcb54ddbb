package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/webhook"
)

// benchClaims is what every person of the benchmark shares, under demoShareFields. Nobody real is in it.
var benchClaims = map[string]any{"family_name": "LINDQVIST", "given_names": "ANNA MARIA", "date_of_birth": "1984-02-17", "age_over_18": true, "kayle_document_id": strings.Repeat("ab", 32)}

// drain stores 50,000 due deliveries while no worker runs, and then times one worker.
func (b *bench) drain() error {
	n := b.scaled(50_000)
	limit, err := b.limitLoop(n, false)
	if err != nil {
		return err
	}
	b.note("L1: sign, post, grouped writes", "/s", "", limit)
	for _, endpoints := range []int{1, 100} {
		rate, err := b.drainOnce(n, endpoints)
		if err != nil {
			return err
		}
		b.note(fmt.Sprintf("%d endpoints", endpoints), "/s", "", rate)
		b.note(fmt.Sprintf("%d endpoints, ratio to L1", endpoints), "× L1", "≥ 0.30", rate/limit)
	}
	return nil
}

func (b *bench) drainOnce(n, endpoints int) (float64, error) {
	s, err := b.newSite(endpoints)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if err := s.storeDue(n); err != nil {
		return 0, err
	}
	if err := s.startWorker(); err != nil {
		return 0, err
	}
	began := time.Now()
	before, err := s.use()
	if err != nil {
		return 0, err
	}
	done, err := s.finished(n)
	if err != nil {
		return 0, err
	}
	after, err := s.use()
	if err != nil {
		return 0, err
	}
	if endpoints == 1 {
		if err := b.noteCost(s, n, before, after); err != nil {
			return 0, err
		}
	}
	_, again, err := s.arrived()
	b.note(fmt.Sprintf("%d endpoints, sent twice", endpoints), "", "0", float64(again))
	return float64(n) / done.Sub(began).Seconds(), err
}

// storeDue inserts n deliveries that are due, spread over the endpoints, as a stopped worker would have left them.
func (s *site) storeDue(n int) error {
	key, err := webhook.ParsePublicJWK(s.jwk)
	if err != nil {
		return err
	}
	sealed, err := webhook.Seal("bench", key, benchPayload())
	if err != nil {
		return err
	}
	_, err = s.db.Exec(s.ctx, benchStoreDue, n, s.endpoints, sealed)
	if err == nil {
		_, err = s.db.Exec(s.ctx, "VACUUM ANALYZE webhook_deliveries, events")
	}
	if err == nil {
		_, err = s.db.Exec(s.ctx, "CHECKPOINT")
	}
	if err != nil {
		return fmt.Errorf("store due deliveries: %w", err)
	}
	return nil
}

// benchStoreDue makes ids that sort by time, as the program's do.
const benchStoreDue = `WITH stored AS (
		INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
			o.id, 'verification.session.succeeded', 'verification_session', gen_random_uuid(), '[]', now() - interval '1 minute'
		FROM organizations o, generate_series(1, $1::int) n
		RETURNING id, organization_id, type, created_at)
	INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status,
		payload, payload_bytes, payload_expires_at, payload_retention_reason, next_attempt_at, created_at, updated_at)
	SELECT e.id, e.organization_id, e.id, k.webhook_endpoint_id, k.id, e.type, 'pending',
		$3, length($3), now() + interval '3 days', 'pending_delivery', now() - interval '1 minute', e.created_at, e.created_at
	FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM stored) e
	JOIN webhook_encryption_keys k ON k.webhook_endpoint_id = ($2::uuid[])[1 + e.n % cardinality($2::uuid[])]`

// sessions creates n sessions through the API and starts them.
func (s *site) sessions(n int) ([]string, error) {
	made := make([]string, n)
	err := s.parallel(n, func(i int) error {
		var created struct{ ID string }
		if err := s.post("/v1/sessions", map[string]any{"share_fields": json.RawMessage(demoShareFields)}, &created); err != nil {
			return err
		}
		made[i] = created.ID
		return s.post("/v1/sessions/"+created.ID+"/start", nil, nil)
	})
	return made, err
}

// benchConnections is how many connections the load uses at once.
const benchConnections = 32

// parallel calls f for 0 to n-1 over benchConnections goroutines.
func (s *site) parallel(n int, f func(i int) error) error {
	var next atomic.Int64
	var all errgroup.Group
	for range benchConnections {
		all.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// benchSuccess is the report of a success, encoded once: the load is to cost little.
var benchSuccess = sync.OnceValue(func() json.RawMessage {
	report, _ := json.Marshal(map[string]any{"claims": benchClaims, "selected_field_keys": slices.Sorted(maps.Keys(benchClaims))}) // strings and booleans
	return report
})

func (s *site) succeed(session string) error {
	return s.post("/v1/sessions/"+session+"/success", benchSuccess(), nil)
}

// succeedAll reports the success of the sessions over benchConnections connections. Requests are written as they are, since a client that
// does more takes as much of the processors as the worker.
func (s *site) succeedAll(sessions []string) error {
	server := strings.TrimPrefix(s.base, "http://")
	type connection struct {
		net.Conn
		answers *bufio.Reader
	}
	idle := make(chan connection, benchConnections)
	for range benchConnections {
		conn, err := (&net.Dialer{}).DialContext(s.ctx, "tcp", server)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		defer func() { _ = conn.Close() }()
		idle <- connection{conn, bufio.NewReader(conn)}
	}
	body := benchSuccess()
	rest := fmt.Sprintf("/success HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		server, s.setup.APIKey, len(body), body)
	return s.parallel(len(sessions), func(i int) error {
		conn := <-idle
		defer func() { idle <- conn }()
		if err := conn.SetDeadline(time.Now().Add(benchPatience)); err != nil {
			return fmt.Errorf("limit a request: %w", err)
		}
		if _, err := io.WriteString(conn, "POST /v1/sessions/"+sessions[i]+rest); err != nil {
			return fmt.Errorf("report a success: %w", err)
		}
		res, err := http.ReadResponse(conn.answers, nil)
		if err != nil {
			return fmt.Errorf("report a success: %w", err)
		}
		defer func() { _ = res.Body.Close() }()
		answer, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", res.Status, answer)
		}
		if err != nil {
			return fmt.Errorf("report a success: %w", err)
		}
		return nil
	})
}

// endToEnd reports the success of 10,000 sessions over 32 connections to one endpoint.
func (b *bench) endToEnd() error {
	return b.published(b.scaled(10_000), 1, "≥ 0.20", true)
}

// fanOut reports the success of 2,000 sessions to ten endpoints each.
func (b *bench) fanOut() error {
	return b.published(b.scaled(2_000), 10, "≥ 0.35", false)
}

func (b *bench) published(n, endpoints int, target string, cost bool) error {
	limit, err := b.limitLoop(b.scaled(20_000), true)
	if err != nil {
		return err
	}
	b.note("L2: encrypt, sign, post, grouped writes", "/s", "", limit)
	s, err := b.newSite(endpoints)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.startWorker(); err != nil {
		return err
	}
	sessions, err := s.sessions(n)
	if err != nil {
		return err
	}
	if _, err := s.db.Exec(s.ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	before, err := s.use()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.succeedAll(sessions); err != nil {
		return err
	}
	accepted := time.Since(began)
	done, err := s.finished(n * endpoints)
	if err != nil {
		return err
	}
	after, err := s.use()
	if err != nil {
		return err
	}
	rate := float64(n*endpoints) / done.Sub(began).Seconds()
	b.note("accepted", "events/s", "", float64(n)/accepted.Seconds())
	b.note("delivered", "/s", "", rate)
	b.note("ratio to L2", "× L2", target, rate/limit)
	_, again, err := s.arrived()
	b.note("sent twice", "", "0", float64(again))
	if err == nil && cost {
		err = b.noteCost(s, n*endpoints, before, after)
	}
	return err
}
