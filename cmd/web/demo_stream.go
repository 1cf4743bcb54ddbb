package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"kaylehooks/internal/verification"
)

// The stream begins quickly, so that there is something to see, and then keeps the pace of the history.
const (
	streamPause = 4 * time.Second
	calmPause   = 45 * time.Second
)

// client calls the public JSON API, as a customer and as the check engine.
type client struct {
	base, key string
	http      *http.Client
}

type apiSession struct {
	ID          string                   `json:"id"`
	Status      string                   `json:"status"`
	CancelToken string                   `json:"cancel_token"`
	ShareFields verification.ShareFields `json:"share_fields"`
}

// post sends a request and reads the envelope.
func (c client) post(ctx context.Context, path string, body any) (apiSession, error) {
	raw := []byte{}
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return apiSession{}, fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(raw))
	if err != nil {
		return apiSession{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return apiSession{}, fmt.Errorf("call the API: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	const most = 1 << 20
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return apiSession{}, fmt.Errorf("read the API's answer: %w", err)
	}
	if res.StatusCode == http.StatusNoContent {
		return apiSession{}, nil
	}
	var envelope struct {
		Data  apiSession
		Error *struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return apiSession{}, fmt.Errorf("POST %s: status %d without an envelope", path, res.StatusCode)
	}
	if envelope.Error != nil {
		return apiSession{}, fmt.Errorf("POST %s: %s: %s", path, envelope.Error.Code, envelope.Error.Message)
	}
	return envelope.Data, nil
}

// stream runs sessions of every kind through the API, one after the other, until ctx ends.
func (d *demo) stream(ctx context.Context, base string) error {
	c := client{base: base, key: d.state.Setup.APIKey, http: &http.Client{Timeout: 20 * time.Second}}
	random := rand.New(rand.NewPCG(uint64(d.app.db.Now().UnixNano()), 1)) //nolint:gosec // made-up people
	acts := []string{"success", "success"}
	for _, code := range verification.FailureCodes() {
		acts = append(acts, "failure "+string(code), "success")
	}
	acts = append(acts, "cancel", "cancel by token", "withdrawal", "left alone")
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

// act plays one session.
func (d *demo) act(ctx context.Context, c client, random *rand.Rand, n int, act string) error {
	s, err := c.post(ctx, "/v1/sessions", map[string]any{"share_fields": json.RawMessage(demoShareFields)})
	if err != nil {
		return err
	}
	d.say("→ session %d: %s %s", n, act, s.ID)
	path := "/v1/sessions/" + s.ID
	if act == "left alone" {
		return nil // it expires in an hour
	}
	if _, err := c.post(ctx, path+"/start", nil); err != nil {
		return err
	}
	switch act {
	case "cancel":
		_, err = c.post(ctx, path+"/cancel", nil)
	case "cancel by token":
		err = d.redeem(ctx, c, s)
	case "success", "withdrawal":
		claims, selected := demoClaims(random, s.ShareFields)
		_, err = c.post(ctx, path+"/success", map[string]any{"claims": claims, "selected_field_keys": selected})
		if err == nil && act == "withdrawal" {
			err = d.redeem(ctx, c, s)
		}
	default:
		code := verification.FailureCode(act[len("failure "):])
		for range verification.CheckBudget {
			if s, err = c.post(ctx, path+"/check-failures", map[string]any{"failure_code": code}); err != nil || s.Status == string(verification.Failed) {
				break
			}
		}
	}
	return err
}

func (d *demo) redeem(ctx context.Context, c client, s apiSession) error {
	_, err := c.post(ctx, "/v1/verify/session/"+s.ID+"/cancel", map[string]any{"cancel_token": s.CancelToken})
	return err
}
