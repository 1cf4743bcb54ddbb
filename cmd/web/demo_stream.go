package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"kaylehooks/internal/verification"
)

// The stream begins quickly, so that there is something to see, and then keeps the pace of the history.
const (
	streamPause = 4 * time.Second
	calmPause   = 45 * time.Second
)

// stream runs sessions of every kind through the API, one after the other, until ctx ends.
func (d *demo) stream(ctx context.Context, base string) error {
	c := client{base: base, key: d.state.Setup.APIKey, http: &http.Client{Timeout: 20 * time.Second}}
	random := rand.New(rand.NewPCG(uint64(d.app.db.Now().UnixNano()), 1)) //nolint:gosec // made-up people
	acts := []act{actSuccess, actSuccess}
	for _, code := range verification.FailureCodes() {
		acts = append(acts, actFailure(code), actSuccess)
	}
	acts = append(acts, actCancel, actCancelByToken, actWithdrawal, actNothing)
	tick := time.NewTicker(streamPause)
	defer tick.Stop()
	d.say("  %d sessions follow quickly, then one every %s", len(acts), calmPause)
	for n := 0; ; n++ {
		if n == len(acts) {
			tick.Reset(calmPause)
		}
		act := acts[n%len(acts)]
		if err := d.act(ctx, c, random, n+1, act); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			d.say("  ! session %d (%s): %v", n+1, act, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// act is what happens in a session.
type act string

const (
	actSuccess       act = "success"
	actCancel        act = "cancel"
	actCancelByToken act = "cancel by token"
	actWithdrawal    act = "withdrawal"
	actNothing       act = "left alone" // it expires in an hour
)

func actFailure(code verification.FailureCode) act { return act("failure " + code) }

// act plays one session.
func (d *demo) act(ctx context.Context, c client, random *rand.Rand, n int, what act) error {
	s, err := c.post(ctx, "/v1/sessions", map[string]any{"share_fields": json.RawMessage(demoShareFields)})
	if err != nil {
		return err
	}
	d.say("→ session %d: %s %s", n, what, s.ID)
	if what == actNothing {
		return nil
	}
	return c.play(ctx, random, s, what)
}

// play brings a new session to its end.
func (c client) play(ctx context.Context, random *rand.Rand, s apiSession, what act) error {
	path := "/v1/sessions/" + s.ID
	_, err := c.post(ctx, path+"/start", nil)
	if err != nil {
		return err
	}
	switch what {
	case actCancel:
		_, err = c.post(ctx, path+"/cancel", nil)
	case actCancelByToken:
		err = c.redeem(ctx, s)
	case actSuccess, actWithdrawal:
		claims, selected := demoClaims(random, s.ShareFields)
		_, err = c.post(ctx, path+"/success", map[string]any{"claims": claims, "selected_field_keys": selected})
		if err == nil && what == actWithdrawal {
			err = c.redeem(ctx, s)
		}
	default:
		code := strings.TrimPrefix(string(what), string(actFailure("")))
		var now apiSession
		for range verification.CheckBudget {
			if now, err = c.post(ctx, path+"/check-failures", map[string]any{"failure_code": code}); err != nil || now.Status == string(verification.Failed) {
				break
			}
		}
	}
	return err
}

func (c client) redeem(ctx context.Context, s apiSession) error {
	_, err := c.post(ctx, "/v1/verify/session/"+s.ID+"/cancel", map[string]any{"cancel_token": s.CancelToken})
	return err
}
