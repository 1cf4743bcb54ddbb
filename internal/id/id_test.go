package id_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"kaylehooks/internal/id"
)

func TestParse_KnowsTheContractsVectors(t *testing.T) {
	t.Parallel()
	d, err := id.Parse[id.DeliveryKind]("whd_01h455vb4pex5vsknk084sn02q")
	if err != nil || d.UUID.String() != "01890a5d-ac96-774b-bcce-b302099a8057" || d.String() != "whd_01h455vb4pex5vsknk084sn02q" {
		t.Errorf("got %s %s, %v", d, d.UUID, err)
	}
	e, err := id.Parse[id.EventKind]("evt_01kdvdna00e4hr28t5cy4tqkff")
	if err != nil || e.UUID.String() != "019b76da-a800-7123-8123-456789abcdef" {
		t.Errorf("got %s, %v", e.UUID, err)
	}
	if _, err := id.Parse[id.DeliveryKind]("whd_7zzzzzzzzzzzzzzzzzzzzzzzzz"); err != nil {
		t.Errorf("the largest suffix: %v", err)
	}
}

func TestParse_IsStrict(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "whd_", "whd_8zzzzzzzzzzzzzzzzzzzzzzzzz", "whd_01H455VB4PEX5VSKNK084SN02Q", "whd_01h455vb4pex5vsknk084sn02",
		"evt_01h455vb4pex5vsknk084sn02q", "WHD_01h455vb4pex5vsknk084sn02q", "01h455vb4pex5vsknk084sn02q", "whd_01h455vb4pex5vsknk084sn02q ",
		"whd-01h455vb4pex5vsknk084sn02q", "whd_01h455vb4pex5vsknk084sn02l", "whd_01890a5d-ac96-774b-bcce-b302099a8057",
		"whd_00000000000000000000000000", // none, which as a filter would let everything pass
	} {
		if got, err := id.Parse[id.DeliveryKind](s); err == nil {
			t.Errorf("%q gave %s", s, got)
		}
	}
}

func TestID_RoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var u uuid.UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		x := id.Session{UUID: u}
		back, err := id.Parse[id.SessionKind](x.String())
		if x.IsZero() {
			return
		}
		if err != nil || back != x {
			t.Fatalf("%s came back as %s, %v", x, back, err)
		}
	})
}

func TestNewUUID_SortsByTimeAndIsVersion7(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	last := ""
	for range 100 {
		u := id.NewUUID(at)
		if u.Version() != 7 || u.Variant() != uuid.RFC4122 || u.String() <= last {
			t.Fatalf("%s after %s, version %d", u, last, u.Version())
		}
		last = u.String()
		at = at.Add(time.Microsecond * 300)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("whd_01h455vb4pex5vsknk084sn02q")
	f.Add("whd_8zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, s string) {
		if x, err := id.Parse[id.DeliveryKind](s); err == nil && !x.IsZero() && x.String() != s {
			t.Errorf("%q parsed, but prints as %q", s, x)
		}
	})
}
