// Package assets holds what Portside shows and does not compute: the application icon, the signs of buttons, tables and the
// rail, sample files, and the licences of what others have made of the program. Everything else is made for Portside; all of
// it is embedded, so the program is one file.
//
// It knows no toolkit. The signs in [Icons] are SVG files of 24 by 24 units that name their one colour currentColor; who
// draws them puts a colour in its place.
package assets

import "embed"

// Icons holds icons/NAME.svg.
//
//go:embed icons/*.svg
var Icons embed.FS

// AppIcon is the application icon as a PNG of 512 by 512 pixels, drawn from icon.svg.
//
//go:embed icon.png
var AppIcon []byte

// Icon returns the SVG of the sign called name, or an error that wraps [io/fs.ErrNotExist].
func Icon(name string) ([]byte, error) {
	return Icons.ReadFile("icons/" + name + ".svg")
}

// Samples holds the files that the local server shares in a demonstration, under samples/.
//
//go:embed samples
var Samples embed.FS

// Licences are the licences of the modules, fonts and C code that are part of the program. scripts/licences writes them.
//
//go:embed licences.txt
var Licences string
