package pages

import "kaylehooks/web/templates/ui"

// Ask asks before something is done to many things at once: a [ConfirmPage] with a scope that can be changed, or counts.
//
//	GET  /endpoints/pause?label=    POST /endpoints/pause    label
//	GET  /endpoints/resume?label=   POST /endpoints/resume   label
//	POST /events/preview   id (repeated)
//	POST /events/replay    id (repeated)
type Ask struct {
	Shell   ui.Shell
	Heading ui.Heading
	Scope   *ui.Filters // a GET form that chooses what it is about
	Counts  []CountRow
	CountOf string      // what is counted, in the plural
	Blocked *ui.Alert   // in the place of Confirm
	Confirm *ui.Confirm // nil: nothing can be done
}
