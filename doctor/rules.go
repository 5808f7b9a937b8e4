package doctor

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"portside/client"
)

// Rule says which verdict a piece of evidence leads to. Rules are looked at in their order, and the first that holds
// gives the verdict; so a rule may take for granted that the ones before it don't hold.
type Rule struct {
	Verdict    Verdict
	Confidence Confidence
	Side       Side
	// Evidence is what When looks for, in words.
	Evidence string
	When     func(*Evidence) bool
	// Also says that the rule may give the second verdict, after another rule gave the first.
	Also bool
}

// Judge says what the evidence means. It is a pure function: the report lacks only what the examination knows, the facts
// and the times.
func Judge(e Evidence) Report {
	r := Report{URL: e.Target.URL(), Software: string(e.Software), Evidence: e}
	found := false
	for _, rule := range Rules {
		switch {
		case found && (!rule.Also || sameFault(r.Verdict, rule.Verdict)) || !rule.When(&e):
			continue
		case found:
			second := e.finding(rule)
			r.Second = &second
		default:
			r.Finding, found = e.finding(rule), true
			continue
		}
		break
	}
	r.Workaround, r.remedy = e.workaround(r.Verdict)
	r.Fixes = e.fixes(r)
	r.Arrows = e.arrows(r)
	return r
}

// sameFault says that b names no other fault than a does.
func sameFault(a, b Verdict) bool {
	switch a {
	case OKWithFault, ServerPassiveHairpin, ALGTamper:
		return b == a || b == ServerPassiveIP || b == ServerPassiveHairpin && a != OKWithFault || b == OKWithFault && a == ALGTamper
	}
	return a == b
}

func (e *Evidence) finding(rule Rule) Finding {
	f := Finding{Verdict: rule.Verdict, Confidence: rule.Confidence, Side: rule.Side, Rule: rule.Evidence}
	f.Sentence = strings.ReplaceAll(e.sentence(f), `.".`, `".`) // a quoted sentence has its own full stop
	return f
}

// What servers say, in the words that were read in their sources.
var (
	saysTLS       = regexp.MustCompile(`(?i)\b(ssl|tls|encrypt\w*|secure|cleartext|clear[ -]text|plain[ -]?text|(use|send|issue|perform) auth|auth (first|required|tls|ssl))\b`)
	saysFull      = regexp.MustCompile(`(?i)too many|maximum|max(imum)? (number|clients|connections|users)|limit|user.* connected|server (is )?full|busy`)
	saysNoPort    = regexp.MustCompile(`(?i)oops|no (free |available |more )?(passive )?port|ports? (are|is) (all )?(busy|in use|taken)|reserved tcp ports|cannot prepare|can't (open|create|prepare) (passive|data)|vsf_sysutil_bind|too many|exhaust|unable to (open|create|find|listen)|address already in use`)
	saysBanned    = regexp.MustCompile(`(?i)\b(banned|black-?listed|blocked)\b|(login|sign-?in|failed|password) (attempts?|failures|tries)|\b(ip|ip[ -]address|address|host)\b.* (not (be )?(allowed|permitted|authori[sz]ed)|denied|refused)|(not (allowed|permitted|authori[sz]ed)|denied|refused)\b.*\bfrom (your|this|that) (ip|address|host)|not allowed to connect|access denied by|tcp.?wrappers`)
	saysHome      = regexp.MustCompile(`(?i)(cannot|can't|unable to|failed to) (change|set|access|chdir|chroot|cd)\b.*(director|dir\b|folder|root)|home ?(director|dir\b|folder)`)
	saysExpired   = regexp.MustCompile(`(?i)\b(account|password|passwd|credentials?|user( ?name)?)\b([ ,]+\S+){0,3} expired?\b|\bexpired? (account|password|credentials?|user)\b`)
	saysProxy     = regexp.MustCompile(`(?i)\bprox(y|ies)\b|@\[?(remote)?(ftp)?-?host|\bhost ?name required`)
	saysNoRoom    = regexp.MustCompile(`(?i)\b(disk|storage|space|quota)\b`)
	saysReuse     = regexp.MustCompile(`(?i)reus|resum`)
	saysProtect   = regexp.MustCompile(`(?i)encrypt|prot\b|protect|ssl|tls|secure`)
	saysOtherPeer = regexp.MustCompile(`(?i)bad ip|differ|foreign|same (ip|address|host)|ip address|peer|hijack|not permitted|does not match|mismatch|security|unauthori`)
	saysNothing   = regexp.MustCompile(`(?i)no (such )?files?\b|\bempty\b|no entries`)
	saysIllegal   = regexp.MustCompile(`(?i)illegal|address|security|won't open|will not open|not allowed to connect|bounce|private|routab|only to|your (own )?(ip|host)|invalid (port|host|ip)|bad port`)
	saysNotActive = regexp.MustCompile(`(?i)permission denied|disabled|not (allowed|permitted|enabled|supported)|denied|passive only|active (mode )?(is )?not|use pasv|only passive|administrator`)
	saysAltered   = regexp.MustCompile(`\b(X{3,4}|P@SW|XPSV|XPRT)\b`)
)

// Rules is the table.
var Rules = []Rule{
	// The control connection.
	{NameUnresolved, Proved, ClientComputer, "the name service says that the name doesn't exist", func(e *Evidence) bool {
		return e.NameError != "" && e.NoSuch
	}, false},
	{NameUnresolved, Likely, ClientNetwork, "the name service does not answer, or not with an address", func(e *Evidence) bool {
		return e.NameError != ""
	}, false},
	{ControlRefused, Proved, ClientComputer, "a connection to the control port is forbidden on this computer, before any packet leaves", func(e *Evidence) bool {
		return e.Control == Filtered
	}, false},
	{ControlRefused, Likely, ServerComputer, "the control port is rejected by a rule (ICMP: prohibited) at the server's own address", func(e *Evidence) bool {
		return e.Control == Unreachable && e.forbids() == e.Peer.Addr()
	}, false},
	{ControlRefused, Proved, ServerNetwork, "the control port is rejected by a router's rule (ICMP: prohibited)", func(e *Evidence) bool {
		return e.Control == Unreachable && e.Hops.first(Filtered) != 0
	}, false},
	{ControlRefused, Proved, ClientNetwork, "the control port is reset within two hops, packets to another port of the same host come further", func(e *Evidence) bool {
		r := e.Hops.first(Refused)
		return e.Control == Refused && r != 0 && e.Beyond >= r
	}, false},
	{ControlRefused, Likely, ClientNetwork, "the control port is reset by something one hop away, and the server is not in this network", func(e *Evidence) bool {
		return e.Control == Refused && !e.OnLink && e.Hops.at(1) == Refused
	}, false},
	{ControlRefused, Proved, ServerComputer, "the control port answers with a reset", func(e *Evidence) bool {
		return e.Control == Refused
	}, false},
	{ControlTimeout, Proved, ClientNetwork, "packets to the control port are lost within two hops, packets to another port of the same host come further",
		func(e *Evidence) bool { return e.unanswered() && e.lostNear() && e.beyond() }, false},
	{ControlTimeout, Likely, ServerComputer, "the control port does not answer, another port of the same host does", func(e *Evidence) bool {
		return e.unanswered() && e.OtherPort
	}, false},
	{ControlTimeout, Likely, ClientNetwork, "the control port can't be reached, that is said only after 2 s or more, and no router answers, as when this computer's own router is looked for in vain", func(e *Evidence) bool {
		return e.cutOff()
	}, false},
	{ControlTimeout, Likely, ServerComputer, "the control port can't be reached, and that is said only after 2 s or more, as when a computer is looked for in vain", func(e *Evidence) bool {
		return e.absent()
	}, false},
	{ControlTimeout, Likely, ClientNetwork, "packets to the control port are lost before the second hop", func(e *Evidence) bool {
		last, _ := e.Hops.last()
		return e.unanswered() && last == 1 && len(e.Hops) > 1 && !private(e.Peer.Addr())
	}, false},
	{ControlTimeout, Likely, ServerNetwork, "packets to the control port are answered by routers on the way, and then no more", func(e *Evidence) bool {
		last, _ := e.Hops.last()
		return e.unanswered() && last > 0
	}, false},
	{ControlTimeout, Possible, ServerNetwork, "the control port does not answer, and no router on the way says where", func(e *Evidence) bool {
		return e.unanswered()
	}, false},
	{ClientFirewallOutbound, Proved, ClientNetwork, "packets to another port of the same host come further than those to the control port",
		func(e *Evidence) bool { return e.unanswered() && e.lostNear() && e.beyond() }, true},

	// What answers on it.
	{TLSModeMismatch, Proved, ClientComputer, "no greeting in clear, and a TLS handshake on the same port works", func(e *Evidence) bool {
		return e.Greeter == GreeterTLS
	}, false},
	{TLSModeMismatch, Proved, ClientComputer, "implicit TLS was asked for, and a greeting in clear came", func(e *Evidence) bool {
		return e.TLSPlain
	}, false},
	{NotFTP, Likely, ClientNetwork, "what answers is one hop away, the address is not, and it does not speak FTP", func(e *Evidence) bool {
		return e.foreign() && e.Hops.at(1) == Worked && !e.OnLink
	}, false},
	{NotFTP, Proved, ClientComputer, "the first words are another protocol's", func(e *Evidence) bool {
		return e.foreign() && e.Greeter != GreeterSilent && e.Greeter != GreeterClosed
	}, false},
	{NotFTP, Possible, ServerComputer, "it accepts the connection and closes it, or says nothing", func(e *Evidence) bool {
		return e.foreign()
	}, false},
	{ServerSlowGreeting, Likely, ServerSettings, "a greeting begins and has no end", func(e *Evidence) bool { return e.GreetCut }, false},
	{LoginRefused, Likely, ServerSettings, "the greeting refuses this address", func(e *Evidence) bool {
		return e.Greeting.failed() && e.Greeting.banned()
	}, false},
	{ServerFull, Proved, ServerSettings, "421 in place of a greeting, or a refusal that speaks of a limit", func(e *Evidence) bool {
		return e.Greeting.Code == 421 && !saysTLS.MatchString(e.Greeting.Text) || e.Greeting.failed() && saysFull.MatchString(e.Greeting.Text)
	}, false},
	{TLSRequired, Likely, ServerSettings, "the greeting refuses clients without TLS", func(e *Evidence) bool {
		return e.Greeting.failed() && saysTLS.MatchString(e.Greeting.Text)
	}, false},
	{ServerSlowGreeting, Likely, ServerSettings, "120 in place of a greeting, and nothing after it", func(e *Evidence) bool { return e.Greeting.Code == 120 }, false},
	{NotFTP, Likely, ClientComputer, "the greeting has a code that no greeting has", func(e *Evidence) bool {
		return e.Greeting.Code != 0 && e.Greeting.Code/100 != 2 && !e.Greeting.failed()
	}, false},
	{LoginRefused, Likely, ServerSettings, "the greeting is a refusal", func(e *Evidence) bool { return e.Greeting.failed() }, false},

	// TLS on it.
	{MTUBlackhole, Proved, ThePath, "the TLS handshake stops, and with small segments it works", func(e *Evidence) bool {
		return e.TLSStalled && e.TLSSmall
	}, false},
	{ALGTamper, Likely, ThePath, "FEAT lists AUTH, and AUTH TLS is not understood or ends the connection", func(e *Evidence) bool {
		return e.Target.TLS != client.TLSNone && !e.TLSUp && e.ListsAuth && e.AuthAnswer.Code != 234 &&
			(e.TLSError != "" || e.AuthAnswer.unknown() || e.AuthAnswer.Code == 501 || e.AuthAnswer.Code == 530 || e.AuthAnswer.Code == 503)
	}, false},
	{TLSUnsupported, Proved, ServerSettings, "the server refuses AUTH TLS", func(e *Evidence) bool {
		return (e.TLSAsked || e.ListsAuth) && e.AuthAnswer.failed() && !e.TLSUp
	}, false},
	{TLSUnsupported, Proved, ServerSettings, "the server speaks only an old version of TLS", func(e *Evidence) bool { return e.TLSOld != "" }, false},
	{ALGTamper, Possible, ThePath, "the TLS handshake was begun and then stopped or was cut, however small the segments", func(e *Evidence) bool {
		return e.TLSStalled && e.AuthAnswer.Code == 234
	}, false},
	{TLSCertificate, Likely, ServerSettings, "the server asks for a certificate of the client, and ends TLS when there is none", func(e *Evidence) bool {
		return e.CertWanted && e.TLSError != "" && !e.SignedIn
	}, false},
	{TLSUnsupported, Likely, ServerSettings, "the TLS handshake fails", func(e *Evidence) bool { return e.TLSError != "" && !e.TLSUp }, false},
	{TLSCertificate, Proved, ServerSettings, "the certificate is not trusted, expired, or for another name", func(e *Evidence) bool {
		return e.CertError != ""
	}, false},
	{TLSUnsupported, Proved, ServerSettings, "the server has no TLS, and the password was not sent in clear without consent", func(e *Evidence) bool {
		return e.HeldBack
	}, false},

	// Signing in.
	{TLSRequired, Proved, ServerSettings, "USER or PASS is refused in clear with words about encryption", func(e *Evidence) bool {
		return !e.TLSUp && (saysTLS.MatchString(e.User.Text) && e.User.failed() || saysTLS.MatchString(e.Pass.Text) && e.Pass.failed())
	}, false},
	{LoginRefused, Likely, ServerSettings, "USER or PASS is refused with words about this address, or about too many tries", func(e *Evidence) bool {
		return e.User.banned() || e.Pass.banned()
	}, false},
	{ServerFull, Proved, ServerSettings, "421 to USER or PASS, or a refusal that speaks of a limit", func(e *Evidence) bool {
		return e.User.Code == 421 || e.Pass.Code == 421 || e.User.failed() && saysFull.MatchString(e.User.Text) || e.Pass.failed() && saysFull.MatchString(e.Pass.Text)
	}, false},
	{LoginRefused, Likely, ClientNetwork, "USER or PASS is refused, and the greeting or the refusal speaks of a proxy", func(e *Evidence) bool {
		return e.proxyRefuses()
	}, false},
	{LoginRefused, Proved, ServerSettings, "an account is asked for besides user and password", func(e *Evidence) bool {
		return e.User.Code == 332 || e.Pass.Code == 332
	}, false},
	{LoginRefused, Proved, ServerSettings, "USER or PASS is refused", func(e *Evidence) bool { return e.User.failed() || e.Pass.failed() }, false},
	{ALGTamper, Possible, ThePath, "the server greets, and then answers nothing", func(e *Evidence) bool {
		return e.Greeting.Code/100 == 2 && !e.SignedIn && errors.Is(e.Lost, errSilent) && e.User.Code == 0 && e.AuthAnswer.Code == 0
	}, false},
	{ServerFull, Likely, ServerSettings, "421 right after the greeting or the sign-in", func(e *Evidence) bool {
		return (e.lostAfterSignIn() || !e.SignedIn && e.User.Code == 0) && e.LostText.Code == 421 && !e.LostText.banned()
	}, false},
	{LoginRefused, Likely, ServerSettings, "the session ends right after the sign-in", func(e *Evidence) bool { return e.lostAfterSignIn() }, false},
	{LoginRefused, Possible, ServerSettings, "the session ends while signing in", func(e *Evidence) bool {
		return e.Greeting.Code/100 == 2 && !e.SignedIn && (e.Lost != nil || e.Pass.Code != 0 || e.User.Code != 0 && e.User.Code != 331)
	}, false},
	{TLSDataProtection, Proved, ServerSettings, "PROT is refused", func(e *Evidence) bool { return e.ProtAnswer.failed() }, false},

	// Data connections, passive mode.
	{ALGTamper, Proved, ThePath, "PASV and EPSV fail in clear or name another address, and are right under TLS", func(e *Evidence) bool {
		return e.passive() && !e.TLSUp && e.Comparison.Tried && (e.noOffer() && e.Comparison.offered() || e.changedAddress())
	}, false},
	{ALGTamper, Likely, ThePath, "the server says that it does not know a command that was not sent, or that its FEAT lists", func(e *Evidence) bool {
		return e.passive() && e.altered()
	}, false},
	{IPv6Unsupported, Proved, ServerSettings, "the control connection uses IPv6, and EPSV is not known", func(e *Evidence) bool {
		p := e.Passive.EPSV
		return e.passive() && e.v6() && p.Refused() && !e.noPort(p) && (p.Answer.unknown() || p.Answer.Code == 522 || p.Answer.Code == 501)
	}, false},
	{ServerPassiveIP, Proved, ServerSettings, "the 227 reply holds no address and port that exist", func(e *Evidence) bool {
		return e.passive() && e.noOffer() && e.Passive.PASV.Answer.Code == 227
	}, false},
	{ALGTamper, Possible, ThePath, "EPSV and PASV get replies that belong to other commands", func(e *Evidence) bool {
		return e.passive() && e.noOffer() && (e.Passive.EPSV.Answer.Code/100 == 2 || e.Passive.PASV.Answer.Code/100 == 2)
	}, false},
	{ServerPassiveExhausted, Likely, ServerSettings, "the server does not answer when it is asked for a passive port", func(e *Evidence) bool {
		return e.passive() && e.noOffer() && (e.Passive.EPSV.silent() || e.Passive.PASV.silent())
	}, false},
	{ServerPassiveExhausted, Proved, ServerSettings, "the server says that it has no port, or ends the session at the offer", func(e *Evidence) bool {
		return e.passive() && e.noOffer() && (e.saidNoPort(e.Passive.EPSV) || e.saidNoPort(e.Passive.PASV))
	}, false},
	{ServerPassiveExhausted, Likely, ServerSettings, "EPSV and PASV are refused with a code that stands for a port that can't be opened", func(e *Evidence) bool {
		return e.passive() && e.noOffer() && (e.noPort(e.Passive.EPSV) || e.noPort(e.Passive.PASV))
	}, false},
	{ServerPassiveExhausted, Likely, ServerSettings, "neither EPSV nor PASV gives a port", func(e *Evidence) bool {
		return e.passive() && e.noOffer()
	}, false},
	{ServerEgressActive, Likely, ServerNetwork, "the server takes PORT, and a connection comes from another address than its own", func(e *Evidence) bool {
		return e.wantsActive() && e.active().elsewhere()
	}, false},
	{TLSSessionReuse, Proved, ServerSettings, "the data connection stands, and the server refuses it with words about reuse or resumption", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return e.TLSUp && saysReuse.MatchString(m.Answer.Text) })
	}, false},
	{TLSDataProtection, Proved, ServerSettings, "the data connection is refused with 521, 522, 534 or 536, or with words about encryption", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool {
			return protectionCode(m.Answer.Code) || saysProtect.MatchString(m.Answer.Text)
		})
	}, false},
	{TLSSessionReuse, Likely, ServerSettings, "the data connection stands under TLS without a resumed session, and is refused", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool {
			return e.TLSUp && !e.ClearData && m.Answer.Code/100 == 4 && !m.Resumed && m.Handshake == "" && m.Begun
		})
	}, false},
	{ClientMultiAddress, Proved, ClientNetwork, "the data connection stands, and the server refuses it for the address that it comes from", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Answer.Code != 550 && saysOtherPeer.MatchString(m.Answer.Text) })
	}, false},
	{ListingEmpty, Likely, ServerSettings, "data connections are refused with the same words in passive and in active mode", func(e *Evidence) bool {
		return e.firstMove().Answer.Code == 425 && e.refusedAlike()
	}, false},
	{ServerFull, Likely, ServerSettings, "the data connection stands, and the server ends the session with 421 and words about a limit", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Answer.Code == 421 && saysFull.MatchString(m.Answer.Text) })
	}, false},
	{DataCut, Likely, ServerSettings, "the data connection stands, and the server ends the session with 421", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Answer.Code == 421 })
	}, false},
	{ClientMultiAddress, Likely, ClientNetwork, "the data connection stands, and the server says that none came, or closes it without a word", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Answer.Code == 425 }) || e.closedData()
	}, false},
	{DataCut, Likely, ServerSettings, "the server ends the session when a transfer is asked for", func(e *Evidence) bool {
		return e.endedBy().Command != ""
	}, false},
	{DataCut, Possible, ThePath, "the data connection stands, the server begins the transfer and says that it was cut", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Begun && m.Answer.Code == 426 })
	}, false},
	{DataCut, Likely, ServerSettings, "the server begins the transfer and breaks it off for a reason of its own", func(e *Evidence) bool {
		return e.refusedData(func(m Move) bool { return m.Begun && m.Answer.ownFault() }) || e.cut() && e.Transfer.Answer.ownFault()
	}, false},
	{ListingEmpty, Likely, ServerSettings, "the data connection stands, and the server refuses the listing", func(e *Evidence) bool {
		return e.refusedData(func(Move) bool { return true })
	}, false},
	{TLSDataProtection, Likely, ServerSettings, "the data connection stands, and its TLS handshake fails", func(e *Evidence) bool {
		m := e.firstMove()
		return m.Outcome == TLSFailed
	}, false},

	{TLSDataProtection, Likely, ServerSettings, "the data connection stands, and its TLS handshake gets no answer, however small the segments", func(e *Evidence) bool {
		return e.Transfer.Outcome == Stalled && e.Transfer.Secured == pending && e.Small.Outcome == Stalled
	}, false},

	// A transfer that stops.
	{MTUBlackhole, Proved, ThePath, "a data connection stands and no byte comes, and with small segments it works", func(e *Evidence) bool {
		return e.Transfer.Outcome == Stalled && e.Transfer.Bytes == 0 && e.Small.Outcome == Worked
	}, false},
	{ControlIdleTimeout, Proved, ServerSettings, "the server ends the session with 421 during the transfer, or after it", func(e *Evidence) bool {
		return e.Transfer.Outcome == NoEnd && e.LostText.Code == 421
	}, false},
	{DataCut, Possible, ServerNetwork, "the data connection is closed before a byte came, and the server neither ends the transfer nor answers", func(e *Evidence) bool {
		return e.Transfer.forNothing() && e.Noop != Worked
	}, false},
	{ControlIdleTimeout, Proved, ThePath, "every byte came in 4 s or more, the reply that ends the transfer did not, and the control connection is dead", func(e *Evidence) bool {
		return e.Transfer.Outcome == NoEnd && e.Noop != Worked && e.Transfer.Took.Seconds() >= 4
	}, false},
	{ControlIdleTimeout, Possible, ServerSettings, "every byte came at once, the reply that ends the transfer did not, and the control connection is silent", func(e *Evidence) bool {
		return e.Transfer.Outcome == NoEnd && e.Noop != Worked
	}, false},
	{ControlIdleTimeout, Possible, ThePath, "every byte came, and the reply that ends the transfer did not", func(e *Evidence) bool {
		return e.Transfer.Outcome == NoEnd
	}, false},
	{DataCut, Likely, ThePath, "the server says that the transfer is complete, and no byte of it came", func(e *Evidence) bool {
		return e.Transfer.Outcome == Stalled && e.Transfer.Answer.Code/100 == 2 && e.Transfer.Bytes == 0
	}, false},
	{DataCut, Likely, ServerSettings, "the server says that the transfer is complete, and the data connection is not closed", func(e *Evidence) bool {
		return e.Transfer.Outcome == Stalled && e.Transfer.Answer.Code/100 == 2
	}, false},
	{DataCut, Likely, ServerSettings, "the data connection comes up and is closed before a byte came, twice", func(e *Evidence) bool {
		return e.Transfer.Outcome == Broken && e.Transfer.Bytes == 0 && e.Again.Outcome == Broken && e.Again.Bytes == 0
	}, false},
	{DataCut, Likely, ServerSettings, "a data connection stands and no byte comes, however small the segments", func(e *Evidence) bool {
		return e.Transfer.Outcome == Stalled && e.Transfer.Bytes == 0 && e.Small.Outcome == Stalled && e.Small.Bytes == 0
	}, false},
	{DataCut, Proved, ThePath, "the transfer stops twice at about the same place", func(e *Evidence) bool {
		return e.cut() && (e.Again.Outcome == Stalled || e.Again.Outcome == Broken) && near(e.Transfer.Bytes, e.Again.Bytes)
	}, false},
	{DataCut, Likely, ThePath, "the transfer stops twice", func(e *Evidence) bool {
		return e.cut() && (e.Again.Outcome != NotTried && !e.Again.moved() || e.Small.Outcome != NotTried && !e.Small.moved())
	}, false},
	{DataCut, Possible, ThePath, "the transfer stopped, and went through when it was tried again", func(e *Evidence) bool { return e.cut() }, false},
	{DataCut, Likely, ThePath, "the transfer ends well, and gives fewer bytes than SIZE says", func(e *Evidence) bool {
		t, want := e.Transfer, e.Size
		if e.Action == ActionResume {
			want -= resumeAt
		}
		return t.Outcome == Worked && !t.Stopped && e.Size > 0 && t.Bytes < want
	}, false},

	// Passive ports that can't be reached.
	{EPSVBroken, Proved, ServerNetwork, "no offer works at the control connection's address, and PASV works at the other address that it names", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.Passive.Advertised.Works()
	}, false},
	{ALGBlindTLS, Likely, ServerComputer, "no data connection comes about under TLS, and in clear it does; under TLS packets pass every router and are lost at the server", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.blindTLS() && stop != 0 && stop >= e.Hops.distance()
	}, false},
	{ALGBlindTLS, Proved, ServerNetwork, "no data connection comes about under TLS, and in clear it does", func(e *Evidence) bool { return e.blindTLS() }, false},
	{EPSVBroken, Proved, ServerNetwork, "every offer of EPSV fails and every offer of PASV works, twice or more", func(e *Evidence) bool {
		return e.passive() && e.epsvBroken(2)
	}, false},
	{EPSVBroken, Proved, ServerSettings, "the answer to EPSV names no port, and PASV works", func(e *Evidence) bool {
		return e.passive() && e.Passive.PASV.Works() && e.Passive.EPSV.Refused() && e.Passive.EPSV.Answer.Code/100 == 2
	}, false},
	{EPSVBroken, Likely, ServerSettings, "EPSV gets no answer or ends the session, and PASV works", func(e *Evidence) bool {
		return e.passive() && e.Passive.PASV.Works() && e.Passive.EPSV.Refused() && (e.Passive.EPSV.Answer.Code == 0 || e.Passive.EPSV.Answer.Code == 421)
	}, false},
	{ServerFirewallPassive, Likely, ServerComputer, "the same offered port could be reached once and another time not", func(e *Evidence) bool {
		return e.passive() && len(e.Passive.fickle()) > 0
	}, false},
	{ServerForwardPassive, Proved, ServerNetwork, "some offered ports can be reached and others can't", func(e *Evidence) bool {
		open, blocked := e.Passive.ports()
		return e.passive() && len(open) > 0 && len(blocked) > 0 && !e.epsvBroken(1)
	}, false},
	{EPSVBroken, Likely, ServerNetwork, "the offer of EPSV fails and the one of PASV works", func(e *Evidence) bool {
		return e.passive() && e.epsvBroken(1)
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "packets to an offered port are lost at the first router, behind which the server is, though it is reached at a public address", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.ownRouter()
	}, false},
	{ClientFirewallOutbound, Likely, ClientComputer, "packets to an offered port don't reach the first router, those to the control port do", func(e *Evidence) bool {
		stop, exact := e.stop()
		return e.passive() && e.Passive.none() && stop == 1 && exact && e.Hops.distance() > 1
	}, false},
	{ClientFirewallOutbound, Likely, ClientNetwork, "the first router on the way says that an offered port can't be reached, and the server is behind more than one", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.refuser() == 1 && e.Hops.distance() > 2
	}, false},
	{ClientFirewallOutbound, Likely, ClientNetwork, "packets to an offered port are lost within two hops, the server is further away", func(e *Evidence) bool {
		stop, exact := e.stop()
		return e.passive() && e.Passive.dead() && stop == 2 && exact && e.Hops.distance() > 3
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "an offered port can't be reached, and a router says so only after 2 s or more, as when it looks for a computer in vain", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.Passive.lookedFor() != 0
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "packets to an offered port go further than the server is away", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.further()
	}, false},
	{ServerFirewallPassive, Likely, ServerComputer, "packets to an offered port pass every router and are lost at the server", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.passive() && e.Passive.dead() && stop != 0 && stop >= e.Hops.distance()
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "packets to an offered port stop at the hop before the server, which has the server's own address", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.passive() && e.Passive.dead() && stop != 0 && stop == e.Hops.distance()-1 && e.ownerBeforeServer()
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "packets to an offered port stop at the hop before the server", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.passive() && e.Passive.dead() && stop != 0 && stop == e.Hops.distance()-1
	}, false},
	{ServerForwardPassive, Likely, ServerNetwork, "packets to an offered port are lost in the half of the way that is nearer to the server", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.passive() && e.Passive.dead() && stop != 0 && stop > e.Hops.distance()/2
	}, false},
	{ClientFirewallOutbound, Likely, ClientNetwork, "packets to an offered port are lost in the half of the way that is nearer to this computer", func(e *Evidence) bool {
		stop, _ := e.stop()
		return e.passive() && e.Passive.dead() && stop != 0
	}, false},
	{ServerFirewallPassive, Possible, ServerComputer, "no offered port can be reached, and nothing says where packets are lost; they are reset", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && slices.ContainsFunc(e.Passive.all(), func(o Offer) bool { return o.Dial == Refused })
	}, false},
	{ServerForwardPassive, Possible, ServerNetwork, "no offered port can be reached, the server names a private address", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead() && e.privateOffer()
	}, false},
	{ServerFirewallPassive, Possible, ServerComputer, "no offered port can be reached, and nothing says where packets are lost", func(e *Evidence) bool {
		return e.passive() && e.Passive.dead()
	}, false},

	// The address in the 227 reply.
	{OKWithFault, Proved, ServerSettings, "EPSV works, and PASV names an address that can't be reached from here", func(e *Evidence) bool {
		return e.passive() && e.wrongAddress() && e.Passive.EPSV.Works()
	}, false},
	{ServerPassiveHairpin, Likely, ServerSettings, "the server is reached at a private address, PASV names a public one that does not answer from here", func(e *Evidence) bool {
		return e.hairpin()
	}, true},
	{ServerPassiveIP, Proved, ServerSettings, "PASV names an address that can't be reached from here", func(e *Evidence) bool {
		return e.passive() && e.wrongAddress()
	}, true},

	// Data connections, active mode.
	{ALGTamper, Likely, ThePath, "EPRT is taken and the same address is refused in PORT, or a command comes back that was not sent", func(e *Evidence) bool {
		return e.wantsActive() && (e.EPRT.works() && e.PORT.refused() && !saysNotActive.MatchString(e.PORT.Answer.Text) && e.PORT.Answer.Code != 502 ||
			saysAltered.MatchString(e.EPRT.Answer.Text) || saysAltered.MatchString(e.PORT.Answer.Text))
	}, false},
	{ALGTamper, Likely, ClientNetwork, "this computer's public address is refused in PORT, and the control port answers one hop away though the server is not in this network",
		func(e *Evidence) bool {
			return e.wantsActive() && e.active().refused() && !e.natted() && !e.OnLink && e.Hops.at(1) == Worked
		}, false},
	{ALGBlindTLS, Proved, ClientNetwork, "active mode fails under TLS, and in clear it works", func(e *Evidence) bool {
		return e.wantsActive() && e.TLSUp && !e.active().works() && e.Comparison.Tried && (e.Comparison.EPRT.works() || e.Comparison.PORT.works())
	}, false},
	{IPv6Unsupported, Proved, ServerSettings, "the control connection uses IPv6, and EPRT is not known", func(e *Evidence) bool {
		return e.wantsActive() && e.v6() && e.EPRT.refused() && (e.EPRT.Answer.unknown() || e.EPRT.Answer.Code == 522 || e.EPRT.Answer.Code == 501)
	}, false},
	{ActiveDisabled, Proved, ServerSettings, "PORT and EPRT are refused with words about permission", func(e *Evidence) bool {
		a := e.active()
		return e.wantsActive() && a.refused() && !saysIllegal.MatchString(a.Answer.Text) && saysNotActive.MatchString(a.Answer.Text)
	}, false},
	{ActiveDisabled, Likely, ServerSettings, "PORT and EPRT are refused, and this computer's address is public", func(e *Evidence) bool {
		a := e.active()
		return e.wantsActive() && a.refused() && !saysIllegal.MatchString(a.Answer.Text) && !e.announcesPrivate()
	}, false},
	{ClientNATActive, Proved, ClientNetwork, "this computer has a private address, and the server refuses it in PORT", func(e *Evidence) bool {
		return e.wantsActive() && e.active().refused() && e.announcesPrivate()
	}, false},
	{ClientNATActive, Likely, ClientNetwork, "the server refuses this computer's address in PORT: it sees another one", func(e *Evidence) bool {
		return e.wantsActive() && e.active().refused()
	}, false},
	{ClientFirewallActive, Likely, ClientComputer, "the server takes a private address, as it does when a router mends it on the way, and its packets reach this computer and no program", func(e *Evidence) bool {
		a := e.active()
		return e.wantsActive() && a.nothing() && e.announcesPrivate() && a.Counted && a.Noise == 0 && a.Dropped > 2
	}, false},
	{ClientNATActive, Likely, ClientNetwork, "this computer has a private address, and the server's connection never comes", func(e *Evidence) bool {
		return e.wantsActive() && e.active().nothing() && e.announcesPrivate()
	}, false},
	{ClientFirewallActive, Proved, ClientComputer, "the server's packets reach this computer and no program", func(e *Evidence) bool {
		a := e.active()
		return e.wantsActive() && a.nothing() && a.eaten() && a.Noise == 0 && a.Dropped > 1
	}, false},
	{ClientFirewallActive, Proved, ClientComputer, "the server's connection comes only when this side was told to expect it, and its packets reached this computer before", func(e *Evidence) bool {
		a := e.active()
		return e.wantsActive() && a.Through && a.eaten()
	}, false},
	{ClientFirewallActive, Proved, ClientNetwork, "the server's connection comes only when this side was told to expect it", func(e *Evidence) bool {
		return e.wantsActive() && e.active().Through
	}, false},
	{ClientFirewallActive, Likely, ClientComputer, "more packets than usual reach this computer and no program while the server dials", func(e *Evidence) bool {
		return e.wantsActive() && e.active().nothing() && e.active().eaten()
	}, false},
	{ServerEgressActive, Likely, ServerNetwork, "the server takes PORT, and nothing arrives, even when this side expects it", func(e *Evidence) bool {
		return e.wantsActive() && e.active().nothing() && e.active().Punched
	}, false},
	{ServerEgressActive, Possible, ServerNetwork, "the server takes PORT, and nothing arrives", func(e *Evidence) bool {
		return e.wantsActive() && e.active().nothing()
	}, false},

	// It works; what else was seen?
	{RESTUnsupported, Proved, ServerSettings, "REST is refused", func(e *Evidence) bool { return e.Action == ActionResume && e.Rest.failed() }, true},
	{RESTUnsupported, Proved, ServerSettings, "REST is taken, and the file comes from its beginning", func(e *Evidence) bool { return e.Ignored }, true},
	{ServerSlowGreeting, Proved, ServerSettings, "the greeting takes 4 s or more", func(e *Evidence) bool {
		return e.Greeting.Code/100 == 2 && e.GreetIn.Seconds() >= 4
	}, true},
	{OKWithFault, Likely, ServerSettings, "one of EPSV and PASV works, and the other, which FEAT lists, is not known", func(e *Evidence) bool {
		return e.passive() && e.onlyListed().Command != ""
	}, true},
	{ListingEmpty, Likely, ServerSettings, "the server refuses the path", func(e *Evidence) bool { return e.PathFail.failed() }, true},
	{ListingEmpty, Proved, ServerSettings, "the listing ends well with zero bytes", func(e *Evidence) bool {
		m := e.firstMove()
		return e.Action != ActionGet && e.Action != ActionResume && m.Outcome == Worked && m.Bytes == 0
	}, true},
	{Charset, Proved, ServerSettings, "a name in the listing is not UTF-8", func(e *Evidence) bool { return e.strangeName() != "" }, true},
	{OK, Proved, Nobody, "every channel that the mode needs came up and carried data", func(e *Evidence) bool { return e.worksAsAsked() }, false},
	{TLSSessionReuse, Proved, Nobody, "a data connection that does not resume the TLS session is refused, one that does works", func(e *Evidence) bool {
		return e.Reuse.failed()
	}, true},

	// Nothing was decided: the examination was cancelled, or the session was lost in between.
	{Undecided, Possible, Nobody, "the examination ended before the control connection stood", func(e *Evidence) bool { return e.Control != Worked }, false},
	{Undecided, Possible, Nobody, "the examination ended before the greeting came", func(e *Evidence) bool { return e.Greeter == "" }, false},
	{Undecided, Possible, Nobody, "the examination ended before the server had taken the user", func(e *Evidence) bool { return !e.SignedIn }, false},
	{DataCut, Possible, ThePath, "the session ended before data connections were decided", func(e *Evidence) bool { return e.Lost != nil }, false},
	{Undecided, Possible, Nobody, "the examination ended before data connections were decided", func(*Evidence) bool { return true }, false},
}

// lostAfterSignIn says that the server ended the session after the sign-in and before a data connection was asked for.
func (e *Evidence) lostAfterSignIn() bool {
	return e.SignedIn && errors.Is(e.Lost, errClosed) && !e.Passive.tried() && e.EPRT.Command == "" && e.PORT.Command == ""
}

func (e *Evidence) unanswered() bool {
	return e.Control == Silence || e.Control == Unreachable || e.Control == Failed
}

// forbids is the address of who says that a rule forbids the control port.
func (e *Evidence) forbids() netip.Addr {
	for _, h := range e.Hops {
		if h.Outcome == Filtered {
			return h.Addr
		}
	}
	return netip.Addr{}
}

// absent says that the router before the server, or this computer, looked for the server's computer in its network and
// did not find it; firewalls say at once that something can't be reached.
func (e *Evidence) absent() bool {
	return e.Control == Unreachable && e.ControlTook >= searchTime && !e.cutOff()
}

// cutOff says that this computer seems to have looked for its own router in vain: no router answers.
func (e *Evidence) cutOff() bool {
	last, _ := e.Hops.last()
	return e.Control == Unreachable && e.ControlTook >= searchTime && !e.OnLink && last == 0 && e.Beyond == 0 && !e.OtherPort
}

func (e *Evidence) lostNear() bool {
	last, _ := e.Hops.last()
	return len(e.Hops) > 0 && last <= 2
}

func (e *Evidence) beyond() bool {
	last, _ := e.Hops.last()
	return e.Beyond > last
}

// foreign says that what answers does not speak FTP.
func (e *Evidence) foreign() bool { return e.Greeter != "" && e.Greeter != GreeterFTP }

// passive says that passive mode is what is judged, and that it was tried.
func (e *Evidence) passive() bool { return e.mode() == client.ModePassive && e.Passive.tried() }

func (e *Evidence) wantsActive() bool {
	return e.mode() == client.ModeActive && (e.EPRT.Command != "" || e.PORT.Command != "")
}

// noOffer says that the server named no port at all.
func (e *Evidence) noOffer() bool {
	p := e.Passive
	return p.EPSV.Refused() && (p.PASV.Command == "" && p.Advertised.Command == "" || p.PASV.Refused() && p.Advertised.Port == 0)
}

// noPort says that an offer was refused for want of a port.
func (e *Evidence) noPort(o Offer) bool {
	if !o.Refused() {
		return false
	}
	if e.v6() && o.Command == "PASV" {
		return false
	}
	return o.Answer.Code == 0 || saysNoPort.MatchString(o.Answer.Text) || o.Answer.Code == 421 || o.Answer.Code == 425 || o.Answer.Code == 450 || o.Answer.Code == 451
}

// saidNoPort says that the server put that into words, or ended the session over it.
func (e *Evidence) saidNoPort(o Offer) bool {
	return e.noPort(o) && (o.Answer.Code == 0 || o.Answer.Code == 421 || saysNoPort.MatchString(o.Answer.Text))
}

// proxyRefuses says that a proxy for FTP turns the user down, which wants to be told of the server in its own way.
func (e *Evidence) proxyRefuses() bool {
	said := e.Greeting.Text + " " + failing(e.User) + " " + failing(e.Pass)
	return (e.User.failed() || e.Pass.failed()) && saysProxy.MatchString(said)
}

// altered says that a command of passive mode did not reach the server as it was sent.
func (e *Evidence) altered() bool {
	for _, o := range []Offer{e.Passive.EPSV, e.Passive.PASV} {
		if !o.Refused() || e.noPort(o) {
			continue
		}
		listed, _ := e.lists(o.Command)
		if e.Comparison.Tried && o.Command == "EPSV" && e.Comparison.EPSV.Refused() {
			continue // it is the same under TLS, where nothing can change it
		}
		untouched := e.Passive.moved() && (o.Command != "EPSV" || e.Comparison.EPSV.Port == 0) // the other command was let through
		if saysAltered.MatchString(o.Answer.Text) || listed && o.Answer.unknown() && !e.TLSUp && !untouched {
			return true
		}
	}
	return false
}

// blindTLS says that passive mode works in clear and not under TLS.
func (e *Evidence) blindTLS() bool {
	return e.passive() && e.TLSUp && e.Passive.none() && e.Comparison.Tried && (e.Comparison.EPSV.Works() || e.Comparison.PASV.Works())
}

// ownRouter says that the server is right behind the router of this computer's own network, which sends the control port
// of its public address on to it, and that packets to an offered port come no further than that router.
func (e *Evidence) ownRouter() bool {
	stop, exact := e.stop()
	return stop == 1 && exact && e.Hops.distance() == 2 && e.natted()
}

// onlyListed returns the command of passive mode that FEAT lists and the server does not know, while the other one works.
func (e *Evidence) onlyListed() Offer {
	for _, o := range []Offer{e.Passive.EPSV, e.Passive.PASV} {
		if listed, _ := e.lists(o.Command); listed && o.Refused() && o.Answer.unknown() && e.Passive.moved() {
			return o
		}
	}
	return Offer{}
}

func (c Comparison) offered() bool { return c.EPSV.Port != 0 || c.PASV.Port != 0 }

// changedAddress says that the address in 227 is another one under TLS.
func (e *Evidence) changedAddress() bool {
	a, b := e.Passive.Advertised.Advertised.Addr(), e.Comparison.PASV.Advertised.Addr()
	return e.wrongAddress() && a.IsValid() && b.IsValid() && a != b
}

func (e *Evidence) hairpin() bool {
	a := e.Passive.Advertised.Advertised.Addr()
	return e.passive() && e.wrongAddress() && private(e.Peer.Addr()) && !private(a)
}

func (e *Evidence) privateOffer() bool {
	a := e.Passive.Advertised.Advertised.Addr()
	if !a.IsValid() {
		a = e.Passive.PASV.Advertised.Addr()
	}
	return a.IsValid() && private(a) && !private(e.Peer.Addr())
}

func (e *Evidence) epsvBroken(times int) bool {
	var epsv, pasv int
	for _, o := range e.Passive.all() {
		switch {
		case o.Command == "EPSV" && o.Dial == Worked, o.Command == "PASV" && o.Dial != Worked:
			return false
		case o.Command == "EPSV":
			epsv++
		default:
			pasv++
		}
	}
	return epsv >= times && pasv >= times
}

// firstMove returns the first transfer over a data connection of the mode that is judged.
func (e *Evidence) firstMove() Move {
	if e.mode() == client.ModeActive {
		return e.active().Move
	}
	return e.firstPassiveMove()
}

func (e *Evidence) firstPassiveMove() Move {
	for _, o := range []Offer{e.Passive.EPSV, e.Passive.PASV, e.Passive.Advertised} {
		if o.Move.Outcome != NotTried {
			return o.Move
		}
	}
	return Move{}
}

// refusedData says that a data connection stood and the server then refused to use it.
func (e *Evidence) refusedData(when func(Move) bool) bool {
	m := e.firstMove()
	stood := e.mode() == client.ModePassive || e.active().Accepted || protectionCode(m.Answer.Code)
	return stood && m.Answer.failed() && (m.Outcome == Rejected || m.Outcome == TLSFailed || m.Outcome == Broken && m.Bytes == 0) && when(m)
}

// refusedAlike says that the server refused data connections in both modes with the same reply, so that neither the
// address nor the direction can be why.
func (e *Evidence) refusedAlike() bool {
	passive, active := e.firstPassiveMove().Answer, e.active().Move.Answer
	return passive.failed() && passive == active
}

// protectionCode says that a code is about the protection of data connections: RFC 4217 section 10 and what servers use.
func protectionCode(code int) bool {
	return code == 521 || code == 522 || code == 533 || code == 534 || code == 536
}

// closedData says that the server closed a data connection that stood, without a word about it.
func (e *Evidence) closedData() bool {
	m := e.firstMove()
	return e.mode() == client.ModePassive && m.Outcome == Broken && !m.Begun && !m.Alone && m.Answer.Code == 0 && m.Handshake == ""
}

// endedBy returns the transfer at whose command the server ended the session.
func (e *Evidence) endedBy() Move {
	for _, m := range []Move{e.firstMove(), e.Transfer} {
		if (m.Outcome == Broken || m.Outcome == Stalled) && m.Alone && m.Bytes == 0 {
			return m
		}
	}
	return Move{}
}

// cut says that a transfer came to a stop.
func (e *Evidence) cut() bool {
	return e.Transfer.Outcome == Stalled || e.Transfer.Outcome == Broken
}

func near(a, b int64) bool { return max(a, b)-min(a, b) <= max(a, b)/4+64<<10 }

// eaten says that more packets came to this computer without reaching a program than usual.
func (a Active) eaten() bool {
	return a.Counted && a.Dropped > 0 && a.Dropped > 2*a.Noise+1 || a.Counted && a.Dropped == 1 && a.Noise == 0
}

func (e *Evidence) strangeName() string {
	for _, m := range []Move{e.Passive.EPSV.Move, e.Passive.PASV.Move, e.Passive.Advertised.Move, e.EPRT.Move, e.PORT.Move} {
		if m.NotUTF8 != "" {
			return m.NotUTF8
		}
	}
	return ""
}

func (e *Evidence) worksAsAsked() bool {
	if e.mode() == client.ModeActive {
		return e.active().works()
	}
	return e.Passive.moved() || e.Passive.Advertised.Works()
}
