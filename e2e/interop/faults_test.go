//go:build linux

package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portside/client"
	queue "portside/client/transfer"
	"portside/e2e/peers"
)

// broken is a folder that a queue moves to or from a server, one file after the other, and that meets a fault within its
// largest file.
type broken struct {
	t        *testing.T
	config   peers.Config
	server   *peers.Server
	q        *queue.Queue
	from, to string
	item     queue.Item
}

// impatient is a session's patience, so that a test need not wait long.
const impatient = 2 * time.Second

// largest is how many bytes the largest file has: more than lie in sockets' buffers.
const largest = 16 << 20

// underWay starts a server and the transfer, and returns within the largest file. reply is how long a reply is waited for.
func underWay(t *testing.T, c peers.Config, d queue.Direction, reply time.Duration) *broken {
	t.Helper()
	b := &broken{t: t, config: c}
	if c.Root == "" {
		b.config.Root = filepath.Join(open(t, t.TempDir()), "root")
		if err := os.Mkdir(b.config.Root, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	b.server = peers.ForTest(t, b.config)
	b.config.Port = b.server.Port
	served := filepath.Join(b.server.Root, "tree")
	local := filepath.Join(t.TempDir(), "tree")
	b.from, b.to = served, local
	if d == queue.Upload {
		b.from, b.to = local, served
	}
	makeTree(t, filepath.Dir(b.from), "tree")
	write(t, filepath.Join(b.from, "largest"), 1)
	_ = os.Chmod(b.from, 0o777)
	o := signIn(b.server, nil)
	o.Timeouts = client.Timeouts{Connect: impatient, Reply: reply, DataDial: impatient, Accept: impatient, Stall: impatient}
	q, err := queue.OpenQueue(queue.QueueOptions{File: filepath.Join(t.TempDir(), "queue.db"),
		Limits: func(queue.Site) queue.Limits { return queue.Limits{Connections: 1} },
		Dial: func(ctx context.Context, _ queue.Site) (*client.Session, error) {
			return client.Dial(ctx, o)
		}})
	if err != nil {
		t.Fatal(err)
	}
	b.q = q
	t.Cleanup(func() { _ = q.Close() })
	q.SetSpeed(4<<20, 4<<20)
	b.item = queue.Item{Direction: d, Local: local, Remote: path.Join(b.server.Base, "tree")}
	if _, err := q.Add(queue.Batch{Site: queue.Site{URL: "ftp://peer/"}}, queue.Orders(b.item)); err != nil {
		t.Fatal(err)
	}
	b.until("it is within the largest file", func(s queue.QueueSnapshot) bool {
		return len(s.Current) == 1 && path.Base(s.Current[0].Remote) == "largest" && s.Current[0].Moved > largest/5
	})
	return b
}

// open lets the servers, which leave root, come through the folder that a test's folders lie in.
func open(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name string, seed byte) {
	t.Helper()
	content := make([]byte, largest)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(content)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666) // in place
	if err == nil {
		_, err = f.Write(content)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *broken) until(what string, f func(queue.QueueSnapshot) bool) {
	b.t.Helper()
	for until := time.Now().Add(3 * time.Minute); !f(b.q.Snapshot()); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatalf("not so: %s: %+v", what, b.q.Snapshot())
		}
	}
}

// restart ends the server and starts it with another configuration.
func (b *broken) restart(change func(*peers.Config)) {
	b.t.Helper()
	b.server.Close()
	change(&b.config)
	again, err := peers.Start(context.Background(), b.config)
	for try := 0; err != nil && try < 30; try++ { // the port must be free again
		time.Sleep(100 * time.Millisecond)
		again, err = peers.Start(context.Background(), b.config)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.server = again
	b.t.Cleanup(again.Remove)
}

// whole waits for the end and compares every file.
func (b *broken) whole() {
	b.t.Helper()
	b.q.SetSpeed(0, 0)
	ctx, cancel := context.WithTimeout(b.t.Context(), 3*time.Minute)
	defer cancel()
	if err := b.q.Wait(ctx); err != nil {
		b.t.Fatalf("%v: %+v", err, b.q.Snapshot())
	}
	for _, f := range b.failed() {
		b.t.Errorf("%s: %s", f.Remote, f.Err)
	}
	sameFiles(b.t, b.from, b.to)
}

func (b *broken) failed() []queue.QueueItem {
	b.t.Helper()
	failed, err := b.q.List(queue.Failed, 0, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	return failed
}

// withEveryServer runs a test in both directions, all at once, since they wait most of the time.
func withEveryServer(t *testing.T, f func(t *testing.T, kind peers.Kind, d queue.Direction)) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, kind := range peers.Kinds {
		for _, d := range []queue.Direction{queue.Download, queue.Upload} {
			all.Go(func() {
				t.Run(string(kind)+" "+d.String(), func(t *testing.T) { f(t, kind, d) })
			})
		}
	}
}

func TestAServerThatIsKilledUnderWayCostsNoFile(t *testing.T) {
	withEveryServer(t, func(t *testing.T, kind peers.Kind, d queue.Direction) {
		b := underWay(t, peers.Config{Kind: kind}, d, impatient)
		b.restart(func(*peers.Config) {})
		b.whole()
	})
}

func TestASignInThatIsRefusedHalfWayCostsNoFile(t *testing.T) {
	withEveryServer(t, func(t *testing.T, kind peers.Kind, d queue.Direction) {
		b := underWay(t, peers.Config{Kind: kind}, d, 5*impatient) // some take seconds to refuse
		b.restart(func(c *peers.Config) { c.Locked = true })
		b.until("the site is given up", func(s queue.QueueSnapshot) bool { return s.Sites[0].Stopped })
		if s := b.q.Snapshot(); !strings.Contains(s.Sites[0].Note, "530") || s.Left() == 0 || len(b.failed()) > 0 {
			t.Errorf("%+v", s)
		}
		b.restart(func(c *peers.Config) { c.Locked = false })
		if err := b.q.ResumeAll(); err != nil {
			t.Fatal(err)
		}
		b.whole()
	})
}

// The file keeps its length, so that its time alone tells.
func TestAFileThatChangesUnderWayIsNotMixed(t *testing.T) {
	withEveryServer(t, func(t *testing.T, kind peers.Kind, d queue.Direction) {
		b := underWay(t, peers.Config{Kind: kind}, d, impatient)
		time.Sleep(time.Second) // servers tell times to the second
		write(t, filepath.Join(b.from, "largest"), 2)
		b.whole()
	})
}

var cables atomic.Int32

// cable makes a network namespace that is reached over one cable, and returns its name, its address, and what pulls the
// cable out at the far end and puts it back.
func cable(t *testing.T) (namespace, address string, plug func(in bool)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n := cables.Add(1)
	namespace = fmt.Sprintf("portside-cable-%d-%d", os.Getpid(), n)
	near := fmt.Sprintf("ps%x-%d", os.Getpid(), n)
	if out, err := exec.Command("ip", "netns", "add", namespace).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", namespace).Run() }) // and the cable with it
	ip := func(line string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %s", line, out)
		}
	}
	// Four addresses of the block that is set aside for measuring networks, 198.18.0.0/15 (RFC 2544 section C.2.2): others
	// for every process that runs these tests.
	block := (8*os.Getpid() + int(n)) % (1 << 15)
	addr := func(last int) string {
		return fmt.Sprintf("198.%d.%d.%d", 18+block>>14, block>>6&0xff, block<<2&0xff|last)
	}
	address = addr(2)
	ip(fmt.Sprintf("link add %s type veth peer name eth0 netns %s", near, namespace))
	ip(fmt.Sprintf("address add %s/30 dev %s", addr(1), near))
	ip(fmt.Sprintf("link set %s up", near))
	ip(fmt.Sprintf("-n %s address add %s/30 dev eth0", namespace, address))
	ip(fmt.Sprintf("-n %s link set lo up", namespace))
	plug = func(in bool) {
		t.Helper()
		ip(fmt.Sprintf("-n %s link set eth0 %s", namespace, map[bool]string{true: "up", false: "down"}[in]))
	}
	plug(true)
	return namespace, address, plug
}

func TestACableThatIsPulledCostsNoFile(t *testing.T) {
	withEveryServer(t, func(t *testing.T, kind peers.Kind, d queue.Direction) {
		namespace, address, plug := cable(t)
		b := underWay(t, peers.Config{Kind: kind, Namespace: namespace, Host: address, Port: 2121}, d, impatient)
		plug(false)
		b.until("the session is given up", func(s queue.QueueSnapshot) bool { return s.Sites[0].Connections == 0 })
		plug(true)
		b.whole()
	})
}

// smallDisk mounts a disk with room for the tree, and little more.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := open(t, t.TempDir())
	if err := syscall.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=777", largest+4<<20)); err != nil {
		t.Skip("a small disk needs root: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// What does not fit is named, the rest goes on, and once there is room it is done.
func TestAFullDiskAtTheServerIsNamedAndTheOthersGoOn(t *testing.T) {
	for _, kind := range peers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t)
			ballast := filepath.Join(disk, "ballast")
			if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 4<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			b := underWay(t, peers.Config{Kind: kind, Root: disk}, queue.Upload, 5*impatient)
			b.q.SetSpeed(0, 0)
			b.until("the file is tried again later", func(s queue.QueueSnapshot) bool {
				for _, it := range s.Current {
					if path.Base(it.Remote) == "largest" && !it.NextTry.IsZero() && it.Err != "" {
						t.Log(it.Err)
						return s.Items[queue.Done] > 0
					}
				}
				return false
			})
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			b.whole()
		})
	}
}
