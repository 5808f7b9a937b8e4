package transfer

import (
	"fmt"
	"slices"
	"strings"

	"portside/client"
)

// lineage is a remote folder and those that it lies in, by [client.Entry.ID]. A link to a folder above it makes folders
// without end; many servers list it as a folder.
type lineage []string

// longestID is how long an ID may be that is remembered.
const longestID = 64

// isID says that an ID tells files apart: some servers give zeros for all.
func isID(id string) bool { return len(id) <= longestID && strings.Trim(id, "0gUu:-.") != "" }

// leadsBack says that a folder is one of those that it lies in.
func (l lineage) leadsBack(e client.Entry) bool {
	return e.Type == client.Folder && isID(e.ID) && slices.Contains(l, e.ID)
}

// with is the lineage of a folder below.
func (l lineage) with(e client.Entry) lineage {
	if e.Type != client.Folder || !isID(e.ID) {
		return l
	}
	return append(slices.Clip(l), e.ID)
}

var errLeadsBack = &skipped{"it leads back to a folder that it lies in"}

// maxFolders is how many folders one request may turn out to hold: a server can make them up without end.
const maxFolders = 1_000_000

func tooManyFolders(most int) error {
	return fmt.Errorf("there are more than %d folders, so this one is left out", most)
}
