package ratelimit

import "context"

// AllowTogether is Allow for requests of one rule that leave as one batch.
func (l *Limiter) AllowTogether(ctx context.Context, rule Rule, subjects ...string) []Result {
	asks := make([]ask, len(subjects))
	for i, s := range subjects {
		asks[i] = ask{rule, s}
	}
	answers, _ := l.askAll(ctx, asks) // errors are in the answers
	results := make([]Result, len(answers))
	for i, a := range answers {
		results[i] = a.Result
	}
	return results
}
