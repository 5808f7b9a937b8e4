package app

import "testing"

func TestTheEndOfTransfersIsSaidAsItWas(t *testing.T) {
	for want, e := range map[string]TransfersEnded{
		"Nothing was copied.":            {}, // all were skipped or cancelled
		"1 file was copied.":             {Done: 1},
		"12 files were copied.":          {Done: 12},
		"1 file was not copied.":         {Failed: 1},
		"3 files were not copied.":       {Failed: 3},
		"1 file was copied, 2 failed.":   {Done: 1, Failed: 2},
		"4 files were copied, 1 failed.": {Done: 4, Failed: 1},
	} {
		if got := e.Sentence(); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}
