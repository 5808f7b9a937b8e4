package kit

import (
	"bytes"
	"fmt"
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"portside/assets"
)

// IconName names a sign of package assets. Use the constants.
type IconName string

const (
	IconConnect       IconName = "connect"
	IconShare         IconName = "share"
	IconDoctor        IconName = "doctor"
	IconLearn         IconName = "learn"
	IconSettings      IconName = "settings"
	IconFolder        IconName = "folder"
	IconFolderLink    IconName = "folder-link"
	IconFolderNew     IconName = "folder-new"
	IconFile          IconName = "file"
	IconLink          IconName = "link"
	IconUp            IconName = "up"
	IconDown          IconName = "down"
	IconBack          IconName = "back"
	IconForward       IconName = "forward"
	IconHome          IconName = "home"
	IconRefresh       IconName = "refresh"
	IconLock          IconName = "lock"
	IconUnlock        IconName = "unlock"
	IconCopy          IconName = "copy"
	IconDownload      IconName = "download"
	IconUpload        IconName = "upload"
	IconClose         IconName = "close"
	IconCheck         IconName = "check"
	IconCross         IconName = "cross"
	IconWarning       IconName = "warning"
	IconInfo          IconName = "info"
	IconTriangleUp    IconName = "triangle-up"
	IconTriangleDown  IconName = "triangle-down"
	IconTriangleRight IconName = "triangle-right"
	IconChevronDown   IconName = "chevron-down"
	IconChevronRight  IconName = "chevron-right"
	// IconArrowRight has its tail, a dot, at the client's side: the client opened it.
	IconArrowRight IconName = "arrow-right"
	IconStop       IconName = "stop"
	IconPlay       IconName = "play"
	IconPause      IconName = "pause"
	IconPlus       IconName = "plus"
	IconSearch     IconName = "search"
	IconFilter     IconName = "filter"
	IconEdit       IconName = "edit"
	IconDelete     IconName = "delete"
	IconSave       IconName = "save"
	IconEye        IconName = "eye"
	IconEyeOff     IconName = "eye-off"
	IconPerson     IconName = "person"
	IconServer     IconName = "server"
	IconStar       IconName = "star"
	IconMore       IconName = "more"
	IconClock      IconName = "clock"
)

// Icon returns the sign in the colour of text.
func Icon(name IconName) fyne.Resource { return IconColored(name, theme.ColorNameForeground) }

// IconColored returns the sign in the theme colour called colorName. It follows the theme.
func IconColored(name IconName, colorName fyne.ThemeColorName) fyne.Resource {
	svg, err := assets.Icon(string(name))
	if err != nil {
		fyne.LogError("icon "+string(name), err)
		svg = []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"></svg>`)
	}
	return &iconResource{name: name, color: colorName, svg: svg}
}

// iconResource is an SVG whose currentColor is the theme's. Fyne's own themed resources recolour fills only, and our signs
// are strokes.
type iconResource struct {
	name  IconName
	color fyne.ThemeColorName
	svg   []byte
}

var _ fyne.ThemedResource = (*iconResource)(nil)

func (r *iconResource) ThemeColorName() fyne.ThemeColorName { return r.color }

func (r *iconResource) hex() string {
	c := color.NRGBAModel.Convert(Color(r.color)).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
}

// Name is the key of Fyne's image cache, so the colour is part of it.
func (r *iconResource) Name() string {
	return "portside-" + string(r.name) + "-" + r.hex()[1:] + ".svg"
}

func (r *iconResource) Content() []byte {
	return bytes.ReplaceAll(r.svg, []byte("currentColor"), []byte(r.hex()))
}
