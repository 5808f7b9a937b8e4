package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"portside/client"
)

// A server without UTF-8 names files by bytes that are none, and a folder on Linux may hold such names. JSON would replace
// them, and the queue ask for a file that there isn't.
func TestTheQueueKeepsNamesAsTheyAre(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q")
	names := []string{"plain ä", "caf\xe9", "caf\xe8", "\ufffd", "", "\x00odd", "=?base64", "quote\"\\"}
	s, err := openStore(file)
	if err != nil {
		t.Fatal(err)
	}
	err = s.do(func(tx *bolt.Tx) error {
		for i, n := range names {
			if err := put(tx, bucketItems, uint64(i+1), &record{Rel: n, After: n, As: n}); err != nil {
				return err
			}
			if err := put(tx, bucketRoots, uint64(i+1), &rootRecord{Local: n, Remote: n, Place: n}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(file); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	_ = s.db.View(func(tx *bolt.Tx) error {
		for i, n := range names {
			r, err := getRecord(tx, uint64(i+1))
			root, err2 := get[rootRecord](tx, bucketRoots, uint64(i+1))
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			for _, got := range []string{r.Rel, r.After, r.As, root.Local, root.Remote, root.Place} {
				if got != n {
					t.Errorf("%q became %q", n, got)
				}
			}
		}
		return nil
	})
}

// A task that was put aside may be under way again before its record is written.
func TestATaskIsKeptAsItWasWhenItWasPutAside(t *testing.T) {
	q, err := OpenQueue(QueueOptions{File: filepath.Join(t.TempDir(), "q")})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	r := &record{Kind: file, State: Failed, Rel: "a", Size: -1}
	if err := q.st.do(func(tx *bolt.Tx) error { return q.st.insert(tx, r) }); err != nil {
		t.Fatal(err)
	}
	one := newTask(r, &rootRecord{})
	one.size = 5
	busy := make(chan struct{})
	q.st.post(func(*bolt.Tx) error { <-busy; return nil })
	q.mu.Lock()
	q.post(one, func(tx *bolt.Tx, t *task, r *record) error { return q.st.update(tx, r, t.keep) })
	q.mu.Unlock()
	one.size, one.as = 7, "another name"
	close(busy)
	err = q.st.do(func(tx *bolt.Tx) error {
		if r, err = getRecord(tx, r.id); err == nil && (r.Size != 5 || r.As != "") {
			t.Errorf("size %d, name %q", r.Size, r.As)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A file that was cut off or overwritten is named as damaged, so that it can be set aside; it does not end the program.
func TestADamagedFileIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "queue.db")
	dial := func(context.Context, Site) (*client.Session, error) { return nil, errors.New("nobody is there") }
	open := func() error {
		q, err := OpenQueue(QueueOptions{File: name, Dial: dial})
		if err == nil {
			err = q.Close()
		}
		return err
	}
	q, err := OpenQueue(QueueOptions{File: name, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	q.PauseAll()
	items := make([]Item, 3000)
	for i := range items {
		items[i].Local, items[i].Remote = fmt.Sprint("/here/", i), fmt.Sprint("/there/", i)
	}
	if _, err := q.Add(Batch{Site: Site{URL: "ftp://h/"}}, Orders(items...)); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	used := 0 // what follows is room that was made ahead
	for i := 0; i+page <= len(whole); i += page {
		if bytes.ContainsFunc(whole[i:i+page], func(r rune) bool { return r != 0 }) {
			used = i + page
		}
	}
	check := func(what string, file []byte) {
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, n := range []int{1, page, 3*page + 7, used / 2, used - page} {
		check(fmt.Sprintf("%d of %d bytes", n, used), whole[:n])
	}
	file := bytes.Clone(whole)
	for i := 2 * page; i < used; i++ {
		file[i] ^= 0x55
	}
	check("other bytes", file)
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Errorf("whole: %v", err)
	}
}
