package app

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"portside/client"
	"portside/connlog"
	"portside/localserver"
)

// silent is a server that takes connections and says nothing. came gets a value for each.
func silent(t *testing.T) (target client.Target, came <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	arrived := make(chan struct{}, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			arrived <- struct{}{}
		}
	}()
	target, _ = client.ParseURL("ftp://" + l.Addr().String())
	return target, arrived
}

func TestTheEndOfAConnectDoesNotSpoilTheNextOne(t *testing.T) {
	a := start(t)
	first, came := silent(t)
	a.Connect(first, client.ModePassive)
	<-came
	second, came := silent(t)
	a.Connect(second, client.ModePassive)
	<-came
	if r := a.Remote(); r.Phase != Connecting || r.Err != "" {
		t.Errorf("while the second server is dialled the tab is %q, %q", r.Phase, r.Err)
	}
	a.Disconnect()
}

// A dial may end well in the very moment in which the person connects elsewhere.
func TestASessionThatCameTooLateIsNotTakenForTheNextServers(t *testing.T) {
	a := start(t)
	shared := t.TempDir()
	write(t, filepath.Join(shared, "of the first"), "x")
	addr := a.share.startOver(t, shared, func(s *ShareSettings) { s.TLS = localserver.TLSOff })
	r := a.remote()
	target, _ := client.ParseURL("ftp://" + addr)
	ended := make(chan error, 1)
	r.do("Connecting", func(ctx context.Context) error {
		s, err := client.Dial(context.Background(), r.clientOptions(target, client.ModePassive))
		if err == nil {
			r.drop()
			err = r.take(ctx, s)
		}
		ended <- err
		return err
	})
	if err := <-ended; err == nil {
		t.Error("the session was taken")
	}
	r.mu.Lock()
	left := r.session
	r.mu.Unlock()
	if left != nil || a.Remote().Phase == Connected {
		t.Errorf("the next connect would use the session of the server before: %v, %s", left, a.Remote().Phase)
	}
	until(t, "it is closed", func() bool { return len(a.Share().Sessions) == 0 })
}

func TestNoQuestionAboutACertificateTakesThePlaceOfAnother(t *testing.T) {
	a := start(t)
	first, second := make(chan error, 1), make(chan error, 1)
	ask := func(host string, ended chan error) {
		ended <- a.remote().verify(host+":21")(t.Context(), client.CertificateProblem{Host: host, SHA256: "NEW", Err: net.ErrClosed})
	}
	go ask("a", first)
	until(t, "it asks about the first", func() bool { return a.Remote().Question != nil })
	go ask("b", second)
	q := a.Remote().Question
	if q.Problem.Host != "a" {
		t.Errorf("it asks about %s", q.Problem.Host)
	}
	q.Answer(TrustOnce)
	if err := <-first; err != nil {
		t.Error(err)
	}
	until(t, "it asks about the second", func() bool { q := a.Remote().Question; return q != nil && q.Problem.Host == "b" })
	a.Remote().Question.Answer(TrustNo)
	if err := <-second; err == nil {
		t.Error("what was not trusted is taken")
	}
}

// As of the queue's sessions, which outlive the tab that they began in.
func TestAQuestionAboutACertificateIsNotLostWithItsTab(t *testing.T) {
	a := start(t)
	r, ended := a.remote(), make(chan error, 2)
	ask := func() {
		ended <- r.verify("a:21")(t.Context(), client.CertificateProblem{Host: "a", SHA256: "NEW", Err: net.ErrClosed})
	}
	go ask()
	until(t, "it asks", func() bool { return a.Remote().Question != nil })
	go ask()
	a.NewTab()
	a.CloseTab(r.id)
	if err := <-ended; err == nil {
		t.Error("a closed tab trusts")
	}
	until(t, "the current tab asks", func() bool { return a.Remote().Question != nil })
	a.Remote().Question.Answer(TrustOnce)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestSessionsThatAskAboutOneCertificateAreAnsweredAtOnce(t *testing.T) {
	for _, answer := range []Trust{TrustOnce, TrustAlways} {
		a := start(t)
		verify := a.remote().verify("h:21")
		ended := make(chan error, 4)
		for range 4 {
			go func() {
				ended <- verify(t.Context(), client.CertificateProblem{Host: "h", SHA256: "NEW", Err: net.ErrClosed})
			}()
		}
		until(t, "it asks", func() bool { return a.Remote().Question != nil })
		a.Remote().Question.Answer(answer)
		for range 4 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if a.Remote().Question != nil {
			t.Error("it asks again")
		}
	}
}

// What is asked for in the very moment in which the application closes must not hold up what was asked for before it closed.
func TestAnOperationThatComesTooLateLetsTheNextOneBegin(t *testing.T) {
	for what, late := range map[string]func(*remote){
		"operation": func(r *remote) { r.do("Too late", func(context.Context) error { return nil }) },
		"drop":      (*remote).drop,
	} {
		a, _, _ := connected(t)
		idle(t, a)
		r := a.remote()
		lines := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.line)
		}
		a.mu.Lock() // it stands in the line, and is not a task yet
		ended := make(chan struct{})
		go func() { late(r); close(ended) }()
		until(t, "it stands in the line", func() bool { return lines() == 1 })
		r.mu.Lock()
		next := r.queue("Next")
		r.mu.Unlock()
		a.closed = true
		a.mu.Unlock()
		<-ended
		select {
		case <-next.begin:
		default:
			t.Errorf("%s: the next one waits for ever", what)
		}
		r.leave(next)
		a.mu.Lock()
		a.closed = false
		a.mu.Unlock()
	}
}

func TestCloseSaysGoodbyeToTheServers(t *testing.T) {
	a, _, addr := connected(t)
	b := start(t)
	connect(t, b, "ftp://"+addr+"/", client.ModePassive)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	quits := 0
	until(t, "the server has seen the end", func() bool { return len(a.Share().Sessions) == 1 })
	for _, r := range a.Log.Records(0) {
		if r.Side == connlog.Server && r.Event == connlog.ControlClosed && r.Reason == connlog.ReasonQuit {
			quits++
		}
	}
	if quits != 1 {
		t.Errorf("%d sessions ended with QUIT, want 1", quits)
	}
}
