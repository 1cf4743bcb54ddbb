package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/web/templates/ui"
)

// This file tells the story of a delivery in sentences. Everything in it is a pure function of what is stored.

// story is what a delivery's verdict is made of.
type story struct {
	delivery.Delivery
	// Attempts are all of the delivery, oldest first.
	Attempts []delivery.Attempt
	// Paused tells that the endpoint takes no deliveries now, Gone that it was deleted.
	Paused, Gone bool
	// WantsKey tells that a blocked delivery's endpoint still needs a key.
	WantsKey bool
	Now      time.Time
	// Moment writes a time inside a sentence.
	Moment func(time.Time) string
}

// run are the counted attempts of the present run.
func (s story) run() []delivery.Attempt {
	var out []delivery.Attempt
	for _, a := range s.Attempts {
		if a.Run == s.Run && a.Counted {
			out = append(out, a)
		}
	}
	return out
}

// deliveryVerdict says what happened to a delivery, what it means and what happens next.
func deliveryVerdict(s story) ui.Verdict {
	state := s.State()
	look := lookOf(state)
	v := ui.Verdict{Tone: look.Tone, Icon: look.Icon}
	run := s.run()
	n := counted(s.AttemptCount, "attempt", "attempts")
	switch state {
	case delivery.StateScheduled:
		v.Say, v.Next = s.waiting()
	case delivery.StateInFlight:
		v.Say = fmt.Sprintf("Attempt %d of %d is being sent right now.", s.AttemptCount+1, delivery.AttemptsPerRun)
		v.Next = "An answer is waited for at most 15 s."
		if len(run) > 0 {
			v.Next += " " + s.soFar(run)
		}
	case delivery.StateRetrying:
		v.Say = fmt.Sprintf("%s failed; attempt %d of %d is %s. %s", upperFirst(n), s.AttemptCount+1, delivery.AttemptsPerRun, s.due(), answers(run))
		v.Next = s.advice() + s.expiry("It is given up")
	case delivery.StateParked:
		v.Say = "Parked: the endpoint is paused, so nothing is sent to it."
		if len(run) > 0 {
			v.Say += " " + answers(run)
		}
		v.Next = "It goes on by itself when the endpoint is resumed; no attempt is used meanwhile." + s.expiry(" It is given up")
	case delivery.StateSucceeded:
		v.Say, v.Next = s.delivered(run)
	case delivery.StateFailed:
		v.Say = "Failed after " + n + over(run) + ". " + answers(run)
		if s.Run > 1 {
			v.Say = "Failed again, after " + strings.Replace(n, " ", " more ", 1) + over(run) + ". " + answers(run)
		}
		v.Next = s.advice() + s.afterFailure()
	case delivery.StateBlocked:
		say, advice, followed := "Blocked: the endpoint had no active key, so nothing could be encrypted.", " Add a key before the next one.", " The endpoint has an active key by now."
		if s.Reason() == delivery.JWECreationFailed {
			say, advice = "Blocked: encrypting to the endpoint's key failed, so nothing could be sent.", " Replace the key, and look in the server's log for the reason."
			followed = " Another key is active by now; the server's log has the reason."
		}
		v.Say, v.Next = say, "Nothing was sent and nothing is kept, so this event never reaches the endpoint."
		switch {
		case s.WantsKey:
			v.Next += advice
		case !s.Gone:
			v.Next += followed
		}
	case delivery.StateExpired:
		v.Say = "Expired: the encrypted payload reached the end of its time before it was delivered. " + s.soFar(run)
		v.Next = "It was erased, so it cannot be sent again."
	case delivery.StateWithdrawn:
		v.Say = "Withdrawn: the person took back their consent before the endpoint had received it. " + s.soFar(run)
		v.Next = "The payload was erased. Where the endpoint subscribes to it, a cancelled event takes its place."
	case delivery.StateEndpointDeleted:
		v.Say = "Ended: the endpoint was deleted before the webhook reached it. " + s.soFar(run)
		v.Next = "The payload was erased with the endpoint."
	}
	v.Say, v.Next = strings.TrimSpace(v.Say), strings.TrimSpace(v.Next)
	return v
}

// waiting is the verdict before the first attempt of a run.
func (s story) waiting() (say, next string) {
	say = "The first attempt is " + s.due() + "."
	switch {
	case s.Run > 1 && s.NextTrigger == delivery.Manual:
		say = fmt.Sprintf("Retried by hand: attempt 1 of run %d is %s.", s.Run, s.due())
	case s.Run > 1 && s.NextTrigger == delivery.Replay:
		say = fmt.Sprintf("Replayed with its event: attempt 1 of run %d is %s.", s.Run, s.due())
	case s.Run > 1:
		say = fmt.Sprintf("Attempt 1 of run %d is %s.", s.Run, s.due())
	}
	if len(s.Attempts) > 0 && s.Run > 1 {
		return say, "What was tried before stays below; the new run has eight attempts of its own."
	}
	return say, "A worker takes it as soon as one is free."
}

// due says when a waiting delivery is sent.
func (s story) due() string {
	switch {
	case s.NextAttemptAt == nil:
		return "not scheduled"
	case !s.NextAttemptAt.After(s.Now):
		return "due now"
	case s.NextAttemptAt.Sub(s.Now) < time.Minute: // a sentence that changes every second cannot be read
		return "due in less than a minute"
	}
	return "due in " + length(s.NextAttemptAt.Sub(s.Now))
}

// delivered is the verdict of a success.
func (s story) delivered(run []delivery.Attempt) (say, next string) {
	last := len(run) - 1
	if last < 0 { // attempts are kept as long as their delivery; this is for a reader that got only a part
		return "Delivered: the endpoint answered 2xx.", "The payload was erased at once."
	}
	code := codeOf(run[last])
	switch {
	case s.Run > 1:
		say = fmt.Sprintf("Delivered on attempt %d of run %d, %s after the event: the endpoint answered %d", s.AttemptCount, s.Run, length(run[last].StartedAt.Sub(s.CreatedAt)), code)
	case s.AttemptCount == 1:
		say = fmt.Sprintf("Delivered on the first attempt: the endpoint answered %d", code)
	default:
		say = fmt.Sprintf("Delivered on attempt %d of %d, %s after the event: the endpoint answered %d", s.AttemptCount, delivery.AttemptsPerRun, length(run[last].StartedAt.Sub(s.CreatedAt)), code)
	}
	if took := run[last].DurationMS; took != nil {
		say += " in " + ui.Millis(int(*took))
	}
	if say += "."; last > 0 {
		say += " Before that: " + lowerFirst(answers(run[:last]))
	}
	return say, "The payload was erased at once; nothing can or need be sent again."
}

// soFar is what a delivery that ended early had come to.
func (s story) soFar(run []delivery.Attempt) string {
	if len(run) == 0 {
		return "Nothing had been sent."
	}
	return "Until then: " + lowerFirst(answers(run))
}

// advice is what to do about the last failure.
func (s story) advice() string {
	switch code := lastCode(s.Delivery); {
	case s.LastErrorKind == nil:
		return ""
	case s.Status == delivery.Failed && (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable):
		return "Check that the receiver is up again. " // nothing goes on by itself any more
	}
	return explainError(*s.LastErrorKind, lastCode(s.Delivery)).Next + " "
}

// afterFailure says whether there is anything left to retry.
func (s story) afterFailure() string {
	switch {
	case !s.PayloadHeld(s.Now):
		return "The encrypted payload is gone, so it cannot be sent again."
	case s.Paused:
		return "The encrypted payload is kept until " + s.Moment(*s.PayloadExpiresAt) + "; resume the endpoint to retry."
	}
	return "The encrypted payload is kept until " + s.Moment(*s.PayloadExpiresAt) + "; until then you can retry."
}

// expiry warns of the end of the payload.
func (s story) expiry(lead string) string {
	if s.PayloadExpiresAt == nil {
		return ""
	}
	return lead + " at the latest when its payload expires, " + s.Moment(*s.PayloadExpiresAt) + "."
}

// retryRefusal says why a retry is not possible now, or "" when it is.
func (s story) retryRefusal() string {
	switch {
	case s.Status == delivery.Delivering:
		return "It is in flight. Wait for its result."
	case s.Status == delivery.Succeeded:
		return "It was delivered: nothing is left to retry."
	case s.Gone:
		return "Its endpoint was deleted."
	case !s.PayloadHeld(s.Now):
		return "Its payload is gone: " + payloadWords(s.Delivery, s.Now) + "."
	case s.Paused:
		return "Its endpoint is paused. Resume the endpoint first."
	}
	return ""
}

// answers sums attempts up: "The endpoint answered 503 six times and 502 once; attempt 4 got no answer within 15 s."
func answers(run []delivery.Attempt) string {
	codes, kinds := map[int]int{}, map[delivery.ErrorKind][]int{}
	for _, a := range run {
		if code := codeOf(a); code != 0 {
			codes[code]++
		} else if a.ErrorKind != nil {
			kinds[*a.ErrorKind] = append(kinds[*a.ErrorKind], a.Number)
		}
	}
	var parts []string
	if len(codes) > 0 {
		parts = append(parts, "the endpoint answered "+statusWords(codes, len(run)))
	}
	for _, kind := range delivery.ErrorKinds() {
		if numbers := kinds[kind]; len(numbers) > 0 {
			parts = append(parts, attemptsWord(numbers, len(run))+" "+kindPhrase(kind))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return upperFirst(strings.Join(parts, "; ")) + "."
}

// statusWords lists statuses, most frequent first.
func statusWords(codes map[int]int, total int) string {
	var list []int
	for code := range codes {
		list = append(list, code)
	}
	slices.SortFunc(list, func(a, b int) int { return cmp.Or(codes[b]-codes[a], a-b) })
	words := make([]string, len(list))
	for i, code := range list {
		words[i] = strconv.Itoa(code)
		switch {
		case codes[code] == total && total == 1:
		case codes[code] == total:
			words[i] += " each time"
		default:
			words[i] += " " + times(codes[code])
		}
	}
	return listed(words, "and")
}

// attemptsWord names the attempts that something happened to.
func attemptsWord(numbers []int, total int) string {
	switch {
	case len(numbers) == total && total > 1:
		return "each attempt"
	case len(numbers) > 3:
		return fmt.Sprintf("%d attempts", len(numbers))
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	if len(numbers) == 1 {
		return "attempt " + words[0]
	}
	return "attempts " + listed(words, "and")
}

// kindPhrase finishes a sentence that begins with attempts, one or several.
func kindPhrase(kind delivery.ErrorKind) string {
	switch kind {
	case delivery.TimeoutConnect:
		return "got no connection within 15 s"
	case delivery.TimeoutResponse:
		return "got no answer within 15 s"
	case delivery.DNS:
		return "failed to resolve the host name"
	case delivery.TLS:
		return "failed in the TLS handshake"
	case delivery.Refused:
		return "met a refused connection"
	case delivery.Reset:
		return "lost the connection before an answer was complete"
	case delivery.BlockedAddress:
		return "met an address that must not be reached"
	case delivery.NoSigningSecret:
		return "found no usable signing secret"
	case delivery.WorkerLost:
		return "ended with a lost worker"
	case delivery.DisabledBeforeSend:
		return "met a paused endpoint"
	case delivery.Internal, delivery.HTTPStatus, delivery.RedirectRefused:
	}
	return "ended in a fault of ours"
}

// times counts in words: "once", "twice", "three times".
func times(n int) string {
	words := []string{"never", "once", "twice", "three", "four", "five", "six", "seven", "eight"}
	switch {
	case n <= 2:
		return words[n]
	case n < len(words):
		return words[n] + " times"
	}
	return strconv.Itoa(n) + " times"
}

// over is the time between the first and the last attempt of a run, for a sentence.
func over(run []delivery.Attempt) string {
	if len(run) < 2 {
		return ""
	}
	return " over " + length(run[len(run)-1].StartedAt.Sub(run[0].StartedAt))
}

// length writes a time span with its hours added up, since retries are thought of in hours: "28 h 23 m".
func length(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Second:
		return "less than a second"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func codeOf(a delivery.Attempt) int {
	if a.StatusCode == nil {
		return 0
	}
	return *a.StatusCode
}

func kindOf(a delivery.Attempt) delivery.ErrorKind {
	if a.ErrorKind == nil {
		return ""
	}
	return *a.ErrorKind
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
