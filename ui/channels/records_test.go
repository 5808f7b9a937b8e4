package channels

import (
	"fmt"
	"net/netip"
	"time"

	"portside/connlog"
)

var began = time.Date(2026, 11, 23, 9, 41, 6, 0, time.Local)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// teller writes the records of one session as client or server would.
type teller struct {
	to             connlog.Recorder
	side           connlog.Side
	id             string
	client, server string // addresses without port
	now            time.Time
	conn           int
}

func newTeller(to connlog.Recorder, side connlog.Side, id string, offset time.Duration) *teller {
	return &teller{to: to, side: side, id: id, client: "192.168.1.7", server: "203.0.113.5", now: began.Add(offset)}
}

func (t *teller) say(r connlog.Record) {
	t.now = t.now.Add(13 * time.Millisecond)
	r.Time, r.Session, r.Side = t.now, t.id, t.side
	t.to.Record(r)
}

func (t *teller) command(s string) {
	t.say(connlog.Record{Event: connlog.CommandSent, Channel: connlog.Control, Command: s})
}

func (t *teller) reply(s string) {
	t.say(connlog.Record{Event: connlog.ReplySent, Channel: connlog.Control, Reply: s})
}

// signIn opens the control channel.
func (t *teller) signIn(user string) {
	from, to := at(t.client+":51812"), at(t.server+":21")
	t.say(connlog.Record{Event: connlog.ControlOpened, Channel: connlog.Control, Initiator: connlog.Client, From: from, To: to, Host: "files.example.org"})
	t.reply("220 Welcome")
	t.command("AUTH TLS")
	t.reply("234 Go ahead")
	t.say(connlog.Record{Event: connlog.ControlTLS, Channel: connlog.Control, Initiator: connlog.Client, TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"})
	t.command("USER " + user)
	t.reply("331 Password, please")
	t.command("PASS ****")
	t.reply("230 Signed in")
	t.say(connlog.Record{Event: connlog.SignedIn, Channel: connlog.Control, User: user})
}

func (t *teller) data(e connlog.Event, r connlog.Record) {
	r.Event, r.Channel, r.Conn = e, connlog.Data, t.conn
	t.say(r)
}

// passive moves n bytes with command over a data channel that the client opens.
func (t *teller) passive(command string, n int64) {
	t.conn++
	r := connlog.Record{Mode: connlog.Passive, Initiator: connlog.Client, To: at(fmt.Sprintf("%s:%d", t.server, 21100+t.conn%100)), Command: "EPSV"}
	t.command("EPSV")
	t.reply(fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", r.To.Port()))
	t.data(connlog.PassiveOffered, r)
	r.Command = command
	r.From = at(fmt.Sprintf("%s:%d", t.client, 51812+t.conn%1000))
	t.data(connlog.DataOpened, r)
	r.TLS, r.Resumed = "TLS 1.3", true
	t.data(connlog.DataTLS, r)
	t.command(command)
	t.reply("150 Here it comes")
	r.Bytes, r.Duration = n, 120*time.Millisecond
	t.data(connlog.DataClosed, r)
	t.reply("226 Done")
}

// active begins to move n bytes over a data channel that the server opens.
func (t *teller) active(command string, n int64) {
	t.conn++
	r := connlog.Record{Mode: connlog.Active, Initiator: connlog.Server, To: at(t.client + ":50210"), Command: "EPRT |1|" + t.client + "|50210|"}
	t.command(r.Command)
	t.reply("200 EPRT command successful")
	t.data(connlog.ActiveRequested, r)
	t.command(command)
	r.Command, r.From = command, at(t.server+":20")
	t.data(connlog.DataOpened, r)
	r.Bytes = n
	t.data(connlog.DataProgress, r)
}

// blocked asks for an active data channel that can't be opened.
func (t *teller) blocked(why connlog.Reason) {
	t.conn++
	r := connlog.Record{Mode: connlog.Active, Initiator: connlog.Server, To: at("10.0.0.9:51002"), Command: "PORT 10,0,0,9,199,58"}
	t.command(r.Command)
	t.reply("200 PORT command successful")
	t.data(connlog.ActiveRequested, r)
	t.command("LIST")
	t.data(connlog.DataDialing, r)
	r.Reason, r.Err = why, "dial tcp 10.0.0.9:51002: i/o timeout"
	t.data(connlog.DataFailed, r)
	t.reply("425 Can't open data connection")
}
