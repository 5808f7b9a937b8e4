package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"portside/client"
)

// verdicts has for each verdict what is said of it and what is to be changed; rules.go says when it is given.
var verdicts = map[Verdict]struct {
	sentence func(*Evidence, Finding) string // what the verdict means here
	fixes    func(*Evidence, Finding) []Fix  // most useful first; nil: there is nothing to change
}{
	NameUnresolved:         {(*Evidence).sayNameUnresolved, (*Evidence).fixNameUnresolved},
	ControlRefused:         {(*Evidence).sayControlRefused, (*Evidence).fixControlRefused},
	ControlTimeout:         {(*Evidence).sayControlTimeout, (*Evidence).fixControlTimeout},
	ClientFirewallOutbound: {(*Evidence).sayClientFirewallOutbound, (*Evidence).fixClientFirewallOutbound},
	TLSModeMismatch:        {(*Evidence).sayTLSModeMismatch, (*Evidence).fixTLSModeMismatch},
	NotFTP:                 {(*Evidence).sayNotFTP, (*Evidence).fixNotFTP},
	ServerSlowGreeting:     {(*Evidence).sayServerSlowGreeting, (*Evidence).fixServerSlowGreeting},
	ServerFull:             {(*Evidence).sayServerFull, (*Evidence).fixServerFull},

	TLSRequired:    {(*Evidence).sayTLSRequired, (*Evidence).fixTLSRequired},
	TLSUnsupported: {(*Evidence).sayTLSUnsupported, (*Evidence).fixTLSUnsupported},
	TLSCertificate: {(*Evidence).sayTLSCertificate, (*Evidence).fixTLSCertificate},
	LoginRefused:   {(*Evidence).sayLoginRefused, (*Evidence).fixLoginRefused},

	ServerFirewallPassive:  {(*Evidence).sayServerFirewallPassive, (*Evidence).fixServerFirewallPassive},
	ServerForwardPassive:   {(*Evidence).sayServerForwardPassive, (*Evidence).fixServerForwardPassive},
	ServerPassiveIP:        {(*Evidence).sayServerPassiveIP, (*Evidence).fixServerPassiveIP},
	ServerPassiveHairpin:   {(*Evidence).sayServerPassiveHairpin, (*Evidence).fixServerPassiveHairpin},
	OKWithFault:            {(*Evidence).sayOKWithFault, (*Evidence).fixOKWithFault},
	ServerPassiveExhausted: {(*Evidence).sayServerPassiveExhausted, (*Evidence).fixServerPassiveExhausted},
	EPSVBroken:             {(*Evidence).sayEPSVBroken, (*Evidence).fixEPSVBroken},
	IPv6Unsupported:        {(*Evidence).sayIPv6Unsupported, (*Evidence).fixIPv6Unsupported},
	ALGBlindTLS:            {(*Evidence).sayALGBlindTLS, (*Evidence).fixALGBlindTLS},

	ClientFirewallActive: {(*Evidence).sayClientFirewallActive, (*Evidence).fixClientFirewallActive},
	ClientNATActive:      {(*Evidence).sayClientNATActive, (*Evidence).fixClientNATActive},
	ServerEgressActive:   {(*Evidence).sayServerEgressActive, (*Evidence).fixServerEgressActive},
	ActiveDisabled:       {(*Evidence).sayActiveDisabled, (*Evidence).fixActiveDisabled},

	TLSDataProtection:  {(*Evidence).sayTLSDataProtection, (*Evidence).fixTLSDataProtection},
	TLSSessionReuse:    {(*Evidence).sayTLSSessionReuse, (*Evidence).fixTLSSessionReuse},
	ClientMultiAddress: {(*Evidence).sayClientMultiAddress, (*Evidence).fixClientMultiAddress},
	ALGTamper:          {(*Evidence).sayALGTamper, (*Evidence).fixALGTamper},
	ControlIdleTimeout: {(*Evidence).sayControlIdleTimeout, (*Evidence).fixControlIdleTimeout},
	DataCut:            {(*Evidence).sayDataCut, (*Evidence).fixDataCut},
	MTUBlackhole:       {(*Evidence).sayMTUBlackhole, (*Evidence).fixMTUBlackhole},
	ListingEmpty:       {(*Evidence).sayListingEmpty, (*Evidence).fixListingEmpty},
	RESTUnsupported:    {(*Evidence).sayRESTUnsupported, (*Evidence).fixRESTUnsupported},
	Charset:            {(*Evidence).sayCharset, (*Evidence).fixCharset},
	OK:                 {(*Evidence).sayOK, nil},
	Undecided:          {(*Evidence).sayUndecided, nil},
}

// sentence says what a finding means here.
func (e *Evidence) sentence(f Finding) string {
	if say := verdicts[f.Verdict].sentence; say != nil {
		return say(e, f)
	}
	return string(f.Verdict)
}

// workaround says what helps at once, on the side of the one who asks, and what that does.
func (e *Evidence) workaround(v Verdict) (string, Remedy) {
	active := e.active()
	switch v {
	case ServerFirewallPassive, ServerForwardPassive, ClientFirewallOutbound, ServerPassiveExhausted, ServerPassiveIP, ServerPassiveHairpin, ALGBlindTLS, ALGTamper:
		if e.mode() == client.ModeActive {
			if e.Passive.moved() {
				return "Passive mode works here: choose it.", UsePassive
			}
			return "", ""
		}
		if e.Passive.moved() && len(e.Passive.blocked()) == 0 {
			return "Portside gets through, because it dials the control channel's address.", ""
		}
		if active.works() {
			return "Active mode works here: choose it until that is put right.", UseActive
		}
		if e.Passive.moved() {
			return "Some data channels get through: trying again helps now and then.", ""
		}
		if c := e.Comparison; c.Tried && (c.EPSV.Works() || c.PASV.Works()) && !e.TLSUp {
			return "FTP over TLS works: choose explicit TLS.", ""
		}
	case ClientNATActive, ClientFirewallActive, ServerEgressActive, ActiveDisabled:
		if e.Passive.moved() {
			return "Passive mode works here: choose it.", UsePassive
		}
	case EPSVBroken:
		return "PASV works: choose a program that can be told to use it.", ""
	case IPv6Unsupported:
		for _, a := range e.Addrs {
			if a.Is4() {
				return fmt.Sprintf("Connect by IPv4, to %s.", a), ""
			}
		}
	case TLSRequired:
		return "Choose explicit TLS (ftpes://).", ""
	case TLSModeMismatch:
		if e.TLSPlain {
			return "Choose explicit TLS (ftpes://).", ""
		}
		return "Choose implicit TLS (ftps://).", ""
	case ControlTimeout, ControlRefused:
		if e.OtherDead.IsValid() {
			return fmt.Sprintf("Its other address answers: connect without %s.", e.OtherDead), ""
		}
	}
	return "", ""
}

// port is the control channel's port.
func (e *Evidence) port() string { return itoa(int(e.Target.ControlPort())) }

// deadPorts are the passive ports that could not be reached.
func (e *Evidence) deadPorts() string {
	_, blocked := e.Passive.ports()
	return portsText(blocked)
}

// hopText names a router on the way.
func hopText(ttl int, router netip.Addr) string {
	if !router.IsValid() {
		return fmt.Sprintf("hop %d", ttl)
	}
	return fmt.Sprintf("hop %d (%s)", ttl, router)
}

// failing returns an answer that refuses something.
func failing(a Answer) string {
	if a.Code < 332 || a.Code == 350 {
		return ""
	}
	return a.String()
}

// readable says that most of a text is what people write, and nothing of it had to be escaped.
func readable(s string) bool {
	if strings.Contains(s, `\x`) {
		return false
	}
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == ' ' {
			n++
		}
	}
	return n > 0 && 2*n >= len([]rune(s))
}

func quoteOr(s, other string) string {
	if s == "" {
		return other
	}
	return fmt.Sprintf("%q", s)
}
