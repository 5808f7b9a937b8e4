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

func ipTablesRule(s *fwRuleset, c *fwChain, words []string, text string) fwRule {
	r := fwRule{text: text}
	not := false
	add := func(t fwTest) {
		if not {
			r.tests = append(r.tests, func(p fwPacket) fwMatch { return t(p).not() })
		} else {
			r.tests = append(r.tests, t)
		}
		not = false
	}
	constant := func(m fwMatch) { add(func(fwPacket) fwMatch { return m }) }
	for i := 0; i < len(words); i++ {
		option := words[i]
		value := func() string {
			if i+1 < len(words) {
				i++
				return words[i]
			}
			return ""
		}
		switch option {
		case "!":
			not = true
			continue
		case "-p", "--protocol":
			constant(fwIf(slices.Contains([]string{"tcp", "6", "all", "0"}, value())))
		case "-i", "--in-interface":
			name := value()
			add(func(p fwPacket) fwMatch { return fwIf(interfaceMatches(name, p.in)) })
		case "-s", "--source", "-d", "--destination":
			n, ok := parseNetwork(value())
			source := option == "-s" || option == "--source"
			add(func(p fwPacket) fwMatch {
				switch {
				case !ok:
					return fwMaybe
				case source:
					return fwIf(n.Contains(p.from))
				}
				return fwIf(n.Contains(p.to))
			})
		case "--dport", "--destination-port", "--dports", "--destination-ports":
			ports, ok := parsePorts(value())
			for _, r := range ports {
				s.cut(r[0], r[1])
			}
			add(func(p fwPacket) fwMatch {
				if !ok {
					return fwMaybe
				}
				return fwIf(ports.has(p.port))
			})
		case "--sport", "--source-port", "--sports", "--source-ports":
			ports, ok := parsePorts(value())
			switch {
			case ok && len(ports) == 1 && ports[0][0] <= 1024 && ports[0][1] == 65535:
				constant(fwYes)
			case ok && !slices.ContainsFunc(ports, func(r [2]int) bool { return r[1] > 1023 }):
				constant(fwNo)
			default:
				constant(fwMaybe)
			}
		case "--ctstate", "--state":
			constant(fwIf(slices.Contains(strings.Split(value(), ","), "NEW")))
		case "--dst-type":
			constant(fwIf(value() == "LOCAL"))
		case "--pkt-type":
			constant(fwIf(value() == "unicast"))
		case "--syn":
			constant(fwYes)
		case "--tcp-flags":
			mask, set := strings.Split(value(), ","), strings.Split(value(), ",")
			syn := slices.Contains(mask, "SYN") || slices.Contains(mask, "ALL")
			constant(fwIf(slices.Equal(set, []string{"SYN"}) && syn || slices.Equal(set, []string{"NONE"}) && !syn))
		case "--limit", "--hashlimit-upto", "--connlimit-upto": // below its rate, where an honest client is, it matches
			value()
			constant(fwYes)
		case "--hashlimit-above", "--connlimit-above", "--update", "--rcheck", "--seconds", "--hitcount":
			if option != "--update" && option != "--rcheck" {
				value()
			}
			constant(fwNo)
		case "-m", "--match":
			if name := value(); !slices.Contains(quietMatches, name) {
				constant(fwMaybe)
			}
		case "-j", "--jump", "-g", "--goto":
			switch target := value(); target {
			case "ACCEPT":
				r.action = fwAccept
				if c.table == "nat" { // there it only means: as it is
					r.action = fwReturn
				}
			case "DROP", "REJECT", "TARPIT":
				r.action = fwDrop
			case "RETURN":
				r.action = fwReturn
			case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "TCPMSS", "TRACE", "SET", "AUDIT", "SECMARK", "CONNSECMARK", "TOS", "DSCP", "TTL", "HL", "NOTRACK":
				r.action = fwPass
			default:
				r.action, r.target = fwJump, c.family+" "+c.table+" "+target
				if option == "-g" || option == "--goto" {
					r.action = fwGoto
				}
			}
			return r // what follows belongs to the target
		}
		not = false
	}
	return r
}
