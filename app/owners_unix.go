//go:build unix

package app

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// owners names the owners of files, each looked up once.
type owners struct{ names map[uint32]string }

func newOwners() *owners { return &owners{names: map[uint32]string{}} }

// of returns the owner's name, or the number where it has none.
func (o *owners) of(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	name, known := o.names[st.Uid]
	if !known {
		name = strconv.FormatUint(uint64(st.Uid), 10)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		o.names[st.Uid] = name
	}
	return name
}
