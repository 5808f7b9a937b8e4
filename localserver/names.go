package localserver

// The names of a folder in order, in bounded memory, for listings.

import (
	"container/heap"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// The memory that the names of one listing may take: nameBudget in any case; up to nameMost, a million names, while all
// listings of the server together have less than nameMostOfAll beyond that. A folder whose names need more is read again
// for each piece, so a listing of any size is sorted in bounded memory.
const (
	nameBudget    = 8 << 20
	nameMost      = 40 << 20
	nameMostOfAll = 128 << 20
	nameStep      = 4 << 20
)

// nameMemory is what one listing may take, in bytes.
type nameMemory struct {
	own    int           // without asking
	most   int           // with what it gets of the common memory
	common *atomic.Int64 // taken of nameMostOfAll by all listings
	taken  int
}

// more asks for another step.
func (m *nameMemory) more() bool {
	if m.own+m.taken+nameStep > m.most {
		return false
	}
	if m.common.Add(nameStep) > nameMostOfAll {
		m.common.Add(-nameStep)
		return false
	}
	m.taken += nameStep
	return true
}

// release gives the steps back.
func (m *nameMemory) release() {
	if m.taken > 0 {
		m.common.Add(-int64(m.taken))
		m.taken = 0
	}
}

// sortedNames calls emit with the names in dir that match, in the order of their bytes. It looks at ctx now and then.
func sortedNames(ctx context.Context, dir *os.File, match func(string) bool, memory nameMemory, emit func(string) error) error {
	defer memory.release()
	last := "" // emitted so far
	for begin := true; ; begin = false {
		names := nameList{}
		bound, bounded := "", false // names above bound wait for a later pass
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		for {
			some, err := dir.Readdirnames(1024) // ReadDir would look at each file, in an os.Root
			for _, n := range some {
				if !begin && n <= last || bounded && n > bound || !match(n) {
					continue
				}
				names.add(n)
				if names.size() > memory.own+memory.taken && !memory.more() {
					names = names.firstHalf()
					bound, bounded = names.last(), true
				}
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		for n := range names.inOrder() {
			if err := emit(names.name(n)); err != nil {
				return err
			}
		}
		if !bounded {
			return nil
		}
		last = bound
	}
}

// nameList keeps many names with 8 bytes of overhead each, instead of a string header and an allocation. They stand in
// runs of at most nameRun, each of which is sorted as soon as it is full: no sort takes long, and the first name is known
// soon after the last one came.
type nameList struct {
	blocks []*strings.Builder // of nameBlock bytes; no name spans two
	index  []nameAt
	sorted []int // the ends of the sorted runs
}

// nameAt is where a name stands in all blocks.
type nameAt struct{ at, len uint32 }

const (
	nameRun   = 16 << 10
	nameBlock = 64 << 10
)

func (l *nameList) add(n string) {
	if k := len(l.blocks); k == 0 || l.blocks[k-1].Len()+len(n) > nameBlock {
		block := &strings.Builder{}
		if k > 0 { // most folders are small
			block.Grow(nameBlock)
		}
		l.blocks = append(l.blocks, block)
	}
	k := len(l.blocks) - 1
	l.index = append(l.index, nameAt{uint32(k*nameBlock + l.blocks[k].Len()), uint32(len(n))})
	l.blocks[k].WriteString(n)
	if len(l.index)-l.end() == nameRun {
		l.sort()
	}
}

// end is the end of the last sorted run.
func (l *nameList) end() int {
	if len(l.sorted) == 0 {
		return 0
	}
	return l.sorted[len(l.sorted)-1]
}

// sort makes a sorted run of what came after the last one.
func (l *nameList) sort() {
	if run := l.index[l.end():]; len(run) > 0 {
		slices.SortFunc(run, func(a, b nameAt) int { return strings.Compare(l.name(a), l.name(b)) })
		l.sorted = append(l.sorted, len(l.index))
	}
}

// name returns a name where it stands.
func (l *nameList) name(a nameAt) string {
	in := a.at % nameBlock
	return l.blocks[a.at/nameBlock].String()[in : in+a.len]
}

// size is the memory that the names take; there is one at least.
func (l *nameList) size() int {
	k := len(l.blocks) - 1
	return k*nameBlock + l.blocks[k].Len() + 8*len(l.index)
}

// last returns the last name of a list that is one sorted run. It keeps none of the others.
func (l *nameList) last() string { return strings.Clone(l.name(l.index[len(l.index)-1])) }

// firstHalf returns the first half of the names, in order.
func (l *nameList) firstHalf() nameList {
	n := (len(l.index) + 1) / 2
	half := nameList{index: make([]nameAt, 0, n)}
	for a := range l.inOrder() {
		if len(half.index) == n {
			break
		}
		half.add(l.name(a))
	}
	half.sorted = []int{len(half.index)}
	return half
}

// inOrder yields all names in the order of their bytes, by merging the runs.
func (l *nameList) inOrder() func(yield func(nameAt) bool) {
	return func(yield func(nameAt) bool) {
		l.sort()
		m := &merge{list: l}
		begin := 0
		for _, end := range l.sorted {
			m.runs = append(m.runs, l.index[begin:end])
			begin = end
		}
		heap.Init(m)
		for len(m.runs) > 0 {
			if !yield(m.runs[0][0]) {
				return
			}
			if m.runs[0] = m.runs[0][1:]; len(m.runs[0]) == 0 {
				heap.Pop(m)
			} else {
				heap.Fix(m, 0)
			}
		}
	}
}

// merge is a heap of runs, that with the first name on top.
type merge struct {
	list *nameList
	runs [][]nameAt
}

func (m *merge) Len() int { return len(m.runs) }
func (m *merge) Less(i, j int) bool {
	return m.list.name(m.runs[i][0]) < m.list.name(m.runs[j][0])
}
func (m *merge) Swap(i, j int) { m.runs[i], m.runs[j] = m.runs[j], m.runs[i] }
func (m *merge) Push(x any)    { m.runs = append(m.runs, x.([]nameAt)) }
func (m *merge) Pop() any {
	last := m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	return last
}
