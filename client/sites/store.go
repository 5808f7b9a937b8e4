package sites

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/natefinch/atomic"
)

// The files of a book in its folder.
const (
	File   = "sites.json"
	Backup = "sites.backup.json" // the last good one before
)

// maxFile is how large a book or an import may be: a hundred thousand sites take less.
const maxFile = 64 << 20

// Load reads the book in dir; without a file it is empty. A file that can't be understood is set aside under another name
// and the backup is used, or an empty book where there is none; notice then says so in a sentence. With an error nothing was
// read, and nothing may be written.
func Load(dir string, now time.Time) (b *Book, notice string, err error) {
	path := filepath.Join(dir, File)
	b, err = readBook(path)
	switch {
	case err == nil:
		return b, "", nil
	case errors.Is(err, fs.ErrNotExist):
		return &Book{}, "", nil
	}
	var broken *brokenError
	if !errors.As(err, &broken) {
		return &Book{}, "", fmt.Errorf("the site book can't be read: %w", err)
	}
	aside := filepath.Join(dir, "sites.broken-"+now.Format("20060102-150405")+".json")
	if rerr := os.Rename(path, aside); rerr != nil {
		return &Book{}, "", fmt.Errorf("the site book can't be understood, and the file can't be set aside: %w", rerr)
	}
	notice = fmt.Sprintf("The site book could not be understood (%v). The file was set aside as %s", broken.err, aside)
	if b, err = readBook(filepath.Join(dir, Backup)); err == nil {
		return b, notice + ", and the last good one is used.", nil
	}
	return &Book{}, notice + ", and the book starts empty.", nil
}

// brokenError is a file that was read and can't be understood.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

func readBook(path string) (*Book, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, err := Parse(data)
	if err != nil {
		return nil, &brokenError{err}
	}
	return b, nil
}

// Parse reads a book from its file's bytes. What it holds that a book may not is put right.
func Parse(data []byte) (*Book, error) {
	var b Book
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, err
	}
	b.mend()
	return &b, nil
}

// Format writes a book as its file's bytes.
func Format(b *Book) ([]byte, error) {
	data, err := json.MarshalIndent(b, "", "  ")
	return append(data, '\n'), err
}

// Save writes the book to dir so that a crash leaves either the old file or the new one, and keeps the old one, if it is
// good, as the backup. known is the file as this program read or wrote it last; when another program has written it since,
// that one's is kept, too, under the name other. written is what the file holds now.
func Save(dir string, b *Book, known []byte, now time.Time) (written []byte, other string, err error) {
	data, err := Format(b)
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("the folder of the site book can't be made: %w", err)
	}
	path := filepath.Join(dir, File)
	old, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(old, data) {
		if !bytes.Equal(old, known) {
			other = filepath.Join(dir, "sites.other-"+now.Format("20060102-150405.000")+".json")
			if err := atomic.WriteFile(other, bytes.NewReader(old)); err != nil {
				return nil, "", fmt.Errorf("the site book that another Portside has written can't be kept: %w", err)
			}
		}
		if _, err := Parse(old); err == nil {
			if err := atomic.WriteFile(filepath.Join(dir, Backup), bytes.NewReader(old)); err != nil {
				return nil, "", fmt.Errorf("the last good site book can't be kept: %w", err)
			}
		}
	}
	if err := atomic.WriteFile(path, bytes.NewReader(data)); err != nil {
		return nil, "", fmt.Errorf("the site book can't be saved: %w", err)
	}
	return data, other, nil
}
