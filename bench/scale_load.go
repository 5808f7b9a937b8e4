//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"portside/e2e/peers"
	"portside/wire"
)

// load is a client that costs little beside the server that it measures: one socket, one small buffer, no log.
type load struct {
	at   place
	raw  net.Conn
	c    net.Conn
	in   *bufio.Reader
	tls  *tls.Config // nil in clear
	dial net.Dialer
}

// patient bounds each wait of a load.
const patient = 60 * time.Second

// connect connects and signs in, with TLS on both kinds of connection where the place has it.
func connect(ctx context.Context, at place) (*load, error) {
	l := &load{at: at, dial: net.Dialer{Timeout: patient}}
	c, err := l.dial.DialContext(ctx, "tcp4", at.Addr.String())
	if err != nil {
		return nil, err
	}
	l.raw, l.c, l.in = c, c, bufio.NewReaderSize(c, 512)
	if err := l.signIn(); err != nil {
		c.Close()
		return nil, err
	}
	return l, nil
}

func (l *load) signIn() error {
	if _, err := l.reply(220); err != nil {
		return err
	}
	if l.at.TLS == peers.Explicit {
		if err := l.cmd("AUTH TLS", 234); err != nil {
			return err
		}
		l.tls = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		c := tls.Client(l.raw, l.tls)
		l.c, l.in = c, bufio.NewReaderSize(c, 512)
	}
	if err := l.cmd("USER "+l.at.User, 331); err != nil {
		return err
	}
	if err := l.cmd("PASS "+l.at.Password, 230); err != nil {
		return err
	}
	if l.tls != nil {
		if err := errors.Join(l.cmd("PBSZ 0", 200), l.cmd("PROT P", 200)); err != nil {
			return err
		}
	}
	if l.at.Base != "" {
		if err := l.cmd("CWD "+l.at.Base, 250); err != nil {
			return err
		}
	}
	return l.cmd("TYPE I", 200)
}

func (l *load) close() { l.raw.Close() }

// cmd sends a command and wants one of the codes.
func (l *load) cmd(line string, codes ...int) error {
	l.raw.SetDeadline(time.Now().Add(patient))
	if _, err := io.WriteString(l.c, line+"\r\n"); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	if _, err := l.reply(codes...); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}

func (l *load) reply(codes ...int) (string, error) {
	l.raw.SetReadDeadline(time.Now().Add(patient))
	var all []byte
	for {
		line, err := l.in.ReadBytes('\n')
		all = append(all, line...)
		if err != nil {
			return "", fmt.Errorf("reply %q: %w", all, err)
		}
		r, _, err := wire.ParseReply(all)
		if err == wire.ErrIncomplete {
			continue
		}
		for _, code := range codes {
			if err == nil && r.Code == code {
				return strings.Join(r.Lines, "\n"), nil
			}
		}
		return "", fmt.Errorf("reply %q, want %v", all, codes)
	}
}

// open opens a passive data connection, which is in clear until begin.
func (l *load) open(ctx context.Context) (net.Conn, error) {
	l.raw.SetDeadline(time.Now().Add(patient))
	if _, err := io.WriteString(l.c, "EPSV\r\n"); err != nil {
		return nil, err
	}
	text, err := l.reply(229)
	if err != nil {
		return nil, err
	}
	port, err := wire.Parse229(text)
	if err != nil {
		return nil, err
	}
	return l.dial.DialContext(ctx, "tcp4", netip.AddrPortFrom(l.at.Addr.Addr(), port).String())
}

// get starts a command that brings data on d and returns where it comes from.
func (l *load) get(d net.Conn, line string) (net.Conn, error) {
	if err := l.cmd(line, 150, 125); err != nil {
		return nil, err
	}
	d.SetDeadline(time.Now().Add(5 * patient))
	if l.tls != nil {
		return tls.Client(d, l.tls), nil
	}
	return d, nil
}

// drain reads all of d and the reply after it. firstByte, when it is not nil, takes the time of the first byte.
func (l *load) drain(d net.Conn, buffer []byte, firstByte *time.Time) (n int64, err error) {
	defer d.Close()
	for {
		m, err := d.Read(buffer)
		if n == 0 && m > 0 && firstByte != nil {
			*firstByte = time.Now()
		}
		n += int64(m)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { // some servers end without close_notify
			break
		}
		if err != nil {
			return n, err
		}
	}
	d.Close() // some servers wait for close_notify before they reply
	_, err = l.reply(226)
	return n, err
}

// fetch is one whole passive transfer.
func (l *load) fetch(ctx context.Context, line string, buffer []byte) (int64, error) {
	d, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	from, err := l.get(d, line)
	if err != nil {
		d.Close()
		return 0, err
	}
	return l.drain(from, buffer, nil)
}

// several connects n clients, a few at a time.
func several(ctx context.Context, at place, n int) ([]*load, error) {
	all, errs := make([]*load, n), make([]error, n)
	next := make(chan int)
	var work sync.WaitGroup
	for range min(n, 8) {
		work.Go(func() {
			for i := range next {
				all[i], errs[i] = connect(ctx, at)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		closeAll(all)
		text, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(text)
	}
	return all, nil
}

func closeAll(all []*load) {
	for _, l := range all {
		if l != nil {
			l.close()
		}
	}
}

// together runs f for each client at once and returns how long all took.
func together(all []*load, f func(i int, l *load) error) (time.Duration, error) {
	errs := make([]error, len(all))
	begin := time.Now()
	var work sync.WaitGroup
	for i, l := range all {
		work.Go(func() { errs[i] = f(i, l) })
	}
	work.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		failed := 0
		for _, e := range errs {
			if e != nil {
				failed++
			}
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		return took, fmt.Errorf("%d of %d failed, such as: %s", failed, len(all), text)
	}
	return took, nil
}
