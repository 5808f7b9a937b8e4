package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portside/client"
	"portside/client/sites"
	"portside/connlog"
)

// ConnectPhase is how far the connection to a remote server has come.
type ConnectPhase string

const (
	Disconnected ConnectPhase = "disconnected"
	Connecting   ConnectPhase = "connecting"
	Connected    ConnectPhase = "connected"
)

// Remote is the connection to a remote server as a screen shows it.
type Remote struct {
	Tab      TabID
	Phase    ConnectPhase
	Target   client.Target // without the password
	Mode     client.Mode   // as chosen
	ModeUsed client.Mode   // the one that works, with Auto
	Session  string        // the id in the log
	TLS      string        // "TLS 1.3"; empty: in clear
	Cipher   string
	Resumed  Resumption // whether data connections resume the TLS session
	Doing    string     // what is under way; empty: nothing
	Status   string     // the newest sentence of what is under way
	Err      string     // why the last thing failed; empty again with the next that works
	Seen     string     // Err without what the person can do
	Question *CertificateQuestion
	Folder   Folder
	// Site and SiteName are the site of the book; empty: a quick connection. Color marks it.
	Site, SiteName string
	Color          sites.Color
	// TimeOffset is how far the server's listings are ahead of UTC, when that was measured or is set; nil: nothing to know.
	TimeOffset *time.Duration
}

// Resumption says whether the data connections of a session resume the control connection's TLS session.
type Resumption int

const (
	ResumptionUnknown Resumption = iota // no protected data connection yet
	Resumes
	ResumesNot
)

// Folder is a listing: of the remote server, or of this computer.
type Folder struct {
	Path    string
	Entries []client.Entry // not to be changed
	Names   Names          // theirs
	Stamp   uint64         // grows with each new listing
	Loading bool
}

type remote struct {
	app    *App
	id     TabID
	asking chan struct{} // holds a value while a certificate is asked about: one at a time

	mu      sync.Mutex
	line    []*turn // the operation under way, and those after it: a control connection takes one at a time
	state   Remote
	opts    client.Options
	site    *openSite // nil: a quick connection
	session *client.Session
	cancel  context.CancelFunc // of the operation under way
	once    map[string]bool    // certificates trusted for this run, by site and fingerprint
	stale   bool               // the folder has changed since it was listed
	answers int                // how often the person has allowed something that a session waited for
	visit   uint64             // grows with each connect and disconnect: an older operation's outcome is dropped
}

func newRemote(a *App, id TabID) *remote {
	return &remote{app: a, id: id, asking: make(chan struct{}, 1), once: map[string]bool{}, state: Remote{Tab: id, Phase: Disconnected, Mode: client.ModeAuto}}
}

// Remote returns the state of the current tab's connection.
func (a *App) Remote() Remote { return a.remote().snapshot() }

func (r *remote) snapshot() Remote {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// stamp is a number for a folder that no other folder of any tab has.
func (r *remote) stamp() uint64 { return r.app.tabs.stamps.Add(1) }

func (r *remote) set(change func(*Remote)) {
	r.mu.Lock()
	change(&r.state)
	r.mu.Unlock()
	r.app.changed()
}

// setIn is set for an operation of a visit: it does nothing when the session was left meanwhile.
func (r *remote) setIn(visit uint64, change func(*Remote)) {
	r.set(func(st *Remote) {
		if r.visit == visit {
			change(st)
		}
	})
}

func siteKey(t client.Target) string {
	return net.JoinHostPort(strings.ToLower(t.Host), strconv.Itoa(int(t.ControlPort())))
}

// Connect opens a session with target in the current tab, in place of the one there is, and lists its folder. The
// outcome shows in [App.Remote]. With [client.ModeAuto] the mode that was found to work the last time is tried first.
func (a *App) Connect(target client.Target, mode client.Mode) {
	r := a.remote()
	a.run(func(ctx context.Context) { a.stopSamples(ctx, r) })
	a.ChangeSettings(func(s *Settings) {
		shown := target
		shown.User = "" // it has a field of its own
		s.Connect.URL, s.Connect.User, s.Connect.Mode = shown.URL(), target.User, mode
		s.remember(Recent{URL: target.URL(), Time: time.Now()})
	})
	r.connect(target, mode)
}

func (r *remote) connect(target client.Target, mode client.Mode) { r.connectTo(target, mode, nil) }

// connectTo connects to a target, which is that of a site unless that is nil.
func (r *remote) connectTo(target client.Target, mode client.Mode, site *openSite) {
	a := r.app
	r.drop()
	opts := r.clientOptions(target, mode)
	if site != nil {
		site.apply(&opts)
	}
	r.mu.Lock()
	r.visit++
	visit := r.visit
	r.opts, r.site = opts, site
	shown := target
	shown.Password = ""
	r.state = Remote{Tab: r.id, Phase: Connecting, Target: shown, Mode: mode, Folder: Folder{Stamp: r.stamp()}}
	if site != nil {
		r.state.Site, r.state.SiteName, r.state.Color = site.id, site.name, site.site.Color
	}
	r.mu.Unlock()
	a.changed()
	r.do("Connecting to "+target.Host, func(ctx context.Context) error {
		err := r.unlock(ctx, site)
		var s *client.Session
		if err == nil {
			s, err = r.open(ctx)
		}
		if err != nil {
			r.setIn(visit, func(st *Remote) { st.Phase = Disconnected })
			return err
		}
		dir := target.Path
		if !strings.HasPrefix(dir, "/") {
			// RFC 1738: the path of a URL is relative to the folder after sign-in.
			home, err := s.CurrentDir(ctx)
			if err != nil {
				return err
			}
			dir = path.Join("/", home, dir)
		}
		return r.list(ctx, s, path.Clean(dir))
	})
}

// clientOptions are the options for a session with target, from the settings.
func (r *remote) clientOptions(target client.Target, mode client.Mode) client.Options {
	a := r.app
	key := siteKey(target)
	set := a.Settings()
	o := client.Options{Target: target, Mode: mode, Clock: &client.Clock{}, Recorder: connlog.Tee(a.Log, connlog.RecorderFunc(r.watch)),
		Verify: r.verify(key), Pinned: func() string { return a.Settings().Sites[key].Certificate }, InClear: r.inClear(key, target)}
	if mode == client.ModeAuto {
		o.First = set.Sites[key].Mode
		o.Remember = func(m client.Mode) {
			if a.Settings().Sites[key].Mode == m {
				return
			}
			a.ChangeSettings(func(s *Settings) {
				site := s.Sites[key]
				site.Mode = m
				s.Sites[key] = site
			})
		}
	}
	o.NotAhead = set.Sites[key].NotAhead
	o.CannotAhead = func() {
		if a.Settings().Sites[key].NotAhead {
			return // another session has found it out
		}
		a.ChangeSettings(func(s *Settings) {
			site := s.Sites[key]
			site.NotAhead = true
			s.Sites[key] = site
		})
	}
	if set.Connect.ActiveMin > 0 {
		o.ActivePorts = client.PortRange{Min: uint16(set.Connect.ActiveMin), Max: uint16(set.Connect.ActiveMax)}
	}
	if ip, err := netip.ParseAddr(set.Connect.ActiveIP); err == nil {
		o.ActiveAddress = ip
	}
	return o
}

// watch turns the newest record of a client's session into the status line.
func (r *remote) watch(rec connlog.Record) {
	switch rec.Event {
	case connlog.DataTLS:
		resumed := ResumesNot
		if rec.Resumed {
			resumed = Resumes
		}
		if r.snapshot().Resumed != resumed {
			r.set(func(st *Remote) { st.Resumed = resumed })
		}
	case connlog.ControlDialing, connlog.ControlTLS, connlog.SignedIn, connlog.PassiveOffered, connlog.ActiveRequested,
		connlog.DataDialing, connlog.ModeChanged, connlog.DataFailed:
		text := connlog.Sentence(rec)
		r.set(func(st *Remote) {
			if st.Doing != "" {
				st.Status = text
			}
		})
	}
}

// open returns the session, dialling when there is none or the one there is has broken.
func (r *remote) open(ctx context.Context) (*client.Session, error) {
	r.mu.Lock()
	s, opts := r.session, r.opts
	r.mu.Unlock()
	if s != nil && s.Err() == nil {
		return s, nil
	}
	if s != nil {
		s.Close()
	}
	s, err := r.dial(ctx, opts)
	if err == nil {
		err = r.take(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// take makes s the session, unless the operation that dialled it was left meanwhile: the next one may be meant for another
// server.
func (r *remote) take(ctx context.Context, s *client.Session) error {
	r.mu.Lock()
	err := context.Cause(ctx)
	if err == nil {
		r.session = s
		st := &r.state
		st.Phase, st.Session, st.ModeUsed = Connected, s.ID(), s.Mode()
		st.TLS, st.Cipher, st.Resumed = "", "", ResumptionUnknown
		if cs := s.TLSState(); cs != nil {
			st.TLS, st.Cipher = tlsNames(cs)
		}
	}
	r.mu.Unlock()
	if err != nil {
		_ = s.Close()
	}
	r.app.changed()
	return err
}

// dial opens a session. A server that gave up while the person was thinking about a question is dialled once more: the
// answer holds.
func (r *remote) dial(ctx context.Context, opts client.Options) (*client.Session, error) {
	answers := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.answers
	}
	before := answers()
	s, err := client.Dial(ctx, opts)
	var e *client.Error
	if err != nil && ctx.Err() == nil && answers() != before && errors.As(err, &e) && e.Temporary() {
		return client.Dial(ctx, opts)
	}
	return s, err
}

// turn is an operation's place in the line for the control connection.
type turn struct {
	doing string
	visit uint64
	begin chan struct{} // closed when all before it have ended
}

// queue puts an operation at the end of the line. Operations run in the order in which they were asked for: what a person
// sees is then the outcome of the last one. The caller holds mu.
func (r *remote) queue(doing string) *turn {
	t := &turn{doing: doing, visit: r.visit, begin: make(chan struct{})}
	r.line = append(r.line, t)
	if len(r.line) == 1 {
		close(t.begin)
	}
	return t
}

// leave takes an operation that has ended, or can't begin any more, out of the line. Was it the first, the next one begins.
func (r *remote) leave(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.line, t)
	r.line = slices.Delete(r.line, i, i+1)
	if i == 0 && len(r.line) > 0 {
		close(r.line[0].begin)
	}
	r.state.Doing = r.waiting()
}

// waiting is what the first operation of this visit that is in the line does; empty: there is none. The caller holds mu.
func (r *remote) waiting() string {
	for _, t := range r.line {
		if t.visit == r.visit && t.doing != "" {
			return t.doing
		}
	}
	return ""
}

// do runs an operation on the control connection as a task, after those that were asked for before. doing is shown
// meanwhile. When it comes to nothing because the session was left before its turn, never is called in its place. It
// reports false when the application is closing.
func (r *remote) do(doing string, f func(ctx context.Context) error, never ...func()) bool {
	r.mu.Lock()
	t := r.queue(doing)
	if r.state.Doing == "" {
		r.state.Doing = doing
	}
	r.mu.Unlock()
	ok := r.app.run(func(ctx context.Context) {
		<-t.begin
		if !r.operate(ctx, t, f) {
			for _, n := range never {
				n()
			}
		}
		r.leave(t)
		r.app.changed()
	})
	if !ok {
		r.leave(t)
	}
	r.app.changed()
	return ok
}

// operate runs an operation whose turn it is, and says whether it did.
func (r *remote) operate(ctx context.Context, t *turn, f func(ctx context.Context) error) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	if r.visit != t.visit || ctx.Err() != nil {
		r.mu.Unlock()
		return false
	}
	r.cancel = cancel
	r.state.Doing, r.state.Status, r.state.Err = t.doing, "", ""
	r.mu.Unlock()
	r.app.changed()

	err := f(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel = nil
	r.state.Status, r.state.Folder.Loading = "", false
	if err != nil && r.visit == t.visit {
		r.state.Err, r.state.Seen = Sentence(err), Sentence(withoutAdvice(err))
		if errors.Is(err, context.Canceled) {
			r.state.Err = "Cancelled: " + t.doing + "."
			r.state.Seen = r.state.Err
		}
	}
	if s := r.session; s != nil {
		r.state.ModeUsed = s.Mode()
		if offset, known := s.TimeOffset(); known {
			r.state.TimeOffset = &offset
		}
	}
	return true
}

// Sentence writes an error as a sentence for people: a capital at its beginning, a full stop at its end.
func Sentence(err error) string { return connlog.Ended(err.Error()) }

// withoutAdvice is err as far as it says what happened: for where something better founded says what to do.
func withoutAdvice(err error) error {
	var e *client.Error
	if !errors.As(err, &e) || e.Advice == "" {
		return err
	}
	plain := *e
	plain.Advice = ""
	return &plain
}

// Cancel ends the operation under way in the current tab.
func (a *App) Cancel() {
	r := a.remote()
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Disconnect ends the current tab's session.
func (a *App) Disconnect() {
	a.queue.hangUp()
	r := a.remote()
	a.run(func(ctx context.Context) { a.stopSamples(ctx, r) })
	r.drop()
	r.set(func(st *Remote) {
		*st = Remote{Tab: r.id, Phase: Disconnected, Target: st.Target, Mode: st.Mode, Folder: Folder{Stamp: r.stamp()}}
	})
}

// drop lets go of the session: what is under way is cancelled, and the session is closed after it.
func (r *remote) drop() {
	r.mu.Lock()
	r.visit++
	s := r.session
	r.session = nil
	if r.cancel != nil {
		r.cancel() // before another operation can begin, see take
	}
	if s == nil {
		r.mu.Unlock()
		return
	}
	t := r.queue("")
	r.mu.Unlock()
	ok := r.app.run(func(context.Context) {
		<-t.begin // not before the operation has ended
		s.Close()
		r.leave(t)
	})
	if !ok { // the application closes
		s.Close()
		r.leave(t)
	}
}

// close ends the session when the application closes: nothing is under way any more.
func (r *remote) close() {
	r.mu.Lock()
	s := r.session
	r.session = nil
	r.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// list shows a folder. A new one is shown as it comes in; when it fails, the one before is shown again.
func (r *remote) list(ctx context.Context, s *client.Session, dir string) error {
	r.mu.Lock()
	before, visit := r.state.Folder, r.visit
	r.state.Folder.Loading, r.stale = true, false
	r.mu.Unlock()
	r.app.changed()
	pace := newPace()
	var names Names
	entries, err := s.ListPieces(ctx, dir, func(so []client.Entry) {
		if dir != before.Path && pace.due(len(so)) {
			names = names.with(so)
			r.setIn(visit, func(st *Remote) {
				st.Folder = Folder{Path: dir, Entries: so, Names: names, Stamp: r.stamp(), Loading: true}
			})
		}
	})
	if err != nil {
		r.setIn(visit, func(st *Remote) {
			if pace.shown > 0 {
				before.Stamp, before.Loading = r.stamp(), false
				st.Folder = before
			}
		})
		return err
	}
	names = names.with(entries)
	r.setIn(visit, func(st *Remote) { st.Folder = Folder{Path: dir, Entries: entries, Names: names, Stamp: r.stamp()} })
	return nil
}

// with runs f with the session, and lists the current folder again when f changed it. also are other folders that it changes.
func (r *remote) with(doing string, f func(ctx context.Context, s *client.Session) error, also ...string) {
	r.do(doing, func(ctx context.Context) error {
		s, err := r.open(ctx)
		if err != nil {
			return err
		}
		ferr := f(ctx, s)
		r.mu.Lock()
		dir, target := r.state.Folder.Path, r.state.Target
		r.mu.Unlock()
		r.app.outdate(target, r, append(also, dir))
		if dir == "" || ctx.Err() != nil || s.Err() != nil {
			return ferr
		}
		return errors.Join(ferr, r.list(ctx, s, dir))
	})
}

// OpenRemote lists a folder of the current tab's server. dir is absolute, or relative to the folder shown.
func (a *App) OpenRemote(dir string) { a.remote().openDir(dir) }

func (r *remote) openDir(dir string) {
	r.mu.Lock()
	if !strings.HasPrefix(dir, "/") {
		dir = path.Join("/", r.state.Folder.Path, dir)
	}
	dir = path.Clean(dir)
	connected := r.state.Phase == Connected
	r.mu.Unlock()
	if !connected {
		return
	}
	r.do("Listing "+dir, func(ctx context.Context) error {
		s, err := r.open(ctx)
		if err != nil {
			return err
		}
		return r.list(ctx, s, dir)
	})
}

// UseMode changes the mode of the session from the next transfer on, and keeps it for the site.
func (a *App) UseMode(mode client.Mode) {
	r := a.remote()
	r.mu.Lock()
	r.opts.Mode, r.opts.First = mode, ""
	r.state.Mode = mode
	s := r.session
	r.mu.Unlock()
	if s != nil {
		s.SetMode(mode)
	}
	a.ChangeSettings(func(s *Settings) { s.Connect.Mode = mode })
}
