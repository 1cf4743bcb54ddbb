package api

import (
	"context"
	"net/http"
	"regexp"

	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
)

// The routes of the person who is checked: no API key, and errors of their own (contract section 8.6).
func (d *door) verifyRoutes() {
	const single = "/v1/verify/session/{id}"
	missing := []int{http.StatusNotFound}
	add(d, route{method: "POST", path: single + "/cancel", id: "redeemCancelToken", summary: "Cancel or withdraw with the cancel token", body: bodyRequired, limited: true, status: http.StatusNoContent, errors: []int{http.StatusUnauthorized, http.StatusNotFound}}, d.redeem)
	add(d, route{method: "GET", path: single + "/status", id: "getPublicStatus", summary: "Get the status of a session", errors: missing}, d.publicStatus)
	add(d, route{method: "GET", path: single + "/privacy-context", id: "getPrivacyContext", summary: "Get what a withdrawal would reach", errors: missing}, d.privacyContext)
}

func (p SessionPath) publicID() (id.Session, error) {
	return parseID[id.SessionKind](p.ID, verification.ErrPublicNotFound)
}

type redemption struct {
	CancelToken string `json:"cancel_token" pattern:"^[a-z0-9]{48}$"`
}

type redeemInput struct {
	SessionPath
	Body body[redemption]
}

var cancelToken = regexp.MustCompile(`^[a-z0-9]{48}$`)

func (d *door) redeem(ctx context.Context, in *redeemInput) (*nothing, error) {
	if !cancelToken.MatchString(in.Body.Value.CancelToken) {
		return nil, errPublicBody
	}
	sessionID, err := in.publicID()
	if err != nil {
		return nil, err
	}
	return &nothing{}, d.Sessions.Redeem(ctx, actorOf(ctx), sessionID, in.Body.Value.CancelToken)
}

type publicStatus struct {
	ID          string  `json:"id"`
	Status      string  `json:"status" enum:"created,in_progress,succeeded,failed,expired,cancelled"`
	IsTerminal  bool    `json:"is_terminal"`
	ExpiresAt   string  `json:"expires_at" format:"date-time"`
	CompletedAt *string `json:"completed_at" format:"date-time"`
}

func (d *door) publicStatus(ctx context.Context, in *SessionPath) (*one[publicStatus], error) {
	sessionID, err := in.publicID()
	if err != nil {
		return nil, err
	}
	s, err := d.Sessions.GetPublic(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	return oneOf(publicStatus{
		ID: s.ID.String(), Status: string(s.Status), IsTerminal: !s.Status.Active(),
		ExpiresAt: stamp(s.ExpiresAt), CompletedAt: stampPtr(s.CompletedAt),
	}), nil
}

type privacyContext struct {
	HasWithdrawnConsent     bool             `json:"has_withdrawn_consent"`
	IsTerminal              bool             `json:"is_terminal"`
	ResultWebhookDeliveries resultDeliveries `json:"result_webhook_deliveries"`
}

// resultDeliveries counts deliveries of succeeded events only.
type resultDeliveries struct {
	TotalCount       int `json:"total_count"`
	SucceededCount   int `json:"succeeded_count"`
	UndeliveredCount int `json:"undelivered_count"`
}

func (d *door) privacyContext(ctx context.Context, in *SessionPath) (*one[privacyContext], error) {
	sessionID, err := in.publicID()
	if err != nil {
		return nil, err
	}
	p, err := d.Sessions.Privacy(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	return oneOf(privacyContext{p.WithdrawnConsent, p.Terminal, resultDeliveries{p.Total, p.Succeeded, p.Undelivered}}), nil
}
