package main_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestLocalCheck_TheCommandOfTheDeliveryPageWorks runs, for each language, the command that the page of a delivery shows, as
// somebody would who has the private key, the secret, and the request as it came.
func TestLocalCheck_TheCommandOfTheDeliveryPageWorks(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	conn, err := pgx.Connect(t.Context(), i.setting("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	const kid = `k'1"\{{HASH}}` // a person may choose what is a quote or an escape elsewhere
	private, jwk := i.keyPair(kid)
	received := make(chan passed, 10)
	status := make(chan int, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(<-status)
		received <- passed{header: r.Header, body: body}
	}))
	t.Cleanup(server.Close)
	var created endpointJSON
	i.call("POST", "/v1/webhooks/endpoints", map[string]any{"url": server.URL}, &created)
	endpoint := "/v1/webhooks/endpoints/" + created.Endpoint.ID
	i.call("POST", endpoint+"/keys", map[string]any{"key_id": kid, "algorithm": "RSA-OAEP-256", "key_type": "RSA", "jwk": jwk}, nil)

	// The first attempt fails, so that the body is held and its hash is known; the second is the last that is known of it.
	status <- http.StatusServiceUnavailable
	var e eventJSON
	i.call("POST", endpoint+"/test", nil, &e)
	delivery := "/v1/webhooks/deliveries/" + e.Deliveries[0].ID
	took := func(state string) passed {
		t.Helper()
		eventually(t, "the attempt is recorded", func() (d deliveryJSON) { i.call("GET", delivery, nil, &d); return d },
			func(d deliveryJSON) bool { return d.AttemptCount > 0 && d.Status == state })
		return <-received
	}
	first := took("pending")
	// The second attempt is the one asked for below, however long the commands take until then.
	if _, err := conn.Exec(t.Context(), "UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at + interval '1 hour'"); err != nil {
		t.Fatal(err)
	}

	p := i.person()
	if !p.signsIn(i.email, i.password) {
		t.Fatal("cannot sign in")
	}
	run := func(language, body, header, secret string) (out string, code int) {
		t.Helper()
		var attempts []struct{ ID string }
		i.call("GET", delivery+"/attempts", nil, &attempts)
		_, page := p.load("/deliveries/"+e.Deliveries[0].ID+"?attempt="+attempts[0].ID+"&check="+language, nil)
		shown := regexp.MustCompile(`(?s)<pre class="raw" tabindex="0">(SIGNATURE=.*?|cat &gt; .*?)</pre>`).FindStringSubmatch(page)
		if shown == nil {
			t.Fatalf("%s: the page shows no command:\n%s", language, page)
		}
		command := html.UnescapeString(shown[1])
		if strings.Contains(command, created.SigningSecret) || strings.Contains(command, string(first.body)) {
			t.Errorf("%s: the command holds the secret or the body", language)
		}
		at, sums, _ := strings.Cut(header, ",")
		if !strings.Contains(command, "'"+at+",v1=…'") {
			t.Errorf("%s: the command is not filled in with the time %s:\n%s", language, at, command)
		}
		dir := workshop(t)
		key, err := os.ReadFile(private)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"body.jwe": []byte(body), "private.pem": key} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "v1=…", sums, 1))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KAYLE_WEBHOOK_SECRET="+secret, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
		text, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(text), cmd.ProcessState.ExitCode()
	}
	good, header := string(first.body), first.header.Get("X-Kayle-Signature")
	for _, language := range []string{"go", "node", "python"} {
		for _, tc := range []struct {
			name                 string
			body, header, secret string
			right                bool
			says                 string
		}{
			{"as it came", good, header, created.SigningSecret, true, "as it was sent"},
			{"another secret", good, header, "whsec_" + strings.Repeat("x", 32), false, "as it was sent"},
			{"with a line break", good + "\n", header, created.SigningSecret, false, "NOT AS IT WAS SENT, SHA-256"},
			{"tampered", string(flip(first.body)), header, created.SigningSecret, false, "NOT AS IT WAS SENT, SHA-256"},
		} {
			out, code := run(language, tc.body, tc.header, tc.secret)
			want := "signature WRONG"
			if tc.right {
				want = "signature right"
			}
			if (code == 0) != tc.right || !strings.Contains(out, want) || !strings.Contains(out, tc.says) || !strings.Contains(out, "delivery  "+e.Deliveries[0].ID) {
				t.Errorf("%s, %s: %d\n%s", language, tc.name, code, out)
			}
			opens := strings.Contains(out, e.ID) && strings.Contains(out, "webhook.test")
			if lenient := tc.name == "with a line break"; opens != (tc.body == good) && !lenient { // some decoders of base64 see none
				t.Errorf("%s, %s: decrypted: %t\n%s", language, tc.name, opens, out)
			}
		}
	}

	// Long after the five minutes that a receiver allows.
	yesterday := time.Now().Add(-24 * time.Hour)
	if _, err := conn.Exec(t.Context(), "UPDATE webhook_delivery_attempts SET started_at = $1", yesterday); err != nil {
		t.Fatal(err)
	}
	header = signed(created.SigningSecret, yesterday, first.body).Get("X-Kayle-Signature")
	for _, language := range []string{"go", "node", "python"} {
		if out, code := run(language, good, header, created.SigningSecret); code != 0 || !strings.Contains(out, "signature right") {
			t.Errorf("%s, a day later: %d\n%s", language, code, out)
		}
	}

	// Delivered, and the body is erased: there is nothing to compare with, all else is the same.
	status <- http.StatusNoContent
	i.call("POST", delivery+"/retry", nil, nil)
	took("succeeded")
	for _, language := range []string{"go", "node", "python"} {
		if out, code := run(language, good, header, created.SigningSecret); code != 0 || !strings.Contains(out, "signature right") || strings.Contains(out, "SENT") || !strings.Contains(out, "SHA-256 ") {
			t.Errorf("%s, body erased: %d\n%s", language, code, out)
		}
	}
}

// workshop is a directory in which each language finds what the page says that it needs.
func workshop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile("../../" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	interpreter, err := filepath.Abs(python(t))
	if err == nil {
		err = os.Symlink(interpreter, filepath.Join(bin, "python3"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
