package badreceiver

import "net/http"

// Always answers every request with one status.
func Always(status int) Behaviour {
	return func(*http.Request, int) Answer { return Answer{Status: status} }
}
