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
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

type object = map[string]any

// answer is the envelope of every response.
type answer[T any] struct {
	Data       T
	Error      struct{ Code, Message string }
	Pagination object
	status     int
}

// call waits out 429, and tries again when no answer came: the idempotency key of a request makes that safe.
func call[T any](method, path string, body any) (answer[T], error) {
	text, err := json.Marshal(body)
	check(err)
	req, err := http.NewRequest(method, os.Getenv("KAYLEHOOKS_URL")+path, bytes.NewReader(text))
	check(err)
	req.Header = http.Header{"Authorization": {"Bearer " + os.Getenv("KAYLEHOOKS_API_KEY")}, "Content-Type": {"application/json"}, "Idempotency-Key": {rand.Text()}}
	client := http.Client{Timeout: 30 * time.Second}
	for try := 1; ; try++ {
		got, wait := answer[T]{}, 0 // nothing is left of the try before
		req.Body, _ = req.GetBody()
		res, err := client.Do(req)
		if err == nil {
			err = json.NewDecoder(res.Body).Decode(&got)
			_ = res.Body.Close()
			if got.status = res.StatusCode; got.status >= 300 {
				err = fmt.Errorf("%d %s: %s (%s)", got.status, got.Error.Code, got.Error.Message, res.Header.Get("X-Request-Id"))
			}
			wait, _ = strconv.Atoi(res.Header.Get("Retry-After"))
		}
		if err == nil || try == 5 || got.status >= 300 && got.status < 500 && got.status != http.StatusTooManyRequests {
			return got, err
		}
		time.Sleep(time.Duration(max(wait, try)) * time.Second)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func main() {
	switch out, args := json.NewEncoder(os.Stdout), os.Args[1:]; {
	case len(args) == 3 && args[0] == "endpoint":
		text, err := os.ReadFile(args[2])
		check(err)
		var jwk object
		check(json.Unmarshal(text, &jwk))
		created, err := call[object]("POST", "/v1/webhooks/endpoints", object{"url": args[1]})
		check(err)
		id := created.Data["endpoint"].(object)["id"].(string)
		check(out.Encode(object{"endpoint_id": id, "signing_secret": created.Data["signing_secret"]}))
		_, err = call[object]("POST", "/v1/webhooks/endpoints/"+id+"/keys", object{"key_id": jwk["kid"], "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk})
		check(err)
	case len(args) == 1 && args[0] == "session":
		made, err := call[object]("POST", "/v1/sessions", object{"share_fields": object{"family_name": object{"required": true, "reason": "The contract needs your name"}}})
		check(err)
		check(out.Encode(object{"session_id": made.Data["id"], "verification_url": made.Data["verification_url"]}))
	case len(args) == 1 && args[0] == "failed":
		const list = "/v1/webhooks/deliveries?status=failed&limit=100"
		for path, more := list, true; more; {
			page, err := call[[]struct{ ID string }]("GET", path, nil)
			check(err)
			for _, d := range page.Data {
				retried, err := call[struct{ Status string }]("POST", "/v1/webhooks/deliveries/"+d.ID+"/retry", nil)
				if retried.status != http.StatusConflict { // such as WEBHOOK_PAYLOAD_EXPIRED: nothing is left to send
					check(err)
				}
				check(out.Encode(object{"delivery_id": d.ID, "status": retried.Data.Status, "error": retried.Error.Code}))
			}
			cursor, _ := page.Pagination["next_cursor"].(string)
			path, more = list+"&starting_after="+cursor, cursor != ""
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: endpoint URL PUBLIC_JWK_FILE | session | failed, with KAYLEHOOKS_URL and KAYLEHOOKS_API_KEY set")
		os.Exit(2)
	}
}
