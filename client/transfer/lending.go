package transfer

import (
	"context"
	"sync"

	"portside/client"
)

// lending is the sessions that are lent for segments. Their owner's mutex guards it.
type lending struct {
	spares int // with those that are being dialled
	lent   int // of them those that stand
}

// lender is whose sessions are lent. Its methods are called with its mutex held, but for dialSpare.
type lender interface {
	// borrow takes a session that nobody uses; nil: there is none.
	borrow() *client.Session
	// mayLend says that there may be one more.
	mayLend() bool
	dialSpare(ctx context.Context) (*client.Session, error)
	// cannotLend is told why a dial has failed.
	cannotLend(err error)
	// lendsOther is told that there are other spares than before.
	lendsOther()
}

// lend is a session for a segment: one that has nothing to do, else a new one. The caller calls release when it needs it no
// longer, which closes it. mu is the owner's.
func (n *lending) lend(ctx context.Context, mu *sync.Mutex, from lender) (s *client.Session, release func(), err error) {
	mu.Lock()
	defer mu.Unlock()
	if s = from.borrow(); s == nil && !from.mayLend() {
		return nil, nil, errNoSpare
	}
	n.spares++
	if s == nil {
		mu.Unlock()
		s, err = from.dialSpare(ctx)
		mu.Lock()
		if err != nil {
			n.spares--
			if ctx.Err() == nil {
				from.cannotLend(err)
			}
			from.lendsOther()
			return nil, nil, err
		}
	}
	n.lent++
	from.lendsOther()
	return s, func() {
		_ = s.Close()
		mu.Lock()
		defer mu.Unlock()
		n.spares--
		n.lent--
		from.lendsOther()
	}, nil
}
