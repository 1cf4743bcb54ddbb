package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/batch"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/webhook"
)

// Service holds the operations on sessions.
type Service struct {
	DB         *postgres.DB
	Keyring    *seal.Keyring
	Deliveries *delivery.Service

	prepare   sync.Once
	successes *batch.Group[success, reported]
	crowd     crowd
}

// NewSession is the input of Create.
type NewSession struct {
	RedirectURL *string
	// ShareFields is the requested share contract as JSON; nil means the default.
	ShareFields json.RawMessage
	// Targets are text ids of endpoints; nil means every endpoint.
	Targets []string
}

func target(s id.Session) audit.Target {
	return audit.Target{Type: "verification_session", ID: s.String()}
}

// Create opens a session and returns it with its cancel token, which is kept as a keyed hash only. It needs
// sessions:write; the refusals of contract section 4.6.
func (s *Service) Create(ctx context.Context, actor access.Actor, in NewSession) (Session, string, error) {
	var session Session
	var token string
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		session, token, err = s.CreateIn(tx, actor, in)
		return err
	})
	return session, token, err
}

// CreateIn is Create inside the caller's transaction.
func (s *Service) CreateIn(tx *postgres.Tx, actor access.Actor, in NewSession) (Session, string, error) {
	if err := actor.Require(access.SessionsWrite, tx.Now); err != nil {
		return Session{}, "", err
	}
	share, err := in.check()
	if err != nil {
		return Session{}, "", err
	}
	targets, err := s.targets(tx, actor.Organization, in.Targets)
	if err != nil {
		return Session{}, "", err
	}
	token := seal.NewSecret("", CancelLength)
	hash, master := s.Keyring.Hash(seal.CancelToken, seal.CancelTokenMessage(token))
	session := Session{
		ID: id.Session{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, Status: Created,
		ShareFields: share, RedirectURL: in.RedirectURL, WebhookEndpointIDs: targets,
		CancelTokenHash: hash, CancelTokenMasterKeyID: master,
		ExpiresAt: tx.Now.Add(TTL), CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	if err := tx.Create(&session).Error; err != nil {
		return Session{}, "", fmt.Errorf("insert session: %w", err)
	}
	return session, token, audit.Record(tx, actor, "session.created", target(session.ID), nil)
}

// Check reports what Create would refuse whatever is stored: for callers that look into something else first.
func (in NewSession) Check() error {
	_, err := in.check()
	return err
}

// check returns the effective share contract.
func (in NewSession) check() (ShareFields, error) {
	if in.RedirectURL != nil {
		if err := checkRedirect(*in.RedirectURL); err != nil {
			return nil, err
		}
	}
	share, err := effectiveShare(in.ShareFields)
	if err == nil && in.Targets != nil && (len(in.Targets) < 1 || len(in.Targets) > MaxTargets) {
		err = fault.InvalidField("webhook_endpoint_id", fmt.Sprintf("must be one id or 1 to %d ids", MaxTargets))
	}
	return share, err
}

func checkRedirect(raw string) error {
	u, err := url.Parse(raw)
	if err == nil && u.Port() != "" {
		_, err = strconv.ParseUint(u.Port(), 10, 16) // net/url takes any number
	}
	if err != nil || utf8.RuneCountInString(raw) > webhook.URLMax || u.Scheme != "https" || u.Hostname() == "" || strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r == 0x7f }) {
		return refuse(fault.CodeInvalidRedirectURL, "redirect_url must be an absolute https URL.", "redirect_url")
	}
	return nil
}

// targets checks that each id names an enabled endpoint of the organization; duplicates are removed.
func (s *Service) targets(tx *postgres.Tx, org id.Organization, texts []string) (postgres.UUIDArray, error) {
	if texts == nil {
		return postgres.UUIDArray{}, nil
	}
	var wanted []id.Endpoint
	for _, text := range texts {
		e, err := id.Parse[id.EndpointKind](text)
		if err != nil {
			return nil, ErrEndpointUnavailable
		}
		if !slices.Contains(wanted, e) {
			wanted = append(wanted, e)
		}
	}
	enabled, err := webhook.EnabledAmong(tx, org, wanted)
	if err != nil {
		return nil, err
	}
	targets := make(postgres.UUIDArray, 0, len(wanted))
	for _, e := range wanted {
		if !enabled[e] {
			return nil, ErrEndpointUnavailable
		}
		targets = append(targets, e.UUID)
	}
	return targets, nil
}

// lock reads the organization's session for update.
func lock(tx *postgres.Tx, org id.Organization, session id.Session) (Session, error) {
	rows := []Session{}
	// No index can serve this comparison of the organization. By a plan from when there were few sessions, "=" went through an index of all that
	// the organization has.
	err := tx.Raw("SELECT * FROM verification_sessions WHERE id = $1 AND organization_id IS NOT DISTINCT FROM $2 FOR UPDATE", session, org).Scan(&rows).Error
	if err != nil {
		return Session{}, fmt.Errorf("lock session %s: %w", session, err)
	}
	if len(rows) == 0 {
		return Session{}, ErrNotFound
	}
	return rows[0], nil
}

// Get returns one session. It needs sessions:read; ErrNotFound. Reading never changes state.
func (s *Service) Get(ctx context.Context, actor access.Actor, session id.Session) (Session, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.SessionsRead, tx.Now); err != nil {
		return Session{}, err
	}
	return take(tx.Where("organization_id = ? AND id = ?", actor.Organization, session), ErrNotFound)
}

// GetPublic returns a session to whoever knows its id. ErrPublicNotFound.
func (s *Service) GetPublic(ctx context.Context, session id.Session) (Session, error) {
	return take(s.DB.Reader(ctx).Where("id = ?", session), ErrPublicNotFound)
}

func take(q *gorm.DB, missing error) (Session, error) {
	var session Session
	err := q.Take(&session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Session{}, missing
	}
	if err != nil {
		return Session{}, fmt.Errorf("load session: %w", err)
	}
	return session, nil
}

// Filter narrows a list; the zero value of a field filters nothing. From and To are inclusive.
type Filter struct {
	Status Status
	// Undelivered keeps sessions that have ended and whose last event is not with every endpoint that was to receive it,
	// or was meant for none.
	Undelivered bool
	From, To    time.Time
}

// List returns sessions, newest first. It needs sessions:read.
func (s *Service) List(ctx context.Context, actor access.Actor, f Filter, page postgres.Page) (postgres.List[Session], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.SessionsRead, tx.Now); err != nil {
		return postgres.List[Session]{}, err
	}
	q := tx.Table("verification_sessions AS s").Where("s.organization_id = ?", actor.Organization)
	if f.Status != "" {
		q = q.Where("s.status = ?", f.Status)
	}
	if f.Undelivered {
		var err error
		if q, err = whereUndelivered(tx, q, actor.Organization, f.From); err != nil {
			return postgres.List[Session]{}, err
		}
	}
	if !f.From.IsZero() {
		q = q.Where("s.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("s.created_at <= ?", f.To)
	}
	list, err := postgres.Fetch[Session](q, "s", page)
	if err != nil {
		return list, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// Position finds the session that a list continues after. It is postgres.ErrCursor for one of another organization.
func (s *Service) Position(ctx context.Context, actor access.Actor, session id.Session) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("verification_sessions").Where("organization_id = ?", actor.Organization), session.UUID)
}

// PrivacyContext is what the holder of a session id may learn before withdrawing (contract section 8.6).
type PrivacyContext struct {
	WithdrawnConsent, Terminal    bool
	Total, Succeeded, Undelivered int
}

// Privacy returns the privacy context of a session; its counts are over deliveries of succeeded events. ErrPublicNotFound.
func (s *Service) Privacy(ctx context.Context, session id.Session) (PrivacyContext, error) {
	found, err := s.GetPublic(ctx, session)
	if err != nil {
		return PrivacyContext{}, err
	}
	var p PrivacyContext
	err = s.DB.Reader(ctx).Raw(`SELECT count(*) AS total, count(*) FILTER (WHERE d.status = 'succeeded') AS succeeded, count(*) FILTER (WHERE d.status <> 'succeeded') AS undelivered
		FROM events e JOIN webhook_deliveries d ON d.event_id = e.id
		WHERE e.trigger_id = $1 AND e.type = 'verification.session.succeeded'`, session).Scan(&p).Error
	if err != nil {
		return PrivacyContext{}, fmt.Errorf("count deliveries of %s: %w", session, err)
	}
	p.WithdrawnConsent, p.Terminal = found.CancelTokenConsumedAt != nil, !found.Status.Active()
	return p, nil
}
