package dashboard

import (
	"context"
	"net/http"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/ui"
)

// live reports whether pages poll: ?live=0 or ?live=1 decide for one page, the person's preference otherwise.
func (p *page) live() bool {
	switch p.Query("live") {
	case "0":
		return false
	case "1":
		return true
	}
	return p.Session.User.Live
}

// liveNote says how fresh a page is and offers to pause it. The choice holds for every page, so the page that it comes
// back to has no choice of its own.
func (p *page) liveNote() *ui.Live {
	at := p.Clock(p.Now)
	toggle := func(label, icon, live string) *ui.Action {
		return &ui.Action{Label: label, Name: label + " live updates", Icon: icon, Href: "/settings/live", Post: true, Small: true, Fields: []ui.Hidden{
			{Name: "live", Value: live}, {Name: "return", Value: p.With("live", "")},
		}}
	}
	v := &ui.Live{Text: "Paused at", At: &at, Toggle: toggle("Resume", "play", "1"), Paused: true, RefreshHref: p.With(), ReloadHref: p.With("live", "1"), Reload: "Reload every " + counted(reloadEvery, "second", "seconds")}
	if p.live() {
		v.Text, v.Toggle, v.Paused = "Live, updated", toggle("Pause", "pause", "0"), false
	}
	if p.Query("live") == "1" {
		v.ReloadHref, v.Reload = p.With("live", ""), "Stop reloading"
	}
	return v
}

// reloadEvery is how often, in seconds, a page with ?live=1 loads again where there is no scripting to poll.
const reloadEvery = 10

// newestParam and sinceParam tell a poll for newer rows what the page shows already.
const (
	newestParam = "newest"
	sinceParam  = "since"
	// newMax is how far newer rows are counted.
	newMax = 99
)

// newRows is the element that polls for rows above the first page of a list, however somebody came to it; nil on other pages, and
// while paused. newest is the text id of the first row, or "" when the list is empty; newer tells that there are rows before it.
func (p *page) newRows(path, newest string, newer bool) *ui.NewRows {
	if newer || !p.live() {
		return nil
	}
	q := p.R.URL.Query()
	q.Del("after")
	q.Del("before")
	if newest != "" {
		q.Set(newestParam, newest)
	} else {
		q.Set(sinceParam, p.Now.Format(time.RFC3339Nano))
	}
	return &ui.NewRows{PollHref: address(path, q)}
}

// sincePosition is what a poll counts from when the list was empty.
func (p *page) sincePosition() *postgres.Position {
	at, err := time.Parse(time.RFC3339Nano, p.Query(sinceParam))
	if err != nil {
		at = p.Now
	}
	return &postgres.Position{At: at}
}

// foundNew answers a poll: that element again with the number of newer rows, or nothing when there are none.
func (p *page) foundNew(n int, more bool, one, many, list string) error {
	if n == 0 {
		return p.NoChange()
	}
	q := p.R.URL.Query()
	poll := address(p.R.URL.Path, q)
	q.Del(newestParam)
	q.Del(sinceParam)
	text := counted(n, one, many)
	if more {
		text = ui.Count(n) + "+ " + many
	}
	return p.Render(http.StatusOK, ui.NewRowsView(ui.NewRows{PollHref: poll, ShowHref: address(list, q), Text: text + ": show"}))
}

// positionOf is where a poll counts from. A newest row that is gone meanwhile counts as now: the next full load is right.
func positionOf[K id.Kind](p *page, position func(context.Context, access.Actor, id.ID[K]) (*postgres.Position, error)) (*postgres.Position, error) {
	text := p.Query(newestParam)
	if text == "" {
		return p.sincePosition(), nil
	}
	row, err := id.Parse[K](text)
	if err != nil {
		return nil, errCursor
	}
	at, err := position(p.Ctx, p.Actor, row)
	if f, ok := fault.As(err); ok && f == postgres.ErrCursor {
		return &postgres.Position{At: p.Now}, nil
	}
	return at, err
}
