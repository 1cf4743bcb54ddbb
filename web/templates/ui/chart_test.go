package ui

import (
	"slices"
	"strings"
	"testing"
)

func TestRoundUp_GivesAnEvenRoundScale(t *testing.T) {
	t.Parallel()
	for v, want := range map[int]int{0: 4, 3: 4, 5: 6, 7: 8, 9: 10, 11: 20, 366: 400, 1240: 2000, 81: 100} {
		if got := roundUp(v); got != want {
			t.Errorf("roundUp(%d) = %d, want %d", v, got, want)
		}
	}
}

// A single failure among thousands must stay visible, and no bar may be taller
// than the plot.
func TestBarChart_ShapesFitThePlot(t *testing.T) {
	t.Parallel()
	c := BarChart{Bars: []Bar{{Value: 4000, Part: 1}, {Value: 0}, {Value: 1, Part: 1}, {Value: 9000, Part: 9000, SoFar: true}}, Max: 4000}
	shapes := c.shapes()
	if s := shapes[0]; s.Part.H != 2 || s.Full.H+s.Part.H != plotHeight {
		t.Errorf("first bar: %+v", s)
	}
	if s := shapes[1]; s.Full.H != 0 || s.Part.H != 0 {
		t.Errorf("empty bar: %+v", s)
	}
	if s := shapes[2]; s.Full.H != 0 || s.Part.H != 2 {
		t.Errorf("all failed: %+v", s)
	}
	if s := shapes[3]; s.Part.H != plotHeight || s.Class != "f-vol sofar" {
		t.Errorf("above the scale: %+v", s)
	}
}

func TestLineChart_BucketsWithoutDataLeaveAGap(t *testing.T) {
	t.Parallel()
	c := LineChart{Max: 100, Points: []Point{{First: 50}, {First: 100}, {Gap: true}, {First: 10}}}
	if got, want := c.lines(false), []line{{"5,50 15,0", false}, {"35,90 39,90", false}}; !slices.Equal(got, want) {
		t.Errorf("lines = %v, want %v", got, want)
	}
	c.Points = []Point{{First: 50}, {First: 100}, {First: 10, SoFar: true}}
	if got, want := c.lines(false), []line{{"5,50 15,0", false}, {"15,0 25,90", true}}; !slices.Equal(got, want) {
		t.Errorf("with a bucket that is not over: %v, want %v", got, want)
	}
	c.Points = []Point{{First: 50}, {First: 10, SoFar: true}}
	if got, want := c.lines(false), []line{{"5,50 15,90", true}}; !slices.Equal(got, want) {
		t.Errorf("of one bucket and one that is not over: %v, want %v", got, want)
	}
	c.Points = []Point{{Gap: true}, {First: 10, SoFar: true}}
	if got, want := c.lines(false), []line{{"15,90 19,90", true}}; !slices.Equal(got, want) {
		t.Errorf("of one that is not over: %v, want %v", got, want)
	}
	if !c.any() || (LineChart{Points: []Point{{Gap: true}}}).any() {
		t.Error("a chart of gaps alone is empty")
	}
}

func TestMeter_PartsNeverLeaveTheBar(t *testing.T) {
	t.Parallel()
	m := Meter{Total: 10, Parts: []MeterPart{{Value: 8, Fill: FillOK}, {Value: 8, Fill: FillBad}, {Value: 1, Fill: FillWarn}}, Mark: 10}
	for _, r := range m.rects() {
		if r.X+r.W > meterWidth {
			t.Errorf("%+v leaves the bar", r)
		}
	}
	if got := len(Meter{}.rects()); got != 1 {
		t.Errorf("an empty meter draws %d shapes, want its ground alone", got)
	}
	if r := (Meter{Total: 100_000, Parts: []MeterPart{{Value: 1, Fill: FillBad}}}).rects()[1]; r.W != 1 {
		t.Errorf("a small share is %d wide, want 1", r.W)
	}
}

func TestStrip_HeightTellsTheResult(t *testing.T) {
	t.Parallel()
	s := Strip{Cells: []Cell{CellRetry, CellOK, CellNone, CellNow, CellFail}}
	heights := []int{}
	for _, c := range s.shapes() {
		heights = append(heights, c.H)
	}
	if want := []int{7, 12, 2, 9, 7}; !slices.Equal(heights, want) {
		t.Errorf("heights %v, want %v", heights, want)
	}
	if got := s.viewBox(); got != "0 0 29 12" {
		t.Errorf("viewBox %q", got)
	}
}

func TestPhases_StayOnTheScale(t *testing.T) {
	t.Parallel()
	p := Phases{Scale: 1000, Parts: []Phase{{Kind: "dns", Ms: 1}, {Kind: "wait", Ms: 14_000}}}
	rects := p.rects()
	if rects[1].W != 4 || rects[2].X+rects[2].W != phaseWidth {
		t.Errorf("rects %+v", rects)
	}
}

// What the axis names stands where its bucket begins, whatever the number of buckets and the width.
func TestXAxis_LabelsStandAtTheirBuckets(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := xAxis([]XLabel{{At: 0, Text: "07:00"}, {At: 5, Text: "12:00"}, {At: 24, Text: "+24 h"}}, 24).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`x="0.0%" y="17">07:00<`, `x1="20.8%" x2="20.8%"`, `x="20.8%" y="17">12:00<`, `class="late" x="100.0%" y="17">+24 h<`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}

// Failures differ by more than colour, and pointing at the bars says how many they are.
func TestSpark_TellsFailuresWithoutColour(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := SparkView(Spark{Label: "24 hours, 9 first attempts, 3 not 2xx", Bars: []SparkBar{{Value: 9, Bad: 3}}}).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`fill="url(#hatch)"`, "<title>24 hours, 9 first attempts, 3 not 2xx</title>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}
