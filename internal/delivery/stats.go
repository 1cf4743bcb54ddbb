package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
)

// Stats adds up what happened in a span of time.
type Stats struct {
	Attempts      int
	FirstAttempts int
	// FirstSucceeded is how many of FirstAttempts got a 2xx.
	FirstSucceeded int
	// Succeeded and Failed count deliveries that entered the state, Withdrawn those of Failed whose consent was withdrawn.
	Succeeded int
	Failed    int
	Withdrawn int
	// Latency counts attempts that received a status, by duration.
	Latency Histogram
}

// Histogram counts durations in the buckets of the roll-ups.
type Histogram []int

// Quantile estimates the duration in milliseconds below which the share q of the attempts stayed, by interpolating within
// a bucket; false when there are none.
func (h Histogram) Quantile(q float64) (int64, bool) {
	i, within, ok := h.find(q)
	if !ok || i == len(latencyBounds) {
		return lower(i), ok
	}
	return lower(i) + int64(float64(latencyBounds[i]-lower(i))*within), true
}

// Slowest is a duration in milliseconds that at least the share 1-q of the attempts reached: where the bucket of Quantile begins. False when
// there are none.
func (h Histogram) Slowest(q float64) (int64, bool) {
	i, _, ok := h.find(q)
	return lower(i), ok
}

// find is the bucket in which the share q of the attempts is reached, and how far in it; false when there are none.
func (h Histogram) find(q float64) (bucket int, within float64, ok bool) {
	total := 0
	for _, n := range h {
		total += n
	}
	rank, seen := q*float64(total), 0.0
	for i, n := range h {
		if n > 0 && seen+float64(n) >= rank {
			return i, (rank - seen) / float64(n), true
		}
		seen += float64(n)
	}
	return 0, 0, false
}

// lower is where a bucket begins.
func lower(bucket int) int64 {
	if bucket == 0 {
		return 0
	}
	return latencyBounds[bucket-1]
}

// HourStats is what happened at one endpoint in one hour.
type HourStats struct {
	EndpointID id.Endpoint
	Hour       time.Time
	Stats
}

// Hours returns the hours with traffic from from (cut to its hour) to to inclusive, oldest first, per endpoint; a zero
// endpoint means all. It needs analytics:read.
func (s *Service) Hours(ctx context.Context, actor access.Actor, from, to time.Time, endpoint id.Endpoint) ([]HourStats, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.AnalyticsRead, tx.Now); err != nil {
		return nil, err
	}
	var rows []struct {
		EndpointID id.Endpoint
		Hour       time.Time
		Stats      string
	}
	// Sums of array elements need one row per element; the latency of an hour is added up in Go instead.
	err := tx.Raw(`SELECT webhook_endpoint_id AS endpoint_id, hour, json_agg(json_build_object(
				'Attempts', attempts, 'FirstAttempts', first_attempts, 'FirstSucceeded', CASE WHEN error_kind = '' THEN first_attempts ELSE 0 END,
				'Succeeded', succeeded, 'Failed', failed, 'Withdrawn', CASE WHEN error_kind = 'privacy_request' THEN failed ELSE 0 END, 'Latency', latency)) AS stats
			FROM delivery_rollups
			WHERE organization_id = $1 AND hour BETWEEN date_trunc('hour', $2::timestamptz) AND $3 AND ($4::uuid IS NULL OR webhook_endpoint_id = $4)
			GROUP BY webhook_endpoint_id, hour ORDER BY hour, webhook_endpoint_id`, actor.Organization, from, to, endpoint).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load roll-ups: %w", err)
	}
	hours := make([]HourStats, len(rows))
	for i, row := range rows {
		hours[i] = HourStats{EndpointID: row.EndpointID, Hour: row.Hour}
		var parts []Stats
		if err := json.Unmarshal([]byte(row.Stats), &parts); err != nil {
			return nil, fmt.Errorf("read roll-up: %w", err)
		}
		for _, part := range parts {
			hours[i].Add(part)
		}
	}
	return hours, nil
}

// Add adds other to s.
func (s *Stats) Add(other Stats) {
	s.Attempts += other.Attempts
	s.FirstAttempts += other.FirstAttempts
	s.FirstSucceeded += other.FirstSucceeded
	s.Succeeded += other.Succeeded
	s.Failed += other.Failed
	s.Withdrawn += other.Withdrawn
	if s.Latency == nil {
		s.Latency = make(Histogram, latencyBuckets)
	}
	for i := range min(len(other.Latency), latencyBuckets) {
		s.Latency[i] += other.Latency[i]
	}
}

// ErrorCount is how often attempts at an endpoint failed in one way.
type ErrorCount struct {
	EndpointID id.Endpoint
	ErrorKind  ErrorKind
	StatusCode int
	Attempts   int
}

// Errors counts failed attempts by endpoint, kind and status, most frequent first. It needs analytics:read.
func (s *Service) Errors(ctx context.Context, actor access.Actor, from, to time.Time, endpoint id.Endpoint) ([]ErrorCount, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.AnalyticsRead, tx.Now); err != nil {
		return nil, err
	}
	var counts []ErrorCount
	err := tx.Raw(`SELECT webhook_endpoint_id AS endpoint_id, error_kind, status_code, sum(attempts) AS attempts FROM delivery_rollups
		WHERE organization_id = $1 AND hour BETWEEN date_trunc('hour', $2::timestamptz) AND $3 AND ($4::uuid IS NULL OR webhook_endpoint_id = $4)
			AND error_kind <> '' AND attempts > 0
		GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`, actor.Organization, from, to, endpoint).Scan(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("count errors: %w", err)
	}
	return counts, nil
}

// lookBack is how many of an endpoint's latest deliveries are searched for attempts: without a key none of them ever has one.
const lookBack = 1000

// Standing is where an endpoint's deliveries are now.
type Standing struct {
	EndpointID id.Endpoint
	// Waiting counts pending deliveries that are scheduled, Retrying those of them after a failed attempt, Parked those off
	// the schedule, Held the failed ones that can still be retried.
	Waiting, Retrying, Parked, Held int
	// FirstExpiry is when the first payload of them is erased.
	FirstExpiry *time.Time
	// LastSuccess is the latest 2xx, RecentFailures counts the attempts, in their present runs, at deliveries that were created since
	// that one. They and LastAttempt are of the latest ten deliveries that were attempted, of the latest 1,000.
	LastSuccess    *time.Time
	LastAttempt    *time.Time
	RecentFailures int
}

// Standings returns the standing of each live endpoint of the organization. It needs webhooks:read.
func (s *Service) Standings(ctx context.Context, actor access.Actor) (map[id.Endpoint]Standing, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return nil, err
	}
	var rows []Standing
	err := tx.Raw(`SELECT e.id AS endpoint_id, held.*, recent.*
		FROM webhook_endpoints e
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE d.status = 'pending' AND d.next_attempt_at IS NOT NULL) AS waiting,
				count(*) FILTER (WHERE d.status = 'pending' AND d.next_attempt_at IS NOT NULL AND d.attempt_count > 0) AS retrying,
				count(*) FILTER (WHERE d.status = 'pending' AND d.next_attempt_at IS NULL) AS parked,
				count(*) FILTER (WHERE d.status = 'failed' AND d.payload_expires_at > $3) AS held,
				min(d.payload_expires_at) AS first_expiry
			FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id AND d.payload IS NOT NULL
		) held
		CROSS JOIN LATERAL (
			SELECT max(r.last_attempt_at) FILTER (WHERE r.status = 'succeeded') AS last_success, max(r.last_attempt_at) AS last_attempt,
				COALESCE(sum(r.attempt_count) FILTER (WHERE r.succeeded_since = 0), 0) AS recent_failures
			FROM (SELECT latest.*, count(*) FILTER (WHERE status = 'succeeded') OVER (ROWS UNBOUNDED PRECEDING) AS succeeded_since
				FROM (SELECT d.status, d.last_attempt_at, d.attempt_count FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id
					ORDER BY d.created_at DESC, d.id DESC LIMIT $2) latest WHERE last_attempt_at IS NOT NULL LIMIT 10) r
		) recent
		WHERE e.organization_id = $1 AND e.deleted_at IS NULL`, actor.Organization, lookBack, tx.Now).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load standings: %w", err)
	}
	standings := make(map[id.Endpoint]Standing, len(rows))
	for _, row := range rows {
		standings[row.EndpointID] = row
	}
	return standings, nil
}

// streakMost is how far a streak is counted: beyond it the number says nothing more to anybody.
const streakMost = 100

// Streak is how the latest deliveries of an endpoint ended, up to the first that ended otherwise.
type Streak struct {
	// Delivered tells that they got a 2xx, Deliveries how many they are, More that there may be more.
	Delivered  bool
	Deliveries int
	More       bool
}

// Streak returns the streak of an endpoint of the organization, of the latest 1,000 deliveries at most. What was not attempted yet
// does not count. It needs webhooks:read.
func (s *Service) Streak(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (Streak, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Streak{}, err
	}
	var delivered []bool
	err := tx.Raw(`SELECT status = 'succeeded' FROM (SELECT d.status, d.last_attempt_at FROM webhook_deliveries d
			WHERE d.webhook_endpoint_id = $1 AND d.organization_id = $2 ORDER BY d.created_at DESC, d.id DESC LIMIT $3) latest
		WHERE last_attempt_at IS NOT NULL LIMIT $4`, endpoint, actor.Organization, lookBack, streakMost).Scan(&delivered).Error
	if err != nil {
		return Streak{}, fmt.Errorf("load streak: %w", err)
	}
	if len(delivered) == 0 {
		return Streak{}, nil
	}
	n := slices.Index(delivered, !delivered[0])
	if n < 0 {
		n = len(delivered)
	}
	return Streak{Delivered: delivered[0], Deliveries: n, More: n == streakMost}, nil
}

// stepsMost is how many waiting deliveries are looked at to see where they stand.
const stepsMost = 10_000

// Steps is where the waiting deliveries of an endpoint stand on the schedule.
type Steps struct {
	// Waiting counts those before attempt i+1.
	Waiting [AttemptsPerRun]int
	// Seen is how many that are: the 10,000 that are due first, when more wait, which Partial says.
	Seen    int
	Partial bool
}

// Steps returns where what is pending for an endpoint of the organization stands, what is parked included. It needs
// webhooks:read.
func (s *Service) Steps(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (Steps, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Steps{}, err
	}
	var rows []struct {
		Attempts, Deliveries int
		Beyond               bool
	}
	err := tx.Raw(`SELECT attempt_count AS attempts, count(*) FILTER (WHERE nth <= $3) AS deliveries, bool_or(nth > $3) AS beyond
		FROM (SELECT attempt_count, row_number() OVER (ORDER BY next_attempt_at) AS nth FROM (
			SELECT d.attempt_count, d.next_attempt_at FROM webhook_deliveries d
			WHERE d.webhook_endpoint_id = $1 AND d.organization_id = $2 AND d.status = 'pending' ORDER BY d.next_attempt_at LIMIT $3 + 1) AS first) AS numbered
		GROUP BY 1`, endpoint, actor.Organization, stepsMost).Scan(&rows).Error
	if err != nil {
		return Steps{}, fmt.Errorf("load steps: %w", err)
	}
	var b Steps
	for _, row := range rows {
		b.Waiting[min(row.Attempts, AttemptsPerRun-1)] += row.Deliveries
		b.Seen += row.Deliveries
		b.Partial = b.Partial || row.Beyond
	}
	return b, nil
}

// Forecast counts the attempts that become due in each of the hours after from, what is due before in the first. Without endpoints it is of
// all. It needs webhooks:read.
func (s *Service) Forecast(ctx context.Context, actor access.Actor, from time.Time, hours int, endpoints ...id.Endpoint) ([]int, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return nil, err
	}
	only := make([]uuid.UUID, len(endpoints))
	for i, e := range endpoints {
		only[i] = e.UUID
	}
	var rows []struct{ Hour, Attempts int }
	err := tx.Raw(`SELECT GREATEST(floor(extract(epoch FROM d.next_attempt_at - $2::timestamptz) / 3600), 0)::int AS hour, count(*) AS attempts
		FROM webhook_endpoints e JOIN webhook_deliveries d ON d.webhook_endpoint_id = e.id
		WHERE e.organization_id = $1 AND d.status = 'pending' AND d.next_attempt_at < $3 AND (cardinality($4::uuid[]) = 0 OR e.id = ANY($4))
		GROUP BY 1`, actor.Organization, from, from.Add(time.Duration(hours)*time.Hour), only).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load forecast: %w", err)
	}
	forecast := make([]int, hours)
	for _, row := range rows {
		if row.Hour < hours {
			forecast[row.Hour] = row.Attempts
		}
	}
	return forecast, nil
}

// manyUses is how far the deliveries of a key are counted: beyond it the number says nothing more to anybody.
const manyUses = 1000

// KeyUse is how much an encryption key has been used.
type KeyUse struct {
	KeyID id.Key
	// Deliveries counts those encrypted to the key, up to 1,000; More says that there are more.
	Deliveries int
	More       bool
	// Waiting counts deliveries encrypted to the key that are not delivered and still hold their payload; LastExpiry is
	// until when the receiver must keep the private half for them.
	Waiting    int
	LastExpiry *time.Time
	// LastUsed is when the key was used last while it was active, as far as that is on record.
	LastUsed *time.Time
}

// KeyUses returns the use of each key of an endpoint. It needs webhooks:read.
func (s *Service) KeyUses(ctx context.Context, actor access.Actor, endpoint id.Endpoint) (map[id.Key]KeyUse, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return nil, err
	}
	var rows []KeyUse
	// Nearly all that was created while a key was active is encrypted to it, so that the latest is soon found.
	err := tx.Raw(`SELECT k.id AS key_id, least(used.n, $3) AS deliveries, used.n > $3 AS more, coalesce(held.waiting, 0) AS waiting, held.last_expiry, latest.created_at AS last_used
		FROM webhook_encryption_keys k
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM webhook_deliveries d WHERE d.webhook_encryption_key_id = k.id LIMIT $3 + 1) AS first) used
		LEFT JOIN LATERAL (
			SELECT d.created_at FROM webhook_deliveries d WHERE d.webhook_endpoint_id = k.webhook_endpoint_id AND d.webhook_encryption_key_id = k.id
				AND d.created_at >= k.activated_at AND d.created_at <= coalesce(k.disabled_at, 'infinity') ORDER BY d.created_at DESC, d.id DESC LIMIT 1
		) latest ON true
		LEFT JOIN (
			SELECT d.webhook_encryption_key_id AS key_id, count(*) AS waiting, max(d.payload_expires_at) AS last_expiry
			FROM webhook_deliveries d WHERE d.webhook_endpoint_id = $2 AND d.payload IS NOT NULL AND d.payload_expires_at > $4 GROUP BY 1
		) held ON held.key_id = k.id
		WHERE k.organization_id = $1 AND k.webhook_endpoint_id = $2`, actor.Organization, endpoint, manyUses, tx.Now).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load key use: %w", err)
	}
	uses := make(map[id.Key]KeyUse, len(rows))
	for _, row := range rows {
		uses[row.KeyID] = row
	}
	return uses, nil
}

// Backlog is the state of the pipeline, for the queue page and the metrics.
type Backlog struct {
	Due       int
	InFlight  int
	OldestDue *time.Time
}

// CountBacklog counts what is due and in flight for an organization, or in the whole system if that is zero, up to 100,000 each.
func (s *Service) CountBacklog(ctx context.Context, organization id.Organization) (Backlog, error) {
	tx := s.DB.Reader(ctx)
	var of *uuid.UUID
	if organization != (id.Organization{}) {
		of = &organization.UUID
	}
	// What is due is looked for endpoint by endpoint, in the order of the index, so that what waits for later is not read.
	const due = `webhook_endpoints e CROSS JOIN LATERAL (SELECT d.next_attempt_at FROM webhook_deliveries d
		WHERE d.webhook_endpoint_id = e.id AND d.status = 'pending' AND d.next_attempt_at <= $1 ORDER BY d.next_attempt_at`
	const within = `WHERE $2::uuid IS NULL OR e.organization_id = $2`
	var b Backlog
	err := tx.Raw(`SELECT (SELECT count(*) FROM (SELECT FROM `+due+` LIMIT 100000) AS due `+within+` LIMIT 100000) AS d) AS due,
		(SELECT count(*) FROM (SELECT FROM webhook_deliveries d WHERE d.status = 'delivering' AND ($2::uuid IS NULL OR d.organization_id = $2) LIMIT 100000) AS f) AS in_flight,
		(SELECT min(first.next_attempt_at) FROM `+due+` LIMIT 1) AS first `+within+`) AS oldest_due`, tx.Now, of).Scan(&b).Error
	if err != nil {
		return b, fmt.Errorf("count backlog: %w", err)
	}
	return b, nil
}
