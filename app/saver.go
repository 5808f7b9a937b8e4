package app

import (
	"context"
	"sync"
)

// saver keeps something in a file: each change is written at once, and changes that come while the disk is busy are written
// together after it. Who makes a change does not wait for the disk.
type saver struct {
	write  func() error // writes the newest state; never called twice at a time
	failed func(error)  // told when it could not

	mu      sync.Mutex
	asked   uint64        // changes
	written uint64        // of them, as far as write got
	err     error         // of the last write
	round   chan struct{} // closed when the write under way has ended; nil: none is
	closed  bool
}

// save says that there is something new to write.
func (s *saver) save() {
	s.mu.Lock()
	s.asked++
	begin := s.round == nil
	if begin {
		s.round = make(chan struct{})
	}
	late := s.closed
	s.mu.Unlock()
	switch {
	case begin && late: // nobody would wait for it any more
		s.run()
	case late:
		_ = s.wait(context.Background()) // as long as the write itself, whose error goes to failed
	case begin:
		go s.run() // until all is written, which close waits for
	}
}

func (s *saver) run() {
	for more := true; more; {
		s.mu.Lock()
		upTo := s.asked
		s.mu.Unlock()
		err := s.write()
		if err != nil {
			s.failed(err)
		}
		s.mu.Lock()
		s.written, s.err = upTo, err
		close(s.round)
		s.round = nil
		if more = s.asked > upTo; more {
			s.round = make(chan struct{})
		}
		s.mu.Unlock()
	}
}

// good says whether all changes are written, or about to be. Before the first one they are not.
func (s *saver) good() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked > 0 && (s.err == nil || s.round != nil)
}

// wait returns when the changes that were made before it are written, or could not be, which is its error then.
func (s *saver) wait(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for upTo := s.asked; s.written < upTo; {
		round := s.round
		s.mu.Unlock()
		select {
		case <-round:
		case <-ctx.Done():
			s.mu.Lock()
			return context.Cause(ctx)
		}
		s.mu.Lock()
	}
	return s.err
}

// close waits until all that was changed before it is written. A change that comes later is written before save returns.
func (s *saver) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.wait(ctx)
}
