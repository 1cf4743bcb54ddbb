// Package delivery owns webhook_deliveries, webhook_delivery_attempts, jobs, job_visits and delivery_rollups: the way of an event
// to every endpoint (contract section 7).
//
//	publish ─► pending ─► claim ─► attempt ─► record ─► pending | succeeded | failed
//
// The table is the outbox: a row is due when next_attempt_at says so, whoever rings and whatever Redis holds. What
// publishes, retries or lists is called by the rooms above and by the doors; Claim, ClaimThese and Send are called by the queue.
package delivery
