package kit

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
)

func TestALongTitleStaysInsideItsDialog(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	w := test.NewTempWindow(t, NewLabel(""))
	w.Resize(fyne.NewSize(500, 300))
	d := &Dialog{Title: strings.Repeat("a long name ", 20) + "is already on the server", Buttons: []DialogButton{{Text: "Skip", Default: true}}}
	d.Show(w)
	title := d.overlay.title
	if end := title.Position().X + title.text.MinSize().Width; end > 500-dialogMargin || !strings.HasSuffix(title.text.Text, "…") {
		t.Errorf("%q ends at %v", title.text.Text, end)
	}
}
