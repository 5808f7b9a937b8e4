package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"portside/client"
	"portside/client/transfer"
)

// transfers is the queue and what the application adds to it: passwords, questions, and what a screen looks at.
type transfers struct {
	app    *App
	adding atomic.Int64 // requests on their way into the queue

	opening sync.Mutex
	mu      sync.Mutex
	queue   *transfer.Queue // nil until there is something in it
	temp    string          // a folder to remove at the end
	closed  bool
	known   map[string]client.Options // how to sign in, of this run, by site
	want    transferPage
	shown   []transfer.QueueItem
	at      transferPage // what is shown
	look    chan struct{}
	after   AfterTransfers
	ended   *TransfersEnded
	tell    func(TransfersEnded)

	asking   chan struct{} // holds a value while something is asked: one question at a time
	question *OverwriteQuestion
	password *PasswordQuestion
}

func newTransfers(a *App) *transfers {
	return &transfers{app: a, known: map[string]client.Options{}, look: make(chan struct{}, 1), asking: make(chan struct{}, 1), want: transferPage{state: transfer.Waiting}}
}

// turn waits until nothing else is asked. The caller gives it back.
func (q *transfers) turn(ctx context.Context) error {
	select {
	case q.asking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask is what the queue asks with.
func (q *transfers) ask(ctx context.Context, c transfer.Conflict) (transfer.Answer, error) {
	type reply struct {
		transfer.Answer
		err error
	}
	if err := q.turn(ctx); err != nil {
		return transfer.Answer{}, err
	}
	defer func() { <-q.asking }()
	answers := make(chan reply, 1)
	give := func(r reply) {
		select {
		case answers <- r:
		default: // answered already
		}
	}
	show := func(question *OverwriteQuestion) {
		q.mu.Lock()
		q.question = question
		q.mu.Unlock()
		q.app.changed()
	}
	show(&OverwriteQuestion{
		Conflict: c,
		Answer:   func(p transfer.Policy, all bool) { give(reply{Answer: transfer.Answer{Policy: p, All: all}}) },
		Cancel:   func() { give(reply{err: context.Canceled}) },
	})
	defer show(nil)
	select {
	case <-ctx.Done():
		return transfer.Answer{}, context.Cause(ctx)
	case r := <-answers:
		return r.Answer, r.err
	}
}

var errNoPassword = errors.New("no password was given")

// dial signs in to a queued site: as the panes did in this run, or with a password that is asked for.
func (q *transfers) dial(ctx context.Context, site transfer.Site) (*client.Session, error) {
	o, err := q.options(ctx, site)
	if err != nil {
		return nil, err
	}
	o.MovesFirst = true
	s, err := client.Dial(ctx, o)
	q.mu.Lock()
	defer q.mu.Unlock()
	known, ok := q.known[knownAs(site)]
	if !ok || known.User != o.User || known.Password != o.Password {
		return s, err
	}
	var e *client.Error
	switch {
	case err == nil:
		known.Again = true
		q.known[knownAs(site)] = known
	case errors.As(err, &e) && e.Code == 530 && o.Password != "":
		delete(q.known, knownAs(site)) // asked again the next time
	}
	return s, err
}

// knownAs tells sites apart: two of the book may lead to one server in different ways.
func knownAs(site transfer.Site) string { return site.URL + " " + site.Ref }

// signedIn is how a site was signed in to in this run.
func (q *transfers) signedIn(site transfer.Site) (o client.Options, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o, ok = q.known[knownAs(site)]
	return o, ok
}

func (q *transfers) options(ctx context.Context, site transfer.Site) (client.Options, error) {
	if o, ok := q.signedIn(site); ok {
		return o, nil // without a turn: another site's question may be open for hours
	}
	if err := q.turn(ctx); err != nil {
		return client.Options{}, err
	}
	defer func() { <-q.asking }()
	o, ok := q.signedIn(site) // several workers ask once
	if ok {
		return o, nil
	}
	if n := q.app.site(site.Ref); site.Ref != "" && n != nil && n.Site != nil {
		// The book knows best, even if it was changed meanwhile.
		s := &openSite{id: site.Ref, name: n.Name, site: n.Site.Clone()}
		secret, err := q.app.signIn(ctx, s)
		if err != nil {
			return o, err
		}
		o = q.app.remote().clientOptions(s.site.Target(), site.Mode)
		s.apply(&o)
		o.Password, o.Account = secret.Password, secret.Account
		q.mu.Lock()
		q.known[knownAs(site)] = o
		q.mu.Unlock()
		return o, nil
	}
	t, err := client.ParseURL(site.URL)
	if err != nil {
		return o, err
	}
	if t.User != "" && t.User != client.Anonymous && t.Password == "" {
		if t.Password, err = q.askPassword(ctx, t); err != nil {
			return o, err
		}
	}
	o = q.app.remote().clientOptions(t, site.Mode)
	q.mu.Lock()
	q.known[knownAs(site)] = o
	q.mu.Unlock()
	return o, nil
}

func (q *transfers) askPassword(ctx context.Context, t client.Target) (string, error) {
	answers := make(chan *string, 1)
	give := func(s *string) {
		select {
		case answers <- s:
		default:
		}
	}
	show := func(question *PasswordQuestion) {
		q.mu.Lock()
		q.password = question
		q.mu.Unlock()
		q.app.changed()
	}
	show(&PasswordQuestion{Target: t, Answer: func(s string) { give(&s) }, Cancel: func() { give(nil) }})
	defer show(nil)
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case s := <-answers:
		if s == nil {
			return "", errNoPassword
		}
		return *s, nil
	}
}

// siteLimits is how a site is used: what its entry in the book says, else the settings.
func (q *transfers) siteLimits(site transfer.Site) transfer.Limits {
	l := transfer.Limits{Connections: q.app.Settings().Connect.Parallel}
	if n := q.app.site(site.Ref); site.Ref != "" && n != nil && n.Site != nil {
		if n.Site.Connections > 0 {
			l.Connections = n.Site.Connections
		}
		l.Down, l.Up = n.Site.DownLimit, n.Site.UpLimit
	}
	return l
}

const queueFile = "queue.db"

// openLeft opens the queue when an earlier run left one.
func (q *transfers) openLeft() {
	if q.app.dir == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(q.app.dir, queueFile)); err != nil {
		return
	}
	if opened, err := q.open(); err != nil {
		q.app.notify(Sentence(err), true)
	} else if n := opened.Snapshot().Left(); n > 0 {
		text := "1 transfer was left from the last time. It is paused: see Transfers."
		if n > 1 {
			text = fmt.Sprintf("%d transfers were left from the last time. They are paused: see Transfers.", n)
		}
		q.app.notify(text, false)
	}
}

// open returns the queue, opening it when that was not done yet. When its file can't be used the queue is kept for this
// run only, and a notice says so.
func (q *transfers) open() (*transfer.Queue, error) {
	q.opening.Lock()
	defer q.opening.Unlock()
	q.mu.Lock()
	opened, closed := q.queue, q.closed
	q.mu.Unlock()
	if opened != nil || closed {
		if closed {
			return nil, context.Canceled
		}
		return opened, nil
	}
	o := transfer.QueueOptions{
		Dial: q.dial, Ask: q.ask, Limits: q.siteLimits, Changed: q.changed, Idle: q.idle, Landed: q.landed,
	}
	var err error
	if q.app.dir != "" {
		o.File = filepath.Join(q.app.dir, queueFile)
		opened, err = transfer.OpenQueue(o)
		if errors.Is(err, transfer.ErrDamaged) {
			aside := filepath.Join(q.app.dir, "queue.broken-"+time.Now().Format("20060102-150405")+".db")
			if os.Rename(o.File, aside) == nil {
				q.app.notify(fmt.Sprintf("%s It was set aside as %s, and a new one begins.", Sentence(err), aside), true)
				opened, err = transfer.OpenQueue(o)
			}
		}
		if err != nil {
			q.app.notify(Sentence(err)+" What you copy now is forgotten when this window closes.", true)
		}
	}
	temp := ""
	if opened == nil {
		if temp, err = os.MkdirTemp("", "portside-queue"); err != nil {
			return nil, err
		}
		o.File = filepath.Join(temp, queueFile)
		if opened, err = transfer.OpenQueue(o); err != nil {
			_ = os.RemoveAll(temp)
			return nil, err
		}
	}
	set := q.app.Settings().Connect
	opened.SetSpeed(int64(set.DownLimit)<<10, int64(set.UpLimit)<<10)
	q.mu.Lock()
	q.queue, q.temp = opened, temp
	q.mu.Unlock()
	q.app.run(q.watch)
	return opened, nil
}

// lookEvery is how often the queue's file is read for a screen, at most.
const lookEvery = 400 * time.Millisecond

// transferPage is a part of the items of a state.
type transferPage struct {
	state transfer.State
	from  int
}

// read reads the page, or the last one when there are no longer so many, and says which that was. The paused items stand
// behind the waiting ones.
func (p transferPage) read(queue *transfer.Queue) ([]transfer.QueueItem, transferPage, error) {
	now := Transfers{QueueSnapshot: queue.Snapshot()}
	p.from = max(0, min(p.from, (now.Listed(p.state)-1)/TransfersShown*TransfersShown))
	items, err := queue.List(p.state, p.from, TransfersShown)
	if err == nil && p.state == transfer.Waiting && len(items) < TransfersShown {
		var paused []transfer.QueueItem
		paused, err = queue.List(transfer.Paused, max(0, p.from-now.Items[transfer.Waiting]), TransfersShown-len(items))
		items = append(items, paused...)
	}
	return items, p, err
}

// watch reads what the screen shows from the queue's file whenever that may have changed.
func (q *transfers) watch(ctx context.Context) {
	rest := time.NewTicker(lookEvery)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.look:
		}
		q.mu.Lock()
		queue, want := q.queue, q.want
		q.mu.Unlock()
		if want.state != transfer.Active {
			if items, at, err := want.read(queue); err == nil {
				q.mu.Lock()
				q.shown, q.at = items, at
				q.mu.Unlock()
				q.app.changed()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
	}
}

func (q *transfers) changed() {
	select {
	case q.look <- struct{}{}:
	default:
	}
	q.app.changed()
}

func (q *transfers) idle(done, failed int) {
	q.mu.Lock()
	q.ended = &TransfersEnded{done, failed, q.after}
	after, ended, tell := q.after, *q.ended, q.tell
	q.after = AfterNothing
	q.mu.Unlock()
	if tell != nil && !q.app.Settings().Connect.Quiet {
		q.app.run(func(context.Context) { tell(ended) })
	}
	q.app.changed()
	if after == AfterDisconnect {
		q.app.run(func(context.Context) { q.app.Disconnect() })
	}
}

func (q *transfers) landed(d transfer.Direction, site transfer.Site) {
	q.app.run(func(context.Context) {
		if d == transfer.Download {
			q.app.RefreshLocal()
		} else if t, err := client.ParseURL(site.URL); err == nil {
			q.app.RefreshSite(t)
		}
	})
}

// close stops the transfers and waits for them; what is left is kept. The error names a disk that hangs.
func (q *transfers) close() error {
	q.opening.Lock()
	defer q.opening.Unlock()
	q.mu.Lock()
	queue, temp := q.queue, q.temp
	q.closed = true
	q.mu.Unlock()
	var err error
	if queue != nil {
		err = queue.Close()
	}
	if temp != "" {
		_ = os.RemoveAll(temp)
	}
	return err
}

// hangUp ends the sessions of transfers that have ended.
func (q *transfers) hangUp() {
	if queue := q.get(); queue != nil {
		queue.HangUp()
	}
}

func (q *transfers) get() *transfer.Queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	return q.queue
}
