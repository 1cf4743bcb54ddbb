// Command go is an API client: the standard library, nothing else. Settings: KAYLEHOOKS_URL, KAYLEHOOKS_API_KEY.
//
//	endpoint URL PUBLIC_JWK_FILE   create an endpoint and register the key; prints the signing secret, once
//	session                        create a session; send the person to its verification_url
//	failed                         go through all failed deliveries and send each again
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

// answer is the envelope of every response.
type answer[T any] struct {
	Data       T
	Error      struct{ Code, Message string }
	Pagination map[string]any
}

// call waits out 429, and tries again when no answer came: the idempotency key of a request makes that safe.
func call[T any](method, path string, body any) (got answer[T], err error) {
	text, _ := json.Marshal(body)
	key, client := rand.Text(), http.Client{Timeout: 30 * time.Second}
	for wait := range 5 {
		time.Sleep(time.Duration(wait) * time.Second)
		req, _ := http.NewRequest(method, os.Getenv("KAYLEHOOKS_URL")+path, bytes.NewReader(text))
		req.Header = http.Header{"Authorization": {"Bearer " + os.Getenv("KAYLEHOOKS_API_KEY")}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
		res, failed := client.Do(req)
		if err = failed; err != nil {
			continue
		}
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if res.StatusCode >= 300 {
			err = fmt.Errorf("%s: %s (%s)", got.Error.Code, got.Error.Message, res.Header.Get("X-Request-Id"))
		}
		if res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
			break
		}
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		time.Sleep(time.Duration(seconds) * time.Second)
	}
	return got, err
}

func run(args []string) error {
	type object = map[string]any
	switch out := json.NewEncoder(os.Stdout); {
	case len(args) == 3 && args[0] == "endpoint":
		var jwk object
		if text, err := os.ReadFile(args[2]); err != nil || json.Unmarshal(text, &jwk) != nil {
			return errors.New("no JWK in " + args[2])
		}
		created, err := call[object]("POST", "/v1/webhooks/endpoints", object{"url": args[1]})
		if err != nil {
			return err
		}
		id := created.Data["endpoint"].(object)["id"].(string)
		_, err = call[object]("POST", "/v1/webhooks/endpoints/"+id+"/keys", object{"key_id": jwk["kid"], "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk})
		return errors.Join(err, out.Encode(object{"endpoint_id": id, "signing_secret": created.Data["signing_secret"]}))
	case len(args) == 1 && args[0] == "session":
		made, err := call[object]("POST", "/v1/sessions", object{"share_fields": object{"family_name": object{"required": true, "reason": "The contract needs your name"}}})
		if err != nil {
			return err
		}
		return out.Encode(object{"session_id": made.Data["id"], "verification_url": made.Data["verification_url"]})
	case len(args) == 1 && args[0] == "failed":
		for path := "/v1/webhooks/deliveries?status=failed&limit=100"; ; {
			page, err := call[[]struct{ ID string }]("GET", path, nil)
			if err != nil {
				return err
			}
			for _, d := range page.Data { // an error such as WEBHOOK_PAYLOAD_EXPIRED: nothing is left to send
				retried, _ := call[struct{ Status string }]("POST", "/v1/webhooks/deliveries/"+d.ID+"/retry", nil)
				_ = out.Encode(map[string]string{"delivery_id": d.ID, "status": retried.Data.Status, "error": retried.Error.Code})
			}
			cursor, more := page.Pagination["next_cursor"].(string)
			if !more {
				return nil
			}
			path = "/v1/webhooks/deliveries?status=failed&limit=100&starting_after=" + cursor
		}
	}
	return errors.New("usage: endpoint URL PUBLIC_JWK_FILE | session | failed, with KAYLEHOOKS_URL and KAYLEHOOKS_API_KEY set")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}
