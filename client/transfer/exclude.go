package transfer

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// excluded are the patterns of [Mirror.Exclude].
type excluded []excludePattern

type excludePattern struct {
	segments []string // of a path; "**" stands for any number of them
	folder   bool
}

// Check says what is wrong with the patterns of m.
func (m Mirror) Check() error {
	_, err := parseExcluded(m.Exclude)
	return err
}

func parseExcluded(patterns []string) (excluded, error) {
	var out excluded
	for _, given := range patterns {
		rest, folder := strings.CutSuffix(given, "/")
		anchored := strings.Contains(rest, "/")
		segments := strings.Split(strings.TrimPrefix(rest, "/"), "/")
		if !anchored {
			segments = slices.Insert(segments, 0, "**")
		}
		for _, s := range segments {
			switch _, err := path.Match(s, ""); {
			case err != nil:
				return nil, fmt.Errorf("%q is no pattern: a bracket is left open, or a backslash ends it", given)
			case s == "" || s == "." || s == "..":
				return nil, fmt.Errorf("%q is no pattern of a path below the folder", given)
			}
		}
		out = append(out, excludePattern{segments, folder})
	}
	return out, nil
}

// has says whether the path rel below the folder is excluded.
func (x excluded) has(rel string, folder bool) bool {
	if len(x) == 0 {
		return false
	}
	segments := strings.Split(rel, "/")
	return slices.ContainsFunc(x, func(p excludePattern) bool {
		return (folder || !p.folder) && matchSegments(p.segments, segments)
	})
}

func matchSegments(pattern, segments []string) bool {
	if len(pattern) == 0 {
		return len(segments) == 0
	}
	if pattern[0] == "**" {
		return matchSegments(pattern[1:], segments) || len(segments) > 0 && matchSegments(pattern, segments[1:])
	}
	if len(segments) == 0 {
		return false
	}
	ok, _ := path.Match(pattern[0], segments[0])
	return ok && matchSegments(pattern[1:], segments[1:])
}
