package ui

import (
	"strconv"

	"kaylehooks/web/static"
)

// Tone is the meaning of a colour. Red is kept for states that need a person.
type Tone string

// The tones of the design.
const (
	OK      Tone = "ok"
	Info    Tone = "info"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
	Neutral Tone = "neutral"
	Test    Tone = "test"
)

func (t Tone) class() string {
	if t == "" {
		return ""
	}
	return "tone-" + string(t)
}

// Badge is a state as icon and word, never by colour alone.
type Badge struct {
	Tone    Tone
	Icon    string // name of a symbol in icons.svg without "i-"
	Label   string
	Title   string // optional explanation on hover
	Outline bool   // stronger outline, for blocked states
	Href    string // the page that tells why; empty is no link
}

func (b Badge) class() string {
	c := "badge " + b.Tone.class()
	if b.Outline {
		c += " badge-outline"
	}
	return c
}

// Code is the result of one attempt: an HTTP status ("503") or the words for
// an error kind ("Response timeout").
type Code struct {
	Tone Tone
	Icon string
	Text string
	Mono bool // true for HTTP statuses
}

// ID is a resource id: Short on screen, Full for copying and on hover.
type ID struct {
	Full  string
	Short string
	Href  string // makes the id a link
	Kind  string // for the copy button's name, for example "delivery id"; empty leaves the button out
}

// NewID builds an ID whose Short form is ShortID(full).
func NewID(full, kind, href string) ID {
	return ID{Full: full, Short: ShortID(full), Kind: kind, Href: href}
}

// Time is one moment: machine-readable, as shown, and in full on hover.
type Time struct {
	RFC3339  string
	Text     string
	Title    string
	Relative bool  // Text counts from now and is kept current by app.js
	Other    *Time // the same moment in the other form, where there is room for it
}

// TestBadge marks what is about a test event.
func TestBadge() Badge { return Badge{Tone: Test, Icon: "flask", Label: "Test"} }

// Chip is a label of an endpoint or a small note.
type Chip struct {
	Text string
	Href string // what it names
	Tone Tone
}

// Strip draws the attempts of a delivery as small cells, one per attempt of
// the schedule. Height tells the result, colour repeats it.
type Strip struct {
	Cells []Cell
	Label string // for assistive technology, for example "3 of 8 attempts, delivered on the third"
	Text  string // shown beside it, for example "3/8"
}

// Cell is one attempt in a Strip.
type Cell string

// The cells of a strip.
const (
	CellNone  Cell = "none"  // not yet
	CellRetry Cell = "retry" // not 2xx, more to come or recovered
	CellFail  Cell = "fail"  // not 2xx and the delivery has failed
	CellOK    Cell = "ok"    // 2xx
	CellNow   Cell = "now"   // in flight
)

type cellShape struct {
	X, Y, H int
	Class   string
}

// shapes turns cells into rectangles on a 12 px high grid, 6 px apart.
func (s Strip) shapes() []cellShape {
	out := make([]cellShape, 0, len(s.Cells))
	for i, c := range s.Cells {
		shape := cellShape{X: i * 6, Y: 10, H: 2, Class: "f-line"}
		switch c {
		case CellRetry:
			shape.Y, shape.H, shape.Class = 5, 7, "f-warn"
		case CellFail:
			shape.Y, shape.H, shape.Class = 5, 7, "f-bad"
		case CellOK:
			shape.Y, shape.H, shape.Class = 0, 12, "f-ok"
		case CellNow:
			shape.Y, shape.H, shape.Class = 3, 9, "f-now"
		case CellNone:
		}
		out = append(out, shape)
	}
	return out
}

func (s Strip) viewBox() string {
	return "0 0 " + itoa(max(len(s.Cells)*6-1, 1)) + " 12"
}

func itoa(n int) string { return strconv.Itoa(n) }

// iconURL is the address of one symbol in the sprite.
func iconURL(name string) string { return static.URL("icons.svg") + "#i-" + name }
