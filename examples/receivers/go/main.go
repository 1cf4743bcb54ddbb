// Command go is a webhook receiver: verify the signature, decrypt, drop repeats, answer 204. Settings: README.md.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type event struct {
	Type     string
	Data     map[string]any
	Metadata struct {
		Version   int     `json:"contract_version"`
		ID        string  `json:"event_id"`
		SessionID *string `json:"verification_session_id"`
	}
}

// keys are the private keys by kid; seen would in production be a unique column, written together with the queued work.
var keys, seen = map[string]any{}, sync.Map{}

// open checks the signature over the raw body, where any v1 may match any secret, and only then decrypts and parses.
func open(header string, body []byte) (e event, status int, reason string) {
	parts, signed := strings.Split(strings.ReplaceAll(header, " ", ""), ","), false
	seconds, _ := strconv.ParseInt(strings.TrimPrefix(parts[0], "t="), 10, 64)
	for _, secret := range strings.Fields(strings.ReplaceAll(os.Getenv("SIGNING_SECRET"), ",", " ")) { // whole, with "whsec_"
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = fmt.Fprintf(mac, "%d.%s", seconds, body)
		for _, part := range parts[1:] {
			signed = hmac.Equal([]byte(strings.ToLower(part)), []byte("v1="+hex.EncodeToString(mac.Sum(nil)))) || signed
		}
	}
	if !signed {
		return e, http.StatusUnauthorized, "bad_signature"
	} else if time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return e, http.StatusUnauthorized, "stale"
	}
	jwe, err := jose.ParseEncryptedCompact(string(body), []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return e, http.StatusBadRequest, "not_a_jwe"
	}
	plaintext, err := jwe.Decrypt(keys[jwe.Header.KeyID]) // fails without a key of this kid
	if err != nil {
		return e, http.StatusBadRequest, "decrypt_failed"
	} else if json.Unmarshal(plaintext, &e) != nil || e.Metadata.Version != 1 || e.Metadata.ID == "" || e.Data == nil {
		return e, http.StatusBadRequest, "bad_payload"
	}
	return e, http.StatusNoContent, ""
}

func receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)) // cut off or too large, it fails the signature
	e, status, reason := open(r.Header.Get("X-Kayle-Signature"), body)
	line := map[string]any{"outcome": "accepted", "event_id": e.Metadata.ID, "type": e.Type, "session_id": e.Metadata.SessionID}
	if reason != "" {
		line = map[string]any{"outcome": "rejected", "reason": reason}
	} else if _, duplicate := seen.LoadOrStore(e.Metadata.ID, true); duplicate {
		line["outcome"] = "duplicate"
	} else if os.Getenv("PRINT_DATA") == "1" {
		line["data"] = e.Data
	} // Queue the work here. A cancelled event whose reason begins with "privacy_" means: erase what the session gave you.
	_ = json.NewEncoder(os.Stdout).Encode(line)
	w.WriteHeader(status) // answers never have a body
}

func main() {
	for entry := range strings.SplitSeq(os.Getenv("PRIVATE_KEY_FILE"), ",") {
		cut := max(strings.LastIndex(entry, "="), 0) // a kid may contain "="
		text, _ := os.ReadFile(strings.TrimPrefix(entry[cut:], "="))
		block, _ := pem.Decode(text)
		if block == nil || os.Getenv("SIGNING_SECRET") == "" {
			log.Fatal("receiver: SIGNING_SECRET and PRIVATE_KEY_FILE=kid=path.pem are required")
		}
		keys[entry[:cut]], _ = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"listening\":\"http://%s/\"}\n", listener.Addr())
	log.Fatal((&http.Server{Handler: http.HandlerFunc(receive), ReadTimeout: 15 * time.Second}).Serve(listener))
}
