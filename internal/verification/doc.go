// Package verification owns verification_sessions: their creation, the reports of the check engine, their single terminal
// event, cancellation, expiry and withdrawal (contract sections 3 and 4). Claim values pass through it in memory on their
// way to being encrypted and are never stored, logged or echoed.
package verification
