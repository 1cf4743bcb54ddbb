package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// latencyBounds are the upper bounds, in milliseconds, of the latency buckets; the last bucket has none.
var latencyBounds = [...]int64{
	1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 110, 160, 225, 320, 450, 640, 900, 1280, 1800, 2560, 3600, 5120, 7200, 10240, 15000,
}

const latencyBuckets = len(latencyBounds) + 1

// rollupSlots spread the writers of one endpoint and hour over several rows.
const rollupSlots = 16

// tally is what happened to one endpoint in one hour with one outcome.
type tally struct {
	OrganizationID    uuid.UUID `json:"organization_id"`
	WebhookEndpointID uuid.UUID `json:"webhook_endpoint_id"`
	Hour              time.Time `json:"hour"`
	ErrorKind         ErrorKind `json:"error_kind"`
	StatusCode        int       `json:"status_code"`
	Slot              int       `json:"slot"`
	Attempts          int       `json:"attempts"`
	FirstAttempts     int       `json:"first_attempts"`
	Succeeded         int       `json:"succeeded"`
	Failed            int       `json:"failed"`
	// Latency is an array of Postgres, written from buckets.
	Latency string `json:"latency"`
	buckets [latencyBuckets]int
}

// tallies adds up outcomes before they are written.
type tallies map[tallyKey]*tally

type tallyKey struct {
	endpoint id.Endpoint
	hour     time.Time
	kind     ErrorKind
	code     int
}

func (t tallies) at(org id.Organization, endpoint id.Endpoint, when time.Time, kind ErrorKind, code int) *tally {
	k := tallyKey{endpoint, when.UTC().Truncate(time.Hour), kind, code}
	if t[k] == nil {
		t[k] = &tally{OrganizationID: org.UUID, WebhookEndpointID: endpoint.UUID, Hour: k.hour, ErrorKind: kind, StatusCode: code}
	}
	return t[k]
}

// addAttempt counts an attempt in the hour it started.
func (t tallies) addAttempt(a Attempt, endpoint id.Endpoint) {
	var kind ErrorKind
	var code int
	if a.ErrorKind != nil {
		kind = *a.ErrorKind
	}
	if a.StatusCode != nil {
		code = *a.StatusCode
	}
	row := t.at(a.OrganizationID, endpoint, a.StartedAt, kind, code)
	row.Attempts++
	if a.Run == 1 && a.Number == 1 && a.Counted {
		row.FirstAttempts++
	}
	if a.StatusCode != nil && a.DurationMS != nil {
		i, _ := slices.BinarySearch(latencyBounds[:], *a.DurationMS)
		row.buckets[i]++
	}
}

// addEnd counts a delivery that entered a terminal state, in the hour it did. kind says what ended it.
func (t tallies) addEnd(org id.Organization, endpoint id.Endpoint, when time.Time, status Status, kind ErrorKind, code int) {
	row := t.at(org, endpoint, when, kind, code)
	if status == Succeeded {
		row.Succeeded++
	} else {
		row.Failed++
	}
}

// write adds the tallies to the table. Rows are taken in one order everywhere, so that two writers cannot wait for
// each other.
func (t tallies) write(tx *postgres.Tx, slot int) error {
	if len(t) == 0 {
		return nil
	}
	return tx.ExecRows(addTallies, t.rows(slot))
}

func (t tallies) rows(slot int) []*tally {
	rows := make([]*tally, 0, len(t))
	for _, row := range t {
		row.Slot, row.Latency = slot, arrayText(row.buckets[:])
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *tally) int {
		return cmp.Or(
			slices.Compare(a.WebhookEndpointID[:], b.WebhookEndpointID[:]), a.Hour.Compare(b.Hour),
			cmp.Compare(a.ErrorKind, b.ErrorKind), cmp.Compare(a.StatusCode, b.StatusCode))
	})
	return rows
}

// arrayText writes numbers as Postgres reads an array.
func arrayText(numbers []int) string {
	text := []byte{'{'}
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(n), 10)
	}
	return string(append(text, '}'))
}

// addTallies writes out the sum of each bucket: a subquery over both arrays takes Postgres as long as all else here.
var addTallies = `INSERT INTO delivery_rollups AS r (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
		SELECT v.organization_id, v.webhook_endpoint_id, v.hour, v.error_kind, v.status_code, v.slot, v.attempts, v.first_attempts, v.succeeded, v.failed, v.latency::integer[]
		FROM GIVEN AS v(organization_id uuid, webhook_endpoint_id uuid, hour timestamptz, error_kind text, status_code smallint, slot smallint,
			attempts integer, first_attempts integer, succeeded integer, failed integer, latency text)
		ON CONFLICT (organization_id, hour, webhook_endpoint_id, error_kind, status_code, slot) DO UPDATE SET
			attempts = r.attempts + excluded.attempts, first_attempts = r.first_attempts + excluded.first_attempts,
			succeeded = r.succeeded + excluded.succeeded, failed = r.failed + excluded.failed,
			latency = ARRAY[` + strings.Join(latencySums(), ", ") + `]`

func latencySums() []string {
	sums := make([]string, latencyBuckets)
	for i := range sums {
		sums[i] = fmt.Sprintf("r.latency[%d] + excluded.latency[%[1]d]", i+1)
	}
	return sums
}
