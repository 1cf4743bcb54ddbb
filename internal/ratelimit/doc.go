// Package ratelimit holds the token buckets of contract section 8.9 in Redis. While Redis is away each process keeps
// buckets of its own: the limits then hold per process, and nothing is refused because of the outage.
package ratelimit
