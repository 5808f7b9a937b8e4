package transfer

import (
	"context"
	"io"
	"os"

	"golang.org/x/time/rate"
)

// paced slows a copy down to a limit.
type paced struct {
	ctx   context.Context
	limit *rate.Limiter
	w     io.Writer
	r     io.ReadSeeker
}

// pacedWriter is f, slowed down where there is a limit. Without one the kernel can copy to a file.
func (m *mover) pacedWriter(f io.Writer) io.Writer {
	if !slowed(m.o.down) {
		return f
	}
	return &paced{ctx: m.ctx, limit: m.o.down, w: f}
}

func (m *mover) pacedReader(f *os.File) io.Reader {
	if !slowed(m.o.up) {
		return f
	}
	return &paced{ctx: m.ctx, limit: m.o.up, r: f}
}

// Write writes p in portions that the limit lets through at once.
func (p *paced) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(len(b)-done, paceStep)
		if err := p.limit.WaitN(p.ctx, n); err != nil {
			return done, err
		}
		m, err := p.w.Write(b[done : done+n])
		done += m
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Read reads as much as the limit lets through at once.
func (p *paced) Read(b []byte) (int, error) {
	n := min(len(b), paceStep)
	if err := p.limit.WaitN(p.ctx, n); err != nil {
		return 0, err
	}
	return p.r.Read(b[:n])
}

// Seek lets a transfer begin once more.
func (p *paced) Seek(offset int64, whence int) (int64, error) { return p.r.Seek(offset, whence) }

// paceStep is how many bytes are let through at once; a [rate.Limiter] of [NewLimit] has it as its burst.
const paceStep = 16 << 10

// NewLimit is a speed limit in bytes a second; 0 and less: none.
func NewLimit(bytesPerSecond int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, paceStep)
	setLimit(l, bytesPerSecond)
	return l
}

func slowed(l *rate.Limiter) bool { return l != nil && l.Limit() != rate.Inf }

func setLimit(l *rate.Limiter, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetLimit(rate.Limit(bytesPerSecond))
}
