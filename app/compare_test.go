package app

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"portside/connlog"
)

// As after a busy day of the server.
func TestALogOfManySessionsIsComparedWithTheOtherEnds(t *testing.T) {
	a := start(t)
	server, client := netip.MustParseAddrPort("203.0.113.5:21"), netip.MustParseAddrPort("192.0.2.7:50000")
	theirs := connlog.NewLog(0)
	session := func(log *connlog.Log, side connlog.Side, id, peer string) {
		r := connlog.Record{Time: time.Now(), Side: side, Session: id, Channel: connlog.Control, From: client, To: server}
		for _, r.Event = range []connlog.Event{connlog.ControlOpened, connlog.Greeted, connlog.ControlClosed} {
			if r.Peer = ""; r.Event == connlog.Greeted {
				r.Peer = peer
			}
			log.Record(r)
		}
	}
	for i := range 1000 {
		session(a.Log, connlog.Server, fmt.Sprint("s", i), "")
	}
	session(theirs, connlog.Client, "c", "s0")
	var saved bytes.Buffer
	if err := theirs.WriteJSON(&saved); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "theirs.jsonl")
	write(t, name, saved.String())
	pairs, err := a.compareWith([]string{name})
	if err != nil || len(pairs) != 1 || pairs[0].Server.ID != "s0" {
		t.Errorf("%d pairs, %v", len(pairs), err)
	}
}
