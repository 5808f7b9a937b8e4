//go:build !linux

package transfer_test

import "testing"

func smallDisk(t *testing.T) string {
	t.Skip("a small disk is made on Linux only")
	return ""
}
