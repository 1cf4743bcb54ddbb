package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

func (d *door) sessionRoutes() {
	const base, single = "/v1/sessions", "/v1/sessions/{id}"
	missing, ended := []int{http.StatusNotFound}, []int{http.StatusNotFound, http.StatusConflict, http.StatusGone}
	add(d, route{method: "POST", path: base, id: "createSession", summary: "Create a session", scope: access.SessionsWrite, body: bodyOptional, idempotent: true, secret: true}, d.createSession)
	add(d, route{method: "GET", path: base, id: "listSessions", summary: "List sessions", scope: access.SessionsRead}, d.listSessions)
	add(d, route{method: "GET", path: single, id: "getSession", summary: "Get a session", scope: access.SessionsRead, errors: missing}, d.getSession)
	add(d, route{method: "POST", path: single + "/cancel", id: "cancelSession", summary: "Cancel a session", scope: access.SessionsWrite, status: http.StatusNoContent, errors: missing}, d.cancelSession)
	add(d, route{method: "POST", path: single + "/start", id: "startSession", summary: "Report that the check began", scope: access.ChecksWrite, errors: ended}, d.startSession)
	add(d, route{method: "POST", path: single + "/check-failures", id: "reportCheckFailure", summary: "Report a failed check", scope: access.ChecksWrite, body: bodyRequired, errors: ended}, d.reportFailure)
	add(d, route{method: "POST", path: single + "/success", id: "reportSuccess", summary: "Report the result of a check", scope: access.ChecksWrite, body: bodyRequired, errors: ended}, d.reportSuccess)
}

// SessionResource is a session as contract section 8.7 shows it. It is exported because huma looks into exported
// embedded structs only.
type SessionResource struct {
	ID                string                `json:"id"`
	Status            string                `json:"status" enum:"created,in_progress,succeeded,failed,expired,cancelled"`
	FailureCode       *string               `json:"failure_code"`
	NFCTriesUsed      int                   `json:"nfc_tries_used" minimum:"0" maximum:"3"`
	LivenessTriesUsed int                   `json:"liveness_tries_used" minimum:"0" maximum:"3"`
	ContractVersion   int                   `json:"contract_version"`
	ShareFields       map[string]shareField `json:"share_fields"`
	RedirectURL       *string               `json:"redirect_url"`
	WebhookEndpointID targets               `json:"webhook_endpoint_id"`
	VerificationURL   string                `json:"verification_url" format:"uri"`
	ExpiresAt         string                `json:"expires_at" format:"date-time"`
	CompletedAt       *string               `json:"completed_at" format:"date-time"`
	CreatedAt         string                `json:"created_at" format:"date-time"`
	UpdatedAt         string                `json:"updated_at" format:"date-time"`
}

type shareField struct {
	Required bool   `json:"required"`
	Reason   string `json:"reason"`
	Source   string `json:"source" enum:"default,rc"`
}

// sessionWithToken is the one answer that shows a cancel token.
type sessionWithToken struct {
	SessionResource
	CancelToken string `json:"cancel_token"`
}

// targets are endpoint ids: shown as null for none, a string for one, an array for several (contract section 4.6).
type targets []string

// MarshalJSON picks the form.
func (t targets) MarshalJSON() ([]byte, error) {
	switch len(t) {
	case 0:
		return []byte("null"), nil
	case 1:
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// Schema describes the three forms.
func (targets) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString},
		{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
		{Extensions: map[string]any{"type": "null"}},
	}}
}

func (s SessionResource) cursor() string { return s.ID }

func (d *door) showSession(s verification.Session) SessionResource {
	fields := make(map[string]shareField, len(s.ShareFields))
	for name, f := range s.ShareFields {
		fields[name] = shareField{f.Required, f.Reason, string(f.Source)}
	}
	var limited targets
	for _, e := range s.Targets() {
		limited = append(limited, e.String())
	}
	return SessionResource{
		ID: s.ID.String(), Status: string(s.Status), FailureCode: stringPtr(s.FailureCode),
		NFCTriesUsed: s.NFCTriesUsed, LivenessTriesUsed: s.LivenessTriesUsed, ContractVersion: event.ContractVersion,
		ShareFields: fields, RedirectURL: s.RedirectURL, WebhookEndpointID: limited,
		VerificationURL: d.VerificationBaseURL + "/" + s.ID.String(),
		ExpiresAt:       stamp(s.ExpiresAt), CompletedAt: stampPtr(s.CompletedAt), CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt),
	}
}

// SessionPath names a session.
type SessionPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"vs_01kdvdna00e4hr28t5cy4tqkff"`
}

func (p SessionPath) id() (id.Session, error) {
	return parseID[id.SessionKind](p.ID, verification.ErrNotFound)
}

// sessionCreate is read member by member in newSession: each has an error code of its own.
type sessionCreate struct {
	RedirectURL       rawRedirect `json:"redirect_url,omitempty"`
	ShareFields       rawShare    `json:"share_fields,omitempty"`
	WebhookEndpointID rawTargets  `json:"webhook_endpoint_id,omitempty"`
}

type (
	rawRedirect struct{ json.RawMessage }
	rawShare    struct{ json.RawMessage }
	rawTargets  struct{ json.RawMessage }
)

func (*rawRedirect) wanted() string { return "a string" }
func (*rawShare) wanted() string    { return "an object" }
func (*rawTargets) wanted() string  { return "a string or an array of strings" }

// Schema describes an absolute https URL.
func (rawRedirect) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "An absolute https URL of at most 2,048 characters."}
}

// Schema describes a share contract.
func (rawShare) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Description: "What the person is asked to share, by claim key; every static claim when left out.",
		AdditionalProperties: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"required", "reason"}, AdditionalProperties: true,
			Properties: map[string]*huma.Schema{"required": {Type: huma.TypeBoolean}, "reason": {Type: huma.TypeString}},
		},
	}
}

// Schema describes one target or several.
func (rawTargets) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "Only these enabled endpoints are told of the result: one id, or 1 to 25.",
		OneOf:       []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}},
	}
}

// newSession reads the shapes that the room does not look at. Errors come in the order of contract section 4.6.
func newSession(b sessionCreate) (verification.NewSession, error) {
	var in verification.NewSession
	if b.RedirectURL.RawMessage != nil {
		var text string // what is no string is no URL either, and the room says so
		_ = json.Unmarshal(b.RedirectURL.RawMessage, &text)
		in.RedirectURL = &text
	}
	in.ShareFields = b.ShareFields.RawMessage
	limited, wrong := readTargets(b.WebhookEndpointID.RawMessage)
	if wrong != nil {
		if err := in.Check(); err != nil {
			return in, err
		}
		return in, wrong
	}
	in.Targets = limited
	return in, nil
}

// readTargets reads one id or several.
func readTargets(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var single *string
	var several []*string
	if json.Unmarshal(raw, &single) == nil && single != nil {
		several = []*string{single}
	} else if json.Unmarshal(raw, &several) != nil || several == nil {
		return nil, fault.InvalidField("webhook_endpoint_id", "must be a string or an array of strings")
	}
	ids := []string{}
	for _, text := range several {
		if text == nil || !idMax.MatchString(*text) {
			return nil, fault.InvalidField("webhook_endpoint_id", "must have ids of 1 to 128 characters")
		}
		ids = append(ids, *text)
	}
	return ids, nil
}

type createSessionInput struct{ Body body[sessionCreate] }

func (d *door) createSession(ctx context.Context, in *createSessionInput) (*one[sessionWithToken], error) {
	wanted, err := newSession(in.Body.Value)
	if err != nil {
		return nil, err
	}
	return once(ctx, d, wanted.Check, func(tx *postgres.Tx) (sessionWithToken, error) {
		created, token, err := d.Sessions.CreateIn(tx, actorOf(ctx), wanted)
		shown := sessionWithToken{d.showSession(created), token}
		shown.VerificationURL += "?" + url.Values{"cancel_token": {token}}.Encode()
		return shown, err
	})
}

type listSessionsInput struct {
	Paging
	Period
	Status string `query:"status" enum:"created,in_progress,succeeded,failed,expired,cancelled"`
}

func (d *door) listSessions(ctx context.Context, in *listSessionsInput) (*many[SessionResource], error) {
	actor := actorOf(ctx)
	from, to, err := in.times()
	if err != nil {
		return nil, err
	}
	at, err := page(in.Paging, func(cursor id.Session) (*postgres.Position, error) {
		return d.Sessions.Position(ctx, actor, cursor)
	})
	if err != nil {
		return nil, err
	}
	list, err := d.Sessions.List(ctx, actor, verification.Filter{Status: verification.Status(in.Status), From: from, To: to}, at)
	if err != nil {
		return nil, err
	}
	return listOf(in.Limit, list.Rows, list.HasOlder, d.showSession), nil
}

func (d *door) getSession(ctx context.Context, in *SessionPath) (*one[SessionResource], error) {
	return d.oneSession(ctx, in, d.Sessions.Get)
}

func (d *door) cancelSession(ctx context.Context, in *SessionPath) (*nothing, error) {
	sessionID, err := in.id()
	if err != nil {
		return nil, err
	}
	return &nothing{}, d.Sessions.Cancel(ctx, actorOf(ctx), sessionID)
}

func (d *door) startSession(ctx context.Context, in *SessionPath) (*one[SessionResource], error) {
	return d.oneSession(ctx, in, d.Sessions.Start)
}

type checkFailure struct {
	_           struct{} `additionalProperties:"false"`
	FailureCode string   `json:"failure_code" enum:"document_authenticity_failed,document_active_authentication_failed,document_chip_authentication_failed,liveness_failed,selfie_face_mismatch,document_anti_cloning_attestation_failed,document_data_invalid"`
}

type reportFailureInput struct {
	SessionPath
	Body body[checkFailure]
}

func (d *door) reportFailure(ctx context.Context, in *reportFailureInput) (*one[SessionResource], error) {
	return d.oneSession(ctx, &in.SessionPath, func(ctx context.Context, actor access.Actor, session id.Session) (verification.Session, error) {
		return d.Sessions.ReportFailure(ctx, actor, session, verification.FailureCode(in.Body.Value.FailureCode))
	})
}

type checkSuccess struct {
	_                 struct{}                   `additionalProperties:"false"`
	Claims            map[string]json.RawMessage `json:"claims" doc:"The value of each selected key; null or absent for the others."`
	SelectedFieldKeys []string                   `json:"selected_field_keys"`
}

type reportSuccessInput struct {
	SessionPath
	Body body[checkSuccess]
}

func (d *door) reportSuccess(ctx context.Context, in *reportSuccessInput) (*one[SessionResource], error) {
	return d.oneSession(ctx, &in.SessionPath, func(ctx context.Context, actor access.Actor, session id.Session) (verification.Session, error) {
		return d.Sessions.ReportSuccess(ctx, actor, session, in.Body.Value.Claims, in.Body.Value.SelectedFieldKeys)
	})
}

func (d *door) oneSession(ctx context.Context, in *SessionPath, operation func(context.Context, access.Actor, id.Session) (verification.Session, error)) (*one[SessionResource], error) {
	sessionID, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := operation(ctx, actorOf(ctx), sessionID)
	if err != nil {
		return nil, err
	}
	return oneOf(d.showSession(found)), nil
}
