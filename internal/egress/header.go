package egress

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// headerCaptureMax is HEADER_CAPTURE_MAX: characters per value.
const headerCaptureMax = 100

// captureHeader returns the few response headers that are kept, each parsed and written anew, so that a receiver can
// put nothing else into them. What does not parse is left out.
func captureHeader(response *http.Response) map[string]string {
	out := map[string]string{}
	put := func(name, value string) {
		if value != "" && len(value) <= headerCaptureMax {
			out[name] = value
		}
	}
	h := response.Header
	if mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		put("content-type", mediaType)
	}
	if h.Get("Content-Length") != "" && response.ContentLength >= 0 {
		put("content-length", strconv.FormatInt(response.ContentLength, 10))
	}
	put("retry-after", parseRetryAfter(h.Get("Retry-After")))
	put("date", parseDate(h.Get("Date")))
	return out
}

// parseRetryAfter returns a number of seconds, of as many digits as are kept, or an HTTP date in canonical form, or "".
func parseRetryAfter(value string) string {
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		return "" // as nearly always
	case strings.Trim(value, "0123456789") != "":
		return parseDate(value)
	}
	if value = strings.TrimLeft(value, "0"); value == "" {
		value = "0"
	}
	if len(value) > headerCaptureMax {
		return ""
	}
	return value
}

func parseDate(value string) string {
	at, err := http.ParseTime(value)
	if err != nil {
		return ""
	}
	return at.UTC().Format(http.TimeFormat)
}
