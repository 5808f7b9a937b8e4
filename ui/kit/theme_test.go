package kit_test

import (
	"image/color"
	"io/fs"
	"math"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"portside/assets"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// contrast is WCAG 2's ratio of two colours, front laid over back when it is translucent.
func contrast(front, back color.Color) float64 {
	f, b := color.NRGBAModel.Convert(front).(color.NRGBA), color.NRGBAModel.Convert(back).(color.NRGBA)
	mix := func(x, y uint8) float64 { return (float64(x)*float64(f.A) + float64(y)*(255-float64(f.A))) / 255 }
	luminance := func(r, g, b float64) float64 {
		channel := func(v float64) float64 {
			if v /= 255; v <= 0.04045 {
				return v / 12.92
			}
			return math.Pow((v+0.055)/1.055, 2.4)
		}
		return 0.2126*channel(r) + 0.7152*channel(g) + 0.0722*channel(b)
	}
	l1 := luminance(mix(f.R, b.R), mix(f.G, b.G), mix(f.B, b.B))
	l2 := luminance(float64(b.R), float64(b.G), float64(b.B))
	return (max(l1, l2) + 0.05) / (min(l1, l2) + 0.05)
}

func TestColorsCanBeReadInBothVariants(t *testing.T) {
	window, panel, chip := theme.ColorNameBackground, kit.ColorPanel, kit.ColorChip
	surfaces := []fyne.ThemeColorName{window, panel, chip, theme.ColorNameMenuBackground, theme.ColorNameOverlayBackground}
	type rule struct {
		front fyne.ThemeColorName
		backs []fyne.ThemeColorName
		least float64
	}
	rows := []fyne.ThemeColorName{kit.ColorRowSelected, kit.ColorRowSelectedInactive}
	rules := []rule{
		{theme.ColorNameForeground, append(surfaces, append(rows, theme.ColorNameInputBackground, theme.ColorNameSelection)...), 4.5},
		{kit.ColorMuted, surfaces, 4.5},
		{kit.ColorMutedSelected, rows, 4.5},
		{theme.ColorNamePlaceHolder, []fyne.ThemeColorName{theme.ColorNameInputBackground}, 4.5},
		{theme.ColorNameDisabled, []fyne.ThemeColorName{chip, panel, window, theme.ColorNameMenuBackground}, 4.5},
		{theme.ColorNameHyperlink, surfaces[:2], 4.5},
		{kit.ColorClient, surfaces[:2], 4.5},
		{kit.ColorServer, surfaces[:2], 4.5},
		{kit.ColorGood, surfaces[:2], 4.5},
		{kit.ColorBad, append(surfaces[:2:2], theme.ColorNameOverlayBackground), 4.5},
		{kit.ColorWarn, surfaces[:2], 4.5},
		{theme.ColorNameForegroundOnPrimary, []fyne.ThemeColorName{theme.ColorNamePrimary}, 4.5},
		{theme.ColorNameForegroundOnError, []fyne.ThemeColorName{theme.ColorNameError}, 4.5},
		{theme.ColorNameForegroundOnSuccess, []fyne.ThemeColorName{theme.ColorNameSuccess}, 4.5},
		{theme.ColorNameForegroundOnWarning, []fyne.ThemeColorName{theme.ColorNameWarning}, 4.5},
		{theme.ColorNamePrimary, append(surfaces, rows...), 3}, // the focus ring, the line under a tab
		{kit.ColorOutline, []fyne.ThemeColorName{window, panel}, 3},
		{theme.ColorNameScrollBar, []fyne.ThemeColorName{window, panel}, 3},
		{kit.ColorClient, []fyne.ThemeColorName{chip, kit.ColorRowSelected}, 3},
		{kit.ColorServer, []fyne.ThemeColorName{chip, kit.ColorRowSelected}, 3},
		{kit.ColorGood, []fyne.ThemeColorName{chip, kit.ColorRowSelected}, 3},
		{kit.ColorBad, []fyne.ThemeColorName{chip, kit.ColorRowSelected}, 3},
	}
	for name, variant := range map[string]fyne.ThemeVariant{"dark": theme.VariantDark, "light": theme.VariantLight} {
		th := kit.NewTheme(nil)
		for _, r := range rules {
			for _, back := range r.backs {
				if c := contrast(th.Color(r.front, variant), th.Color(back, variant)); c < r.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, r.front, back, c, r.least)
				}
			}
		}
	}
}

func TestThemeKnowsEveryColorOfFyne(t *testing.T) {
	test.AssertAllColorNamesDefined(t, kit.NewTheme(nil), "portside")
}

func TestThemeFollowsTheSystemUnlessForced(t *testing.T) {
	for _, c := range []struct {
		choice kit.Variant
		system fyne.ThemeVariant
		dark   bool
	}{
		{kit.FollowSystem, theme.VariantDark, true},
		{kit.FollowSystem, theme.VariantLight, false},
		{kit.Light, theme.VariantDark, false},
		{kit.Dark, theme.VariantLight, true},
	} {
		if got := kit.NewTheme(func() kit.Variant { return c.choice }).Dark(c.system); got != c.dark {
			t.Errorf("choice %v under system %v: dark = %v", c.choice, c.system, got)
		}
	}
}

func TestEverySignIsDrawnInTheThemesColor(t *testing.T) {
	uitest.App(t, kit.Dark)
	files, err := fs.ReadDir(assets.Icons, "icons")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		res := kit.IconColored(kit.IconName(strings.TrimSuffix(f.Name(), ".svg")), kit.ColorServer)
		svg := string(res.Content())
		if strings.Contains(svg, "currentColor") || !strings.Contains(svg, "#f2a33c") {
			t.Errorf("%s is not drawn in the colour asked for: %s", f.Name(), svg)
		}
	}
}
