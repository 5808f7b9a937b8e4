// Package kit is what Fyne lacks for a dense desktop program: a theme, a file table with multi-selection, dialogs that know
// Enter and Escape, one registry of commands, and the small parts that Portside's screens are put together from.
//
// It promises three things. Everything that the mouse can do, the keyboard can: each widget takes the focus, shows it, and
// hands keys and shortcuts that it does not use on to the window (see [Registry.Attach]). Nothing here blocks the UI
// goroutine or starts a goroutine without an owner: work comes back through a [Post]. And colours are read again on each
// Refresh, so a change between light and dark reaches everything.
//
// It imports no driver (fyne.io/fyne/v2/app), so it compiles and tests without cgo and without a display.
package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

// Colour names of our own, for [fyne.Theme.Color] beside Fyne's.
const (
	// ColorClient is the colour of what the client opened.
	ColorClient fyne.ThemeColorName = "portsideClient"
	// ColorServer is the colour of what the server opened.
	ColorServer fyne.ThemeColorName = "portsideServer"
	// ColorGood says that something works.
	ColorGood fyne.ThemeColorName = "portsideGood"
	// ColorBad says that something is blocked or broken.
	ColorBad fyne.ThemeColorName = "portsideBad"
	// ColorWarn says that something needs a look.
	ColorWarn fyne.ThemeColorName = "portsideWarn"
	// ColorPanel is the surface of cards, bars and the rail, above the window's background.
	ColorPanel fyne.ThemeColorName = "portsidePanel"
	// ColorPanelBorder is the one pixel line around panels, fields and buttons.
	ColorPanelBorder fyne.ThemeColorName = "portsidePanelBorder"
	// ColorMuted is the colour of secondary text.
	ColorMuted fyne.ThemeColorName = "portsideMuted"
	// ColorRowSelected is the background of a selected row, rail item or menu entry while it has the focus.
	ColorRowSelected fyne.ThemeColorName = "portsideRowSelected"
	// ColorRowSelectedInactive is the background of a selected row in a table without the focus.
	ColorRowSelectedInactive fyne.ThemeColorName = "portsideRowSelectedInactive"
	// ColorMutedSelected is the colour of secondary text on a selected row.
	ColorMutedSelected fyne.ThemeColorName = "portsideMutedSelected"
	// ColorChip is the surface of chips, plain buttons and the boxes of a diagram.
	ColorChip fyne.ThemeColorName = "portsideChip"
	// ColorSite begins the names of the colours that a person marks a site with: ColorSite + "red". They go with its name.
	ColorSite fyne.ThemeColorName = "portsideSite-"
	// ColorOutline is the outline of things that are nothing without it: an empty check box.
	ColorOutline fyne.ThemeColorName = "portsideOutline"
)

// Sizes in Fyne's units, on a grid of four.
const (
	RowHeight    float32 = 24  // a table row, a table header, the status bar
	InputHeight  float32 = 28  // an entry, a button, a select
	BarHeight    float32 = 44  // the bar of address and buttons at the top
	PaneBar      float32 = 34  // the bar above a pane
	TabHeight    float32 = 32  // a tab bar
	RailWidth    float32 = 84  // the rail at the left
	TextSize     float32 = 13  // text
	CaptionSize  float32 = 12  // table headers, status bar, chips
	TitleSize    float32 = 15  // a card's title when it leads a screen
	HeadlineSize float32 = 17  // the one sentence that sums a screen up
	LineHeight   float32 = 20  // a line of a paragraph
	Gap          float32 = 8   // between things in a row
	Radius       float32 = 4   // fields and buttons
	CardRadius   float32 = 8   // cards
	MinWidth     float32 = 900 // the smallest window that screens are laid out for
	MinHeight    float32 = 600
)

// Variant is a person's choice of light and dark.
type Variant int

const (
	// FollowSystem takes what the desktop says.
	FollowSystem Variant = iota
	Light
	Dark
)

// Theme is Portside's look: small, dense, calm, in a light and a dark variant.
type Theme struct {
	variant func() Variant
}

var _ fyne.Theme = (*Theme)(nil)

// NewTheme returns the theme. variant is asked at each lookup, so a change of the setting needs only
// Settings().SetTheme with the same or a new Theme to be seen; nil follows the system.
func NewTheme(variant func() Variant) *Theme {
	if variant == nil {
		variant = func() Variant { return FollowSystem }
	}
	return &Theme{variant: variant}
}

// Dark says whether the theme shows its dark variant when the system asks for v.
func (t *Theme) Dark(v fyne.ThemeVariant) bool {
	switch t.variant() {
	case Light:
		return false
	case Dark:
		return true
	}
	return v != theme.VariantLight
}

// Color returns the colour called name. It knows the names of this package and all of Fyne's.
func (t *Theme) Color(name fyne.ThemeColorName, v fyne.ThemeVariant) color.Color {
	pair, ok := palette[name]
	if !ok {
		if !t.Dark(v) {
			return theme.DefaultTheme().Color(name, theme.VariantLight)
		}
		return theme.DefaultTheme().Color(name, theme.VariantDark)
	}
	if t.Dark(v) {
		return pair.dark
	}
	return pair.light
}

// Font returns Fyne's fonts (Noto Sans, and DejaVu Sans Mono for what is typed or goes over the wire).
func (t *Theme) Font(style fyne.TextStyle) fyne.Resource { return theme.DefaultTheme().Font(style) }

// Icon returns Fyne's icon called name.
func (t *Theme) Icon(name fyne.ThemeIconName) fyne.Resource { return theme.DefaultTheme().Icon(name) }

// Size returns the size called name.
func (t *Theme) Size(name fyne.ThemeSizeName) float32 {
	if s, ok := sizes[name]; ok {
		return s
	}
	return theme.DefaultTheme().Size(name)
}

var sizes = map[fyne.ThemeSizeName]float32{
	theme.SizeNamePadding:            4,
	theme.SizeNameInnerPadding:       5,
	theme.SizeNameLineSpacing:        3,
	theme.SizeNameText:               TextSize,
	theme.SizeNameCaptionText:        CaptionSize,
	theme.SizeNameSubHeadingText:     TitleSize,
	theme.SizeNameHeadingText:        HeadlineSize,
	theme.SizeNameInlineIcon:         16,
	theme.SizeNameSeparatorThickness: 1,
	theme.SizeNameScrollBar:          10,
	theme.SizeNameScrollBarSmall:     4,
	theme.SizeNameScrollBarRadius:    3,
	theme.SizeNameInputBorder:        1,
	theme.SizeNameInputRadius:        Radius,
	theme.SizeNameSelectionRadius:    3,
	theme.SizeNameButtonRadius:       Radius,
	theme.SizeNameCardRadius:         CardRadius,
	theme.SizeNameDialogRadius:       CardRadius,
	theme.SizeNamePopupRadius:        Radius,
	theme.SizeNameMenuRadius:         Radius,
	theme.SizeNameModalBlurRadius:    0,
}

type pair struct{ dark, light color.NRGBA }

func rgb(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

func rgba(v uint32, a uint8) color.NRGBA {
	c := rgb(v)
	c.A = a
	return c
}

// The two palettes. Pairs that are read as text keep a contrast of 4.5, signs and outlines that carry meaning one of 3; the
// tests hold them to it. The lines around panels and fields only divide, and may be fainter.
var (
	window   = pair{rgb(0x15181d), rgb(0xf4f6f9)}
	panel    = pair{rgb(0x1b1f26), rgb(0xffffff)}
	chip     = pair{rgb(0x242a33), rgb(0xeef1f5)}
	border   = pair{rgb(0x2d343f), rgb(0xd8dee6)}
	text     = pair{rgb(0xe6e9ee), rgb(0x1b2027)}
	muted    = pair{rgb(0x95a0af), rgb(0x5d6876)}
	accent   = pair{rgb(0x4c9ffe), rgb(0x1668d6)}
	amber    = pair{rgb(0xf2a33c), rgb(0xa65f00)}
	good     = pair{rgb(0x3fb97f), rgb(0x1a7d4d)}
	bad      = pair{rgb(0xef5f6b), rgb(0xc8323f)}
	selected = pair{rgb(0x26415f), rgb(0xd6e6fb)}
	ink      = pair{rgb(0x10141a), rgb(0xffffff)}

	palette = map[fyne.ThemeColorName]pair{
		ColorClient:              accent,
		ColorServer:              amber,
		ColorGood:                good,
		ColorBad:                 bad,
		ColorWarn:                amber,
		ColorPanel:               panel,
		ColorPanelBorder:         border,
		ColorMuted:               muted,
		ColorRowSelected:         selected,
		ColorRowSelectedInactive: {rgb(0x2a313b), rgb(0xe3e8ee)},
		ColorMutedSelected:       {rgb(0xaab4c1), rgb(0x4f5a68)},
		ColorChip:                chip,
		ColorOutline:             {rgb(0x6f7b8b), rgb(0x7b8696)},

		ColorSite + "red":     bad,
		ColorSite + "green":   good,
		ColorSite + "blue":    accent,
		ColorSite + "yellow":  {rgb(0xe3c94a), rgb(0x8a7000)},
		ColorSite + "cyan":    {rgb(0x3fc1c9), rgb(0x0b7c84)},
		ColorSite + "magenta": {rgb(0xd67bd8), rgb(0xa0379f)},
		ColorSite + "orange":  {rgb(0xf28a3c), rgb(0xb45309)},

		theme.ColorNameBackground:                window,
		theme.ColorNameButton:                    chip,
		theme.ColorNameDisabledButton:            chip,
		theme.ColorNameDisabled:                  {rgb(0x8b96a5), rgb(0x626d7b)},
		theme.ColorNameError:                     bad,
		theme.ColorNameFocus:                     {rgba(0x4c9ffe, 0x66), rgba(0x1668d6, 0x40)},
		theme.ColorNameForeground:                text,
		theme.ColorNameForegroundOnError:         ink,
		theme.ColorNameForegroundOnPrimary:       ink,
		theme.ColorNameForegroundOnSuccess:       ink,
		theme.ColorNameForegroundOnWarning:       ink,
		theme.ColorNameHeaderBackground:          panel,
		theme.ColorNameHover:                     {rgba(0xffffff, 0x0c), rgba(0x1b2027, 0x0c)},
		theme.ColorNameHyperlink:                 accent,
		theme.ColorNameInnerWindowBorder:         border,
		theme.ColorNameInnerWindowBorderInactive: border,
		theme.ColorNameInputBackground:           window,
		theme.ColorNameInputBorder:               border,
		theme.ColorNameMenuBackground:            {rgb(0x20252d), rgb(0xffffff)},
		theme.ColorNameOverlayBackground:         {rgb(0x20252d), rgb(0xffffff)},
		theme.ColorNamePlaceHolder:               muted,
		theme.ColorNamePressed:                   {rgba(0xffffff, 0x1c), rgba(0x1b2027, 0x1c)},
		theme.ColorNamePrimary:                   accent,
		theme.ColorNameScrollBar:                 {rgb(0x66717f), rgb(0x7f8a99)},
		theme.ColorNameScrollBarBackground:       {rgba(0x000000, 0x00), rgba(0x000000, 0x00)},
		theme.ColorNameSelection:                 {rgb(0x2f5884), rgb(0xb5d3f9)},
		theme.ColorNameSeparator:                 border,
		theme.ColorNameShadow:                    {rgba(0x000000, 0x80), rgba(0x1b2027, 0x38)},
		theme.ColorNameSuccess:                   good,
		theme.ColorNameWarning:                   amber,
	}
)

// Color returns the colour called name in the application's present theme.
func Color(name fyne.ThemeColorName) color.Color {
	settings := fyne.CurrentApp().Settings()
	return settings.Theme().Color(name, settings.ThemeVariant())
}
