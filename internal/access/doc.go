// Package access says who is acting and what they may do: actors, roles, scopes, and the one table that joins them
// (contract section 9).
package access
