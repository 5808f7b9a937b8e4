package sites

import (
	"reflect"
	"slices"
)

// Merge returns edited, which a person has made out of base, with what has come into the present book since base was copied
// from it: what the person left as it was in base is as it is at present, and what was added meanwhile is there. Where both
// have changed the same thing the person's holds. The order and what is deleted are the person's.
func Merge(base, edited, present *Book) *Book {
	out := edited.Clone()
	was, now, have := base.byID(), present.byID(), out.byID()
	for id, n := range have {
		if before, after := was[id], now[id]; before != nil && after != nil {
			n.merge(before, after)
		}
	}
	added := map[string]bool{}
	present.All(func(n *Node, in []*Node) bool {
		if was[n.ID] != nil || have[n.ID] != nil || added[n.ID] {
			return true
		}
		walk([]*Node{n}, nil, func(one *Node, _ []*Node) bool { added[one.ID] = true; return true })
		folder := ""
		if len(in) > 0 && have[in[len(in)-1].ID] != nil {
			folder = in[len(in)-1].ID
		}
		_ = out.Add(folder, -1, n.Clone()) // the folder is there
		return true
	})
	return out
}

func (b *Book) byID() map[string]*Node {
	m := map[string]*Node{}
	b.All(func(n *Node, _ []*Node) bool { m[n.ID] = n; return true })
	return m
}

// merge takes over from present what n has as base has it.
func (n *Node) merge(base, present *Node) {
	if n.Name == base.Name {
		n.Name = present.Name
	}
	if n.Closed == base.Closed {
		n.Closed = present.Closed
	}
	if n.Site != nil && base.Site != nil && present.Site != nil {
		n.Site.merge(base.Site, present.Site.Clone())
	}
}

func (s *Site) merge(base, present *Site) {
	edited := *s
	to, before, now := reflect.ValueOf(s).Elem(), reflect.ValueOf(base).Elem(), reflect.ValueOf(present).Elem()
	for i := range to.NumField() {
		if reflect.DeepEqual(to.Field(i).Interface(), before.Field(i).Interface()) {
			to.Field(i).Set(now.Field(i))
		}
	}
	if edited.Host != base.Host || edited.User != base.User {
		s.Login = edited.Login // a password that was kept meanwhile is not for this server, or not for this user
	}
	if !slices.Equal(edited.Bookmarks, base.Bookmarks) {
		for _, b := range present.Bookmarks {
			if !slices.Contains(base.Bookmarks, b) && !slices.Contains(s.Bookmarks, b) {
				s.Bookmarks = append(slices.Clip(s.Bookmarks), b)
			}
		}
	}
}
