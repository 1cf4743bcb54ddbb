package egress

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPost_Body(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(strings.Repeat("secret ", 100)))
	_ = z.Close()
	for name, tc := range map[string]struct {
		handler   http.HandlerFunc
		want      string
		truncated bool
	}{
		"none":        {func(http.ResponseWriter, *http.Request) {}, "", false},
		"small":       {write("ok"), "ok", false},
		"4,096 bytes": {write(strings.Repeat("a", 4096)), strings.Repeat("a", 4096), false},
		"4,097 bytes": {write(strings.Repeat("a", 4097)), strings.Repeat("a", 4096), true},
		"10 MB":       {write(strings.Repeat("a", 10<<20)), strings.Repeat("a", 4096), true},
		"gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		}, zipped.String(), false},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "part", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, tc.handler)
			r := post(t, development(t, nil), s.URL)
			if r.StatusCode != http.StatusOK || r.ErrorKind != "" || string(r.Body) != tc.want || r.BodyTruncated != tc.truncated {
				t.Errorf("status %d, %q, %d bytes, truncated %v", r.StatusCode, r.ErrorKind, len(r.Body), r.BodyTruncated)
			}
		})
	}
}

func write(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestPost_SuccessIsDecidedByTheStatusAlone(t *testing.T) {
	t.Parallel()
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "dri")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the rest never comes; the client must hang up
	})
	r := post(t, development(t, func(o *Options) { o.Timeout = 150 * time.Millisecond }), s.URL)
	if r.StatusCode != http.StatusOK || r.ErrorKind != "" || string(r.Body) != "dri" || !r.BodyTruncated {
		t.Errorf("%+v", r)
	}
	if r.Duration < 150*time.Millisecond || r.Duration > 5*time.Second {
		t.Errorf("took %s", r.Duration)
	}
}

func TestPost_SwitchingProtocolsHasNoBody(t *testing.T) {
	t.Parallel()
	address, _ := listener(t, func(conn net.Conn) {
		answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nabc")(conn)
		_, _ = conn.Read(make([]byte, 1))
	})
	r := post(t, development(t, nil), "http://"+address)
	if r.StatusCode != http.StatusSwitchingProtocols || r.ErrorKind != KindHTTPStatus || r.Body != nil || r.Duration > 5*time.Second {
		t.Errorf("%+v", r)
	}
}

func TestPost_CapturesFourHeadersParsed(t *testing.T) {
	t.Parallel()
	headers := make(chan http.Header, 1)
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		for name, values := range <-headers {
			w.Header()[name] = values
		}
		_, _ = io.WriteString(w, "okay")
	})
	c := development(t, nil)
	for name, tc := range map[string]struct{ sent, want map[string]string }{
		"all": {
			map[string]string{
				"Content-Type": `Text/Plain; charset=utf-8; x="marker"`, "Retry-After": "0120", "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
				"X-Marker": "marker", "Set-Cookie": "a=b", "Server": "x",
			},
			map[string]string{"content-type": "text/plain", "content-length": "4", "retry-after": "120", "date": "Thu, 01 Jan 2026 00:00:00 GMT"},
		},
		"dates in another form": {
			map[string]string{"Content-Type": "a/b", "Retry-After": "Thursday, 01-Jan-26 00:00:00 GMT", "Date": "Thu Jan  1 00:00:00 2026"},
			map[string]string{"content-type": "a/b", "content-length": "4", "retry-after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"},
		},
		"nonsense": {
			map[string]string{"Content-Type": "marker; ; =", "Retry-After": "-5", "Date": "marker"},
			map[string]string{"content-length": "4"},
		},
		"too long": {
			map[string]string{"Content-Type": "text/" + strings.Repeat("x", 100), "Retry-After": strings.Repeat("9", 101)},
			map[string]string{"content-length": "4"},
		},
		"zero": {
			map[string]string{"Content-Type": "a/b", "Retry-After": "000"},
			map[string]string{"content-type": "a/b", "content-length": "4", "retry-after": "0"},
		},
	} {
		h := http.Header{}
		for name, value := range tc.sent {
			h.Set(name, value)
		}
		headers <- h
		r := post(t, c, s.URL)
		if diff := cmp.Diff(tc.want, r.Header); diff != "" || r.RetryAfter != tc.want["retry-after"] {
			t.Errorf("%s: %s", name, diff)
		}
	}
	headers <- http.Header{"Content-Type": {"text/marker"}, "Retry-After": {"120"}, "Date": {"Fri, 17 Feb 1984 00:00:00 GMT"}}
	r := c.Post(t.Context(), Request{URL: s.URL, Confidential: true})
	if diff := cmp.Diff(map[string]string{}, r.Header); diff != "" || r.RetryAfter != "120" || r.Body != nil || r.BodyTruncated {
		t.Errorf("confidential: body %q, %s", r.Body, diff)
	}
}

func TestResult_BodyText(t *testing.T) {
	t.Parallel()
	if got := (Result{Body: []byte("a\x00b\xff\xfec€")}).BodyText(); got != "a\uFFFDb\uFFFDc€" {
		t.Errorf("got %q", got)
	}
}
