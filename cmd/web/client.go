package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"kaylehooks/internal/verification"
)

// client calls the public JSON API, as a customer and as the check engine.
type client struct {
	base, key string
	http      *http.Client
}

type apiSession struct {
	ID          string                   `json:"id"`
	Status      string                   `json:"status"`
	CancelToken string                   `json:"cancel_token"`
	ShareFields verification.ShareFields `json:"share_fields"`
	CreatedAt   string                   `json:"created_at"`
}

// apiError is a refusal of the API.
type apiError struct {
	status  int
	request string // method and path
	id      string // of the request
	Code    string
	Message string
	Hint    string
	Fields  []struct{ Field, Message string }
}

// Error implements error.
func (e *apiError) Error() string {
	text := fmt.Sprintf("%s: %d %s: %s", e.request, e.status, e.Code, e.Message)
	for _, f := range e.Fields {
		text += fmt.Sprintf(" %s %s.", f.Field, f.Message)
	}
	if e.Hint != "" {
		text += " " + e.Hint
	}
	return text + " (" + e.id + ")"
}

// envelope is what every answer of the API is in.
type envelope struct {
	Data       any
	Error      *apiError
	Pagination struct {
		NextCursor string `json:"next_cursor"`
	}
}

// call sends a request and decodes data of the envelope into out, if that is not nil.
func (c client) call(ctx context.Context, method, path string, body, out any) error {
	_, err := c.exchange(ctx, method, path, body, out)
	return err
}

// page gets one page of a list, and the cursor of the next one; "" after the last.
func (c client) page(ctx context.Context, path string, out any) (next string, err error) {
	got, err := c.exchange(ctx, http.MethodGet, path, nil, out)
	return got.Pagination.NextCursor, err
}

func (c client) exchange(ctx context.Context, method, path string, body, out any) (got envelope, err error) {
	raw := []byte{}
	if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return got, fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(raw))
	if err != nil {
		return got, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return got, fmt.Errorf("call the API: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	const most = 4 << 20
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return got, fmt.Errorf("read the API's answer: %w", err)
	}
	if res.StatusCode == http.StatusNoContent {
		return got, nil
	}
	got.Data = out
	where, _, _ := strings.Cut(path, "?")
	if err := json.Unmarshal(answer, &got); err != nil {
		return got, fmt.Errorf("%s %s: status %d without an envelope", method, where, res.StatusCode)
	}
	if e := got.Error; e != nil {
		e.status, e.request, e.id = res.StatusCode, method+" "+where, res.Header.Get("X-Request-Id")
		return got, e
	}
	if res.StatusCode >= http.StatusMultipleChoices { // JSON, but of a proxy in between
		return got, fmt.Errorf("%s %s: status %d without an envelope", method, where, res.StatusCode)
	}
	return got, nil
}

// post sends a request of which a session comes back, or nothing.
func (c client) post(ctx context.Context, path string, body any) (s apiSession, err error) {
	err = c.call(ctx, http.MethodPost, path, body, &s)
	return s, err
}
