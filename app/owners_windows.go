package app

import "io/fs"

// owners names the owners of files; here nobody is told.
type owners struct{}

func newOwners() *owners { return &owners{} }

func (*owners) of(fs.FileInfo) string { return "" }
