package receiver

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A challenge is answered with its code, and nothing else of any event ever is: personal data has no place in an answer.
func TestServeHTTP_AnswersAChallengeWithItsCodeAlone(t *testing.T) {
	t.Parallel()
	code := "kch_" + strings.Repeat("a1", 16)
	fails := errors.New("no")
	for name, tc := range map[string]struct {
		kind, data string
		fails      error
		status     int
		answer     string
	}{
		"challenge":          {WebhookTest, `{"message":"A test. Challenge: ` + code + `"}`, nil, 200, code},
		"test":               {WebhookTest, `{"message":"A test."}`, nil, 204, ""},
		"too short":          {WebhookTest, `{"message":"` + code[:30] + `"}`, nil, 204, ""},
		"in a claim":         {SessionSucceeded, `{"claims":{"family_name":"` + code + `"},"selected_field_keys":["family_name"]}`, nil, 204, ""},
		"that was not taken": {WebhookTest, `{"message":"` + code + `"}`, fails, 500, "not taken in, try again\n"},
	} {
		r := receiver(t, Options{OnEvent: func(context.Context, Event) error { return tc.fails }})
		body := seal(t, "k1", &pair(t).PublicKey, payload("evt_1", tc.kind, tc.data))
		for try := 1; try <= 2; try++ { // the second one is a repeat, and asks again
			if w := post(r, body, signature(secret, now, body)); w.Code != tc.status || w.Body.String() != tc.answer {
				t.Errorf("%s, try %d: %d %q", name, try, w.Code, w.Body)
			}
		}
	}
}
