package dashboard

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/gorilla/sessions"

	"kaylehooks/internal/egress"
	"kaylehooks/internal/login"
	"kaylehooks/internal/seal"
	"kaylehooks/web/templates/ui"
)

const (
	sessionCookie = "__Host-kaylehooks"
	// formCookie ties a form shown to somebody without a session to the browser it was shown in.
	formCookie = "__Host-kaylehooks-form"
	tokenKey   = "t"
	// zoneCookie is written by app.js: the browser's time zone, which no header tells.
	zoneCookie = "kaylehooks-zone"
)

// newCookieStore derives the cookie keys from the master keys: cookies survive a restart and are read by every process,
// and a rotated master key still opens what the old one closed.
func newCookieStore(k *seal.Keyring) *sessions.CookieStore {
	authenticate, encrypt := k.Hashes(seal.Cookie, "authenticate"), k.Hashes(seal.Cookie, "encrypt")
	var pairs [][]byte
	for i := range authenticate {
		pairs = append(pairs, bytesOf(authenticate[i]), bytesOf(encrypt[i]))
	}
	store := sessions.NewCookieStore(pairs...)
	// The store's own defaults are SameSite=None, readable by scripts, for 30 days.
	store.Options = &sessions.Options{Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	store.MaxAge(int(login.Lifetime.Seconds()))
	return store
}

func bytesOf(h seal.Hash) []byte {
	b, err := hex.DecodeString(h.Hex)
	if err != nil {
		panic("dashboard: a keyed hash is not hex")
	}
	return b
}

// readCookie returns the token in a cookie of ours, or "" when there is none or it does not open.
func (p *page) readCookie(name string) string {
	s, err := p.cookies.New(p.R, name)
	if err != nil {
		return ""
	}
	token, _ := s.Values[tokenKey].(string)
	return token
}

// writeCookie sets a cookie to hold a token; an empty token removes it. It must come before the first body byte.
func (p *page) writeCookie(name, token string) error {
	s := sessions.NewSession(p.cookies, name)
	opts := *p.cookies.Options
	s.Options = &opts
	s.Values[tokenKey] = token
	if token == "" {
		s.Options.MaxAge = -1
	}
	return p.cookies.Save(p.R, p.W, s)
}

func (p *page) sessionToken() string { return p.readCookie(sessionCookie) }

// formToken is the form token of a browser without a session, or "" when it has none yet.
func (p *page) formToken() string { return p.readCookie(formCookie) }

// ensureFormToken gives the browser a form token before a public form is shown.
func (p *page) ensureFormToken() (string, error) {
	if token := p.formToken(); token != "" {
		return token, nil
	}
	token := rand.Text()
	return token, p.writeCookie(formCookie, token)
}

// waitingFlash is how a flash waits in the session for the next page.
type waitingFlash struct {
	Tone   ui.Tone       `json:"tone"`
	Text   string        `json:"text"`
	Sub    string        `json:"sub,omitempty"`
	Link   *ui.Link      `json:"link,omitempty"`
	Action *ui.Action    `json:"action,omitempty"`
	Sight  *egress.Sight `json:"sight,omitempty"`
}

// encodeFlash writes a flash, and what a look at a receiver found, as the text that login keeps.
func encodeFlash(f ui.Flash, sight *egress.Sight) string {
	b, err := json.Marshal(waitingFlash{f.Tone, f.Text, f.Sub, f.Link, f.Action, sight})
	if err != nil {
		return f.Text
	}
	return string(b)
}

// decodeFlash reads what encodeFlash wrote; other text is a plain success.
func decodeFlash(s string) (ui.Flash, *egress.Sight) {
	var f waitingFlash
	if json.Unmarshal([]byte(s), &f) != nil {
		return ui.Flash{Tone: ui.OK, Text: s}, nil
	}
	return ui.Flash{Tone: f.Tone, Text: f.Text, Sub: f.Sub, Link: f.Link, Action: f.Action}, f.Sight
}
