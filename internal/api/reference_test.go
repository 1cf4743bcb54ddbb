package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestReference_ServesWhatItLoads(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/reference")
	if page.Code != 200 || !strings.Contains(page.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Fatalf("got %d %v", page.Code, page.Header())
	}
	loaded := regexp.MustCompile(`(?:src|href)="(/reference/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(loaded) != 3 {
		t.Errorf("the page loads %v", loaded)
	}
	for _, l := range loaded {
		if got := get(l[1]); got.Code != 200 || strings.HasPrefix(got.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %v", l[1], got.Code, got.Header())
		}
	}
	h.as("").do("GET", "/reference/other", nil).refused(404, "NOT_FOUND")
}

func TestReference_VendoredFilesAreThoseRecorded(t *testing.T) {
	t.Parallel()
	record, err := os.ReadFile("reference/vendor.txt")
	if err != nil {
		t.Fatal(err)
	}
	sums := regexp.MustCompile(`(?m)^(\S+): sha256 ([0-9a-f]{64})$`).FindAllStringSubmatch(string(record), -1)
	if len(sums) != 2 {
		t.Fatalf("vendor.txt records %d files", len(sums))
	}
	for _, s := range sums {
		content, err := os.ReadFile("reference/" + s[1])
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != s[2] {
			t.Errorf("%s is not the recorded file", s[1])
		}
	}
}
