// Package idempotency owns idempotency_keys: the answers to requests that carried an Idempotency-Key (contract section
// 8.5). The record is written in the transaction of the effect it stands for, so there is never one without the other.
// Answers are sealed, requests are kept as keyed fingerprints only. The JSON API calls it.
package idempotency
