package ui

// Filters is the bar above a list: a plain GET form with an Apply button,
// enhanced by htmx to replace #results while typing and choosing.
type Filters struct {
	Action string // path of the list, for example "/deliveries"
	Search *SearchBox
	Fields []FilterField // shown in the bar
	More   []FilterField // shown behind "More"
	Hidden []Hidden      // values to carry along, for example the page size
}

// SearchBox is the text filter of a list; its parameter is "q" unless Name says otherwise.
type SearchBox struct {
	Name        string
	Label       string
	Placeholder string
	Value       string
}

// FilterField is one filter: a select, or an input when Type is given.
type FilterField struct {
	Name  string
	Label string
	Type  string // "" for a select; "date", "datetime-local", "text", "number" for an input
	Value string // of an input
	// Placeholder tells the forms that an input takes.
	Placeholder string
	Options     []Option
	Set         bool // the filter is in use
}

// ActiveFilters are the filters in use as removable chips.
type ActiveFilters struct {
	Items     []ActiveFilter
	ClearHref string
}

// ActiveFilter is one filter in use; Href is the same list without it.
type ActiveFilter struct {
	Label string
	Href  string
}

// Pager links to the neighbouring pages of a keyset-paginated list.
type Pager struct {
	Shown string // for example "50 shown, newest first" or "50+ shown"
	Newer string // empty: already at the newest page
	Older string // empty: nothing older
	Sizes []Link // choices of rows per page
}

func (p Pager) any() bool {
	return p.Shown != "" || p.Newer != "" || p.Older != "" || len(p.Sizes) > 0
}

// NewRows is the element above a live list that polls for newer rows. The
// server answers 204 while there are none, else this element with Count.
type NewRows struct {
	PollHref string // polled every 5 s; empty stops polling
	ShowHref string // the list from its newest row
	Text     string // for example "12 new deliveries: show"; empty shows nothing
}

// Empty is the state of a list that never had anything: what it is, one action.
type Empty struct {
	Icon    string
	Title   string
	Text    string
	Actions []Action
	Sample  string // optional command, shown as preformatted text with a copy button
}

// NoMatch is the state of a list whose filters exclude everything.
type NoMatch struct {
	Title     string // for example "No deliveries match 3 filters"
	Text      string // which filters
	ClearHref string
	Actions   []Action // for example "Drop the time filter"
}

// ListState is what stands in the place of a table without rows. At most one
// of its members is set.
type ListState struct {
	Empty     *Empty
	NoMatch   *NoMatch
	Error     *ErrorPanel
	Forbidden *Forbidden
}

// ErrorPanel says what failed and offers a way on.
type ErrorPanel struct {
	Title     string // for example "The list could not be read"
	Text      string
	RequestID string
	RetryHref string // a plain GET
	Actions   []Action
}

// Forbidden says which role is needed and who holds it.
type Forbidden struct {
	Title   string // for example "Revealing a secret needs the owner role"
	Text    string // who is signed in as what, who can help
	Actions []Action
}

// Flash is a message of the previous request, shown once.
type Flash struct {
	Tone   Tone
	Text   string
	Sub    string
	Link   *Link   // after Sub, to what has to do with it
	Action *Action // for example Undo or Follow
}

// Alert is a message beside its cause.
type Alert struct {
	Tone    Tone
	Icon    string
	Title   string
	Text    string
	Actions []Action
	Urgent  bool // role="alert" instead of a plain block
}

// SubNav is the row of links between the sub-pages of one thing.
type SubNav struct {
	Label string // accessible name, the thing's name
	Items []Link
}

// Confirm is a confirmation page (or dialog): the effect in numbers and, for
// wide actions, a typed confirmation.
type Confirm struct {
	ID       string // unique id prefix
	Title    string
	Effects  []string // what will happen, each a sentence
	Warning  *Alert
	Action   string // where the form posts
	Hidden   []Hidden
	Choice   *CheckGroup
	Typed    *Field // the text to type
	Submit   string
	Icon     string
	Danger   bool
	BackHref string
	Back     string // label of the safe way, for example "Keep endpoint"
	Errors   FormErrors
}

func searchName(s SearchBox) string {
	if s.Name == "" {
		return "q"
	}
	return s.Name
}

func anySet(fields []FilterField) bool {
	for _, f := range fields {
		if f.Set {
			return true
		}
	}
	return false
}

func flashIcon(t Tone) string {
	switch t {
	case OK:
		return "check"
	case Bad:
		return "cross"
	case Warn:
		return "warn"
	default:
		return "info"
	}
}
