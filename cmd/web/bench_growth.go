package main

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// growth measures the same things with nothing stored and with millions of finished deliveries.
func (b *bench) growth() error {
	const endpoints = 10
	empty, err := b.newSite(endpoints)
	if err != nil {
		return err
	}
	defer empty.close()
	if _, err := b.drainAgain(empty); err != nil { // the pages need something to show
		return err
	}
	if err := b.used(empty, 0); err != nil {
		return err
	}
	for _, rows := range b.Rows {
		if err := b.grown(empty, rows, endpoints); err != nil {
			return err
		}
	}
	return nil
}

// grown measures a site that has stored rows deliveries, and its drain in turns with that of a site that has stored next to
// nothing: the disk and the rest of the machine are not the same six minutes later.
func (b *bench) grown(empty *site, rows, endpoints int) error {
	database, err := b.storedOnce(rows, endpoints)
	if err != nil {
		return err
	}
	s, err := b.openSite(database)
	if err != nil {
		return err
	}
	defer s.end()
	rates := map[*site]float64{empty: 0, s: 0}
	for site := range rates { // in any order
		if rates[site], err = b.drainAgain(site); err != nil {
			return err
		}
	}
	at := stored(rows)
	b.note(at+"drain", "/s", "", rates[s])
	b.note(at+"drain of an empty one in turns with it", "/s", "", rates[empty])
	b.note(at+"drain, ratio to the empty one", "×", "≥ 0.9", rates[s]/rates[empty])
	return b.used(s, rows)
}

// storedOnce is a database with rows finished deliveries of so many endpoints, made by the first repetition.
func (b *bench) storedOnce(rows, endpoints int) (string, error) {
	name := fmt.Sprintf("bench_stored_%d_%d", rows, endpoints)
	var there bool
	if err := b.admin.QueryRow(b.ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return name, err
	}
	s, err := b.newSite(endpoints)
	if err != nil {
		return "", err
	}
	began := time.Now()
	err = s.storeFinished(rows)
	if err == nil {
		err = s.keep(name)
	}
	if err != nil {
		s.close()
		return "", err
	}
	b.say("stored %d finished deliveries in %s", rows, time.Since(began).Round(time.Second))
	return name, nil
}

// stored begins the names of figures.
func stored(rows int) string { return fmt.Sprintf("%d stored, ", rows) }

// drainAgain stores due deliveries in a site that has no worker, and times one worker.
func (b *bench) drainAgain(s *site) (float64, error) {
	if err := s.forget(); err != nil {
		return 0, err
	}
	n := b.scaled(50_000)
	if err := s.storeDue(n); err != nil {
		return 0, err
	}
	if err := s.startWorker(); err != nil {
		return 0, err
	}
	began := time.Now()
	done, err := s.finished(n)
	s.worker.stop()
	s.worker = nil
	return float64(n) / done.Sub(began).Seconds(), err
}

// used measures latency, and what lists and pages take.
func (b *bench) used(s *site, rows int) error {
	if err := s.startWorker(); err != nil {
		return err
	}
	const perSecond, seconds = 50, 10
	fromRequest, err := s.pacedAfresh(b.scaled(perSecond*seconds), perSecond)
	if err != nil {
		return err
	}
	b.note(stored(rows)+"request to arrival, p50", "ms", "", fromRequest.at(0.5))
	b.note(stored(rows)+"request to arrival, p99", "ms", "", fromRequest.at(0.99))
	// The worker's own reading would be counted with the pages'. What has just been written is vacuumed and analyzed, which the
	// database does by itself within a minute or so.
	s.worker.stop()
	s.worker = nil
	if _, err := s.db.Exec(s.ctx, "VACUUM ANALYZE"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return b.pages(s, stored(rows))
}

// pages times the lists and pages that grow with what is stored, and counts the buffers that they read.
func (b *bench) pages(s *site, at string) error {
	cookies, err := s.signIn()
	if err != nil {
		return err
	}
	var endpoint, delivery, event string
	if err := s.firstIDs(&endpoint, &delivery, &event); err != nil {
		return err
	}
	for _, path := range []string{
		"/v1/webhooks/deliveries?limit=50", "/v1/webhooks/deliveries?limit=50&status=failed", "/v1/webhooks/deliveries?limit=50&endpoint_id=" + endpoint,
		"/v1/webhooks/deliveries?limit=50&status=failed&endpoint_id=" + endpoint, "/v1/events?limit=50", "/v1/sessions?limit=50",
		"/", "/deliveries", "/deliveries?status=failed", "/deliveries?error=timeout_response", "/deliveries?code=503", "/deliveries?code=5xx", "/deliveries?endpoint=" + endpoint, "/events", "/sessions", "/audit", "/endpoints", "/endpoints/" + endpoint, "/endpoints/" + endpoint + "/keys",
		"/deliveries/" + delivery, "/events/" + event,
	} {
		took, buffers, err := s.timed(path, cookies)
		if err != nil {
			return err
		}
		path = strings.NewReplacer(endpoint, "…", delivery, "…", event, "…").Replace(path)
		b.note(at+path+", p50", "ms", "", took.at(0.5))
		b.note(at+path+", p95", "ms", "≤ 50", took.at(0.95))
		b.note(at+path+", buffers", "", "", buffers)
	}
	return nil
}

// firstIDs finds something to look at.
func (s *site) firstIDs(endpoint, delivery, event *string) error {
	var deliveries []struct {
		ID       string
		Endpoint string `json:"webhook_endpoint_id"`
		Event    string `json:"event_id"`
	}
	err := s.call(http.MethodGet, "/v1/webhooks/deliveries?limit=1", nil, &deliveries)
	if err == nil && len(deliveries) == 1 {
		*endpoint, *delivery, *event = deliveries[0].Endpoint, deliveries[0].ID, deliveries[0].Event
	}
	return err
}

// csrfField is the hidden field of a form.
var csrfField = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// signIn returns the cookies of a signed-in owner.
func (s *site) signIn() (http.CookieJar, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	client := s.visitor(jar)
	page, err := s.fetch(client, http.MethodGet, "/sign-in", nil)
	if err != nil {
		return nil, err
	}
	token := csrfField.FindSubmatch(page)
	if token == nil {
		return nil, errors.New("sign in: the page has no form")
	}
	_, err = s.fetch(client, http.MethodPost, "/sign-in", url.Values{"email": {s.setup.Email}, "password": {s.setup.Password}, "csrf_token": {html.UnescapeString(string(token[1]))}})
	return jar, err
}

// visitor is a client with cookies.
func (s *site) visitor(cookies http.CookieJar) *http.Client {
	client := *s.http
	client.Jar = cookies
	return &client
}

// fetch returns the page at path, following redirects; form is what to post.
func (s *site) fetch(client *http.Client, method, path string, form url.Values) ([]byte, error) {
	req, err := http.NewRequestWithContext(s.ctx, method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(path, "/v1/") {
		req.Header.Set("Authorization", "Bearer "+s.setup.APIKey)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	case res.StatusCode != http.StatusOK || method == http.MethodGet && res.Request.URL.RequestURI() != path:
		return nil, fmt.Errorf("fetch %s: status %d at %s", path, res.StatusCode, res.Request.URL.Path)
	}
	return page, nil
}

// timed fetches a path some times, one after the other, and returns what each took and how many buffers Postgres touched
// per request.
func (s *site) timed(path string, cookies http.CookieJar) (samples, float64, error) {
	const rounds = 30
	client := s.visitor(cookies)
	look := func() error {
		_, err := s.fetch(client, http.MethodGet, path, nil)
		return err
	}
	before, err := s.buffers(look)
	if err != nil {
		return nil, 0, err
	}
	var took samples
	for range rounds {
		began := time.Now()
		if err := look(); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(began))
	}
	after, err := s.buffers(look)
	return took, (after - before) / (rounds + 1), err
}

// buffers reads how many buffers the site's database has touched. Sessions report theirs after a transaction, but at most once a
// second: the request is made a second after the one before, so that its first transaction reports what came before it.
func (s *site) buffers(look func() error) (float64, error) {
	const reported = 1200 * time.Millisecond
	if err := pause(s.ctx, reported); err != nil {
		return 0, err
	}
	if err := look(); err != nil {
		return 0, err
	}
	var n float64
	err := s.admin.QueryRow(s.ctx, "SELECT (blks_hit + blks_read)::float8 FROM pg_stat_database WHERE datname = $1", s.database).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read buffers: %w", err)
	}
	return n, nil
}

// storeFinished inserts n deliveries of the past month that have come to an end, with their events, attempts and sessions.
func (s *site) storeFinished(n int) error {
	conn, err := pgx.Connect(s.ctx, s.db.Config().ConnString())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(s.ctx) }()
	tables := "('events', 'webhook_deliveries', 'webhook_delivery_attempts', 'verification_sessions')"
	rows, err := conn.Query(s.ctx, `SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
		WHERE i.indrelid IN (SELECT oid FROM pg_class WHERE relname IN `+tables+`) AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`)
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	type index struct{ Name, Definition string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	statements := []string{"SET session_replication_role = replica", "SET maintenance_work_mem = '512MB'", "SET max_parallel_maintenance_workers = 2"}
	for _, i := range indexes {
		statements = append(statements, "DROP INDEX "+i.Name) // made again below, faster than kept up row by row
	}
	statements = append(statements, strings.Split(strings.ReplaceAll(benchStoreFinished, "$n", fmt.Sprint(n)), ";\n")...)
	for _, i := range indexes {
		statements = append(statements, i.Definition)
	}
	statements = append(statements, "VACUUM ANALYZE", "CHECKPOINT")
	for _, statement := range statements {
		if _, err := conn.Exec(s.ctx, statement); err != nil {
			return fmt.Errorf("store finished deliveries: %w", err)
		}
	}
	syscall.Sync() // what is still to be written to the disk is not to be written while something is measured
	return nil
}

// benchStoreFinished makes ids that sort by time, as the program's do; 3 in 100 failed.
const benchStoreFinished = `CREATE UNLOGGED TABLE bench_past AS
	SELECT n, t, (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
		(SELECT id FROM organizations) AS org, (SELECT array_agg(id) FROM webhook_encryption_keys) AS keys, (SELECT array_agg(webhook_endpoint_id) FROM webhook_encryption_keys) AS endpoints, n % 100 < 3 AS failed
	FROM (SELECT n, now() - interval '30 days' * (1 - n / ($n + 1)::float8) AS t FROM generate_series(1, $n) n) s;
INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
	SELECT id, org, 'succeeded', '{}', repeat('0', 64), 'm1', t, t, t, t FROM bench_past;
INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at)
	SELECT id, org, 'verification.session.succeeded', 'verification_session', id, '[]', t FROM bench_past;
INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload_bytes,
		payload_scrubbed_at, payload_retention_reason, attempt_count, last_attempt_at, last_status_code, last_error_kind, last_duration_ms, created_at, updated_at)
	SELECT id, org, id, endpoints[1 + n % cardinality(endpoints)], keys[1 + n % cardinality(keys)], 'verification.session.succeeded',
		CASE WHEN failed THEN 'failed' ELSE 'succeeded' END, 1000, t, CASE WHEN failed THEN 'expired' ELSE 'delivered' END, 1, t,
		CASE WHEN failed THEN 503 ELSE 200 END, CASE WHEN failed THEN 'http_status' END, 12, t, t FROM bench_past;
INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, duration_ms, status_code, error_kind, created_at)
	SELECT id, org, id, 1, 1, true, CASE WHEN failed THEN 'failed' ELSE 'succeeded' END, 'automatic', t, 12,
		CASE WHEN failed THEN 503 ELSE 200 END, CASE WHEN failed THEN 'http_status' END, t FROM bench_past;
DROP TABLE bench_past`

// backlog starts a worker on a million due deliveries and watches Redis, the rate, and a fresh event every 200 ms.
func (b *bench) backlog() error {
	s, err := b.newSite(1)
	if err != nil {
		return err
	}
	defer s.close()
	stored := b.scaled(1_000_000)
	if err := s.storeDue(stored); err != nil {
		return err
	}
	// The fresh events go to an endpoint of their own: behind a million others of one endpoint, order is the endpoint's.
	if err := s.addEndpoint(b.sinkURL + "/hook/fresh"); err != nil {
		return err
	}
	const perSecond = 5
	seconds := b.scaled(30)
	sessions, err := s.sessions(seconds * perSecond)
	if err != nil {
		return err
	}
	if err := s.startWorker(); err != nil {
		return err
	}
	began := time.Now()
	stop := make(chan struct{})
	watched := make(chan backlogWatch, 1)
	go func() { watched <- s.watchBacklog(began, stop) }()
	times, err := s.openLoop(sessions, perSecond)
	if err != nil {
		return err
	}
	close(stop)
	w := <-watched
	b.note("memory of Redis, peak", "MB", "≤ 64", w.redisPeak)
	b.note("deliveries per second", "/s", "", w.rate)
	b.note("time to nine tenths of that rate", "s", "", w.ramp.Seconds())
	if err := s.settled(s.endpoints[1:]); err != nil { // the last fresh event is under way
		return err
	}
	fromRequest, _, err := s.lags(times)
	if err == nil && len(fromRequest) < len(sessions) {
		err = fmt.Errorf("%d of %d fresh events arrived", len(fromRequest), len(sessions))
	}
	b.note("fresh event meanwhile, p50", "ms", "", fromRequest.at(0.5))
	b.note("fresh event meanwhile, p99", "ms", "", fromRequest.at(0.99))
	return err
}

type backlogWatch struct {
	redisPeak float64 // MB
	rate      float64 // deliveries per second, the median
	ramp      time.Duration
}

// watchBacklog looks twice a second until stop.
func (s *site) watchBacklog(began time.Time, stop <-chan struct{}) backlogWatch {
	const perSecond = 2
	var w backlogWatch
	var counts []int // arrivals by half second
	var at []time.Duration
	last := 0
	for tick := time.NewTicker(time.Second / perSecond); ; {
		select {
		case <-stop:
			tick.Stop()
			if len(counts) == 0 {
				return w
			}
			median := float64(slices.Sorted(slices.Values(counts))[len(counts)/2])
			w.rate = perSecond * median
			w.ramp = at[slices.IndexFunc(counts, func(n int) bool { return float64(n) >= 0.9*median })]
			return w
		case <-tick.C:
		}
		first, _, err := s.arrived()
		if err != nil {
			continue
		}
		counts, at, last = append(counts, first-last), append(at, time.Since(began)), first
		if info, err := s.redis.InfoMap(s.ctx, "memory").Result(); err == nil {
			var used float64
			_, _ = fmt.Sscan(info["Memory"]["used_memory"], &used)
			w.redisPeak = max(w.redisPeak, used/(1<<20))
		}
	}
}
