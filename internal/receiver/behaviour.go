package receiver

import (
	"net/http"
	"time"
)

// Always answers every request with one status.
func Always(status int) Behaviour {
	return func(*http.Request, int) Answer { return Answer{Status: status} }
}

// Slowly behaves well after a delay.
func Slowly(delay time.Duration) Behaviour {
	return func(*http.Request, int) Answer { return Answer{Delay: delay} }
}

// FailFirst answers the first n requests with a status and behaves well from then on.
func FailFirst(n, status int) Behaviour {
	return func(_ *http.Request, i int) Answer {
		if i <= n {
			return Answer{Status: status}
		}
		return Answer{}
	}
}

// FailEvery answers every nth request with a status and behaves well otherwise.
func FailEvery(n, status int) Behaviour {
	return func(_ *http.Request, i int) Answer {
		if n > 0 && i%n == 0 {
			return Answer{Status: status}
		}
		return Answer{}
	}
}
