package doctor

import (
	"slices"
	"strings"
)

// addIPTables reads what iptables-save or ip6tables-save prints (family "ip" or "ip6") into s.
func addIPTables(s *fwRuleset, family, text string) {
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			f := strings.Fields(line[1:])
			if len(f) < 2 {
				continue
			}
			c := s.chain(family, table, f[0])
			c.drop, c.iptables = f[1] == "DROP", true
			// The priorities are the kernel's own, so that these stand in line with nft's chains.
			switch priority := map[string]int{"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}; f[0] {
			case "PREROUTING":
				c.hook, c.priority = "prerouting", priority[table]
			case "INPUT":
				if table != "nat" {
					c.hook, c.priority = "input", priority[table]
				}
			}
		case strings.HasPrefix(line, "-A "):
			words := splitWords(line)
			if len(words) < 2 {
				continue
			}
			c := s.chain(family, table, words[1])
			c.rules = append(c.rules, ipTablesRule(s, c, words[2:], strings.TrimPrefix(line, "-A "+words[1]+" ")))
		}
	}
}

// splitWords splits a line as a shell would: text in double quotes is one word.
func splitWords(line string) []string {
	var out []string
	var word strings.Builder
	quoted, any := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, any = !quoted, true
		case c == ' ' && !quoted:
			if any {
				out = append(out, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		out = append(out, word.String())
	}
	return out
}

// quietMatches are extensions whose options are read below, or that match whatever an honest client sends.
var quietMatches = []string{"tcp", "comment", "multiport", "conntrack", "state", "addrtype", "pkttype", "limit", "hashlimit", "recent", "connlimit"}

// ipTablesOptions reads the options of one rule.
type ipTablesOptions struct {
	rules *fwRuleset
	words []string // what is left
	not   bool     // a "!" stands before the option
	tests []fwTest
}

// ipTablesRule reads a rule of c from its words; text is how it is shown.
func ipTablesRule(s *fwRuleset, c *fwChain, words []string, text string) fwRule {
	o := &ipTablesOptions{rules: s, words: words}
	for len(o.words) > 0 {
		switch option := o.value(); option {
		case "!":
			o.not = true
			continue
		case "-j", "--jump", "-g", "--goto": // what follows belongs to the target
			action, target := ipTablesTarget(c, o.value(), option == "-g" || option == "--goto")
			return fwRule{o.tests, action, target, text}
		default:
			o.match(option)
		}
		o.not = false
	}
	return fwRule{tests: o.tests, text: text}
}

// value takes the next word.
func (o *ipTablesOptions) value() string {
	if len(o.words) == 0 {
		return ""
	}
	word := o.words[0]
	o.words = o.words[1:]
	return word
}

func (o *ipTablesOptions) add(t fwTest) {
	if o.not {
		o.tests = append(o.tests, func(p fwPacket) fwMatch { return t(p).not() })
	} else {
		o.tests = append(o.tests, t)
	}
	o.not = false
}

func (o *ipTablesOptions) constant(m fwMatch) { o.add(func(fwPacket) fwMatch { return m }) }

// match reads an option that a packet has to match, with its value.
func (o *ipTablesOptions) match(option string) {
	switch option {
	case "-p", "--protocol":
		o.constant(fwIf(slices.Contains([]string{"tcp", "6", "all", "0"}, o.value())))
	case "-i", "--in-interface":
		name := o.value()
		o.add(func(p fwPacket) fwMatch { return fwIf(interfaceMatches(name, p.in)) })
	case "-s", "--source", "-d", "--destination":
		n, ok := parseNetwork(o.value())
		source := option == "-s" || option == "--source"
		o.add(func(p fwPacket) fwMatch {
			switch {
			case !ok:
				return fwMaybe
			case source:
				return fwIf(n.Contains(p.from))
			}
			return fwIf(n.Contains(p.to))
		})
	case "--dport", "--destination-port", "--dports", "--destination-ports":
		ports, ok := parsePorts(o.value())
		for _, r := range ports {
			o.rules.cut(r[0], r[1])
		}
		o.add(func(p fwPacket) fwMatch {
			if !ok {
				return fwMaybe
			}
			return fwIf(ports.has(p.port))
		})
	case "--sport", "--source-port", "--sports", "--source-ports":
		ports, ok := parsePorts(o.value())
		switch {
		case ok && len(ports) == 1 && ports[0][0] <= 1024 && ports[0][1] == 65535:
			o.constant(fwYes)
		case ok && !slices.ContainsFunc(ports, func(r [2]int) bool { return r[1] > 1023 }):
			o.constant(fwNo)
		default:
			o.constant(fwMaybe)
		}
	case "--ctstate", "--state":
		o.constant(fwIf(slices.Contains(strings.Split(o.value(), ","), "NEW")))
	case "--dst-type":
		o.constant(fwIf(o.value() == "LOCAL"))
	case "--pkt-type":
		o.constant(fwIf(o.value() == "unicast"))
	case "--syn":
		o.constant(fwYes)
	case "--tcp-flags":
		mask, set := strings.Split(o.value(), ","), strings.Split(o.value(), ",")
		syn := slices.Contains(mask, "SYN") || slices.Contains(mask, "ALL")
		o.constant(fwIf(slices.Equal(set, []string{"SYN"}) && syn || slices.Equal(set, []string{"NONE"}) && !syn))
	case "--limit", "--hashlimit-upto", "--connlimit-upto": // below its rate, where an honest client is, it matches
		o.value()
		o.constant(fwYes)
	case "--hashlimit-above", "--connlimit-above", "--update", "--rcheck", "--seconds", "--hitcount":
		if option != "--update" && option != "--rcheck" {
			o.value()
		}
		o.constant(fwNo)
	case "-m", "--match":
		if name := o.value(); !slices.Contains(quietMatches, name) {
			o.constant(fwMaybe)
		}
	}
}

// ipTablesTarget is what a rule of c does with a packet that matches it.
func ipTablesTarget(c *fwChain, target string, goes bool) (fwAction, string) {
	switch target {
	case "ACCEPT":
		if c.table == "nat" { // there it only means: as it is
			return fwReturn, ""
		}
		return fwAccept, ""
	case "DROP", "REJECT", "TARPIT":
		return fwDrop, ""
	case "RETURN":
		return fwReturn, ""
	case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "TCPMSS", "TRACE", "SET", "AUDIT", "SECMARK", "CONNSECMARK", "TOS", "DSCP", "TTL", "HL", "NOTRACK":
		return fwPass, ""
	}
	action := fwJump
	if goes {
		action = fwGoto
	}
	return action, c.family + " " + c.table + " " + target
}
