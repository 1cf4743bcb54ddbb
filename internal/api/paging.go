package api

import (
	"regexp"
	"time"

	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Paging is what every list takes. It is exported because huma looks into exported embedded structs only.
type Paging struct {
	Limit         int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Greatest number of rows."`
	StartingAfter string `query:"starting_after" doc:"Id of the last row of the page before."`
}

// Period limits a list to the rows created in it, both ends included.
type Period struct {
	CreatedFrom string `query:"created_from" doc:"ISO 8601 in UTC, ending in Z." example:"2026-01-01T00:00:00.000Z"`
	CreatedTo   string `query:"created_to" doc:"ISO 8601 in UTC, ending in Z." example:"2026-01-02T00:00:00.000Z"`
}

// idMax is ID_MAX (contract section 2.1).
var idMax = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// parseID reads the id of a path. Within ID_MAX, which is checked already, whatever is not an id names nothing.
func parseID[K id.Kind](text string, missing *fault.Error) (id.ID[K], error) {
	parsed, err := id.Parse[K](text)
	if err != nil {
		return parsed, missing
	}
	return parsed, nil
}

// filterID reads an id that narrows a list. One that is no id matches nothing, and matches is false then.
func filterID[K id.Kind](text string) (parsed id.ID[K], matches bool) {
	if text == "" {
		return parsed, true
	}
	parsed, err := id.Parse[K](text)
	return parsed, err == nil
}

// page finds where a list continues. position looks the cursor row up in the same organization and parent.
func page[K id.Kind](p Paging, position func(id.ID[K]) (*postgres.Position, error)) (postgres.Page, error) {
	if p.StartingAfter == "" {
		return postgres.Page{Limit: p.Limit}, nil
	}
	cursor, err := id.Parse[K](p.StartingAfter)
	if err != nil {
		return postgres.Page{}, postgres.ErrCursor
	}
	after, err := position(cursor)
	if err != nil {
		return postgres.Page{}, err
	}
	return postgres.Page{Limit: p.Limit, After: after}, nil
}

// wire is a row as it is shown.
type wire interface{ cursor() string }

// listOf makes the response of one page.
func listOf[R any, W wire](limit int, rows []R, more bool, show func(R) W) *many[W] {
	shown := make([]W, len(rows))
	for i, row := range rows {
		shown[i] = show(row)
	}
	list := listEnvelope[W]{Data: shown, Pagination: pagination{Limit: limit, HasMore: more}}
	if more {
		last := shown[len(shown)-1].cursor()
		list.Pagination.NextCursor = &last
	}
	return &many[W]{Body: list}
}

// flag reads a parameter that is exactly true or false.
func flag(text string) *bool {
	if text == "" {
		return nil
	}
	yes := text == "true"
	return &yes
}

var instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z$`)

// parseInstant reads a timestamp that ends in Z; the seconds may be left out. There is no year 0: what is computed from it, such as
// the day before, could not be written in the same form.
func parseInstant(name, text string) (time.Time, error) {
	layout := time.RFC3339Nano
	if len(text) == len("2006-01-02T15:04Z") {
		layout = "2006-01-02T15:04Z07:00"
	}
	at, err := time.Parse(layout, text)
	if err != nil || at.Year() < 1 || !instant.MatchString(text) {
		return time.Time{}, fault.InvalidField(name, "must be an ISO 8601 time in UTC that ends in Z")
	}
	return at.UTC(), nil
}

// period reads the two ends of a time span, each zero when it is not given.
func period(fromName, from, toName, to string) (start, end time.Time, err error) {
	if from != "" {
		if start, err = parseInstant(fromName, from); err != nil {
			return start, end, err
		}
	}
	if to != "" {
		if end, err = parseInstant(toName, to); err != nil {
			return start, end, err
		}
		// Timestamps are shown cut to milliseconds. The end is included as a client sees it: with all of its millisecond.
		if end.Equal(end.Truncate(time.Millisecond)) {
			end = end.Add(time.Millisecond - time.Microsecond)
		}
	}
	return start, end, nil
}

func (p Period) times() (from, to time.Time, err error) {
	return period("created_from", p.CreatedFrom, "created_to", p.CreatedTo)
}

// emptyList is the answer when a filter matches nothing.
func emptyList[W wire](limit int) *many[W] {
	return listOf(limit, nil, false, func(w W) W { return w })
}
