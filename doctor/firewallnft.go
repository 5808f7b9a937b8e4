package doctor

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parseNFT reads what `nft -j list ruleset` prints (libnftables-json(5)). skip leaves a table out: those that
// iptables-nft keeps hold matches that nft can't print, and iptables-save can.
func parseNFT(text string, skip func(family, table string) bool) (*fwRuleset, error) {
	var doc struct {
		Nftables []struct {
			Chain *struct {
				Family, Table, Name, Type, Hook, Policy string
				Prio                                    int
			}
			Set *nftSet
			Map *nftSet
			// Rule's statements are looked at one by one: each is an object with one key, its kind.
			Rule *struct {
				Family, Table, Chain string
				Expr                 []map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("the list of nft can't be read: %w", err)
	}
	r := nftReader{rules: &fwRuleset{}, sets: map[string][]any{}}
	for _, o := range doc.Nftables {
		for _, s := range []*nftSet{o.Set, o.Map} {
			if s != nil {
				r.sets[s.Family+" "+s.Table+" "+s.Name] = s.Elem
			}
		}
		if c := o.Chain; c != nil && !skip(c.Family, c.Table) {
			to := r.rules.chain(c.Family, c.Table, c.Name)
			to.priority, to.drop = c.Prio, c.Policy == "drop"
			switch c.Hook {
			case "ingress", "prerouting", "input":
				to.hook = c.Hook
			}
		}
	}
	for _, o := range doc.Nftables {
		if o.Rule != nil && !skip(o.Rule.Family, o.Rule.Table) {
			c := r.rules.chain(o.Rule.Family, o.Rule.Table, o.Rule.Chain)
			r.scope = c.family + " " + c.table + " "
			c.rules = append(c.rules, r.rule(o.Rule.Expr)...)
		}
	}
	return r.rules, nil
}

type nftSet struct {
	Family, Table, Name string
	Elem                []any
}

type nftReader struct {
	rules *fwRuleset
	sets  map[string][]any
	scope string // family and table of the rule being read, with a space behind
}

// rule turns one rule into one or, where it holds a verdict map, several.
func (r *nftReader) rule(expr []map[string]any) []fwRule {
	var out []fwRule
	var tests []fwTest
	var words []string
	for _, statement := range expr {
		for kind, v := range statement {
			words = append(words, nftWords(kind, v))
			text := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
			add := func(a fwAction, target string) {
				if target != "" {
					target = r.scope + target
				}
				out = append(out, fwRule{append([]fwTest(nil), tests...), a, target, text})
			}
			switch kind {
			case "match":
				m, _ := v.(map[string]any)
				op, _ := m["op"].(string)
				tests = append(tests, r.test(m["left"], op, m["right"]))
			case "vmap":
				m, _ := v.(map[string]any)
				pairs, known := r.elements(m["data"])
				if !known {
					add(fwOther, "")
				}
				for _, p := range pairs {
					if pair, ok := p.([]any); ok && len(pair) == 2 {
						verdict, _ := pair[1].(map[string]any)
						for kind, v := range verdict {
							if a, target, ok := nftVerdict(kind, v); ok {
								rule := fwRule{append(append([]fwTest(nil), tests...), r.test(m["key"], "==", pair[0])), a, "", text}
								if target != "" {
									rule.target = r.scope + target
								}
								out = append(out, rule)
							}
						}
					}
				}
			case "limit", "ct count":
				// Below its rate, which is where an honest client is, "limit rate" matches and "limit rate over" doesn't.
				m, _ := v.(map[string]any)
				if over, _ := m["inv"].(bool); over {
					tests = append(tests, func(fwPacket) fwMatch { return fwNo })
				}
			case "counter", "log", "set", "mangle", "notrack", "comment", "quota", "last", "ct helper", "ct timeout", "flow", "synproxy":
			case "xt", "meter":
				tests = append(tests, func(fwPacket) fwMatch { return fwMaybe })
				if m, _ := v.(map[string]any); m["type"] == "target" {
					add(fwOther, "")
				}
			default:
				if a, target, ok := nftVerdict(kind, v); ok {
					add(a, target)
				} else {
					add(fwOther, "") // queue, dnat, redirect, tproxy, fwd, dup and what is to come
				}
			}
		}
	}
	return out
}

func nftVerdict(kind string, v any) (fwAction, string, bool) {
	m, _ := v.(map[string]any)
	target, _ := m["target"].(string)
	switch kind {
	case "accept":
		return fwAccept, "", true
	case "drop", "reject":
		return fwDrop, "", true
	case "return", "continue":
		if kind == "continue" {
			return fwPass, "", true
		}
		return fwReturn, "", true
	case "jump":
		return fwJump, target, true
	case "goto":
		return fwGoto, target, true
	}
	return 0, "", false
}

// elements returns the members of a set that stands in the rule or has a name.
func (r *nftReader) elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "@"); ok {
			e, known := r.sets[r.scope+name]
			return e, known
		}
	case map[string]any:
		if e, ok := v["set"].([]any); ok {
			return e, true
		}
	}
	return nil, false
}

// test returns whether the packet's left compares with right by op.
func (r *nftReader) test(left any, op string, right any) fwTest {
	field := r.field(left)
	switch op {
	case "<", "<=", ">", ">=":
		n, ok := right.(float64)
		if !ok || nftPath(left) != "dport" {
			return func(fwPacket) fwMatch { return fwMaybe }
		}
		lo, hi := 0, 65535
		switch op {
		case "<":
			hi = int(n) - 1
		case "<=":
			hi = int(n)
		case ">":
			lo = int(n) + 1
		case ">=":
			lo = int(n)
		}
		op, right = "==", map[string]any{"range": []any{float64(lo), float64(hi)}}
	}
	values := []any{right}
	if e, ok := r.elements(right); ok {
		values = slices.Clone(e)
	} else if s, ok := right.(string); ok && strings.HasPrefix(s, "@") {
		return func(fwPacket) fwMatch { return fwMaybe }
	} else if list, ok := right.([]any); ok && !nftIsFlags(left) {
		values = slices.Clone(list)
	} else if m, ok := right.(map[string]any); ok && m["|"] != nil && !nftIsFlags(left) {
		values, _ = m["|"].([]any)
	}
	for i, v := range values {
		if pair, ok := v.([]any); ok && len(pair) == 2 && !nftIsFlags(left) {
			v = pair[0] // a map used as a set
		}
		if m, ok := v.(map[string]any); ok {
			if e, ok := m["elem"].(map[string]any); ok {
				v = e["val"]
			}
		}
		values[i] = v
		if nftPath(left) == "dport" {
			if lo, hi, ok := nftNumbers(v); ok {
				r.rules.cut(lo, hi)
			}
		}
	}
	if c, ok := nftConcat(left); ok {
		for i, part := range c {
			if nftPath(part) != "dport" {
				continue
			}
			for _, v := range values {
				if e, ok := nftConcat(v); ok && i < len(e) {
					if lo, hi, ok := nftNumbers(e[i]); ok {
						r.rules.cut(lo, hi)
					}
				}
			}
		}
	}
	return func(p fwPacket) fwMatch {
		m := fwNo
		for _, v := range values {
			m = max(m, field(p, v))
			if m == fwYes {
				break
			}
		}
		if op == "!=" {
			return m.not()
		}
		return m
	}
}

func nftConcat(v any) ([]any, bool) {
	m, _ := v.(map[string]any)
	c, ok := m["concat"].([]any)
	return c, ok
}

// nftPath names the field of an expression: "dport", "saddr", "iifname", "state". "" for all others.
func nftPath(v any) string {
	m, _ := v.(map[string]any)
	for kind, name := range map[string]string{"payload": "field", "meta": "key", "ct": "key"} {
		if e, ok := m[kind].(map[string]any); ok {
			s, _ := e[name].(string)
			return s
		}
	}
	if s, ok := m["meta"].(string); ok {
		return s
	}
	return ""
}

func nftIsFlags(left any) bool {
	m, _ := left.(map[string]any)
	if and, ok := m["&"].([]any); ok && len(and) == 2 {
		left = and[0]
	}
	return nftPath(left) == "flags"
}

// nftNumbers reads a number or a range of numbers.
func nftNumbers(v any) (lo, hi int, ok bool) {
	if n, ok := v.(float64); ok {
		return int(n), int(n), true
	}
	m, _ := v.(map[string]any)
	if r, ok := m["range"].([]any); ok && len(r) == 2 {
		a, ok1 := r[0].(float64)
		b, ok2 := r[1].(float64)
		return int(a), int(b), ok1 && ok2
	}
	return 0, 0, false
}

// nftField says how a value compares with one field of a packet.
type nftField func(fwPacket, any) fwMatch

// nftUnknown is a field that is not known here.
func nftUnknown(fwPacket, any) fwMatch { return fwMaybe }

// field is what a rule compares with a value.
func (r *nftReader) field(left any) nftField {
	if parts, ok := nftConcat(left); ok {
		var fields []nftField
		for _, p := range parts {
			fields = append(fields, r.field(p))
		}
		return func(p fwPacket, v any) fwMatch {
			values, ok := nftConcat(v)
			if !ok || len(values) != len(fields) {
				return fwMaybe
			}
			m := fwYes
			for i, f := range fields {
				m = min(m, f(p, values[i]))
			}
			return m
		}
	}
	m, _ := left.(map[string]any)
	if nftIsFlags(left) {
		mask := nftFlags(nil)
		if and, ok := m["&"].([]any); ok && len(and) == 2 {
			mask = nftFlags(and[1])
			return func(_ fwPacket, v any) fwMatch { return fwIf(tcpSYN&mask == nftFlags(v)) }
		}
		return func(_ fwPacket, v any) fwMatch { return fwIf(nftFlags(v)&tcpSYN != 0) }
	}
	if fib, ok := m["fib"].(map[string]any); ok && fib["result"] == "type" && fmt.Sprint(fib["flags"]) == "[daddr]" {
		return func(_ fwPacket, v any) fwMatch { return fwIf(v == "local") }
	}
	if p, ok := m["payload"].(map[string]any); ok {
		return nftPayload(p)
	}
	if _, ok := m["meta"]; ok {
		return nftMeta(nftPath(left))
	}
	if _, ok := m["ct"]; ok {
		return nftCT(nftPath(left))
	}
	return nftUnknown
}

// nftPayload is a field of a packet's headers.
func nftPayload(p map[string]any) nftField {
	protocol, _ := p["protocol"].(string)
	field, _ := p["field"].(string)
	tcp := protocol == "tcp" || protocol == "th"
	switch {
	case protocol == "udp" || protocol == "icmp" || protocol == "icmpv6" || protocol == "sctp" || protocol == "dccp":
		return func(fwPacket, any) fwMatch { return fwNo }
	case tcp && field == "dport":
		return func(p fwPacket, v any) fwMatch {
			lo, hi, ok := nftNumbers(v)
			if !ok {
				return fwMaybe
			}
			return fwIf(int(p.port) >= lo && int(p.port) <= hi)
		}
	case tcp && field == "sport": // a client's own port is any above 1023
		return func(_ fwPacket, v any) fwMatch {
			lo, hi, ok := nftNumbers(v)
			switch {
			case !ok || lo > 1023 && hi < 65535:
				return fwMaybe
			case lo <= 1024 && hi == 65535:
				return fwYes
			}
			return fwIf(hi > 1023)
		}
	case (protocol == "ip" || protocol == "ip6") && (field == "saddr" || field == "daddr"):
		return func(p fwPacket, v any) fwMatch {
			if p.family() != protocol {
				return fwNo
			}
			if field == "daddr" {
				return nftAddress(p.to, v)
			}
			return nftAddress(p.from, v)
		}
	case protocol == "ip" && field == "protocol", protocol == "ip6" && field == "nexthdr":
		return func(p fwPacket, v any) fwMatch { return fwIf(p.family() == protocol && nftTCP(v)) }
	}
	return nftUnknown
}

// nftMeta is what the kernel knows of a packet besides its bytes.
func nftMeta(key string) nftField {
	switch key {
	case "iif", "iifname":
		return func(p fwPacket, v any) fwMatch {
			name, ok := v.(string)
			if !ok {
				return fwMaybe
			}
			return fwIf(interfaceMatches(name, p.in))
		}
	case "l4proto":
		return func(_ fwPacket, v any) fwMatch { return fwIf(nftTCP(v)) }
	case "nfproto", "protocol":
		return func(p fwPacket, v any) fwMatch {
			s := strings.TrimSuffix(fmt.Sprint(v), "v4")
			return fwIf(strings.Replace(s, "ipv6", "ip6", 1) == p.family())
		}
	case "pkttype":
		return func(_ fwPacket, v any) fwMatch { return fwIf(v == "host" || v == "unicast") }
	}
	return nftUnknown
}

// nftCT is what the kernel knows of a packet's connection, which is a new one.
func nftCT(key string) nftField {
	switch key {
	case "state":
		return func(_ fwPacket, v any) fwMatch { return fwIf(v == "new") }
	case "status": // a connection that a router's rules turned to this computer is not looked at
		return func(_ fwPacket, v any) fwMatch { return fwNo }
	case "direction":
		return func(_ fwPacket, v any) fwMatch { return fwIf(v == "original") }
	}
	return nftUnknown
}

func nftTCP(v any) bool { return v == "tcp" || v == float64(6) }

const tcpSYN = 2

// nftFlags reads TCP flags: one name, a list, or names joined with "|".
func nftFlags(v any) int {
	switch v := v.(type) {
	case string:
		return map[string]int{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}[v]
	case float64:
		return int(v)
	case []any:
		n := 0
		for _, one := range v {
			n |= nftFlags(one)
		}
		return n
	case map[string]any:
		return nftFlags(v["|"])
	}
	return 0
}

func nftAddress(a netip.Addr, v any) fwMatch {
	a = a.Unmap().WithZone("")
	switch v := v.(type) {
	case string:
		p, ok := parseNetwork(v)
		if !ok {
			return fwMaybe
		}
		return fwIf(p.Contains(a))
	case map[string]any:
		if p, ok := v["prefix"].(map[string]any); ok {
			n, ok := parseNetwork(fmt.Sprintf("%v/%v", p["addr"], p["len"]))
			if !ok {
				return fwMaybe
			}
			return fwIf(n.Contains(a))
		}
		if r, ok := v["range"].([]any); ok && len(r) == 2 {
			lo, err1 := netip.ParseAddr(fmt.Sprint(r[0]))
			hi, err2 := netip.ParseAddr(fmt.Sprint(r[1]))
			if err1 != nil || err2 != nil {
				return fwMaybe
			}
			return fwIf(lo.Compare(a) <= 0 && a.Compare(hi) <= 0)
		}
	}
	return fwMaybe
}

// nftWords writes a statement as the nft command would, near enough to find the rule again.
func nftWords(kind string, v any) string {
	m, _ := v.(map[string]any)
	switch kind {
	case "match":
		op := fmt.Sprint(m["op"], " ")
		if op == "== " || op == "in " {
			op = ""
		}
		return nftValue(m["left"]) + " " + op + nftValue(m["right"])
	case "vmap":
		return nftValue(m["key"]) + " vmap " + nftValue(m["data"])
	case "jump", "goto":
		return fmt.Sprint(kind, " ", m["target"])
	case "counter", "log", "comment", "last":
		return ""
	case "limit":
		return fmt.Sprintf("limit rate %v/%v", m["rate"], m["per"])
	case "xt":
		return fmt.Sprint("xt ", m["name"])
	}
	return kind
}

func nftValue(v any) string {
	join := func(list []any, between string) string {
		var out []string
		for i, e := range list {
			if i == 8 {
				out = append(out, "…")
				break
			}
			out = append(out, nftValue(e))
		}
		return strings.Join(out, between)
	}
	switch v := v.(type) {
	case []any:
		return join(v, ",")
	case map[string]any:
		for kind, e := range v {
			m, _ := e.(map[string]any)
			list, _ := e.([]any)
			switch kind {
			case "payload":
				return fmt.Sprint(m["protocol"], " ", m["field"])
			case "meta":
				if nftPath(v) == "iifname" || nftPath(v) == "iif" {
					return nftPath(v)
				}
				return "meta " + nftPath(v)
			case "ct":
				return "ct " + nftPath(v)
			case "fib":
				return fmt.Sprint("fib ", m["flags"], " ", m["result"])
			case "set":
				return "{ " + join(list, ", ") + " }"
			case "range":
				return join(list, "-")
			case "prefix":
				return fmt.Sprint(m["addr"], "/", m["len"])
			case "concat":
				return join(list, " . ")
			case "&":
				return join(list, " & ")
			case "elem":
				return nftValue(m["val"])
			default:
				return kind
			}
		}
	}
	return fmt.Sprint(v)
}
