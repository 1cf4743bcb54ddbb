package badreceiver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kaylehooks/receiver"
)

func TestServeHTTP_Misbehaves(t *testing.T) {
	t.Parallel()
	var answer Answer
	var receipt receiver.Receipt
	r := New(Options{
		Behave:  func(*http.Request, int) Answer { return answer },
		Options: receiver.Options{OnRequest: func(x receiver.Receipt) { receipt = x }},
	})
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	send := func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader("nonsense"))
		if err != nil {
			t.Fatal(err)
		}
		return s.Client().Do(req)
	}
	for _, step := range []struct {
		answer Answer
		status int
		text   string
	}{
		{Answer{}, 401, ""},
		{Answer{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: "busy"}, 503, "busy"},
		{Answer{Status: 204, Header: http.Header{"Retry-After": {"7"}}}, 204, ""},
	} {
		answer = step.answer
		resp, err := send(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != step.status || receipt.Status != step.status || receipt.Err == nil ||
			resp.Header.Get("Retry-After") != answer.Header.Get("Retry-After") || string(text) != step.text {
			t.Errorf("%+v: %d %q, %+v", step.answer, resp.StatusCode, text, receipt)
		}
	}
	r.SetBehaviour(nil)
	if resp, err := send(t.Context()); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("behaving: %v", err)
	}
	r.SetBehaviour(func(*http.Request, int) Answer { return answer })

	answer = Answer{HangUp: true}
	if resp, err := send(t.Context()); err == nil {
		_ = resp.Body.Close()
		t.Error("answered instead of hanging up")
	}

	answer = Answer{Delay: time.Hour} // cut short when the sender gives up, or the server could not be closed
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if resp, err := send(ctx); err == nil {
		_ = resp.Body.Close()
		t.Error("answered before its delay")
	}
	if r.Requests() != 6 {
		t.Errorf("%d requests", r.Requests())
	}
}

func TestServeHTTP_CountsNobodyWhoOnlyLooks(t *testing.T) {
	t.Parallel()
	r := New(Options{Options: receiver.Options{OnRequest: func(x receiver.Receipt) { t.Errorf("reported is %+v", x) }}})
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost || r.Requests() != 0 {
		t.Errorf("answered %d, counted %d", w.Code, r.Requests())
	}
}
