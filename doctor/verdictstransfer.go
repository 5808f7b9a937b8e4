package doctor

import (
	"cmp"
	"errors"
	"fmt"

	"portside/client"
	"portside/connlog"
)

// The verdicts on data channels that come up, whoever opens them, and on what they carry.

func (e *Evidence) sayTLSDataProtection(Finding) string {
	if e.ProtAnswer.failed() {
		return fmt.Sprintf("The server refuses the protection that was asked for the data channels: %q.", e.ProtAnswer)
	}
	m := e.firstMove()
	if e.Transfer.Secured == pending && e.Transfer.Outcome == Stalled {
		return "The data channel stands, and the server does not answer its TLS handshake: it hangs there, or waits for a data channel in clear."
	}
	if m.Outcome == TLSFailed {
		return fmt.Sprintf("The data channel stands, but its TLS handshake fails: %s.", m.Handshake)
	}
	if e.ClearData {
		return fmt.Sprintf("The server insists on encrypted data channels, and your program asks for clear ones: %q.", m.Answer)
	}
	return fmt.Sprintf("The server refuses the data channel because of its protection: %q.", m.Answer)
}

func (e *Evidence) fixTLSDataProtection(Finding) []Fix {
	if e.ClearData {
		return []Fix{e.advice(ClientComputer, "Let your program encrypt data channels, too (PROT P).")}
	}
	return []Fix{e.advice(ServerSettings, "Allow protected data channels (PROT P) at the server, and see what it logs for them.")}
}

func (e *Evidence) sayTLSSessionReuse(f Finding) string {
	if f.Side == Nobody {
		return fmt.Sprintf("The server insists that data channels resume the control channel's TLS session (%q). Portside does; programs that don't are refused.", e.Reuse)
	}
	return fmt.Sprintf("The server wants the data channel to resume the control channel's TLS session, and refuses this one: %q.", e.firstMove().Answer)
}

func (e *Evidence) fixTLSSessionReuse(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Use a program that resumes the TLS session for data channels; Portside does."),
		e.setting("Or don't require it at the server.", noReuse),
	}
}

func (e *Evidence) sayClientMultiAddress(Finding) string {
	m := e.firstMove()
	if m.Answer.Code == 0 {
		return "The server closes the data channel without a word: to the server it seems to come from another public address than the control channel."
	}
	return fmt.Sprintf("Your network uses more than one public address: the data channel reached the server from another one than the control channel, and the server refused it: %q.", m.Answer)
}

func (e *Evidence) fixClientMultiAddress(Finding) []Fix {
	return []Fix{
		e.advice(ClientNetwork, "Let all connections to {public} leave by one line: pin FTP to one WAN, or give the NAT one address."),
		e.advice(ServerSettings, "Or allow data connections from other addresses at the server (vsftpd: pasv_promiscuous=YES); that is less safe."),
	}
}

func (e *Evidence) sayALGTamper(Finding) string {
	advertised := e.Passive.Advertised.Advertised.Addr()
	active := e.active()
	switch {
	case e.TLSStalled:
		return "The server begins TLS, and the handshake then stops, however small its packets: a firewall on the way interferes with it, or the server hangs."
	case e.Lost != nil && e.User.Code == 0 && e.AuthAnswer.Code == 0 && e.TLSError == "":
		return "The server greets, and then answers nothing: it hangs, or a box on the way swallows the commands."
	case e.AuthAnswer.Code != 0 && !e.TLSUp && e.ListsAuth, e.TLSError != "":
		return fmt.Sprintf("The server offers TLS, but the command for it does not come through as it was sent: %s. A firewall on the way interferes with FTP.", quoteOr(e.AuthAnswer.String(), e.TLSError))
	case e.passive() && e.noOffer() && (e.Passive.EPSV.Answer.Code/100 == 2 || e.Passive.PASV.Answer.Code/100 == 2):
		o := e.Passive.EPSV
		if o.Answer.Code/100 != 2 {
			o = e.Passive.PASV
		}
		return fmt.Sprintf("The replies don't belong to the commands: %s is answered with %q. The server says something twice, or a box on the way does.", o.Command, o.Answer)
	case e.changedAddress():
		return fmt.Sprintf("A box on the way changes what the server says: in clear its reply names %s, under TLS %s.", advertised, e.Comparison.PASV.Advertised.Addr())
	case e.mode() == client.ModeActive && e.Hops.at(1) == Worked:
		return fmt.Sprintf("A box one hop away answers in place of %s and speaks FTP with it, so the server sees that box and refuses your address in PORT: %q.", e.Peer.Addr(), active.Answer)
	case e.mode() == client.ModeActive:
		return fmt.Sprintf("A box on the way changes FTP commands: the server refuses PORT with an address that it takes in EPRT: %q.", e.PORT.Answer)
	}
	return fmt.Sprintf("A box on the way changes FTP commands: the server says %q to a command that it knows.", cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.Passive.PASV.Answer)))
}

func (e *Evidence) fixALGTamper(Finding) []Fix {
	around := "Meanwhile use FTP over TLS: a box on the way can't read it."
	if e.ListsAuth && !e.TLSUp && (e.AuthAnswer.Code != 0 || e.TLSError != "") || e.TLSStalled {
		around = "Meanwhile use implicit TLS (port 990), which has no command that could be changed, or SFTP."
	}
	return []Fix{
		e.choice(ThePath, "Switch the inspection of FTP off in the router or firewall that does it, on your side or on the server's.", helperOff),
		e.advice(ClientComputer, around),
	}
}

func (e *Evidence) sayControlIdleTimeout(f Finding) string {
	if e.LostText.Code == 421 {
		return fmt.Sprintf("The server ended the session over a transfer, because nothing had been said on the control channel for too long: %q.", e.LostText)
	}
	if e.Noop == Worked {
		return fmt.Sprintf("All %s came, but not the reply that ends the transfer, though the control channel is alive.", connlog.Bytes(e.Transfer.Bytes))
	}
	if f.Side == ServerSettings {
		return fmt.Sprintf("All %s came at once, and then the control channel was silent: the server hangs at the end of transfers, or a box on the way lost the control channel.", connlog.Bytes(e.Transfer.Bytes))
	}
	return fmt.Sprintf("All %s came, but the control channel was dead afterwards: a router or firewall on the way forgets connections that are idle for less than %s.", connlog.Bytes(e.Transfer.Bytes), connlog.Took(e.Transfer.Took))
}

func (e *Evidence) fixControlIdleTimeout(f Finding) []Fix {
	if f.Side == ServerSettings && e.LostText.Code != 421 {
		return []Fix{
			e.advice(ServerSettings, "Look at the server's log for what it says at the end of this transfer."),
			e.advice(ClientComputer, "Try another network: if it works there, a box on your side loses the control channel."),
		}
	}
	if f.Side == ServerSettings {
		return []Fix{e.advice(ServerSettings, "Raise the server's idle timeout above the length of the longest transfer.")}
	}
	return []Fix{
		e.advice(ClientComputer, "Let your program keep the control channel alive (TCP keep-alive every 30 to 60 s), or transfer smaller files."),
		e.advice(ThePath, "Raise the idle timeout for TCP connections in the router, firewall or load balancer that forgets them."),
	}
}

func (e *Evidence) sayDataCut(f Finding) string {
	switch m := e.firstMove(); {
	case e.endedBy().Command != "":
		return fmt.Sprintf("The server takes the data channel and ends the whole session as soon as it is told %s: it crashes there, or a box on the way ends the session.", e.endedBy().Command)
	case m.Answer.Code == 421:
		return fmt.Sprintf("The server takes the data channel and ends the whole session when it is told %s: %q.", m.Command, m.Answer)
	case m.Begun && m.Answer.failed() && m.Outcome == Rejected, e.Transfer.Answer.ownFault():
		if e.Transfer.Answer.ownFault() {
			m = e.Transfer
		}
		return fmt.Sprintf("The data channel stands, and the server breaks the transfer off after %s: %q.", connlog.Bytes(m.Bytes), m.Answer)
	case f.Side == ServerNetwork:
		return "The data channel comes up and is closed at once, and the server goes on waiting for it: a load balancer or proxy before the server takes it and does not pass it on, or to the server it seems to come from another address than yours."
	case e.Transfer.Outcome == NotTried && e.SignedIn && errors.Is(e.Lost, errSilent):
		return "The server takes the user and then does not answer any more: it hangs, or the network loses packets."
	case e.Transfer.Outcome == NotTried:
		return "The session ended before it was decided whether data channels work."
	case e.Transfer.Outcome == Worked:
		return fmt.Sprintf("The transfer ends early: %d of %d bytes came.", e.Transfer.Bytes, e.Size)
	case f.Side == ThePath && e.Transfer.Answer.Code/100 == 2 && e.Transfer.Bytes == 0:
		return fmt.Sprintf("The server says that the transfer is complete (%q), and nothing of it arrives here: something on the way swallows what data channels carry.", e.Transfer.Answer)
	case f.Side == ServerSettings && e.Transfer.Answer.Code/100 == 2:
		return fmt.Sprintf("The server says that the transfer is complete (%q) and does not close the data channel, by which programs know its end.", e.Transfer.Answer)
	case f.Side == ServerSettings && e.Transfer.Outcome == Broken:
		return "Data channels come up and are closed before anything comes over them: the server closes them, or a box on the way does."
	case f.Side == ServerSettings:
		return "Data channels come up and nothing ever comes over them, however small the packets: the server hangs, or a box before it takes the connection and does not pass it on."
	case f.Confidence == Proved:
		return fmt.Sprintf("Transfers stop at the same place, after %s and after %s: something on the way ends them, such as a scanner, a quota or a proxy.", connlog.Bytes(e.Transfer.Bytes), connlog.Bytes(e.Again.Bytes))
	case f.Confidence == Likely:
		return fmt.Sprintf("Data channels come up and then stop moving (after %s): something on the way ends them.", connlog.Bytes(e.Transfer.Bytes))
	}
	return fmt.Sprintf("A transfer stopped after %s and could not be shown to stop again: the network lost the connection, or something on the way ended it.", connlog.Bytes(e.Transfer.Bytes))
}

func (e *Evidence) fixDataCut(f Finding) []Fix {
	if f.Side == ServerSettings && e.Transfer.Answer.Code/100 == 2 {
		return []Fix{e.advice(ServerSettings, "Update or restart the server: it has to close the data channel at the end of each listing and download.")}
	}
	if f.Side == ServerNetwork {
		return []Fix{
			e.advice(ServerNetwork, "Look at what stands before the server: a load balancer, proxy or firewall has to pass the passive ports on to the same server as the control channel."),
			e.advice(ClientNetwork, "Let all connections to {public} leave by one line: pin FTP to one WAN, or give the NAT one address."),
		}
	}
	if f.Side == ServerSettings {
		return []Fix{
			e.advice(ServerSettings, "Look at the server's log for what it says about this transfer: a full disk, a quota, a virus scanner, a crash."),
			e.advice(ServerNetwork, "If it has seen nothing of the data channel, look at what stands before the server: proxy, load balancer, firewall with a proxy for FTP."),
		}
	}
	if m := e.firstMove(); e.Transfer.Outcome == NotTried && !m.Answer.failed() { // nothing was decided
		if e.SignedIn && errors.Is(e.Lost, errSilent) {
			return []Fix{e.advice(ClientComputer, "Try again, and from another network; then look at the server's log for this session.")}
		}
		return nil
	}
	return []Fix{
		e.advice(ThePath, "Take FTP data connections out of what inspects or limits them: virus scanner, intrusion prevention, proxy, quota."),
		e.advice(ClientComputer, "Try FTP over TLS or another network: if it works there, the box is on your side."),
		e.advice(ServerSettings, "Look at the server's log for what it says about this transfer."),
	}
}

func (e *Evidence) sayMTUBlackhole(Finding) string {
	return "Full-size packets are lost on the way and small ones pass: a link with a smaller packet size (VPN, PPPoE), and the message that would say so is filtered."
}

func (e *Evidence) fixMTUBlackhole(Finding) []Fix {
	return []Fix{e.choice(ThePath, "Let the packets be small enough for the smallest link on the way.", clampMSS)}
}

func (e *Evidence) sayListingEmpty(Finding) string {
	if e.PathFail.failed() {
		if e.PathFail.Code == 425 {
			return fmt.Sprintf("Data channels work for listings, and the server can't open the one for %s: %q.", e.Target.Path, e.PathFail)
		}
		return fmt.Sprintf("The channels work, but the server refuses %s: %q.", e.Target.Path, e.PathFail)
	}
	if m := e.firstMove(); m.Answer.Code == 425 && e.refusedAlike() {
		return fmt.Sprintf("The server refuses data channels, whoever opens them: %q.", m.Answer)
	} else if m.Answer.failed() {
		empty := ""
		if saysNothing.MatchString(m.Answer.Text) {
			empty = " Some servers say so of an empty folder."
		}
		return fmt.Sprintf("The channels work, but the server refuses the listing: %q.%s", m.Answer, empty)
	}
	return fmt.Sprintf("The listing comes through with zero bytes: the folder is empty for the user %s, or the server hides what is in it.", e.Target.User)
}

func (e *Evidence) fixListingEmpty(Finding) []Fix {
	if e.firstMove().Answer.Code == 425 || e.PathFail.Code == 425 {
		return []Fix{
			e.advice(ServerComputer, "See the server's log for why it can't open data channels: its own firewall, a virus scanner, no free sockets."),
		}
	}
	if a := cmp.Or(e.PathFail, e.firstMove().Answer); a.failed() && saysNoRoom.MatchString(a.Text) {
		return []Fix{e.advice(ServerComputer, "Make room on the server's disk, or raise the quota of the user {user}.")}
	}
	if e.PathFail.failed() {
		return []Fix{e.advice(ServerSettings, "Check that {path} is there, and that the user {user} may read it; the server's log says more.")}
	}
	return []Fix{e.advice(ServerSettings, "Check the user's home folder, its rights, and the server's rules for hidden files.")}
}

func (e *Evidence) sayRESTUnsupported(Finding) string {
	if e.Ignored {
		return "The server takes REST and sends the file from its beginning all the same: transfers can't be resumed."
	}
	return fmt.Sprintf("The server can't resume transfers: it answers REST with %q.", e.Rest)
}

func (e *Evidence) fixRESTUnsupported(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Transfer the file from its beginning."),
		e.advice(ServerSettings, "Allow REST at the server (ProFTPD: AllowRetrieveRestart on)."),
	}
}

func (e *Evidence) sayCharset(Finding) string {
	return fmt.Sprintf("The server's file names are not UTF-8 (%s).", e.strangeName())
}

func (e *Evidence) fixCharset(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Choose the server's character set in your program, usually Windows-1252 or Latin-1; for other scripts Shift JIS, GBK, EUC-KR, KOI8-R or Windows-1251."),
		e.setting("Let the server send names in UTF-8.", []Variant{
			{string(VSFTPD), "utf8_filesystem=YES", ""}, {string(ProFTPD), "UseEncoding UTF-8 ISO-8859-1", ""}, {string(PureFTPd), "FileSystemCharset ISO-8859-1\nClientCharset UTF-8", ""},
		}),
	}
}

func (e *Evidence) sayOK(Finding) string {
	dialler := "you opened every data channel (passive mode)"
	if e.mode() == client.ModeActive {
		dialler = "the server opened every data channel (active mode)"
	}
	protected := "in clear"
	if e.TLSUp {
		protected = "under " + e.TLSVersion
	}
	out := fmt.Sprintf("Everything works %s: %s.", protected, dialler)
	if e.mode() == client.ModeActive && e.announcesPrivate() {
		out += " Your router helps: it reads FTP's commands and lets the server in, which it can't do under TLS."
	}
	if m := e.firstMove(); m.Outcome == Worked && !m.Stopped && m.Took.Seconds() >= 5 && m.Bytes < 1<<20 {
		out += fmt.Sprintf(" It is slow, though: %s took %s.", connlog.Bytes(m.Bytes), connlog.Took(m.Took))
	}
	if e.SignInIn.Seconds() >= 5 {
		out += fmt.Sprintf(" Signing in is slow, though: it took %s, as when the server waits for a directory or a name lookup.", connlog.Took(e.SignInIn))
	}
	if e.OtherDead.IsValid() {
		does := "does not answer; some programs wait for it first"
		if e.OtherHow == Refused {
			does = "refuses the port; some programs try no other"
		}
		out += fmt.Sprintf(" Its other address, %s, %s.", e.OtherDead, does)
	}
	return out
}

func (e *Evidence) sayUndecided(Finding) string {
	return "The examination ended before " + e.reached() + "."
}

// reached is what an examination that ended early did not see any more.
func (e *Evidence) reached() string {
	switch {
	case e.Control != Worked:
		return "the control channel was open"
	case e.Greeter == "":
		return "the server greeted"
	case !e.SignedIn:
		return "the server had taken the user"
	}
	return "it was known whether data channels work"
}
