// Package fault is the vocabulary for expected failures: a kind that a door maps to a status, a code that
// clients read, and a message that is safe to show. Anything that is not a *fault.Error is a fault of ours.
package fault
