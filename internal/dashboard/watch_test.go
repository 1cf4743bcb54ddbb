package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
)

// What shows deliveries looks after itself when something is about to happen to one of them, and not before.
func TestWatch(t *testing.T) {
	t.Parallel()
	due := func(in time.Duration) delivery.Delivery {
		at := fixture.Start.Add(in)
		return delivery.Delivery{Status: delivery.Pending, NextAttemptAt: &at}
	}
	flying, ended, parked := delivery.Delivery{Status: delivery.Delivering}, delivery.Delivery{Status: delivery.Succeeded}, delivery.Delivery{Status: delivery.Pending}
	for name, c := range map[string]struct {
		of   []delivery.Delivery
		want string
	}{
		"nothing":               {nil, ""},
		"nothing more to come":  {[]delivery.Delivery{ended, parked}, ""},
		"in flight":             {[]delivery.Delivery{ended, flying}, "every 3s"},
		"overdue":               {[]delivery.Delivery{due(-time.Minute)}, "every 3s"},
		"due any moment":        {[]delivery.Delivery{due(29 * time.Second)}, "every 3s"},
		"due in a while":        {[]delivery.Delivery{due(20 * time.Minute), due(4 * time.Minute)}, "every 241s"},
		"due in a longer while": {[]delivery.Delivery{due(29 * time.Minute)}, "every 300s"},
		"due in hours":          {[]delivery.Delivery{due(2 * time.Hour)}, ""},
	} {
		p := &page{R: httptest.NewRequest(http.MethodGet, "/deliveries?live=1", nil), Now: fixture.Start}
		if got := p.watch(c.of...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		p.R = httptest.NewRequest(http.MethodGet, "/deliveries?live=0", nil)
		if got := p.watch(c.of...); got != "" {
			t.Errorf("%s, paused: %q", name, got)
		}
	}
}
