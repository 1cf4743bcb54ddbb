package ui

import (
	"strconv"
	"strings"
)

// BarChart is a figure of bars, each a link to the list behind it. The share
// in Part is hatched at the foot of its bar. All geometry is computed here and
// written as attributes.
type BarChart struct {
	ID      string // unique on the page
	Title   string
	Legend  []Legend
	Summary string // one sentence for assistive technology
	Bars    []Bar
	XLabels []XLabel
	Max     int    // top of the scale; 0 chooses a round number above the highest bar
	Unit    string // after scale labels, for example " ms"
	Fill    Fill   // of the bars; empty is FillVolume
	Head    string // head of the first table column, for example "Hour (UTC)"
	Value   string // head of the value column
	Part    string // head of the part column; empty leaves it out
	Note    string // small text at the right of the head instead of a legend
	Empty   string // shown instead of the chart when no bar has a value
}

// Bar is one bucket.
type Bar struct {
	Label string // for example "15:00–16:00", also the row head of the table
	Value int    // height
	Part  int    // of Value, hatched
	Title string // hover text, for example "15:00–16:00: 212 deliveries, 3 failed"
	Href  string
	SoFar bool // the bucket is not over
}

// XLabel is a label of the lower axis, where bucket At begins.
type XLabel struct {
	At   int
	Text string
}

// Legend explains one colour.
type Legend struct {
	Label string
	Fill  Fill // a fill; "hatch" for the hatched share; "line-1", "line-2" for lines
}

// LineChart is a figure of up to two lines over the same buckets. Buckets
// without data leave a gap.
type LineChart struct {
	ID      string
	Title   string
	Legend  []Legend
	Summary string
	Points  []Point
	XLabels []XLabel
	Max     int    // in the unit of the values; 0 chooses
	Head    string // head of the first table column
	First   string // name of the first line, for example "p50"
	Second  string // name of the second line; empty draws one line
	Format  func(int) string
	Empty   string
}

// Point is one bucket of a LineChart.
type Point struct {
	Label  string
	First  int
	Second int
	Gap    bool // no data in this bucket
	SoFar  bool // the bucket is not over
	Title  string
	Href   string
}

// Spark is the small bar chart of a table row.
type Spark struct {
	Bars  []SparkBar
	Label string // for example "Risk engine: 24 hours, 4,892 sent, 1,425 failed"
}

// SparkBar is one bucket of a Spark.
type SparkBar struct {
	Value int
	Bad   int // of Value
}

// HBar is one row of a small horizontal bar list.
type HBar struct {
	Label    string
	Href     string
	Note     string // second column
	NoteHref string // what Note names
	Count    string
	Value    int
	Max      int
	Fill     Fill
}

func (b HBar) meter() Meter {
	fill := b.Fill
	if fill == "" {
		fill = FillBad
	}
	return Meter{Total: b.Max, Parts: []MeterPart{{Value: b.Value, Fill: fill}}}
}

const (
	slot       = 10 // width of one bucket
	plotHeight = 100
)

type barShape struct {
	Bar
	Hit, Full, Part rect
	Class           string
}

func (c BarChart) fill() string {
	if c.Fill == "" {
		return string(FillVolume)
	}
	return string(c.Fill)
}

func (c BarChart) top() int {
	if c.Max > 0 {
		return c.Max
	}
	highest := 0
	for _, b := range c.Bars {
		highest = max(highest, b.Value)
	}
	return roundUp(highest)
}

func (c BarChart) any() bool {
	for _, b := range c.Bars {
		if b.Value > 0 {
			return true
		}
	}
	return false
}

func (c BarChart) viewBox() string { return plotBox(len(c.Bars)) }

func (c BarChart) shapes() []barShape {
	top := c.top()
	out := make([]barShape, 0, len(c.Bars))
	for i, b := range c.Bars {
		x := i * slot
		h := scale(b.Value, top)
		part := min(scale(b.Part, top), h)
		s := barShape{
			Bar:   b,
			Hit:   rect{X: x, W: slot, H: plotHeight},
			Full:  rect{X: x + 1, Y: plotHeight - h, W: slot - 2, H: h - part},
			Part:  rect{X: x + 1, Y: plotHeight - part, W: slot - 2, H: part},
			Class: c.fill(),
		}
		if b.SoFar {
			s.Class += " sofar"
		}
		out = append(out, s)
	}
	return out
}

func (c BarChart) yLabels() []string {
	top := c.top()
	return []string{Count(top) + c.Unit, Count(top/2) + c.Unit, "0"}
}

func (c LineChart) top() int {
	if c.Max > 0 {
		return c.Max
	}
	highest := 0
	for _, p := range c.Points {
		highest = max(highest, p.First, p.Second)
	}
	return roundUp(highest)
}

func (c LineChart) any() bool {
	for _, p := range c.Points {
		if !p.Gap {
			return true
		}
	}
	return false
}

func (c LineChart) viewBox() string { return plotBox(len(c.Points)) }

func (c LineChart) format(n int) string {
	if c.Format != nil {
		return c.Format(n)
	}
	return Count(n)
}

func (c LineChart) yLabels() []string {
	top := c.top()
	return []string{c.format(top), c.format(top / 2), "0"}
}

// line is an unbroken run of one series.
type line struct {
	Points string // of a polyline
	SoFar  bool   // it leads to a bucket that is not over
}

// lines returns the unbroken runs of one series. A run of a single bucket is drawn as a short dash, since a point has no length.
// What leads to a bucket that is not over is a run of its own.
func (c LineChart) lines(second bool) []line {
	top := c.top()
	var out []line
	var run []string
	flush := func(i int, soFar bool) {
		if len(run) == 1 {
			_, y, _ := strings.Cut(run[0], ",")
			run = append(run, itoa(i*slot-1)+","+y)
		}
		if len(run) > 0 {
			out = append(out, line{strings.Join(run, " "), soFar})
		}
		run = nil
	}
	for i, p := range c.Points {
		if p.Gap {
			flush(i, false)
			continue
		}
		v := p.First
		if second {
			v = p.Second
		}
		at := itoa(i*slot+slot/2) + "," + itoa(plotHeight-scale(v, top))
		if p.SoFar && len(run) > 0 {
			before := run[len(run)-1]
			if len(run) > 1 {
				flush(i, false)
			}
			run = []string{before}
		}
		run = append(run, at)
	}
	flush(len(c.Points), len(c.Points) > 0 && c.Points[len(c.Points)-1].SoFar)
	return out
}

func (s Spark) viewBox() string { return "0 0 " + itoa(max(len(s.Bars)*5-1, 1)) + " 20" }

func (s Spark) rects() []rect {
	top := 1
	for _, b := range s.Bars {
		top = max(top, b.Value)
	}
	out := make([]rect, 0, 2*len(s.Bars))
	for i, b := range s.Bars {
		x := i * 5
		if b.Value == 0 {
			out = append(out, rect{X: x, Y: 18, W: 4, H: 2, Class: "f-line"})
			continue
		}
		h := max(b.Value*20/top, 2)
		bad := b.Bad * 20 / top
		if b.Bad > 0 && bad == 0 {
			bad = 1
		}
		bad = min(bad, h)
		if h > bad {
			out = append(out, rect{X: x, Y: 20 - h, W: 4, H: h - bad, Class: "f-hi"})
		}
		if bad > 0 {
			out = append(out, rect{X: x, Y: 20 - bad, W: 4, H: bad, Fill: "url(#hatch)"})
		}
	}
	return out
}

// percent is where bucket at begins on an axis of so many.
func percent(at, buckets int) string {
	return strconv.FormatFloat(100*float64(at)/float64(buckets), 'f', 1, 64) + "%"
}

func plotBox(buckets int) string {
	return "0 0 " + itoa(max(buckets, 1)*slot) + " " + itoa(plotHeight)
}

// scale places v on a plot of height 100. Anything above zero is at least two
// units high, so that one failure among thousands can be seen.
func scale(v, top int) int {
	if v <= 0 || top <= 0 {
		return 0
	}
	return min(max(v*plotHeight/top, 2), plotHeight)
}

// roundUp picks the top of a scale: the next 1, 2, 4, 6 or 8 times a power of
// ten, always even, so that the middle label is a whole number.
func roundUp(v int) int {
	if v <= 4 {
		return 4
	}
	for p := 1; ; p *= 10 {
		for _, m := range []int{1, 2, 4, 6, 8} {
			if t := m * p; t >= v && t%2 == 0 {
				return t
			}
		}
	}
}

// Phases is the duration of an attempt split by what took it.
type Phases struct {
	Parts []Phase
	Scale int    // milliseconds at the right end
	Cut   bool   // the bar is longer than the scale
	Label string // for assistive technology
}

// Phase is one part of an attempt. Kind is "dns", "conn", "tls" or "wait".
type Phase struct {
	Kind  string
	Label string // for example "Connect"
	Text  string // for example "33 ms"
	Ms    int
}

const phaseWidth = 1000

func (p Phases) rects() []rect {
	out := []rect{{W: phaseWidth, H: 10, Class: "f-soft"}}
	if p.Scale <= 0 {
		return out
	}
	x := 0
	for _, part := range p.Parts {
		w := part.Ms * phaseWidth / p.Scale
		if part.Ms > 0 {
			w = max(w, 4)
		}
		w = min(w, phaseWidth-x)
		if w <= 0 {
			continue
		}
		out = append(out, rect{X: x, W: w, H: 10, Class: "f-" + part.Kind})
		x += w
	}
	return out
}

// RetrySchedule is the eight attempts as a ruler with the backlog on it.
type RetrySchedule struct {
	Steps []RetryStep
}

// RetryStep is one attempt of the schedule: "1", "at once", "12 waiting".
type RetryStep struct {
	Label   string // for example "Attempt 3"
	Delay   string // for example "5 min after"
	Waiting string // for example "184 waiting"; empty when none
	Href    string // the list of those that wait
	State   string // "", "bad" (all fail here) or "load" (backlog sits here)
}
