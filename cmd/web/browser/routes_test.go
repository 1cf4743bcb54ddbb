package browser_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"kaylehooks/internal/access"
)

// route is one line of the dashboard's route list.
type route struct {
	pattern string
	scope   access.Scope // the least that opens it; empty asks for a sign-in only
	public  bool
}

// routes is the dashboard's route list, and what the browser has seen of it.
type routes struct {
	list []route
	mux  *http.ServeMux

	mu      sync.Mutex
	served  map[string]bool   // patterns that answered well
	checked map[string]string // by pattern of the pages that were looked at, one address
}

// readRoutes reads the calls that register pages from the dashboard's source.
func readRoutes(t *testing.T) *routes {
	t.Helper()
	r := &routes{mux: http.NewServeMux(), served: map[string]bool{}, checked: map[string]string{}}
	scopes := scopesByName(t)
	for _, file := range parseDir(t, "../../../internal/dashboard") {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "route" && method.Sel.Name != "public" || len(call.Args) < 2 {
				return true
			}
			pattern, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			found := route{public: method.Sel.Name == "public"}
			found.pattern, _ = strconv.Unquote(pattern.Value)
			if scope, ok := call.Args[1].(*ast.SelectorExpr); ok && !found.public {
				if found.scope, ok = scopes[scope.Sel.Name]; !ok {
					t.Fatalf("%s asks for access.%s, which is not known", found.pattern, scope.Sel.Name)
				}
			}
			r.list = append(r.list, found)
			r.mux.HandleFunc(found.pattern, http.NotFound)
			return true
		})
	}
	if len(r.list) < 50 {
		t.Fatalf("found %d routes only: the test looks in the wrong place", len(r.list))
	}
	return r
}

// scopesByName are the constants of package access.
func scopesByName(t *testing.T) map[string]access.Scope {
	t.Helper()
	scopes := map[string]access.Scope{}
	for _, file := range parseDir(t, "../../../internal/access") {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || len(spec.Names) != 1 {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Scope" {
				value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				scopes[spec.Names[0].Name] = access.Scope(value)
			}
			return true
		})
	}
	return scopes
}

func parseDir(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func (r *routes) pattern(method, path string) string {
	_, pattern := r.mux.Handler(httptest.NewRequest(method, path, nil))
	return pattern
}

// answered notes an answer of the server; a route that only ever refuses has not been tried.
func (r *routes) answered(method, path string, status int) {
	if status >= http.StatusBadRequest {
		return
	}
	pattern := r.pattern(method, path)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[pattern] = true
}

// did tells whether a route has answered well.
func (r *routes) did(pattern string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served[pattern]
}

// looked notes that the page at the path was checked.
func (r *routes) looked(path string) {
	pattern := r.pattern(http.MethodGet, path)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked[pattern] = path
}

// visited has one address of every page that was looked at.
func (r *routes) visited() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Values(r.checked))
}

// parts are the routes that answer with no page of their own: nothing to look at but what they become part of.
var parts = map[string]string{
	"GET /attention":                     "polled by the overview",
	"GET /find":                          "leads elsewhere",
	"GET /deliveries/new":                "polled by the list",
	"GET /endpoints/{id}/deliveries/new": "polled by the list",
	"GET /deliveries/export":             "a file",
	"GET /events/export":                 "a file",
	"GET /jobs/{id}/row":                 "polled by the list",
	"GET /deliveries/{id}/row":           "polled by the list",
	"GET /events/{id}/row":               "polled by the list",
	"GET /sessions/{id}/row":             "polled by the list",
	"GET /events/new":                    "polled by the list",
	"GET /events/{id}/routes/{endpoint}": "polled by the page of the event",
	"GET /audit/export":                  "a file",
	"GET /sessions/export":               "a file",
	"GET /sessions/new":                  "polled by the list",
	"GET /keys/{id}/jwk":                 "a file",
}

// complete fails for every route that the browser did not reach, and for every page that was not looked at.
func (r *routes) complete(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]bool{}
	for _, route := range r.list {
		known[route.pattern] = true
		switch {
		case strings.HasPrefix(route.pattern, "GET ") && parts[route.pattern] == "" && r.checked[route.pattern] == "":
			t.Errorf("%s: nobody looked at this page; add a visit to the suite", route.pattern)
		case !r.served[route.pattern] && route.pattern != "/":
			t.Errorf("%s: the browser never did this; add it to the suite", route.pattern)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(parts)) {
		if !known[pattern] {
			t.Errorf("%s is no route any more; take it from the list of parts", pattern)
		}
	}
}
