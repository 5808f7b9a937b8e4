package channels

import (
	"sort"
	"strings"

	"fyne.io/fyne/v2"
)

// fit returns text, or its beginning and an ellipsis when it is wider than width. Fyne remembers what it measured.
func fit(text string, size float32, style fyne.TextStyle, width float32) string {
	if width <= 0 {
		return ""
	}
	fits := func(s string) bool { return fyne.MeasureText(s, size, style).Width <= width }
	if text == "" || fits(text) {
		return text
	}
	runes := []rune(text)
	n := sort.Search(len(runes), func(n int) bool { return !fits(string(runes[:n+1]) + "…") })
	return strings.TrimRight(string(runes[:n]), " ·") + "…"
}
