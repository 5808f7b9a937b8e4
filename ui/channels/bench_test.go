package channels

import (
	"fmt"
	"testing"
	"time"

	"portside/connlog"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// fullLog holds as many channels and records as a log keeps.
func fullLog(side connlog.Side) *connlog.Log {
	log := connlog.NewLog(0)
	for i := range 60 {
		s := newTeller(log, side, fmt.Sprint("s", i), time.Duration(i)*time.Minute)
		s.signIn("alice")
		for k := range 180 {
			s.passive(fmt.Sprintf("RETR file-%d", k), int64(k)*100_000)
		}
	}
	return log
}

func BenchmarkReadFullLog(b *testing.B) {
	log := fullLog(connlog.Client)
	r := &reader{log: log, side: connlog.Client}
	for b.Loop() {
		r.read(query{})
	}
}

func BenchmarkSearchFullLog(b *testing.B) {
	log := fullLog(connlog.Client)
	r := &reader{log: log, side: connlog.Client}
	for i := 0; b.Loop(); i++ {
		r.read(query{text: fmt.Sprint(i)})
	}
}

// BenchmarkShowFullLog is what a look costs the user interface.
func BenchmarkShowFullLog(b *testing.B) {
	uitest.App(b, kit.Dark)
	log := fullLog(connlog.Client)
	d := NewDrawer(Options{Side: connlog.Client, Log: log})
	uitest.Window(b, d, 1200, 320)
	v := (&reader{log: log, side: connlog.Client}).read(query{})
	b.ReportAllocs()
	for b.Loop() {
		d.apply(v)
	}
}

func BenchmarkScrollFullLog(b *testing.B) {
	uitest.App(b, kit.Dark)
	log := fullLog(connlog.Client)
	d := NewDrawer(Options{Side: connlog.Client, Log: log})
	uitest.Window(b, d, 1200, 320)
	d.apply((&reader{log: log, side: connlog.Client}).read(query{}))
	for i := 0; b.Loop(); i++ {
		d.diagram.col.scrollTo(float32(i%9000) * channelRow)
	}
}
