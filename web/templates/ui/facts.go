package ui

// Fact is one line of a definition list. The first set member of ID, Time,
// Badge, Strip and Text is shown; Sub stands below it.
type Fact struct {
	Term  string
	Text  string
	Href  string // makes Text a link
	Mono  bool
	Hash  bool // long unbroken text: wraps anywhere, gets a copy button named Copy
	Copy  string
	Pre   string // preformatted text below, for example a command
	ID    *ID
	Time  *Time
	Badge *Badge
	Strip *Strip
	Chips []Chip
	Sub   string
	// SubMono sets Sub in the monospace face.
	SubMono bool
}

// Tile is one headline figure. The whole tile links to the list that proves it.
type Tile struct {
	Label  string
	Number string
	Unit   string // small text after the number
	Note   string
	// NoteTone colours the note; only OK and Bad are used.
	NoteTone Tone
	Href     string // the list behind Number
	NoteHref string // the list behind the number in Note
	Meter    *Meter
}

// Meter is a bar of parts of a whole.
type Meter struct {
	Total int
	Parts []MeterPart
	Mark  int    // position of a target mark; 0 draws none
	Label string // text for assistive technology; empty hides the bar from it
}

// MeterPart is one part of a Meter, drawn in order.
type MeterPart struct {
	Value int
	Fill  Fill
}

// Fill names the colour of a shape in a server-drawn SVG.
type Fill string

// The fills of charts and meters.
const (
	FillVolume Fill = "f-vol"
	FillStrong Fill = "f-hi"
	FillBad    Fill = "f-bad"
	FillWarn   Fill = "f-warn"
	FillOK     Fill = "f-ok"
	FillMuted  Fill = "f-mute"
	FillLine   Fill = "f-line"
)

type rect struct {
	X, Y, W, H int
	Class      string
	Fill       string // a paint such as url(#hatch); wins over Class
}

const meterWidth = 200

// rects places the parts of the meter on a 200 × 6 grid. A part above zero is
// at least one unit wide, so that a small share stays visible.
func (m Meter) rects() []rect {
	out := []rect{{W: meterWidth, H: 6, Class: "f-soft"}}
	if m.Total <= 0 {
		return out
	}
	x := 0
	for _, p := range m.Parts {
		w := p.Value * meterWidth / m.Total
		if p.Value > 0 && w == 0 {
			w = 1
		}
		w = min(w, meterWidth-x)
		if w <= 0 {
			continue
		}
		out = append(out, rect{X: x, W: w, H: 6, Class: string(p.Fill)})
		x += w
	}
	if m.Mark > 0 {
		out = append(out, rect{X: min(m.Mark*meterWidth/m.Total, meterWidth-1), W: 1, H: 6, Class: "f-text"})
	}
	return out
}

// Verdict is the sentence at the top of a detail page: what happened, what it
// means, what can be done.
type Verdict struct {
	Tone    Tone
	Icon    string
	Say     string
	Next    string
	Actions []Action
}

// Step is one line of a Timeline.
type Step struct {
	Tone  Tone
	Icon  string
	Lead  string // plain text before Link
	Link  *Link
	Text  string // text after Link
	Mono  string // monospace text at the end, for example a key id
	Time  *Time
	After *Time // second time, for example the absolute form of a relative one
}

// Steps is a checklist whose ticks come from data.
type Steps struct {
	Items []CheckStep
}

// CheckStep is one line of a checklist.
type CheckStep struct {
	Done bool
	Text string
	Href string // for steps that are still to be done
	Note string
}

// Rule is one line of a verdict panel: the key check, the signature checker.
type Rule struct {
	State string // "pass", "fail", "warn" or "skip"
	Text  string
	Got   string // what was found
	Sub   string // what to do about it
}

func (r Rule) tone() Tone {
	switch r.State {
	case "pass":
		return OK
	case "fail":
		return Bad
	case "warn":
		return Warn
	default:
		return Neutral
	}
}

func (r Rule) icon() string {
	switch r.State {
	case "pass":
		return "check"
	case "fail":
		return "cross"
	case "warn":
		return "warn"
	default:
		return "dash"
	}
}

func (r Rule) word() string {
	switch r.State {
	case "pass":
		return "passed: "
	case "fail":
		return "failed: "
	case "warn":
		return "note: "
	default:
		return "not checked: "
	}
}
