package dashboard

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/ui"
)

// pageSizes are the choices of rows per page; the first one is the default.
var pageSizes = []int{50, 25, 100}

// Query is a trimmed parameter of the address. What Postgres takes for no text is replaced, so that it is found nowhere.
func (p *page) Query(name string) string {
	text := strings.ToValidUTF8(p.R.URL.Query().Get(name), "\uFFFD")
	return strings.TrimSpace(strings.ReplaceAll(text, "\x00", "\uFFFD"))
}

// With is this page's address with parameters changed: name, value, name, value… An empty value removes its parameter.
// The cursor is dropped unless named, since another filter makes another list.
func (p *page) With(changes ...string) string {
	q := p.R.URL.Query()
	q.Del("after")
	q.Del("before")
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i+1] == "" {
			q.Del(changes[i])
		} else {
			q.Set(changes[i], changes[i+1])
		}
	}
	return address(p.R.URL.Path, q)
}

// link builds an address from a path and parameters: name, value, … Empty values are left out. The path may be an address of
// ours that has parameters already.
func link(path string, params ...string) string {
	path, query, _ := strings.Cut(path, "?")
	q, _ := url.ParseQuery(query) // what cannot be read was not written here
	for i := 0; i+1 < len(params); i += 2 {
		if params[i+1] != "" {
			q.Set(params[i], params[i+1])
		}
	}
	return address(path, q)
}

func address(path string, q url.Values) string {
	for name, values := range q {
		if len(values) == 0 || values[0] == "" {
			delete(q, name)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// queryTime reads a time from the address, see ParseFormTime; bad is true for text that is none. A filter that cannot be read must
// not be left out: the list, and what is done with all of it, would be wider than was asked for.
func (p *page) queryTime(name string, end bool) (t time.Time, bad bool) {
	text := p.Query(name)
	if text == "" {
		return t, false
	}
	t, ok := p.ParseFormTime(text, end)
	return t, !ok
}

// querySpan is the time span of a list, from ?from= and ?to=; bad as for queryTime.
func (p *page) querySpan() (from, to time.Time, bad bool) {
	from, badFrom := p.queryTime("from", false)
	to, badTo := p.queryTime("to", true)
	return from, to, badFrom || badTo
}

// pageOf reads ?after=, ?before= and ?limit=. position looks a cursor row up; a cursor that names no row of the list is
// postgres.ErrCursor.
func pageOf[K id.Kind](p *page, position func(context.Context, access.Actor, id.ID[K]) (*postgres.Position, error)) (postgres.Page, error) {
	out := postgres.Page{Limit: pageSizes[0]}
	if n, err := strconv.Atoi(p.Query("limit")); err == nil && slices.Contains(pageSizes, n) {
		out.Limit = n
	}
	for _, cursor := range []struct {
		name string
		at   **postgres.Position
	}{{"after", &out.After}, {"before", &out.Before}} {
		text := p.Query(cursor.name)
		if text == "" || out.After != nil {
			continue
		}
		row, err := id.Parse[K](text)
		if err != nil {
			return out, errCursor
		}
		if *cursor.at, err = position(p.Ctx, p.Actor, row); err != nil {
			if f, ok := fault.As(err); ok && f == postgres.ErrCursor {
				return out, errCursor
			}
			return out, err
		}
	}
	return out, nil
}

// pageOfMost is pageOf for a list that is short in practice: its page has listMax rows unless the address says otherwise.
func pageOfMost[K id.Kind](p *page, position func(context.Context, access.Actor, id.ID[K]) (*postgres.Position, error)) (postgres.Page, error) {
	at, err := pageOf(p, position)
	if p.Query("limit") == "" {
		at.Limit = listMax
	}
	return at, err
}

var errCursor = postgres.ErrCursor.WithMessage("This page of the list is gone.").
	WithHint("The row that it continued after no longer exists. Open the list from its start.")

// pager is the links to the neighbouring pages; idOf gives a row's text id, and noun is what is listed, in the plural.
func pager[T any](p *page, list postgres.List[T], limit int, idOf func(T) string) ui.Pager {
	var v ui.Pager
	if len(list.Rows) == 0 {
		if list.HasNewer { // the rows after the cursor were all deleted
			v.Newer = p.With()
		}
		return v
	}
	v.Shown = ui.Count(len(list.Rows))
	if list.HasOlder || list.HasNewer {
		v.Shown += "+"
	}
	v.Shown += " shown, newest first"
	if list.HasNewer {
		v.Newer = p.With("before", idOf(list.Rows[0]))
	}
	if list.HasOlder {
		v.Older = p.With("after", idOf(list.Rows[len(list.Rows)-1]))
	}
	sizes := slices.Sorted(slices.Values(pageSizes))
	if len(list.Rows) > sizes[0] || list.HasOlder || list.HasNewer {
		for _, n := range sizes {
			v.Sizes = append(v.Sizes, ui.Link{Label: strconv.Itoa(n), Href: p.With("limit", strconv.Itoa(n)), Current: n == limit})
		}
	}
	return v
}

// activeFilters lists the filters in use: name of the parameter, label, and the value in words. Entries whose parameter
// is not set are left out.
func (p *page) activeFilters(filters ...[3]string) ui.ActiveFilters {
	var v ui.ActiveFilters
	var none []string
	for _, f := range filters {
		if p.Query(f[0]) == "" {
			continue
		}
		v.Items = append(v.Items, ui.ActiveFilter{Label: f[1] + ": " + f[2], Href: p.With(f[0], "")})
		none = append(none, f[0], "")
	}
	v.ClearHref = p.With(none...)
	return v
}

// noMatch is the state of a list whose filters exclude everything.
func noMatch(things string, active ui.ActiveFilters) *ui.NoMatch {
	labels := make([]string, len(active.Items))
	for i, item := range active.Items {
		labels[i] = item.Label
	}
	return &ui.NoMatch{
		Title:     "No " + things + " match " + counted(len(labels), "filter", "filters"),
		Text:      strings.Join(labels, " · "),
		ClearHref: active.ClearHref,
	}
}

// selectField is a filter with a fixed list of values; the first option should be the one for "all", with value "".
func (p *page) selectField(name, label string, options ...ui.Option) ui.FilterField {
	value := p.Query(name)
	for i := range options {
		options[i].Selected = options[i].Value == value
	}
	return ui.FilterField{Name: name, Label: label, Options: options, Set: value != ""}
}
