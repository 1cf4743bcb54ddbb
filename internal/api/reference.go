package api

import (
	"embed"
	"net/http"
	"strings"
)

// referenceFiles are the readable page for the document and the program that draws it (reference/vendor.txt).
//
//go:embed reference/index.html reference/init.js reference/swagger-ui-bundle.js reference/swagger-ui.css
var referenceFiles embed.FS

// referencePolicy allows what the page loads from this origin. The images are icons inside the style sheet.
const referencePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (d *door) referenceRoutes() {
	for path, file := range map[string]string{
		"/reference":                      "index.html",
		"/reference/init.js":              "init.js",
		"/reference/swagger-ui-bundle.js": "swagger-ui-bundle.js",
		"/reference/swagger-ui.css":       "swagger-ui.css",
	} {
		content, err := referenceFiles.ReadFile("reference/" + file)
		if err != nil {
			panic("api: " + err.Error()) // it is embedded by this very file
		}
		kind := "text/html; charset=utf-8"
		switch {
		case strings.HasSuffix(file, ".js"):
			kind = "text/javascript; charset=utf-8"
		case strings.HasSuffix(file, ".css"):
			kind = "text/css; charset=utf-8"
		}
		d.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=3600")
			w.Header().Set("Content-Security-Policy", referencePolicy)
			_, _ = w.Write(content)
		})
	}
}
