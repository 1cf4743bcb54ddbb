package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kaylehooks/internal/event"
	"kaylehooks/internal/verification"
)

type triggerCommand struct {
	Test    triggerTest    `cmd:"" help:"Send a test event to one endpoint."`
	Session triggerSession `cmd:"" help:"Run a session with made-up data to its result."`
}

const triggerExits = `

Exit codes: 0 done, and with --wait every receiver took the event; 2 the arguments must be mended, or the API refused; 3 with
--wait, a receiver did not take the event, or there is none to take it; 1 anything else.`

// Help is shown below the usage.
func (triggerCommand) Help() string {
	return `Calls the JSON API of a running server, as a customer and as the check engine would.

Examples:
  web trigger test whe_01h455vb4pex5vsknk084sn02q --wait
  web trigger session --result failed --wait` + triggerExits
}

// Help is shown below the usage.
func (triggerTest) Help() string {
	return `Examples:
  export KAYLEHOOKS_API_KEY=kk_…
  web trigger test whe_01h455vb4pex5vsknk084sn02q
  web trigger test whe_01h455vb4pex5vsknk084sn02q --json --wait` + triggerExits
}

// Help is shown below the usage.
func (triggerSession) Help() string {
	return `Examples:
  export KAYLEHOOKS_API_KEY=kk_…
  web trigger session
  web trigger session --result failed --endpoint whe_01h455vb4pex5vsknk084sn02q
  web trigger session --json --wait | jq -r '.deliveries[].status'` + triggerExits
}

// apiFlags say how to reach the API.
type apiFlags struct {
	URL     string        `help:"Where the server is." default:"http://127.0.0.1:8080" env:"KAYLEHOOKS_URL"`
	APIKey  string        `help:"API key. Test events need webhooks:write, sessions need sessions:write, checks:write and webhooks:read." env:"KAYLEHOOKS_API_KEY" required:"" placeholder:"KK_…"`
	Wait    bool          `help:"Wait until every receiver has answered once."`
	Timeout time.Duration `help:"How long to wait." default:"30s"`
	JSON    bool          `help:"Print one JSON object." name:"json"`
}

type triggerTest struct {
	apiFlags
	Endpoint string `arg:"" help:"Endpoint (whe_…) to send it to."`
}

// Run sends a test event.
func (c triggerTest) Run(env environment) error {
	var e apiEvent
	api := c.client()
	if err := api.call(env.ctx, http.MethodPost, "/v1/webhooks/endpoints/"+url.PathEscape(c.Endpoint)+"/test", nil, &e); err != nil {
		return c.explain(err)
	}
	return c.finish(env, api, triggered{EventID: e.ID, Type: e.Type, Deliveries: e.Deliveries})
}

type triggerSession struct {
	apiFlags
	Result   string   `help:"How it ends: ${enum}." enum:"succeeded,failed,cancelled" default:"succeeded"`
	Endpoint []string `help:"Endpoint (whe_…) that is to hear of it; repeat for several. Without it all that subscribe do."`
}

// Run plays a session.
func (c triggerSession) Run(env environment) error {
	api := c.client()
	in := map[string]any{"share_fields": json.RawMessage(demoShareFields)}
	if len(c.Endpoint) > 0 {
		in["webhook_endpoint_id"] = c.Endpoint
	}
	s, err := api.post(env.ctx, "/v1/sessions", in)
	if err != nil {
		return c.explain(err)
	}
	play := map[string]act{"succeeded": actSuccess, "failed": actFailure(verification.SelfieFaceMismatch), "cancelled": actCancel}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) //nolint:gosec // made-up people
	if err := api.play(env.ctx, random, s, play[c.Result]); err != nil {
		return c.explain(err)
	}
	e, err := api.ending(env.ctx, s, "verification.session."+c.Result)
	if err != nil {
		return c.explain(err)
	}
	return c.finish(env, api, triggered{SessionID: s.ID, EventID: e.ID, Type: e.Type, Deliveries: e.Deliveries})
}

// ending is the event of the type that a session has ended with. Others may have ended since, so that it can be on any page.
func (c client) ending(ctx context.Context, s apiSession, eventType string) (apiEvent, error) {
	query := url.Values{"limit": {"100"}, "type": {eventType}, "created_from": {s.CreatedAt}}
	for {
		var events []apiEvent
		next, err := c.page(ctx, "/v1/webhooks/events?"+query.Encode(), &events)
		if err != nil {
			return apiEvent{}, err
		}
		for _, e := range events {
			if e.TriggerID == s.ID {
				return e, nil
			}
		}
		if next == "" {
			return apiEvent{}, fmt.Errorf("there is no event %s of %s", eventType, s.ID)
		}
		query.Set("starting_after", next)
	}
}

type apiEvent struct {
	ID         string        `json:"id"`
	Type       string        `json:"type"`
	TriggerID  string        `json:"trigger_id"`
	Deliveries []apiDelivery `json:"deliveries"`
}

type apiDelivery struct {
	ID             string `json:"id"`
	EndpointID     string `json:"webhook_endpoint_id"`
	Status         string `json:"status"`
	AttemptCount   int    `json:"attempt_count"`
	LastStatusCode *int   `json:"last_status_code"`
}

// triggered is what trigger prints.
type triggered struct {
	SessionID  string        `json:"session_id,omitempty"`
	EventID    string        `json:"event_id"`
	Type       string        `json:"type"`
	Deliveries []apiDelivery `json:"deliveries"`
}

func (f apiFlags) client() client {
	const patience = 20 * time.Second
	return client{base: strings.TrimSuffix(f.URL, "/"), key: f.APIKey, http: &http.Client{Timeout: patience}}
}

// explain makes what the person can mend a usage error.
func (f apiFlags) explain(err error) error {
	var refused *apiError
	var unreachable *net.OpError
	switch {
	case errors.As(err, &refused) && refused.status < http.StatusInternalServerError:
		return usageError{err}
	case errors.As(err, &unreachable):
		return usagef("%s is not reachable: start `web serve`, or say with --url or KAYLEHOOKS_URL where it is (%w)", f.URL, unreachable.Err)
	}
	return err
}

// finish waits, if asked to, prints, and says whether all is well.
func (f apiFlags) finish(env environment, api client, result triggered) error {
	var pending error
	if f.Wait {
		ctx, cancel := context.WithTimeout(env.ctx, f.Timeout)
		defer cancel()
		pending = api.answered(ctx, &result)
	}
	if result.Deliveries == nil {
		result.Deliveries = []apiDelivery{}
	}
	if err := f.print(env, result); err != nil || !f.Wait {
		return err
	}
	if pending != nil {
		return f.explain(pending)
	}
	return result.verdict()
}

// answered waits until each delivery of the event has been attempted, or never will be.
func (c client) answered(ctx context.Context, result *triggered) error {
	const pause = 200 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		var e apiEvent
		err := c.call(ctx, http.MethodGet, "/v1/webhooks/events/"+result.EventID, nil, &e)
		if ctx.Err() != nil {
			return nil // verdict says what is missing
		}
		if err != nil {
			return err
		}
		result.Deliveries = e.Deliveries
		open := 0
		for _, d := range e.Deliveries {
			if d.AttemptCount == 0 && d.Status != "failed" {
				open++
			}
		}
		if open == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (t triggered) verdict() error {
	if len(t.Deliveries) == 0 {
		return receiverError{errors.New("no endpoint receives this event: none is enabled and subscribes to it")}
	}
	var bad []string
	for _, d := range t.Deliveries {
		if d.Status != "succeeded" {
			bad = append(bad, d.ID+" "+d.outcome())
		}
	}
	if len(bad) > 0 {
		return receiverError{errors.New("not taken: " + strings.Join(bad, ", "))}
	}
	return nil
}

func (d apiDelivery) outcome() string {
	switch {
	case d.LastStatusCode != nil:
		return fmt.Sprintf("%s, answered %d", d.Status, *d.LastStatusCode)
	case d.AttemptCount > 0:
		return d.Status + ", no answer"
	case d.Status == "failed":
		return "failed, nothing could be sent"
	}
	return d.Status + ", not sent yet"
}

func (f apiFlags) print(env environment, t triggered) error {
	if f.JSON {
		return json.NewEncoder(env.stdout).Encode(t)
	}
	var out strings.Builder
	if t.SessionID != "" {
		_, _ = fmt.Fprintf(&out, "session   %s\n", t.SessionID)
	}
	_, _ = fmt.Fprintf(&out, "event     %s %s\n", t.EventID, event.Type(t.Type).Short())
	for _, d := range t.Deliveries {
		_, _ = fmt.Fprintf(&out, "delivery  %s to %s: %s\n", d.ID, d.EndpointID, d.outcome())
	}
	_, err := fmt.Fprint(env.stdout, out.String())
	return err
}
