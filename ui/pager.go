package ui

import (
	"fmt"
	"strconv"
	"strings"

	"portside/ui/kit"

	"fyne.io/fyne/v2"
)

// pager says which part of a long list is shown and leads to the others. It hides while one page holds all.
type pager struct {
	w      *Window
	goTo   func(from int)
	object *fyne.Container

	where             *kit.Button
	back, next        *kit.Button
	first, last       *kit.Button
	from, total, page int
}

func newPager(w *Window, goTo func(from int)) *pager {
	p := &pager{w: w, goTo: goTo}
	step := func(icon kit.IconName, tip string, to func() int) *kit.Button {
		b := kit.NewIconButton(icon, tip, func() { p.goTo(to()) })
		b.Style = kit.Quiet
		return b
	}
	p.first = step(kit.IconUp, "First page", func() int { return 0 })
	p.back = step(kit.IconBack, "Previous page", func() int { return p.from - p.page })
	p.next = step(kit.IconForward, "Next page", func() int { return p.from + p.page })
	p.last = step(kit.IconDown, "Last page", func() int { return p.total - 1 })
	p.where = kit.NewButton("", p.ask)
	p.where.Style, p.where.Tip = kit.Quiet, "Go to a number"
	p.object = kit.HBox(2, p.first, p.back, p.where, p.next, p.last)
	p.object.Hide()
	return p
}

// show takes what is shown: n items after the first from ones, of total, page at most at once. It says whether that looks
// different from before.
func (p *pager) show(from, n, total, page int) bool {
	p.from, p.total, p.page = from, total, page
	text := ""
	if total > page && n > 0 {
		text = fmt.Sprintf("%s to %s of %s", thousands(from+1), thousands(from+n), thousands(max(total, from+n)))
	}
	enable(p.first, from > 0)
	enable(p.back, from > 0)
	enable(p.next, from+page < total)
	enable(p.last, from+page < total)
	if text == p.where.Text {
		return false
	}
	p.where.SetText(text)
	kit.SetVisible(p.object, text != "")
	return true
}

func (p *pager) ask() {
	number := func(text string) (int, error) {
		n, err := strconv.Atoi(strings.NewReplacer(",", "", " ", "").Replace(text))
		if err != nil || n < 1 || n > p.total {
			return 0, fmt.Errorf("type a number from 1 to %s", thousands(p.total))
		}
		return n, nil
	}
	kit.Prompt(p.w, kit.PromptOptions{Title: "Go to", Label: "Number in the list", Text: strconv.Itoa(p.from + 1), OK: "Go to",
		Validate: func(text string) error { _, err := number(text); return err }}, func(text string) {
		if n, err := number(text); err == nil {
			p.goTo(n - 1)
		}
	})
}

// thousands writes a number in groups of three digits.
func thousands[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
