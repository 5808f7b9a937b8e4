package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portside/connlog"
)

// private says that an address means something on its own network only.
func private(a netip.Addr) bool { return connlog.Private(a) }

// Title is what the probe tries, in a few words.
func (f Fact) Title() string {
	switch f.Probe {
	case ProbeNames:
		return "Address of " + firstWord(f.Detail)
	case ProbeControl:
		return "Control channel to " + addrText(f.To)
	case ProbeGreeting:
		return "Greeting"
	case ProbeHello:
		return "Does it speak TLS?"
	case ProbeHTTP:
		return "Is it a web server?"
	case ProbeTLS:
		if f.Command == theCertificate {
			return "Certificate"
		}
		return strings.TrimSpace("TLS " + map[bool]string{true: "(" + f.Command + ")"}[f.Command != ""])
	case ProbeSmallTLS:
		return "TLS with small packets"
	case ProbeSignIn:
		return "Sign in"
	case ProbeProtection:
		return "Protect the data channels (" + f.Command + ")"
	case ProbeEPSV:
		return "Passive, extended (EPSV)" + arrow(f)
	case ProbePASV:
		return "Passive (PASV)" + arrow(f)
	case ProbeAdvertised:
		return "Passive, at the address that the server names" + arrow(f)
	case ProbeReuse:
		return "Must data channels resume the TLS session?"
	case ProbeRange:
		return "More passive ports"
	case ProbeTransfer:
		return "Transfer " + f.Command
	case ProbeSmall:
		return "The same with small packets"
	case ProbeAgain:
		return "The same once more"
	case ProbeIdle:
		return "Is the control channel still alive?"
	case ProbeRest:
		return "Resume (" + f.Command + ")"
	case ProbeActive:
		title := "Active (" + f.Command + ")"
		if f.To.IsValid() {
			title += " ← to " + addrText(f.To)
		}
		return title
	case ProbeCompare:
		if f.Command == "TLS" {
			return "The same under TLS"
		}
		return "The same in clear"
	case ProbeDistance:
		return "How far is port " + itoa(int(f.To.Port())) + "?"
	case ProbeTrace:
		return "Where are packets to port " + itoa(int(f.To.Port())) + " lost?"
	case ProbeOtherPort:
		return "Do packets to port " + itoa(int(f.To.Port())) + " come further?"
	case ProbeNotClear:
		return "The password"
	}
	return string(f.Probe)
}

// Result is how the probe ended, in a few words.
func (f Fact) Result() string {
	if f.Running {
		return "…"
	}
	switch f.Probe {
	case ProbeNames:
		if f.Note {
			return f.Detail
		}
		if f.OK {
			_, list, _ := strings.Cut(f.Detail, " = ")
			return list
		}
		return "not found"
	case ProbeDistance:
		switch {
		case f.Hop == 1 && f.Outcome == Worked:
			return "1 hop"
		case f.Hop > 0 && f.Outcome == Worked:
			return itoa(f.Hop) + " hops"
		case f.Hop == 1:
			return "more than 1 hop"
		}
		return "not known"
	case ProbeTrace, ProbeOtherPort:
		if f.Hop == 0 {
			return "no router answers"
		}
		if f.Outcome == Worked {
			return "the host itself answers, hop " + itoa(f.Hop)
		}
		at := "hop " + itoa(f.Hop)
		if f.HopAddr.IsValid() && f.Probe == ProbeTrace && f.Outcome == Silence {
			at += ", after " + f.HopAddr.String()
		}
		switch {
		case f.Outcome == Refused:
			at += ", which refuses"
		case f.Outcome == Filtered, f.Outcome == Unreachable:
			at += ", which says " + string(f.Outcome)
		}
		return at
	case ProbeReuse:
		if f.OK {
			return "no"
		}
		return "yes: " + cmp.Or(f.Detail, string(f.Outcome))
	case ProbeNotClear:
		return "not sent: it would go in clear"
	case ProbeTLS:
		if f.Command == theCertificate {
			return strings.TrimPrefix(f.Detail, "certificate ")
		}
	}
	if f.Probe == ProbeGreeting {
		f.Detail, _, _ = strings.Cut(f.Detail, " / ") // a greeting may have many lines
	}
	if f.OK {
		if f.Detail != "" {
			return f.Detail
		}
		return connlog.Took(f.Duration)
	}
	out := string(f.Outcome)
	if f.Outcome == Worked {
		out = ""
	}
	if f.Detail != "" {
		out = strings.TrimPrefix(out+": "+f.Detail, ": ")
	}
	return cmp.Or(out, connlog.Took(f.Duration))
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

func arrow(f Fact) string {
	if !f.To.IsValid() || f.To.Port() == 0 {
		return ""
	}
	return " → " + addrText(f.To)
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return "?"
	}
	return a.String()
}

// portsText is a range of TCP ports for people: "21134–21136", "21134".
func portsText(ports []uint16) string {
	if len(ports) == 0 {
		return "passive ports"
	}
	lo, hi := slices.Min(ports), slices.Max(ports)
	if lo == hi {
		return "port " + itoa(int(lo))
	}
	return fmt.Sprintf("ports %d–%d", lo, hi)
}

func portList(ports []uint16) string {
	ports = slices.Compact(slices.Sorted(slices.Values(ports)))
	var out []string
	for _, p := range ports {
		out = append(out, itoa(int(p)))
	}
	return strings.Join(out, ", ")
}
