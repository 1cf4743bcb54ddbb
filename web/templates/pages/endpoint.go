package pages

import "kaylehooks/web/templates/ui"

// EndpointHead is what all sub-pages of one endpoint share.
//
//	POST /endpoints/{id}/test            sends a test event
//	POST /endpoints/{id}/pause | /resume
//
// Put those into Heading.Actions as POST actions.
type EndpointHead struct {
	Heading ui.Heading
	SubNav  ui.SubNav
}

// EndpointOverview is the first sub-page of an endpoint.
//
//	GET /endpoints/{id}?range=24h|7d|30d
type EndpointOverview struct {
	Shell    ui.Shell
	Head     EndpointHead
	Verdict  ui.Verdict
	Tiles    []ui.Tile // four fit best
	Volume   ui.BarChart
	Latency  ui.LineChart
	Schedule ui.RetrySchedule
	Backlog  ui.Link // note beside the schedule, for example "501 deliveries wait"
	Errors   ErrorKinds
	Codes    []ui.HBar // response codes
	Facts    []ui.Fact
	Recent   []DeliveryRow
	AllHref  string
}

// EndpointDeliveries is the deliveries list of one endpoint.
//
//	GET /endpoints/{id}/deliveries?status=&type=&…   #results, as on /deliveries
type EndpointDeliveries struct {
	Shell   ui.Shell
	Head    EndpointHead
	Live    *ui.Live
	Filters ui.Filters
	Results DeliveriesResults
}

// EndpointActivity lists the audit rows of one endpoint.
//
//	GET /endpoints/{id}/activity?after=
type EndpointActivity struct {
	Shell   ui.Shell
	Head    EndpointHead
	Results AuditResults
}

// EndpointDelete asks before an endpoint is deleted.
//
//	GET  /endpoints/{id}/delete
//	POST /endpoints/{id}/delete   confirm (the endpoint's name, or its host)
type EndpointDelete struct {
	Shell   ui.Shell
	Head    EndpointHead
	Confirm ui.Confirm // Typed has the name "confirm"
}

// EndpointGone is the tombstone of a deleted endpoint.
type EndpointGone struct {
	Shell   ui.Shell
	Heading ui.Heading
	Text    string
	Facts   []ui.Fact
	Actions []ui.Action // for example "Its deliveries"
}

// EndpointKeys is the encryption-keys page of one endpoint.
//
//	GET  /endpoints/{id}/keys
//	POST /endpoints/{id}/keys         multipart: keytext, keyfile, key_id, pick, then (stage)
//	POST /endpoints/{id}/keys/check   same fields; HX-Request: answers with the
//	                                  KeyCheck panel (200 or 422), else the page
//	POST /keys/{id}/deactivate | /reactivate | /challenge
//	GET  /keys/{id}/jwk               downloads the public key
type EndpointKeys struct {
	Shell      ui.Shell
	Head       EndpointHead
	Blocked    *ui.Alert // no active key: new deliveries are blocked
	Active     *KeyView
	Challenges []KeyChallenge
	Staged     []RetiredKey
	Add        *KeyForm // nil for people who may not add keys
	Retired    []RetiredKey
	RetireNow  string // note above the retired keys
	// RetirePager leads to older ones.
	RetirePager ui.Pager
	Generate    []Snippet
}

// KeyView is one key with everything that identifies it.
type KeyView struct {
	Badges  []ui.Badge
	Left    []ui.Fact // key id, record, algorithm, added, encrypted, first and last used
	Right   []ui.Fact // RFC 7638, SPKI SHA-256, each with the command in Pre
	Actions []ui.Action
	Note    string
}

// KeyForm adds a key.
type KeyForm struct {
	Action      string      // "/endpoints/{id}/keys"
	CheckAction string      // "/endpoints/{id}/keys/check"
	Text        ui.Textarea // id and name "keytext", Sensitive; the check listens to that id
	KeyID       ui.Field    // id "keyid", name "key_id"
	FileError   string
	Errors      ui.FormErrors
	Check       KeyCheck
	Preview     string // what activation changes, in numbers
	Private     string // an expression that finds private keys, which are stopped in the browser
}

// KeyCheck is the panel #check: each rule with its outcome.
type KeyCheck struct {
	Badge   *ui.Badge // for example "1 of 9 rules failed"; nil before the first check
	Rules   []ui.Rule
	Facts   []ui.Fact
	Private bool      // a private key was received: nothing of it is kept or echoed
	Pick    ui.Select // a JWKS with several keys: name "pick"; no options hides it
}

// KeyChallenge is a code that was sent and not answered yet.
//
//	POST /keys/{id}/verify   challenge; empty looks at what the receiver answered, as the poll does
type KeyChallenge struct {
	ID        string // of its section
	KeyID     string
	Action    string
	EventHref string
	State     ui.Badge // of the delivery
	Poll      bool
	Code      ui.Field
}

// RetiredKey is one inactive key.
type RetiredKey struct {
	ID        string
	KeyID     string
	Sub       string // for example "3072 bit, added by Ana Lindqvist"
	Badge     ui.Badge
	Verified  ui.Badge
	Hashes    []ui.Fact // as KeyView.Right
	Active    string    // for example "Nov 5, 2025 – Jan 14, 2026"
	Exact     string    // Active with times
	Used      string    // for example "used Nov 6, 2025 – Jan 14, 2026"
	Encrypted string
	// WaitingHref is the list of what is encrypted to it and not delivered.
	WaitingHref string
	// EncryptedHref is the list of what was encrypted to it.
	EncryptedHref string
	Waiting       string
	Actions       []ui.Action // JWK, Reactivate
}

// Snippet is a titled piece of code with a copy button.
type Snippet struct {
	ID    string
	Title string
	Code  string
	Note  string
}

// EndpointSecret is the signing-secret page of one endpoint.
//
//	GET  /endpoints/{id}/secret
//	POST /endpoints/{id}/secret/rotate        overlap (hours: 0, 1, 24, 72, 168), force ("1")
//	GET  /endpoints/{id}/secret/end-overlap   asks
//	POST /endpoints/{id}/secret/end-overlap
//	POST /endpoints/{id}/secret/reveal        password (empty within 10 minutes of the last check)
//
// The answers to rotate and reveal are this page with Shown set, sent with
// Cache-Control: no-store.
type EndpointSecret struct {
	Shell        ui.Shell
	Head         EndpointHead
	Facts        []ui.Fact // masked secret, created, last used
	Shown        *SecretOnce
	Overlap      *Overlap
	RotateAction string
	OverlapHours ui.CheckGroup // radio, name "overlap"
	ForceNeeded  bool          // an overlap runs: rotation drops the older secret
	RotateNote   string
	RevealAction string   // empty for people who may not reveal
	Password     ui.Field // name "password"
	NeedPassword bool
	RevealHint   string // for admins: who may reveal
	Errors       ui.FormErrors
}

// Overlap is a running overlap of two secrets.
type Overlap struct {
	Text    string // for example "Two secrets sign every request."; "The overlap ends …" is added
	Left    ui.Time
	Waiting ui.Link // deliveries not yet sent under the new secret alone; Next goes on with what becomes of them
	Next    string
	EndHref string // asks before it is ended; empty for those who may not
}
