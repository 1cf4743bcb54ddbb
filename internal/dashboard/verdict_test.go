package dashboard

import (
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
)

// made is a counted attempt of run 1: a status, or a kind without one.
func made(number, code int, kind delivery.ErrorKind, at time.Time) delivery.Attempt {
	took := int64(120)
	a := delivery.Attempt{Run: 1, Number: number, Counted: true, Status: delivery.Failed, StartedAt: at, DurationMS: &took}
	if code != 0 {
		a.StatusCode = &code
		if code < 200 || code > 299 {
			kind = delivery.HTTPStatus
		}
	}
	if kind != "" {
		a.ErrorKind = &kind
	} else {
		a.Status = delivery.Succeeded
	}
	return a
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	run := func(results ...any) []delivery.Attempt {
		var out []delivery.Attempt
		for i, r := range results {
			switch r := r.(type) {
			case int:
				out = append(out, made(i+1, r, "", at))
			case delivery.ErrorKind:
				out = append(out, made(i+1, 0, r, at))
			}
		}
		return out
	}
	tests := map[string]struct {
		run  []delivery.Attempt
		want string
	}{
		"nothing yet":  {nil, ""},
		"one":          {run(503), "The endpoint answered 503."},
		"the same":     {run(503, 503, 503), "The endpoint answered 503 each time."},
		"several":      {run(503, 502, 503, 500, 503), "The endpoint answered 503 three times, 500 once and 502 once."},
		"one without":  {run(503, 503, 502, delivery.TimeoutResponse, 503, 503, 503, 503), "The endpoint answered 503 six times and 502 once; attempt 4 got no answer within 15 s."},
		"two without":  {run(delivery.DNS, 500, delivery.DNS), "The endpoint answered 500 once; attempts 1 and 3 failed to resolve the host name."},
		"only one":     {run(delivery.Refused), "Attempt 1 met a refused connection."},
		"none came":    {run(delivery.TLS, delivery.TLS), "Each attempt failed in the TLS handshake."},
		"many of many": {run(delivery.Reset, delivery.Reset, delivery.Reset, delivery.Reset, 500), "The endpoint answered 500 once; 4 attempts lost the connection before an answer was complete."},
		"two kinds":    {run(delivery.TimeoutConnect, delivery.BlockedAddress), "Attempt 1 got no connection within 15 s; attempt 2 met an address that must not be reached."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := answers(tc.run); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDeliveryVerdict(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	now := start.Add(30 * time.Hour)
	ptr := func(at time.Time) *time.Time { return &at }
	reason := func(r delivery.RetentionReason) *delivery.RetentionReason { return &r }
	kind, code := delivery.HTTPStatus, 503
	base := delivery.Delivery{Run: 1, CreatedAt: start, NextTrigger: delivery.Automatic}
	with := func(f func(d *delivery.Delivery)) delivery.Delivery { d := base; f(&d); return d }
	var eight []delivery.Attempt
	for i := range 8 {
		eight = append(eight, made(i+1, 503, "", start.Add(time.Duration(i)*(28*time.Hour+23*time.Minute)/7)))
	}
	failed := func(held bool) delivery.Delivery {
		return with(func(d *delivery.Delivery) {
			d.Status, d.AttemptCount, d.LastErrorKind, d.LastStatusCode = delivery.Failed, 8, &kind, &code
			d.PayloadRetentionReason = reason(delivery.Expired)
			if held {
				d.PayloadExpiresAt, d.PayloadRetentionReason = ptr(now.Add(42*time.Hour)), reason(delivery.TerminalFailureRetention)
			}
		})
	}
	tests := map[string]struct {
		s         story
		say, next string
		retryable bool
	}{
		"scheduled": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.NextAttemptAt, d.PayloadExpiresAt = delivery.Pending, &now, ptr(now.Add(time.Hour))
			})},
			"The first attempt is due now.", "A worker takes it as soon as one is free.", true,
		},
		"retried by hand": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.Run, d.NextAttemptAt, d.NextTrigger, d.PayloadExpiresAt = delivery.Pending, 2, &now, delivery.Manual, ptr(now.Add(time.Hour))
			}), Attempts: eight},
			"Retried by hand: attempt 1 of run 2 is due now.", "What was tried before stays below; the new run has eight attempts of its own.", true,
		},
		"in flight": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.PayloadExpiresAt = delivery.Delivering, 1, ptr(now.Add(time.Hour))
			}), Attempts: eight[:1]},
			"Attempt 2 of 8 is being sent right now.", "An answer is waited for at most 15 s. Until then: the endpoint answered 503.", false,
		},
		"retrying": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.NextAttemptAt, d.LastErrorKind, d.LastStatusCode = delivery.Pending, 3, ptr(now.Add(2*time.Hour+5*time.Minute)), &kind, &code
				d.PayloadExpiresAt = ptr(now.Add(50 * time.Hour))
			}), Attempts: eight[:3]},
			"3 attempts failed; attempt 4 of 8 is due in 2 h 05 m. The endpoint answered 503 each time.",
			"Look at the receiver; waiting deliveries go on by themselves when it is back. It is given up at the latest when its payload expires, Mar 5, 17:30.", true,
		},
		"retrying soon": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.NextAttemptAt = delivery.Pending, 1, ptr(now.Add(59*time.Second))
			}), Attempts: eight[:1]},
			"1 attempt failed; attempt 2 of 8 is due in less than a minute. The endpoint answered 503.", "", false,
		},
		"parked": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadExpiresAt = delivery.Pending, ptr(now.Add(time.Hour))
			}), Paused: true},
			"Parked: the endpoint is paused, so nothing is sent to it.",
			"It goes on by itself when the endpoint is resumed; no attempt is used meanwhile. It is given up at the latest when its payload expires, Mar 3, 16:30.", false,
		},
		"first try": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.PayloadRetentionReason = delivery.Succeeded, 1, reason(delivery.Delivered)
			}), Attempts: []delivery.Attempt{made(1, 204, "", start)}},
			"Delivered on the first attempt: the endpoint answered 204 in 120 ms.", "The payload was erased at once; nothing can or need be sent again.", false,
		},
		"third try": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.PayloadRetentionReason = delivery.Succeeded, 3, reason(delivery.Delivered)
			}), Attempts: []delivery.Attempt{made(1, 503, "", start), made(2, 0, delivery.DNS, start.Add(5*time.Second)), made(3, 200, "", start.Add(305*time.Second))}},
			"Delivered on attempt 3 of 8, 5 min after the event: the endpoint answered 200 in 120 ms. Before that: the endpoint answered 503 once; attempt 2 failed to resolve the host name.",
			"The payload was erased at once; nothing can or need be sent again.", false,
		},
		"failed, held": {
			story{Delivery: failed(true), Attempts: eight},
			"Failed after 8 attempts over 28 h 23 m. The endpoint answered 503 each time.",
			"Check that the receiver is up again. The encrypted payload is kept until Mar 5, 09:30; until then you can retry.", true,
		},
		"failed, endpoint paused": {
			story{Delivery: failed(true), Attempts: eight, Paused: true},
			"Failed after 8 attempts over 28 h 23 m. The endpoint answered 503 each time.",
			"Check that the receiver is up again. The encrypted payload is kept until Mar 5, 09:30; resume the endpoint to retry.", false,
		},
		"failed, gone": {
			story{Delivery: failed(false), Attempts: eight},
			"Failed after 8 attempts over 28 h 23 m. The endpoint answered 503 each time.",
			"Check that the receiver is up again. The encrypted payload is gone, so it cannot be sent again.", false,
		},
		"blocked": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.NoActiveKey)
			}), WantsKey: true},
			"Blocked: the endpoint had no active key, so nothing could be encrypted.",
			"Nothing was sent and nothing is kept, so this event never reaches the endpoint. Add a key before the next one.", false,
		},
		"encryption failed": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.JWECreationFailed)
			}), WantsKey: true},
			"Blocked: encrypting to the endpoint's key failed, so nothing could be sent.",
			"Nothing was sent and nothing is kept, so this event never reaches the endpoint. Replace the key, and look in the server's log for the reason.", false,
		},
		"encryption failed, and the key was replaced": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.JWECreationFailed)
			})},
			"Blocked: encrypting to the endpoint's key failed, so nothing could be sent.",
			"Nothing was sent and nothing is kept, so this event never reaches the endpoint. Another key is active by now; the server's log has the reason.", false,
		},
		"blocked, and a key was added": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.NoActiveKey)
			})},
			"Blocked: the endpoint had no active key, so nothing could be encrypted.",
			"Nothing was sent and nothing is kept, so this event never reaches the endpoint. The endpoint has an active key by now.", false,
		},
		"withdrawn": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.AttemptCount, d.PayloadRetentionReason = delivery.Failed, 1, reason(delivery.PrivacyRequest)
			}), Attempts: eight[:1]},
			"Withdrawn: the person took back their consent before the endpoint had received it. Until then: the endpoint answered 503.",
			"The payload was erased. Where the endpoint subscribes to it, a cancelled event takes its place.", false,
		},
		"expired unsent": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.Expired)
			})},
			"Expired: the encrypted payload reached the end of its time before it was delivered. Nothing had been sent.",
			"It was erased, so it cannot be sent again.", false,
		},
		"endpoint deleted": {
			story{Delivery: with(func(d *delivery.Delivery) {
				d.Status, d.PayloadRetentionReason = delivery.Failed, reason(delivery.EndpointDeleted)
			}), Gone: true},
			"Ended: the endpoint was deleted before the webhook reached it. Nothing had been sent.", "The payload was erased with the endpoint.", false,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.s.Now, tc.s.Moment = now, func(at time.Time) string { return at.Format("Jan 2, 15:04") }
			got := deliveryVerdict(tc.s)
			if got.Say != tc.say {
				t.Errorf("says\n%q, want\n%q", got.Say, tc.say)
			}
			if got.Next != tc.next {
				t.Errorf("goes on\n%q, want\n%q", got.Next, tc.next)
			}
			if got.Icon == "" || got.Tone == "" {
				t.Error("has no look")
			}
			if refusal := tc.s.retryRefusal(); (refusal == "") != tc.retryable {
				t.Errorf("retry is refused with %q", refusal)
			}
		})
	}
}

func TestKindPhrase_EveryKindFinishesASentence(t *testing.T) {
	t.Parallel()
	for _, kind := range delivery.ErrorKinds() {
		if text := kindPhrase(kind); text == "" || strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", kind, text)
		}
	}
}

func TestAxisOf_OneTimeoutDoesNotPressTheOthersFlat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		took []int64
		want int
	}{
		"none": {nil, 1000}, "quick": {[]int64{20, 31, 90}, 100}, "slow": {[]int64{900, 3100}, 4000},
		"one ran out": {[]int64{80, 90, 110, 15000}, 400}, "all ran out": {[]int64{15000, 15001}, 16000},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var attempts []delivery.Attempt
			for _, ms := range tc.took {
				attempts = append(attempts, delivery.Attempt{DurationMS: &ms})
			}
			if got := axisOf(attempts); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond: "less than a second", 41 * time.Second: "41 s", 8 * time.Minute: "8 min",
		28*time.Hour + 23*time.Minute: "28 h 23 m", 80 * time.Hour: "3 d 8 h", -41 * time.Second: "41 s",
	} {
		if got := length(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestFirstID(t *testing.T) {
	t.Parallel()
	const whd = "whd_01h455vb4pex5vsknk084sn02q"
	tests := map[string]struct{ text, kind, found string }{
		"plain":            {whd, "whd", whd},
		"header":           {"X-Kayle-Delivery-Id: " + whd, "whd", whd},
		"printed header":   {"x-kayle-delivery-id: WHD_01H455VB4PEX5VSKNK084SN02Q\r\n", "whd", whd},
		"log line":         {`level=INFO msg=webhook delivery_id="` + whd + `" status=503`, "whd", whd},
		"address":          {"https://hooks.example.com/deliveries/" + whd + "?attempt=x", "whd", whd},
		"first of two":     {"vs_01h455vb4pex5vsknk084sn02q " + whd, "vs", "vs_01h455vb4pex5vsknk084sn02q"},
		"too short":        {"whd_01h455vb4pex5vsknk084sn02", "", ""},
		"too long":         {whd + "q", "", ""},
		"overflow":         {"whd_8zzzzzzzzzzzzzzzzzzzzzzzzz", "", ""},
		"letter not in it": {"whd_01h455vb4pex5vsknk084sn02l", "", ""},
		"unknown prefix":   {"foo_01h455vb4pex5vsknk084sn02q", "", ""},
		"nothing":          {"", "", ""},
		"beyond the bound": {strings.Repeat("x ", findMax) + whd, "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if kind, found := firstID(tc.text); kind != tc.kind || found != tc.found {
				t.Errorf("got %q %q, want %q %q", kind, found, tc.kind, tc.found)
			}
		})
	}
}

// Every attempt that took time has a bar, also where it ended within a phase.
func TestPhases_TheOneThatFailedHasALength(t *testing.T) {
	t.Parallel()
	ms := func(n int64) *int64 { return &n }
	for _, tc := range []struct {
		kind  delivery.ErrorKind
		phase string
		label string
	}{
		{delivery.DNS, "dns", "No address"},
		{delivery.TimeoutConnect, "conn", "Resolve 20 ms, then no connection"},
		{delivery.Refused, "conn", "Resolve 20 ms, then no connection"},
		{delivery.TLS, "tls", "Resolve 20 ms, connect 30 ms, then no TLS"},
		{delivery.Reset, "wait", "Resolve 20 ms, connect 30 ms, then no connection any more"},
		{delivery.TimeoutResponse, "wait", "Resolve 20 ms, connect 30 ms, then no answer"},
	} {
		a := delivery.Attempt{ErrorKind: &tc.kind, DurationMS: ms(1000)}
		left := 1000
		if tc.phase != "dns" {
			a.DNSMS, left = ms(20), left-20
			if tc.phase != "conn" {
				a.ConnectMS, left = ms(30), left-30
			}
		}
		v := phasesOf(a, 1000)
		if last := v.Parts[len(v.Parts)-1]; last.Kind != tc.phase || last.Ms != left || v.Label != tc.label {
			t.Errorf("%s: %+v, %q, want %s of %d ms, %q", tc.kind, v.Parts, v.Label, tc.phase, left, tc.label)
		}
	}
}
