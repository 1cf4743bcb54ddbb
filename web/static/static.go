package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Prefix is the path under which Handler must be mounted.
const Prefix = "/static/"

//go:embed app.css app.js keys.js keycheck.js export.js secret.js icons.svg favicon.svg favicon.ico vendor/htmx.min.js
var files embed.FS

// sources maps the name a template uses to the embedded file.
var sources = map[string]string{
	"app.css":     "app.css",
	"app.js":      "app.js",
	"keys.js":     "keys.js",
	"keycheck.js": "keycheck.js",
	"export.js":   "export.js",
	"secret.js":   "secret.js",
	"icons.svg":   "icons.svg",
	"favicon.svg": "favicon.svg",
	"favicon.ico": "favicon.ico",
	"htmx.js":     "vendor/htmx.min.js",
}

// contentTypes are spelled out so that no system file can change them.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".ico": "image/x-icon",
}

type asset struct {
	source      string // the embedded file
	contentType string
	plain       []byte
	gzipped     []byte // nil where compression does not pay
}

// set is the loaded assets: the public name of each source, and each public name's content.
type set struct {
	urls   map[string]string
	assets map[string]asset
}

var loaded = mustLoad()

// URL returns the address of the named asset, for example
// "/static/app.0a1b2c3d4e.css" for "app.css". An unknown name is a mistake in
// a template, so it panics.
func URL(name string) string {
	url, ok := loaded.urls[name]
	if !ok {
		panic("static: unknown asset " + strconv.Quote(name))
	}
	return url
}

// Handler serves the assets by their hashed names below Prefix. Everything
// else is 404: an old page asking for an old hash must not be given content
// that a cache would then keep under the wrong name.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := loaded.assets[strings.TrimPrefix(r.URL.Path, Prefix)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		a.serve(w, r)
	})
}

// FromDisk serves the assets as their files in dir are at that moment, for those who change them. Their addresses are those of what is built
// in, so nothing may keep an answer.
func FromDisk(dir fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := loaded.assets[strings.TrimPrefix(r.URL.Path, Prefix)]
		content, err := fs.ReadFile(dir, a.source)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		asset{contentType: a.contentType, plain: content}.serve(w, r)
	})
}

// Favicon answers /favicon.ico, which browsers ask for by that fixed name. It
// is kept for a day only, because the name carries no hash.
func Favicon() http.Handler {
	icon := loaded.assets[strings.TrimPrefix(loaded.urls["favicon.ico"], Prefix)]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=86400")
		icon.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	body := a.plain
	if a.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = a.gzipped
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		// A failed write means the browser went away; nobody is left to tell.
		_, _ = w.Write(body)
	}
}

func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !found {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}

// forPeople is what a style sheet holds for those who read its source: comments and indentation. It is not sent.
var forPeople = regexp.MustCompile(`(?ms)/\*.*?\*/|^[ \t]+`)

func mustLoad() set {
	s := set{urls: map[string]string{}, assets: map[string]asset{}}
	for name, source := range sources {
		content, err := files.ReadFile(source)
		if err != nil {
			panic(fmt.Sprintf("static: read %s: %v", source, err))
		}
		ext := path.Ext(name)
		if ext == ".css" {
			content = forPeople.ReplaceAll(content, nil)
		}
		sum := sha256.Sum256(content)
		public := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:])[:10] + ext
		a := asset{source: source, contentType: contentTypes[ext], plain: content}
		if small := compress(content); len(small) < len(content)*9/10 {
			a.gzipped = small
		}
		s.urls[name] = Prefix + public
		s.assets[public] = a
	}
	return s
}

func compress(content []byte) []byte {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		panic(fmt.Sprintf("static: %v", err))
	}
	if _, err := io.Copy(zw, bytes.NewReader(content)); err != nil {
		panic(fmt.Sprintf("static: compress: %v", err))
	}
	if err := zw.Close(); err != nil {
		panic(fmt.Sprintf("static: compress: %v", err))
	}
	return buf.Bytes()
}
