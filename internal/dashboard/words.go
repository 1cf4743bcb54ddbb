package dashboard

import (
	"fmt"
	"strconv"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/web/templates/ui"
)

// This file says in words what the stored codes mean. Everything in it is a pure function; both tables and sentences of
// every page come from here.

// errorWords explains an error kind: a short name, what it means, and what to do about it.
type errorWords struct{ Name, Meaning, Next string }

// explainError explains why an attempt failed. code is the status that was received, or 0.
func explainError(kind delivery.ErrorKind, code int) errorWords {
	switch kind {
	case delivery.HTTPStatus:
		return explainStatus(code)
	case delivery.RedirectRefused:
		return errorWords{"Redirect", "The endpoint answered with a redirect. Redirects are never followed.", "Enter the final address as the endpoint's URL."}
	case delivery.TimeoutConnect:
		return errorWords{"Connect timeout", "No connection was ready before the time of 15 s was over.", "Check that the host accepts connections from the internet and that no firewall drops them."}
	case delivery.TimeoutResponse:
		return errorWords{"Response timeout", "The request was sent, but no complete answer came within 15 s.", "Store the webhook and answer 2xx at once; do the work afterwards."}
	case delivery.DNS:
		return errorWords{"DNS", "The host name could not be resolved.", "Check the name in the URL and its DNS records."}
	case delivery.TLS:
		return errorWords{"TLS", "The TLS handshake failed, or the certificate is not valid for this host.", "Check the certificate: its names, its expiry and that the whole chain is sent. TLS 1.2 is the least version."}
	case delivery.Refused:
		return errorWords{"Connection refused", "The host refused the connection: nothing listens on this port.", "Check that the service runs and listens on the port of the URL."}
	case delivery.Reset:
		return errorWords{"Connection reset", "The connection broke before an answer was complete.", "Look for restarts, crashes or limits at the receiver and its load balancer."}
	case delivery.BlockedAddress:
		return errorWords{"Address blocked", "The host resolves to an address that must not be reached, such as a private network, or the URL is no longer acceptable.", "Use a public address. Nothing was sent."}
	case delivery.NoSigningSecret:
		return errorWords{"No signing secret", "The endpoint's signing secret is missing or could not be opened with the master keys of this server.", "Check MASTER_KEYS, or rotate the secret."}
	case delivery.DisabledBeforeSend:
		return errorWords{"Paused before sending", "The endpoint was paused between the start of the attempt and sending. It does not count.", "Resume the endpoint; the delivery waits for that."}
	case delivery.WorkerLost:
		return errorWords{"Worker lost", "The worker stopped before it could write the result. Whether the endpoint received the webhook is not known.", "Nothing: the delivery is tried again. Receivers recognise a repetition by the event id."}
	case delivery.Internal:
		return errorWords{"Our fault", "A fault on our side ended the attempt.", "Look in the server's log around this time."}
	}
	return errorWords{string(kind), "The attempt failed.", "Look at the attempt."}
}

// explainStatus explains a status that is neither 2xx nor 3xx.
func explainStatus(code int) errorWords {
	name := strconv.Itoa(code)
	switch {
	case code == 0:
		return errorWords{"HTTP status", "The endpoint answered with a status other than 2xx.", "Any 2xx status counts as received; anything else is tried again."}
	case code == 401 || code == 403:
		return errorWords{name, "The endpoint, or something in front of it, refuses the request.", "Let requests without a login through; check the signature instead."}
	case code == 404 || code == 410:
		return errorWords{name, "There is nothing at this path.", "Correct the endpoint's URL."}
	case code == 405:
		return errorWords{name, "The path does not take POST requests.", "Correct the endpoint's URL, or its route."}
	case code == 413:
		return errorWords{name, "The receiver takes no body of this size.", "Raise its body limit; an encrypted webhook has a few KiB."}
	case code == 415:
		return errorWords{name, "The receiver does not take the content type application/jose.", "Accept application/jose and read the body as text."}
	case code == 429:
		return errorWords{name, "The receiver asks for fewer requests. Its Retry-After is respected, up to an hour beyond the schedule.", "Raise its limit if this goes on."}
	case code == 503:
		return errorWords{name, "The receiver says that it is not available. Its Retry-After is respected, up to an hour beyond the schedule.", "Look at the receiver; waiting deliveries go on by themselves when it is back."}
	case code == 502 || code == 504:
		return errorWords{name, "A gateway in front of the receiver got no usable answer from it.", "Look at the receiver behind the gateway."}
	case code >= 500:
		return errorWords{name, "The receiver failed while it handled the webhook.", "Look in the receiver's log at the time of the attempt."}
	}
	return errorWords{name, "The receiver does not accept the webhook.", "Look in the receiver's log: often the signature check or decryption fails."}
}

// resultCode is the outcome of one attempt as a chip; kind is "" for a 2xx.
func resultCode(kind delivery.ErrorKind, code int) ui.Code {
	switch {
	case kind == "" && code == 0:
		return ui.Code{Tone: ui.OK, Icon: "check", Text: "2xx", Mono: true}
	case kind == "":
		return ui.Code{Tone: ui.OK, Icon: "check", Text: strconv.Itoa(code), Mono: true}
	case kind == delivery.RedirectRefused && code != 0:
		return ui.Code{Tone: ui.Warn, Icon: "arrow", Text: strconv.Itoa(code), Mono: true}
	case code >= 500:
		return ui.Code{Tone: ui.Bad, Icon: "warn", Text: strconv.Itoa(code), Mono: true}
	case code != 0:
		return ui.Code{Tone: ui.Bad, Icon: "cross", Text: strconv.Itoa(code), Mono: true}
	case kind == delivery.DisabledBeforeSend:
		return ui.Code{Tone: ui.Neutral, Icon: "pause", Text: explainError(kind, 0).Name}
	case kind == delivery.WorkerLost:
		return ui.Code{Tone: ui.Warn, Icon: "loop", Text: explainError(kind, 0).Name}
	case kind == delivery.BlockedAddress:
		return ui.Code{Tone: ui.Bad, Icon: "blocked", Text: explainError(kind, 0).Name}
	}
	return ui.Code{Tone: ui.Bad, Icon: "cross", Text: explainError(kind, 0).Name}
}

// lastResult is the outcome of a delivery's last counted attempt, or nil when there was none.
func lastResult(d delivery.Delivery) *ui.Code {
	if d.LastAttemptAt == nil {
		return nil
	}
	code := resultCode(lastKind(d), lastCode(d))
	return &code
}

func lastKind(d delivery.Delivery) delivery.ErrorKind {
	if d.LastErrorKind == nil {
		return ""
	}
	return *d.LastErrorKind
}

func lastCode(d delivery.Delivery) int {
	if d.LastStatusCode == nil {
		return 0
	}
	return *d.LastStatusCode
}

// stateLook is how a display state looks without the numbers of one delivery.
type stateLook struct {
	Tone        ui.Tone
	Icon, Word  string
	Explanation string
}

// lookOf gives each display state its tone, icon and word. Red is kept for what needs a person.
func lookOf(s delivery.State) stateLook {
	switch s {
	case delivery.StateScheduled:
		return stateLook{ui.Neutral, "clock", "Scheduled", "Waits for its first attempt."}
	case delivery.StateInFlight:
		return stateLook{ui.Info, "arrow", "In flight", "Is being sent right now."}
	case delivery.StateRetrying:
		return stateLook{ui.Warn, "loop", "Retrying", "The last attempt failed; the next one is scheduled."}
	case delivery.StateParked:
		return stateLook{ui.Neutral, "pause", "Parked", "Waits until its endpoint is resumed. No attempt is used."}
	case delivery.StateSucceeded:
		return stateLook{ui.OK, "check", "Succeeded", "The endpoint answered 2xx."}
	case delivery.StateFailed:
		return stateLook{ui.Bad, "cross", "Failed", "All 8 attempts failed."}
	case delivery.StateBlocked:
		return stateLook{ui.Bad, "blocked", "Blocked", "Nothing could be encrypted: the endpoint had no usable key. It is never sent."}
	case delivery.StateExpired:
		return stateLook{ui.Bad, "hourglass", "Expired", "The encrypted payload reached the end of its time before it could be delivered."}
	case delivery.StateWithdrawn:
		return stateLook{ui.Neutral, "square", "Withdrawn", "The person withdrew, so the payload was erased."}
	case delivery.StateEndpointDeleted:
		return stateLook{ui.Neutral, "trash", "Endpoint deleted", "The endpoint was deleted before the webhook reached it."}
	}
	return stateLook{ui.Neutral, "dash", string(s), ""}
}

// statusBadge is the state of one delivery: "Retrying 3/8", "Blocked: no active key".
func statusBadge(d delivery.Delivery) ui.Badge {
	state := d.State()
	look := lookOf(state)
	b := ui.Badge{Tone: look.Tone, Icon: look.Icon, Label: look.Word, Title: look.Explanation}
	switch state {
	case delivery.StateRetrying:
		b.Label = fmt.Sprintf("%s %d/%d", look.Word, d.AttemptCount, delivery.AttemptsPerRun)
	case delivery.StateBlocked:
		b.Outline = true
		if d.Reason() == delivery.NoActiveKey {
			b.Label = "Blocked: no active key"
		} else {
			b.Label = "Blocked: encryption failed"
		}
	case delivery.StateFailed:
		if d.Reason() == delivery.TerminalFailureRetention {
			b.Title = "All 8 attempts failed. The encrypted payload is still held, so it can be retried."
		}
	case delivery.StateScheduled, delivery.StateInFlight, delivery.StateParked, delivery.StateSucceeded, delivery.StateExpired,
		delivery.StateWithdrawn, delivery.StateEndpointDeleted:
	}
	return b
}

// stateOptions are the choices of a state filter.
func stateOptions() []ui.Option {
	options := []ui.Option{{Label: "Any"}}
	for _, s := range delivery.States() {
		options = append(options, ui.Option{Value: string(s), Label: lookOf(s).Word})
	}
	return options
}

// eventTypeOptions are the choices of an event type filter.
func eventTypeOptions() []ui.Option {
	options := []ui.Option{{Label: "Any"}}
	for _, t := range event.Types() {
		options = append(options, ui.Option{Value: string(t), Label: t.Short()})
	}
	return options
}

// attemptStrip draws the present run of a delivery: one cell per attempt of the schedule.
func attemptStrip(d delivery.Delivery) ui.Strip {
	cells := make([]ui.Cell, delivery.AttemptsPerRun)
	for i := range cells {
		switch {
		case i < d.AttemptCount-1:
			cells[i] = ui.CellRetry
		case i == d.AttemptCount-1 && d.Status == delivery.Succeeded:
			cells[i] = ui.CellOK
		case i == d.AttemptCount-1 && d.Status == delivery.Failed:
			cells[i] = ui.CellFail
		case i == d.AttemptCount-1:
			cells[i] = ui.CellRetry
		case i == d.AttemptCount && d.Status == delivery.Delivering:
			cells[i] = ui.CellNow
		default:
			cells[i] = ui.CellNone
		}
	}
	text := fmt.Sprintf("%d/%d", d.AttemptCount, delivery.AttemptsPerRun)
	return ui.Strip{Cells: cells, Text: text, Label: fmt.Sprintf("%d of %d attempts, %s", d.AttemptCount, delivery.AttemptsPerRun, lowerFirst(lookOf(d.State()).Word))}
}

// triggerWord says what made an attempt due.
func triggerWord(t delivery.Trigger) string {
	switch t {
	case delivery.Automatic:
		return "schedule"
	case delivery.Manual:
		return "manual retry"
	case delivery.Replay:
		return "event replay"
	case delivery.Bulk:
		return "bulk retry"
	case delivery.TestSend:
		return "test event"
	}
	return string(t)
}

// routeWords explains a line of an event's routing record.
func routeWords(r event.Reason) (word, meaning string) {
	switch r {
	case event.Subscribed:
		return "Sent", "The endpoint subscribes to this type of event."
	case event.TestSend:
		return "Sent", "The test was meant for this endpoint."
	case event.Replacement:
		return "Sent", "Takes the place of a webhook that was withdrawn before it was delivered here."
	case event.NotTargeted:
		return "Not targeted", "The session, or the test, names other endpoints."
	case event.Disabled:
		return "Paused", "The endpoint was paused at that time. It never receives this event."
	case event.NotSubscribed:
		return "Not subscribed", "The endpoint does not subscribe to this type of event."
	case event.NoActiveKey:
		return "No active key", "Nothing could be encrypted for the endpoint. A failed delivery records it."
	case event.EncryptionFailed:
		return "Encryption failed", "The key was there, but encrypting failed. A failed delivery records it."
	case event.OriginalDelivered:
		return "Had the original", "The webhook that this one replaces was received here already."
	case event.OriginalUndecided:
		return "Original in flight", "The webhook that this one replaces is still being sent here; this line changes when the result is known."
	}
	return string(r), ""
}

// payloadWords say what became of a payload, and why.
func payloadWords(d delivery.Delivery, now time.Time) string {
	if d.PayloadHeld(now) {
		return "held, encrypted"
	}
	switch d.Reason() {
	case delivery.Delivered:
		return "erased after delivery"
	case delivery.Expired, delivery.PendingDelivery, delivery.TerminalFailureRetention:
		return "erased at the end of its retention"
	case delivery.PrivacyRequest:
		return "erased on withdrawal"
	case delivery.EndpointDeleted:
		return "erased with its endpoint"
	case delivery.NoActiveKey, delivery.JWECreationFailed:
		return "never encrypted"
	}
	return "gone"
}

// delayWords writes a wait of the retry schedule: "5 s", "30 min", "2 h".
func delayWords(d time.Duration) string {
	if d >= time.Hour && d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return ui.Span(d)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]|0x20) + s[1:] // the words of this file begin with an ASCII letter
}
