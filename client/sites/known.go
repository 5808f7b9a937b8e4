package sites

import (
	"os"
	"path/filepath"
	"slices"
)

// Source is where a program keeps its sites: a file, or a folder of Cyberduck's.
type Source struct {
	From Program
	Path string
}

// Places are a person's folders: home, for settings ([os.UserConfigDir]) and for data (XDG_DATA_HOME).
type Places struct{ Home, Config, Data string }

// Find returns the sites of other programs that are on this computer, as files that [ImportFile] reads. What WinSCP keeps in
// Windows' registry is not among them.
func Find(p Places) []Source {
	var found []Source
	var seen []os.FileInfo
	for _, s := range []Source{
		{FileZilla, filepath.Join(p.Config, "filezilla", "sitemanager.xml")},
		{FileZilla, filepath.Join(p.Home, ".config", "filezilla", "sitemanager.xml")}, // macOS, too
		{FileZilla, filepath.Join(p.Home, ".filezilla", "sitemanager.xml")},
		{WinSCP, filepath.Join(p.Config, "WinSCP.ini")},
		{Cyberduck, filepath.Join(p.Config, "Cyberduck", "Bookmarks")},
		{Cyberduck, filepath.Join(p.Home, "Library", "Group Containers", "G69SCX94XU.duck", "Library", "Application Support", "duck", "Bookmarks")},
		{Netrc, filepath.Join(p.Home, ".netrc")},
		{Netrc, filepath.Join(p.Home, "_netrc")},
		{GFTP, filepath.Join(p.Config, "gftp", "bookmarks")},
		{GFTP, filepath.Join(p.Home, ".gftp", "bookmarks")},
		{LFTP, filepath.Join(p.Data, "lftp", "bookmarks")},
		{LFTP, filepath.Join(p.Home, ".lftp", "bookmarks")},
	} {
		info, err := os.Stat(s.Path)
		if err != nil || slices.ContainsFunc(seen, func(o os.FileInfo) bool { return os.SameFile(o, info) }) {
			continue
		}
		if info.IsDir() {
			if names, _ := filepath.Glob(filepath.Join(s.Path, "*.duck")); len(names) == 0 {
				continue
			}
		} else if info.Size() == 0 || s.From == Cyberduck {
			continue
		}
		seen, found = append(seen, info), append(found, s)
	}
	return found
}
