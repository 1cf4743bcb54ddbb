package delivery

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const retryAfterCap = time.Hour

// retryDelays are the waits before attempts 2 to 8, from the end of the attempt before (RETRY_DELAYS).
var retryDelays = [AttemptsPerRun - 1]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

// RetryDelays returns the waits before attempts 2 to 8.
func RetryDelays() [AttemptsPerRun - 1]time.Duration { return retryDelays }

// Window is the sum of RetryDelays: how long a delivery is tried.
func Window() time.Duration {
	var sum time.Duration
	for _, d := range retryDelays {
		sum += d
	}
	return sum
}

// nextAttempt returns when to try again after counted attempt k (1 to 7) that ended at end (contract section 7.7).
// jitter is in [0, 1]; retryAfter is the header's value, honoured for 429 and 503 only.
func nextAttempt(k int, end time.Time, jitter float64, statusCode int, retryAfter string) time.Time {
	delay := retryDelays[k-1]
	if k > 1 {
		delay += time.Duration(float64(delay) * 0.10 * jitter)
	}
	scheduled := end.Add(delay)
	if statusCode != http.StatusTooManyRequests && statusCode != http.StatusServiceUnavailable {
		return scheduled
	}
	asked, ok := parseRetryAfter(retryAfter, end)
	if !ok || !asked.After(scheduled) {
		return scheduled
	}
	if latest := scheduled.Add(retryAfterCap); asked.After(latest) {
		return latest
	}
	return asked
}

// parseRetryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3).
func parseRetryAfter(value string, from time.Time) (time.Time, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return time.Time{}, false
	}
	if strings.Trim(value, "0123456789") == "" {
		// More digits than this are beyond any cap, and would overflow.
		if len(value) > 9 {
			value = "999999999"
		}
		seconds, err := strconv.Atoi(value)
		return from.Add(time.Duration(seconds) * time.Second), err == nil
	}
	at, err := http.ParseTime(value)
	return at, err == nil
}

// initialExpiry is when the payload of a delivery made now is erased, delivered or not (contract section 7.9).
func initialExpiry(now time.Time, retention time.Duration) time.Time {
	return now.Add(Window()).Add(retention)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
