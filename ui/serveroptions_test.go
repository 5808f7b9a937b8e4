package ui

import (
	"strings"
	"testing"

	"portside/app"
	"portside/localserver"
	"portside/ui/uitest"
)

func TestServerOptionsAreCheckedAndKept(t *testing.T) {
	w, queue := shareWindow(t)
	f := openServerOptions(w)
	uitest.Settle(w)
	uitest.Shot(t, w, "server-options")
	for _, bad := range []string{"0", "x", "-5", "2000000"} {
		f.numbers[0].SetText(bad)
		if f.save(); !strings.Contains(f.problem.String(), "Clients at once") {
			t.Errorf("%q: %q", bad, f.problem.String())
		}
	}
	f.numbers[0].SetText("")
	f.cert.SetText("/nowhere/c.pem")
	f.save()
	queue.Await(t, "a certificate without a key is refused", func() bool { return strings.Contains(f.problem.String(), "needs its key") })
	f.cert.SetText("")
	f.numbers[1].SetText("5")
	f.resume.SetSelected(1)
	f.foreign.SetChecked(true)
	f.save()
	queue.Await(t, "it is saved", func() bool { return !f.dialog.Open() })
	want := app.ServerOptions{MaxPerAddress: 5, Resume: localserver.ResumeRequire, ForeignData: true}
	if got := w.app.Settings().Share.Options; got != want {
		t.Errorf("kept %+v", got)
	}
	f = openServerOptions(w)
	if again, err := f.typed(); err != nil || again != want {
		t.Errorf("opened again: %+v, %v", again, err)
	}
	f.clear()
	f.save()
	queue.Await(t, "it is saved", func() bool { return !f.dialog.Open() })
	if w.app.Settings().Share.Options != (app.ServerOptions{}) {
		t.Errorf("the defaults: %+v", w.app.Settings().Share.Options)
	}
	f = openServerOptions(w)
	f.cert.SetText("/nowhere/c.pem")
	f.save()
	f.dialog.Cancel()
	queue.Await(t, "it is said though the dialog is closed", func() bool { return strings.Contains(problemOf(w), "needs its key") })
}
