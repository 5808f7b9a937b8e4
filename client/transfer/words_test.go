package transfer_test

import (
	"errors"
	"testing"

	"portside/client"
	"portside/client/transfer"
)

// A failure names its file once, also when the session's error names it, too.
func TestAFailureNamesItsFileOnce(t *testing.T) {
	gone := &client.Error{Op: "download", On: "/a", Code: 550, Reply: "550 Gone"}
	again := &client.Error{Op: "download", On: "/a", Err: gone}
	const said = `download /a: the server said "550 Gone"`
	for want, err := range map[string]error{said: again, "download /a: gone": errors.New("gone"),
		`download /a: list /: the server said "550 Gone"`: &client.Error{Op: "list", On: "/", Code: 550, Reply: "550 Gone"}} {
		if got := (transfer.Failure{Item: transfer.Item{Remote: "/a"}, Err: err}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
