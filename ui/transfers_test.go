package ui

import (
	"testing"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/ui/uitest"
)

func TestAPasswordForTheTransfersIsHandedOverAndNotCancelled(t *testing.T) {
	for _, c := range []struct {
		end  fyne.KeyName
		want string
	}{{fyne.KeyReturn, "answer s3cret"}, {fyne.KeyEscape, "cancel"}} {
		w, _, _ := testWindow(t, 1280, 800)
		first := "" // the queue takes the first answer
		say := func(s string) {
			if first == "" {
				first = s
			}
		}
		w.connect.transfers.askPassword(&app.PasswordQuestion{
			Target: client.Target{Host: "example.org", User: "alice"},
			Answer: func(s string) { say("answer " + s) }, Cancel: func() { say("cancel") },
		})
		uitest.Type(w, "s3cret")
		uitest.Key(w, c.end)
		if first != c.want || w.dialogs() != 0 {
			t.Errorf("%s says %q with %d dialogs left", c.end, first, w.dialogs())
		}
	}
}
