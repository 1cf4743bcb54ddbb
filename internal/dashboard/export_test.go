package dashboard

import (
	"bufio"
	"strings"
	"testing"
)

func TestLines_ACellThatIsNoJSONFailsTheExport(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	l := &lines{head: []string{"a", "b"}, out: bufio.NewWriter(&file)}
	if err := l.row([]any{1, "x"}); err != nil {
		t.Fatal(err)
	}
	if err := l.row([]any{1, func() {}}); err == nil || !strings.Contains(err.Error(), "export b") {
		t.Errorf("a row that cannot be written gave %v", err)
	}
	if !l.flush() || file.String() != `{"a":1,"b":"x"}`+"\n" {
		t.Errorf("written: %q", file.String())
	}
}
