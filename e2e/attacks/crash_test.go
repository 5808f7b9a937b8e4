//go:build linux

package attacks

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestKilledInTheMiddleOfUploads: SIGKILL while 100 uploads run, some of them just ending. No file that existed is
// changed but by a whole one, no new file is there in part, and the next start clears what is left.
func TestKilledInTheMiddleOfUploads(t *testing.T) {
	const uploads = 100
	old, whole := []byte("the old content"), bytes.Repeat([]byte("new content "), 40_000)
	p := serve(t)
	name := func(i int) string { return fmt.Sprintf("d%d/f%02d", i%4, i) }
	for i := range uploads {
		if i%2 == 0 {
			p.file(name(i), string(old))
		}
	}
	for i := range 4 {
		os.MkdirAll(filepath.Join(p.root, fmt.Sprintf("d%d", i)), 0o755)
	}
	controls, datas := make([]*client, uploads), make([]net.Conn, uploads)
	for i := range uploads {
		c := p.signIn()
		datas[i] = c.data()
		c.cmd(150, "STOR %s", name(i))
		if _, err := datas[i].Write(whole[:len(whole)/2]); err != nil {
			t.Fatal(err)
		}
		controls[i] = c
	}
	until(t, "the program has begun to write each", func() bool { return len(leftovers(t, p.root)) == uploads })
	// Some end as the program is killed, in no order that anybody knows.
	var work sync.WaitGroup
	for i := range uploads / 4 {
		work.Go(func() {
			datas[i*4].Write(whole[len(whole)/2:])
			datas[i*4].Close()
		})
	}
	controls[0].c.(*net.TCPConn).SetReadDeadline(time.Now().Add(patience))
	controls[0].in.ReadString('\n') // one has its name already
	p.end(syscall.SIGKILL)
	work.Wait()
	renamed := 0
	for i := range uploads {
		got, err := os.ReadFile(filepath.Join(p.root, name(i)))
		switch {
		case bytes.Equal(got, whole):
			renamed++
		case i%2 == 0 && bytes.Equal(got, old):
		case i%2 == 1 && os.IsNotExist(err):
		default:
			t.Errorf("%s has %d bytes: %v", name(i), len(got), err)
		}
	}
	left := leftovers(t, p.root)
	t.Logf("%d uploads came whole, %d left a temporary file", renamed, len(left))
	if renamed == 0 || len(left) == 0 || renamed+len(left) < uploads {
		t.Errorf("of %d uploads %d came whole and %d left something", uploads, renamed, len(left))
	}

	// The next server clears them, but not the file of an upload that another server has in hand.
	other := serveFolder(t, p.root)
	c := other.signIn()
	d := c.data()
	c.cmd(150, "STOR d0/other")
	io.WriteString(d, "in hand")
	next := serveFolder(t, p.root)
	until(t, "the leftovers are gone", func() bool { return len(leftovers(t, p.root)) == 1 })
	if code, text := next.signIn().fetch("NLST d1"); code != 226 || strings.Contains(text, "portside-upload") {
		t.Errorf("NLST: %d %q", code, text)
	}
	d.Close()
	c.expect(226)
	if got, err := os.ReadFile(filepath.Join(p.root, "d0/other")); string(got) != "in hand" {
		t.Errorf("the other server's upload: %q, %v", got, err)
	}
	if left := leftovers(t, p.root); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// leftovers are the temporary files of uploads in a folder.
func leftovers(t *testing.T, root string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "*", ".portside-upload-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
