package transfer

import (
	"context"
	"crypto/md5"  //nolint:gosec // what servers offer; it guards against slips, not against people
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"portside/client"
)

// maxHash is the largest file whose hash the server is asked for: it reads the whole file before it answers, and a
// session gives up after half a minute without a word.
const maxHash = 1 << 30

// hasher is a way to have a server compute a file's hash.
type hasher struct {
	verb string
	new  func() hash.Hash
}

func crc() hash.Hash { return crc32.NewIEEE() }

// algorithms are the names of HASH (draft-bryan-ftpext-hash).
var algorithms = map[string]func() hash.Hash{
	"SHA-256": sha256.New, "SHA-512": sha512.New, "SHA-1": sha1.New, "MD5": md5.New, "CRC32": crc,
}

// hasherOf picks what FEAT offers: HASH with the algorithm that is in use, else the commands that came before it.
func hasherOf(features map[string]string) (hasher, bool) {
	if list, ok := features["HASH"]; ok {
		for one := range strings.SplitSeq(list, ";") {
			one = strings.TrimSpace(one)
			if name, current := strings.CutSuffix(one, "*"); current && algorithms[strings.ToUpper(name)] != nil {
				return hasher{"HASH", algorithms[strings.ToUpper(name)]}, true
			}
		}
	}
	for _, h := range []hasher{{"XSHA256", sha256.New}, {"XSHA512", sha512.New}, {"XSHA1", sha1.New}, {"XSHA", sha1.New}, {"XMD5", md5.New}, {"XCRC", crc}} {
		if _, ok := features[h.verb]; ok {
			return h, true
		}
	}
	return hasher{}, false
}

// hashIn finds a hash of size bytes in a reply: "213 SHA-256 0-49 169c... name", "250 169C...", "250 XCRC 000ABCDE".
// Programs leave out a CRC's leading zeros.
func hashIn(text string, size int) []byte {
	for _, word := range strings.Fields(text)[min(1, len(strings.Fields(text))):] {
		word = strings.Trim(word, `"`)
		if size == crc32.Size && len(word) < 2*size && len(word) > 3 {
			word = strings.Repeat("0", 2*size-len(word)) + word
		}
		if len(word) != 2*size {
			continue
		}
		if sum, err := hex.DecodeString(word); err == nil {
			return sum
		}
	}
	return nil
}

// checkHash compares the file with the server's, where the server has a command for it. What the server can't tell is no
// failure.
func (m *mover) checkHash(t *task, size int64, open func() (io.ReadCloser, error)) error {
	if m.o.noHash || size <= 0 || size > maxHash || !m.h.can(hashing) {
		return nil
	}
	h, ok := hasherOf(m.s.Features())
	if !ok || h.verb != "HASH" && strings.ContainsAny(t.Remote, " \"") { // they differ in how they read such a name
		return nil
	}
	reply, err := m.s.Raw(m.ctx, h.verb+" "+t.Remote)
	if err != nil {
		if m.ctx.Err() != nil {
			return err
		}
		var e *client.Error
		if !errors.As(err, &e) || m.s.Err() != nil {
			m.h.cannot(hashing)
		}
		return nil
	}
	switch {
	case reply.Code >= 500 && reply.Code != 550:
		m.h.cannot(hashing)
		return nil
	case reply.Code >= 300:
		return nil
	}
	sum := h.new()
	want := hashIn(reply.Text, sum.Size())
	if want == nil {
		return nil
	}
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(sum, &stopping{m.ctx, f}); err != nil {
		return err
	}
	if got := sum.Sum(nil); string(got) != string(want) {
		return again{fmt.Errorf("its %s differs: %x here, %x on the server", h.verb, got, want)}
	}
	return nil
}

// stopping is a reader that ends with its context.
type stopping struct {
	ctx context.Context
	io.Reader
}

func (s *stopping) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.Reader.Read(p)
}
