package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"portside/client"
	"portside/wire"
)

// Mirror says which folder is made like which other one.
type Mirror struct {
	// Direction: [Download] makes the local folder like the remote one, [Upload] the remote one like the local one.
	Direction     Direction
	Local, Remote string
	Delete        bool // take out of the destination what the source does not have
	// Exclude are patterns of what is left alone on both sides: neither read, copied nor deleted. They are matched as
	// [path.Match] does, against the path below the folder when they hold a slash that is not the last character, else
	// against names in any folder. A slash at the end: folders only. "**" between slashes: any number of folders.
	Exclude []string
}

// PlanMirror compares both folders by size and time, and changes nothing. A file is copied when the destination does not
// have it, has it in another size, or has an older one. seen is told how many folders were read; it may be nil.
func PlanMirror(ctx context.Context, s *client.Session, m Mirror, seen func(folders int)) (*Plan, error) {
	exclude, err := parseExcluded(m.Exclude)
	if err != nil {
		return nil, err
	}
	p := &planner{ctx: ctx, s: s, plan: &Plan{Mirror: m}, seen: seen, exclude: exclude, linked: map[string]map[string]bool{}, unclear: map[string]bool{}}
	root, err := os.OpenRoot(m.Local)
	switch {
	case err == nil:
		p.root = root
		defer root.Close()
	case m.Direction == Upload || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if id, err := s.Unique(ctx, m.Remote); err == nil {
		p.line = lineage{}.with(client.Entry{Type: client.Folder, ID: id})
	}
	if err := p.folder("", true); err != nil {
		return nil, err
	}
	return p.plan, nil
}

// maxPlan bounds what a plan holds: a server can make up folders without end.
const maxPlan = 1_000_000

type planner struct {
	ctx     context.Context
	s       *client.Session
	root    *os.Root // nil: there is none yet
	plan    *Plan
	seen    func(int)
	exclude excluded
	folders int
	line    lineage                    // of the server's folder under way, from the one that is mirrored on
	linked  map[string]map[string]bool // the links that LIST shows in the destination's folders
	unclear map[string]bool            // folders of the source that list what can't be read
}

func (p *planner) remote(rel string) string {
	if rel == "" {
		return p.plan.Remote
	}
	return child(p.plan.Remote, rel)
}

func (p *planner) skip(rel string, err error) {
	p.plan.Skipped = append(p.plan.Skipped, Failure{Item{p.plan.Direction, filepath.Join(p.plan.Local, filepath.FromSlash(rel)), p.remote(rel)}, err})
}

// contents is what a folder holds.
type contents struct {
	entries  map[string]client.Entry
	excluded map[string]bool
}

// here reads a local folder.
func (p *planner) here(rel string, source bool) (contents, error) {
	out := contents{map[string]client.Entry{}, map[string]bool{}}
	if p.root == nil {
		return out, nil
	}
	dir, err := p.root.Open(filepath.FromSlash(cmp.Or(rel, ".")))
	if err != nil {
		return out, err
	}
	names, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return out, err
	}
	for _, n := range names {
		at := path.Join(rel, n.Name())
		if p.exclude.has(at, n.IsDir()) {
			out.excluded[n.Name()] = true
			continue
		}
		e := client.Entry{Name: n.Name(), Type: client.Other}
		st, err := p.root.Stat(filepath.FromSlash(at)) // refuses links that lead out
		link := n.Type()&fs.ModeSymlink != 0
		switch {
		case err == nil && st.Mode().IsRegular():
			e.Type, e.Size, e.Time = client.File, st.Size(), st.ModTime()
		case err == nil && st.IsDir() && !link:
			e.Type = client.Folder
		case source && link:
			p.skip(at, &skipped{"it is a link to a folder, out of the folder, or to nothing"})
		case source:
			p.skip(at, &skipped{"it is neither a file nor a folder"})
		}
		out.entries[n.Name()] = e
	}
	return out, nil
}

// there reads a remote folder.
func (p *planner) there(rel string, source bool) (contents, error) {
	out := contents{map[string]client.Entry{}, map[string]bool{}}
	entries, err := p.s.List(p.ctx, p.remote(rel))
	if err != nil {
		return out, err
	}
	if rel == "" && len(entries) == 0 {
		// Some servers list a folder that they don't have as an empty one: then everything would seem to be too much.
		if err := p.isThere(); err != nil {
			return out, err
		}
	}
	for _, e := range entries {
		at := path.Join(rel, e.Name)
		switch {
		case !e.Unsafe && p.exclude.has(at, e.Type == client.Folder):
			out.excluded[e.Name] = true
			continue
		case e.Unsafe:
			p.skip(at, fmt.Errorf("the server lists a name that can't be used: %q", e.Name))
			p.unclear[rel] = p.unclear[rel] || source
			continue
		case source && p.plan.Direction == Download && usableName(e.Name) != nil:
			p.skip(at, usableName(e.Name))
			continue
		case source && (e.Type == client.Link || e.Type == client.Other):
			p.skip(at, &skipped{"it is a link, or neither a file nor a folder"})
		}
		out.entries[e.Name] = e
	}
	return out, nil
}

// isThere asks for the remote folder.
func (p *planner) isThere() error {
	if p.plan.Remote == "" {
		return nil
	}
	return p.s.CheckDir(p.ctx, p.plan.Remote)
}

// folder compares a folder; exists: the destination has it.
func (p *planner) folder(rel string, exists bool) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if strings.Count(rel, "/") >= maxDepth {
		p.skip(rel, errTooDeep)
		return nil
	}
	if p.folders > maxPlan || len(p.plan.Changes) > maxPlan {
		return fmt.Errorf("there are more than %d folders or changes: mirror parts of it", maxPlan)
	}
	from, to, err := p.both(rel, exists)
	if err != nil {
		return err // and nothing is deleted that may well be there
	}
	p.folders++
	if p.seen != nil {
		p.seen(p.folders)
	}
	for name := range from.excluded {
		if !to.excluded[name] {
			p.plan.Excluded++
		}
	}
	p.plan.Excluded += len(to.excluded)
	for _, name := range slices.Sorted(maps.Keys(from.entries)) {
		if err := p.entry(rel, name, from, to); err != nil {
			return err
		}
	}
	if !p.plan.Delete {
		return nil
	}
	return p.surplus(rel, from, to)
}

// both reads a folder in the source and, when it exists there, in the destination. One that is to be uploaded to and is
// missing after all becomes the first change.
func (p *planner) both(rel string, exists bool) (from, to contents, err error) {
	source, destination := p.there, p.here
	if p.plan.Direction == Upload {
		source, destination = p.here, p.there
	}
	if from, err = source(rel, true); err != nil || !exists {
		return from, to, err
	}
	if to, err = destination(rel, false); err != nil && rel == "" && p.plan.Direction == Upload && p.missing(err) {
		p.add(Change{Kind: MakeFolder, Why: "new"})
		err = nil
	}
	return from, to, err
}

// entry compares what has a name in the source's folder.
func (p *planner) entry(rel, name string, from, to contents) error {
	e, at := from.entries[name], path.Join(rel, name)
	old, there := to.entries[name]
	far := e
	if p.plan.Direction == Upload {
		far = old
	}
	switch {
	case to.excluded[name]: // of another kind there
	case p.line.leadsBack(far):
		p.skip(at, errLeadsBack)
	case e.Type == client.Folder && there && old.Type == client.Folder:
		return p.below(at, far, true)
	case e.Type == client.Folder:
		if there && !p.clear(at, old) {
			return nil
		}
		p.add(Change{Kind: MakeFolder, Rel: at, Why: "new"})
		return p.below(at, far, false)
	case e.Type == client.File:
		p.file(at, e, old, there)
	}
	return nil
}

// file compares a file of the source with what has its place.
func (p *planner) file(at string, e, old client.Entry, there bool) {
	why, replaced := "new", (*client.Entry)(nil)
	if there && old.Type != client.File {
		if !p.clear(at, old) {
			return
		}
	} else if there {
		why, replaced = p.differs(at, &e, old), &old
	}
	if why == "" {
		p.plan.Same++
		return
	}
	p.plan.Bytes = wire.AddSizes(p.plan.Bytes, e.Size)
	p.add(Change{Kind: Copy, Rel: at, Size: e.Size, Why: why, entry: e, old: replaced})
}

// surplus takes out of the destination's folder what the source's does not have.
func (p *planner) surplus(rel string, from, to contents) error {
	var much []string
	for _, name := range slices.Sorted(maps.Keys(to.entries)) {
		if _, ok := from.entries[name]; !ok && !from.excluded[name] && !p.isPart(rel, name) {
			much = append(much, name)
		}
	}
	if len(much) == 0 {
		return nil
	}
	if p.unclear[rel] {
		p.skip(rel, &skipped{"nothing in it is deleted, because the source lists a name there that can't be read"})
		return nil
	}
	aliases := p.aliases(from, to)
	for _, name := range much {
		if other, ok := aliases[strings.ToLower(name)]; ok {
			p.skip(path.Join(rel, name), &skipped{fmt.Sprintf("it is not deleted: it may be the same file as %q", other)})
		} else if _, err := p.drop(path.Join(rel, name), to.entries[name], false); err != nil {
			return err
		}
	}
	return nil
}

// below compares a folder in the one under way.
func (p *planner) below(rel string, far client.Entry, exists bool) error {
	was := p.line
	p.line = was.with(far)
	defer func() { p.line = was }()
	return p.folder(rel, exists)
}

// aliases are the names in the source, by their lower case, of which another spelling may be one file with them at the
// destination: Windows and macOS take upper and lower case for one, and servers there. A destination that lists both does not.
func (p *planner) aliases(from, to contents) map[string]string {
	out := map[string]string{}
	if p.plan.Direction == Download && !caseless {
		return out
	}
	for name := range from.entries {
		if _, both := to.entries[name]; !both {
			out[strings.ToLower(name)] = name
		}
	}
	for name := range from.excluded {
		if !to.excluded[name] {
			out[strings.ToLower(name)] = name
		}
	}
	return out
}

// isPart says that a local file is what an earlier run left of one that is copied now: that takes it up.
func (p *planner) isPart(rel, name string) bool {
	at := filepath.FromSlash(path.Join(rel, name))
	return strings.HasSuffix(name, partSuffix) && p.plan.Direction == Download && slices.ContainsFunc(p.plan.Changes, func(c Change) bool {
		return c.Kind == Copy && partOf(filepath.FromSlash(c.Rel)) == at
	})
}

// missing says whether the remote destination, which could not be listed, is not there yet: the reply is 550, 450 (ProFTPD)
// or 501 (pyftpdlib), and may mean something else.
func (p *planner) missing(err error) bool {
	var e *client.Error
	if !errors.As(err, &e) || e.Code < 400 || e.Data {
		return false
	}
	return errors.As(p.isThere(), &e) && e.Code == 550
}

func (p *planner) add(c Change) { p.plan.Changes = append(p.plan.Changes, c) }

// clear makes room where something of another kind is, when things may be deleted.
func (p *planner) clear(rel string, old client.Entry) bool {
	if !p.plan.Delete {
		p.skip(rel, fmt.Errorf("a %s of that name is in the way", old.Type))
		return false
	}
	planned := len(p.plan.Changes)
	stays, err := p.drop(rel, old, true)
	if err == nil && stays {
		err = errors.New("a folder of that name is in the way, and it holds what is excluded")
	}
	if err != nil {
		p.plan.Changes = p.plan.Changes[:planned]
		p.skip(rel, err)
		return false
	}
	return true
}

// drop deletes something, a folder with all that is in it. A folder stays when something excluded is in it.
func (p *planner) drop(rel string, e client.Entry, first bool) (stays bool, err error) {
	why := "not in the source"
	if first {
		why = "of another kind"
	}
	if e.Type != client.Folder || p.line.leadsBack(e) { // that is a link
		p.add(Change{Kind: Delete, Rel: rel, Why: why, first: first})
		return false, nil
	}
	if p.isLink(rel) {
		p.add(Change{Kind: Delete, Rel: rel, Why: why, first: first})
		return false, nil
	}
	if strings.Count(rel, "/") >= maxDepth {
		return false, fmt.Errorf("%s can't be deleted: %w", p.remote(rel), errTooDeep)
	}
	read := p.here
	if p.plan.Direction == Upload {
		read = p.there
	}
	in, err := read(rel, false)
	if err != nil {
		return false, err
	}
	was := p.line
	p.line = was.with(e)
	defer func() { p.line = was }()
	p.plan.Excluded += len(in.excluded)
	stays = len(in.excluded) > 0
	for _, name := range slices.Sorted(maps.Keys(in.entries)) {
		held, err := p.drop(path.Join(rel, name), in.entries[name], first)
		if err != nil {
			return false, err
		}
		stays = stays || held
	}
	switch {
	case !stays:
		p.add(Change{Kind: DeleteFolder, Rel: rel, Why: why, first: first})
	case !first: // else nothing of it is deleted
		p.plan.stay = append(p.plan.stay, rel)
	}
	return stays, nil
}

// isLink says whether LIST shows a name in the server's destination as a link: MLSD need not tell it from the folder that it
// leads to. Where neither does, [links] finds out.
func (p *planner) isLink(rel string) bool {
	if !p.hides() {
		return false
	}
	dir, name := path.Split(rel)
	dir = strings.TrimSuffix(dir, "/")
	links, known := p.linked[dir]
	if !known {
		links, _ = p.s.Links(p.ctx, p.remote(dir))
		p.linked[dir] = links
	}
	return links[name]
}

// hides says that the destination may hide that a folder is a link.
func (p *planner) hides() bool {
	_, mlst := p.s.Features()["MLST"]
	return mlst && p.plan.Direction == Upload
}

// differs says why a file has to be copied; empty: it has not.
func (p *planner) differs(rel string, from *client.Entry, to client.Entry) string {
	if from.Size != to.Size {
		return "another size"
	}
	if newer(*from, to) {
		p.ask(rel, from, &to)
	}
	if newer(*from, to) {
		return "newer"
	}
	return ""
}

func newer(from, to client.Entry) bool {
	return !from.Time.IsZero() && !to.Time.IsZero() && from.Time.After(to.Time.Add(to.Precision+precision))
}

// ask gets the remote file's time with MDTM when the listing was LIST's: that leaves out seconds, and an hour's difference
// may be summer time. Without an answer the listing's time counts.
func (p *planner) ask(rel string, from, to *client.Entry) {
	remote := from
	if p.plan.Direction == Upload {
		remote = to
	}
	if remote.Precision == 0 {
		return
	}
	if at, err := p.s.ModTime(p.ctx, p.remote(rel)); err == nil {
		remote.Time, remote.Precision = at, 0
	}
}
