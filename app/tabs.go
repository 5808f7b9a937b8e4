package app

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"portside/client"
	"portside/client/sites"
)

// TabID names a tab for as long as the program runs; 0 names none.
type TabID uint64

// Tab is one of the site tabs as a screen lists them.
type Tab struct {
	ID     TabID
	Target client.Target // without the password; empty before the first connect
	Name   string        // of the site of the book that it is, or was last, connected to; empty: it was none
	Color  sites.Color   // of that site
	Phase  ConnectPhase
	Busy   bool // something is under way
	Asks   bool // a certificate waits for an answer
	Failed bool // the last thing went wrong
}

// tabs are the sessions with remote servers, of which a screen shows one: the current one. There is always one at least.
type tabs struct {
	app    *App
	stamps atomic.Uint64

	mu      sync.Mutex
	all     []*remote
	current *remote
	lastID  TabID
}

func newTabs(a *App) *tabs {
	t := &tabs{app: a}
	t.current = t.add()
	return t
}

// add makes a tab at the end of the row. The caller holds mu, or is alone.
func (t *tabs) add() *remote {
	t.lastID++
	r := newRemote(t.app, t.lastID)
	t.all = append(t.all, r)
	return r
}

// remote is the current tab's connection.
func (a *App) remote() *remote {
	a.tabs.mu.Lock()
	defer a.tabs.mu.Unlock()
	return a.tabs.current
}

// remotes are the connections of all tabs.
func (a *App) remotes() []*remote {
	a.tabs.mu.Lock()
	defer a.tabs.mu.Unlock()
	return slices.Clone(a.tabs.all)
}

// close ends the sessions of all tabs, side by side: each may wait for its server's goodbye.
func (t *tabs) close() {
	var ending sync.WaitGroup
	for _, r := range t.app.remotes() {
		ending.Go(r.close)
	}
	ending.Wait()
}

func (t *tabs) find(id TabID) (*remote, int) {
	i := slices.IndexFunc(t.all, func(r *remote) bool { return r.id == id })
	if i < 0 {
		return nil, i
	}
	return t.all[i], i
}

// Tabs returns the tabs from left to right, and which one is current.
func (a *App) Tabs() (all []Tab, current TabID) {
	a.tabs.mu.Lock()
	remotes, current := slices.Clone(a.tabs.all), a.tabs.current.id
	a.tabs.mu.Unlock()
	for _, r := range remotes {
		r.mu.Lock()
		st := &r.state
		tab := Tab{ID: r.id, Target: st.Target, Phase: st.Phase, Busy: st.Doing != "", Asks: st.Question != nil, Failed: st.Err != ""}
		if r.site != nil {
			tab.Name, tab.Color = r.site.name, r.site.site.Color
		}
		all = append(all, tab)
		r.mu.Unlock()
	}
	return all, current
}

// NewTab opens a tab without a connection right of the current one, and makes it current. What is under way in the
// others goes on.
func (a *App) NewTab() TabID {
	t := a.tabs
	t.mu.Lock()
	_, at := t.find(t.current.id)
	r := t.add()
	t.all = slices.Insert(t.all[:len(t.all)-1], at+1, r)
	t.current = r
	t.mu.Unlock()
	a.changed()
	return r.id
}

// SelectTab makes a tab current. It reports false when there is no such tab.
func (a *App) SelectTab(id TabID) bool {
	t := a.tabs
	t.mu.Lock()
	r, _ := t.find(id)
	if r != nil {
		t.current = r
	}
	t.mu.Unlock()
	a.changed()
	if r == nil {
		return false
	}
	r.catchUp()
	return true
}

// CloseTab ends a tab's session and takes the tab away; its right neighbour, else its left one, becomes current when it
// was. The last tab stays, without a connection.
func (a *App) CloseTab(id TabID) {
	t := a.tabs
	t.mu.Lock()
	r, i := t.find(id)
	if r == nil {
		t.mu.Unlock()
		return
	}
	t.all = slices.Delete(t.all, i, i+1)
	if len(t.all) == 0 {
		t.add()
	}
	if t.current == r {
		t.current = t.all[min(i, len(t.all)-1)]
	}
	current := t.current
	t.mu.Unlock()
	a.run(func(ctx context.Context) { a.stopSamples(ctx, r) })
	r.drop()
	if q := r.snapshot().Question; q != nil {
		q.Answer(TrustNo) // nobody sees it any more
	}
	a.changed()
	current.catchUp()
}

// MoveTab puts a tab at another place in the row, counted from 0; places beyond the ends are the ends.
func (a *App) MoveTab(id TabID, to int) {
	t := a.tabs
	t.mu.Lock()
	if r, i := t.find(id); r != nil {
		t.all = slices.Delete(t.all, i, i+1)
		t.all = slices.Insert(t.all, max(0, min(to, len(t.all))), r)
	}
	t.mu.Unlock()
	a.changed()
}

// RefreshSite lists the folders of target's server again that tabs show: of the current tab at once, of the others when
// they are shown.
func (a *App) RefreshSite(target client.Target) { a.outdate(target, nil, nil) }

// outdate says that folders of a server have changed; nil: any may have. The tab of by has listed its own already.
func (a *App) outdate(target client.Target, by *remote, dirs []string) {
	current := a.remote()
	for _, r := range a.remotes() {
		if r == by {
			continue
		}
		r.mu.Lock()
		dir := r.state.Folder.Path
		old := r.state.Phase == Connected && dir != "" && siteKey(r.state.Target) == siteKey(target) && (dirs == nil || slices.Contains(dirs, dir))
		r.stale = r.stale || old && r != current
		r.mu.Unlock()
		if old && r == current {
			r.openDir(dir)
		}
	}
}

// catchUp lists the folder again when it has changed while another tab was shown.
func (r *remote) catchUp() {
	r.mu.Lock()
	stale, dir := r.stale, r.state.Folder.Path
	r.stale = false
	r.mu.Unlock()
	if stale && dir != "" {
		r.openDir(dir)
	}
}
