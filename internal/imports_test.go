package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "kaylehooks"

// floors is the floor plan of internal/: a package imports only packages of a lower floor, never up, never sideways.
// A new package gets its floor here, in the same commit.
var floors = [][]string{
	0: {"fault", "id", "config", "logging", "egress", "batch", "devstack"}, // tools
	1: {"postgres", "access", "seal", "ratelimit"},                         // ground
	2: {"audit", "idempotency"},                                            // ledger
	3: {"org", "event"},                                                    // rooms, up to 7
	4: {"apikey", "login", "webhook"},
	5: {"delivery"},
	6: {"verification"},
	7: {"retention"},
	8: {"api", "dashboard", "queue"}, // doors
	9: {"server"},                    // roof
}

// testOnly packages serve tests. They stand beside the floors; only test files import them, apart from exceptions.
var testOnly = []string{"fixture", "badreceiver", "devstack/devtest"}

// testOnlyExceptions: `web listen` and the demo are receivers that a person runs.
var testOnlyExceptions = map[string][]string{"cmd/web": {"badreceiver"}}

// reserved packages may be imported, by files that are no tests, only from the places named.
var reserved = map[string][]string{
	"github.com/hibiken/asynq":    {"internal/queue", "internal/server", "cmd/web"},
	"github.com/hibiken/asynqmon": {"internal/server"},
	module + "/internal/config":   {"cmd/web"},
	module + "/web/templates":     {"internal/dashboard", "web/templates"},
	module + "/receiver":          {"internal/badreceiver", "cmd/web"},
}

// closed trees import nothing of internal/. The receiver and the examples share no code with what they check.
var closed = []string{"web", "migrations", "receiver", "examples"}

var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "model", "models", "types", "shared", "base", "misc"}

// source is what the rules look at in one Go file.
type source struct {
	path    string // from the root of the repository, with slashes
	pkg     string // package name
	imports []string
}

func TestFloorPlan_ImportsGoDownOnly(t *testing.T) {
	t.Parallel()
	sources := readSources(t, "..")
	if len(sources) == 0 {
		t.Fatal("found no Go file: the test looks in the wrong place")
	}
	for _, problem := range violations(sources) {
		t.Error(problem)
	}
}

func TestFloorPlan_EveryWallHolds(t *testing.T) {
	t.Parallel()
	file := func(path string, imports ...string) source {
		return source{path: path, pkg: strings.TrimSuffix(filepath.Base(filepath.Dir(path)), ".go"), imports: imports}
	}
	tests := map[string]struct {
		src  source
		want bool // it is a violation
	}{
		"down":                           {file("internal/delivery/a.go", "kaylehooks/internal/webhook"), false},
		"up":                             {file("internal/webhook/a.go", "kaylehooks/internal/delivery"), true},
		"sideways":                       {file("internal/login/a.go", "kaylehooks/internal/apikey"), true},
		"up in a test":                   {file("internal/webhook/a_test.go", "kaylehooks/internal/delivery"), false},
		"standard library":               {file("internal/webhook/a.go", "net/http"), false},
		"package on no floor":            {file("internal/cellar/a.go"), true},
		"package below a room":           {file("internal/delivery/inner/a.go"), true},
		"banned name":                    {file("cmd/web/util/a.go"), true},
		"roof into cmd":                  {file("cmd/web/a.go", "kaylehooks/internal/server"), false},
		"fixture in a test":              {file("internal/org/a_test.go", "kaylehooks/internal/fixture"), false},
		"fixture in a room":              {file("internal/org/a.go", "kaylehooks/internal/fixture"), true},
		"fixture in cmd":                 {file("cmd/web/a.go", "kaylehooks/internal/fixture"), true},
		"fixture uses rooms":             {file("internal/fixture/a.go", "kaylehooks/internal/delivery"), false},
		"fixture uses devtest":           {file("internal/fixture/a.go", "kaylehooks/internal/devstack/devtest"), false},
		"receiver in cmd":                {file("cmd/web/a.go", "kaylehooks/internal/badreceiver", "kaylehooks/receiver"), false},
		"receiver in a door":             {file("internal/api/a.go", "kaylehooks/receiver"), true},
		"receiver uses a room":           {file("receiver/a.go", "kaylehooks/internal/webhook"), true},
		"example uses the receiver":      {file("examples/receivers/go/a.go", "kaylehooks/receiver"), true},
		"devtest in a room":              {file("internal/org/a.go", "kaylehooks/internal/devstack/devtest"), true},
		"devtest uses devstack":          {file("internal/devstack/devtest/a.go", "kaylehooks/internal/devstack"), false},
		"templates use a room":           {file("web/templates/pages/a.go", "kaylehooks/internal/webhook"), true},
		"templates use templates":        {file("web/templates/pages/a.go", "kaylehooks/web/templates/ui"), false},
		"dashboard uses templates":       {file("internal/dashboard/a.go", "kaylehooks/web/templates/pages"), false},
		"api uses templates":             {file("internal/api/a.go", "kaylehooks/web/templates/pages"), true},
		"queue uses asynq":               {file("internal/queue/a.go", "github.com/hibiken/asynq"), false},
		"delivery uses asynq":            {file("internal/delivery/a.go", "github.com/hibiken/asynq"), true},
		"server mounts asynqmon":         {file("internal/server/a.go", "github.com/hibiken/asynqmon"), false},
		"dashboard uses asynqmon":        {file("internal/dashboard/a.go", "github.com/hibiken/asynqmon"), true},
		"config in cmd":                  {file("cmd/web/a.go", "kaylehooks/internal/config"), false},
		"config in a door":               {file("internal/api/a.go", "kaylehooks/internal/config"), true},
		"migrations use postgres":        {file("migrations/a.go", "kaylehooks/internal/postgres"), true},
		"migrations' tests use postgres": {file("migrations/a_test.go", "kaylehooks/internal/postgres"), false},
	}
	for name, tc := range tests {
		problems := violations([]source{tc.src})
		if diff := cmp.Diff(tc.want, len(problems) > 0); diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, problems, diff)
		}
	}
}

// violations applies every rule to every file.
func violations(sources []source) []string {
	var problems []string
	report := func(s source, format string, args ...any) {
		problems = append(problems, s.path+": "+fmt.Sprintf(format, args...))
	}
	for _, s := range sources {
		dir := path.Dir(s.path)
		if slices.Contains(bannedNames, s.pkg) || slices.Contains(bannedNames, path.Base(dir)) {
			report(s, "package name %s says nothing; name it after a business noun", path.Base(dir))
		}
		room, internal := strings.CutPrefix(dir, "internal/")
		if internal && floorOf(room) < 0 && !slices.Contains(testOnly, room) {
			report(s, "package %s is on no floor; add it to the plan in internal/imports_test.go", room)
		}
		if strings.HasSuffix(s.path, "_test.go") {
			continue // the compiler's ban on cycles is enough for tests
		}
		for _, imported := range s.imports {
			if why := forbidden(dir, imported); why != "" {
				report(s, "imports %s: %s", imported, why)
			}
		}
	}
	return problems
}

// forbidden says why a package in dir may not import another one; empty when it may.
func forbidden(dir, imported string) string {
	for wall, allowed := range reserved {
		if within(imported, wall) && !slices.ContainsFunc(allowed, func(place string) bool { return within(dir, place) }) {
			return "only " + strings.Join(allowed, " and ") + " may"
		}
	}
	target, ok := strings.CutPrefix(imported, module+"/internal/")
	if !ok {
		return ""
	}
	if slices.ContainsFunc(closed, func(tree string) bool { return within(dir, tree) }) {
		return "this tree imports nothing of internal/"
	}
	room, ok := strings.CutPrefix(dir, "internal/")
	if slices.Contains(testOnly, room) {
		return "" // they stand beside the house
	}
	if slices.Contains(testOnly, target) {
		if slices.Contains(testOnlyExceptions[dir], target) {
			return ""
		}
		return "it is for test files"
	}
	if !ok {
		return "" // cmd stands on the roof
	}
	if floorOf(target) >= floorOf(room) {
		return fmt.Sprintf("it is on floor %d, and %s is on floor %d; import only from a lower one", floorOf(target), room, floorOf(room))
	}
	return ""
}

// within tells whether a package path is root or below it.
func within(pkg, root string) bool {
	return pkg == root || strings.HasPrefix(pkg, root+"/")
}

// floorOf is -1 for a package that is not in the plan.
func floorOf(pkg string) int {
	return slices.IndexFunc(floors, func(rooms []string) bool { return slices.Contains(rooms, pkg) })
}

// readSources parses the imports of every Go file below root. It parses them itself because the test cache does not see
// what a `go list` would read: such a test passes on its old result.
func readSources(t *testing.T, root string) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := readSource(root, file)
		if err != nil {
			return err
		}
		sources = append(sources, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func readSource(root, file string) (source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return source{}, err
	}
	src := source{path: filepath.ToSlash(rel), pkg: parsed.Name.Name}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		src.imports = append(src.imports, imported)
	}
	return src, nil
}
