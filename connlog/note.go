package connlog

import (
	"fmt"
	"strings"
)

// Note returns a short text to send to whoever sits at the other end of a channel that could not be opened, where that side has to
// change something or can help to find out; empty otherwise. It is polite, names addresses and ports, and no secrets.
func (c Channel) Note() string {
	if c.State != Failed || c.Kind != Data || !c.Opened.IsZero() {
		return ""
	}
	c = c.meant()
	if c.Reason == ReasonRejected && moves(c.Command) {
		return "" // the transfer was refused, not the channel
	}
	when := c.Started.Format("2006-01-02 15:04:05 -0700")
	var what, ask string
	switch {
	case c.Side == Server && c.Mode == Active:
		what = fmt.Sprintf("your FTP program asked for active mode, so my server dialled back to %s to open the data channel, and could not get through (%s).", addr(c.To), trouble(c.Reason))
		ask = "Please switch your FTP program to passive mode: then your side opens the data channel, which nearly every firewall allows."
		if c.Reason == ReasonPolicy || c.Reason == ReasonRejected {
			what = fmt.Sprintf("your FTP program asked for active mode and told my server to dial %s. For safety it dials only the address that you come from, and ports from 1024 up.", addr(c.To))
		} else if c.To.IsValid() && Private(c.To.Addr()) && c.Client.IsValid() && !Private(c.Client.Addr()) {
			what = fmt.Sprintf("your FTP program asked for active mode and told my server to dial %s. That is a private address behind your router, which can't be reached from here.", addr(c.To))
		}
	case c.Side == Server && c.Mode == Passive && c.Reason == ReasonTimeout:
		what = fmt.Sprintf("your FTP program asked for passive mode, my server named port %s and waited, and no connection came from you (%s).", port(c.To), ipText(c.Client))
		if c.elsewhere() {
			what = fmt.Sprintf("your FTP program asked for passive mode, and the connection to port %s of my server came from %s, while you are signed in from %s. For safety my server takes it only from the same address.", port(c.To), c.strangers(), ipText(c.Client))
			ask = "Please let all connections to my server leave your network by one address: no second line, proxy or VPN for a part of them."
			break
		}
		ask = fmt.Sprintf("Does your network let connections out to TCP port %s? If other people get through to me, your firewall has to allow it; if nobody does, it is my side.", port(c.To))
	case c.Side == Client && c.Mode == Passive && c.Reason == ReasonRejected:
		what = fmt.Sprintf("I can sign in to your FTP server %s, but it refuses passive mode: %s.", c.Host, quoted(c.Reply))
		ask = "Please let it do passive mode, with a passive port range that is large enough for all clients, and open in its firewall."
	case c.Side == Client && c.Mode == Passive && c.Reason != ReasonCancelled && c.Reason != ReasonLocal:
		what = fmt.Sprintf("I can sign in to your FTP server %s, but its passive data channel at %s can't be opened from here (%s).", c.Host, addr(c.To), trouble(c.Reason))
		ask = fmt.Sprintf("Please let your server's passive port range in at its firewall (TCP %s is one of them), forward it in the router, and set the server's Passive IP to its public address.", port(c.To))
	default:
		return ""
	}
	return strings.Join([]string{"Hello,", what, ask, "Time of the attempt: " + when + "."}, "\n\n")
}
