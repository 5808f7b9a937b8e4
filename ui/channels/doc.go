// Package channels is the drawer that shows who opened which channel: the arrows between the two computers, each
// channel in words, and the commands and replies. The Connect screen shows the client's viewpoint with it, the Share
// screen the server's; it is one [Drawer] for both, told its viewpoint by a [connlog.Side].
//
// It draws what package connlog says and makes no sentence about a channel itself. It promises to stay smooth with a
// full log: a goroutine of the drawer looks at the log at most four times a second, does all the searching and
// sorting, and brings a finished view to the user interface, which draws only the rows in sight. Nothing is looked at
// while nobody can see the drawer, and nothing is drawn while the log does not change.
package channels
