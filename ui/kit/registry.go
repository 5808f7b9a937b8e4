package kit

import (
	"runtime"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
)

// Command is one thing the program can do, told once for menus, keys and the help page.
type Command struct {
	ID    string // "connect.refresh"
	Title string // what it does: "Refresh"
	// Keys are the keys that run it, the first is the one that is shown: "F5", "Ctrl+L", "Shift+F10", "Delete". On a Mac
	// Ctrl is the Command key.
	Keys []string
	// Enabled says whether it can be run now; nil: always. Of several commands with the same key the first one that is
	// enabled runs, so screens may share keys.
	Enabled func() bool
	Run     func()
	// Group is the heading of the command in the help: "File", "Remote".
	Group string
	Icon  IconName // in menus; may be empty
	// Checked shows a tick in menus; nil: none.
	Checked func() bool
}

func (c *Command) enabled() bool { return c.Enabled == nil || c.Enabled() }

// Registry holds the commands of a window. Use it on the UI goroutine.
type Registry struct {
	commands []*Command
	byID     map[string]*Command
	canvas   fyne.Canvas
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{byID: map[string]*Command{}} }

// Add adds commands in the order in which they are listed and asked. It panics on an ID that is taken and on a key that
// can't be read: both are slips in the program.
func (r *Registry) Add(commands ...Command) {
	for _, c := range commands {
		if r.byID[c.ID] != nil {
			panic("kit: command added twice: " + c.ID)
		}
		for _, k := range c.Keys {
			if _, _, ok := parseKey(k); !ok {
				panic("kit: command " + c.ID + " has an unknown key: " + k)
			}
		}
		r.commands = append(r.commands, &c)
		r.byID[c.ID] = &c
		r.bind(&c)
	}
}

// Get returns the command called id, or nil.
func (r *Registry) Get(id string) *Command { return r.byID[id] }

// Run runs the command called id if there is one and it is enabled, and says whether it did.
func (r *Registry) Run(id string) bool {
	c := r.byID[id]
	if c == nil || !c.enabled() || c.Run == nil {
		return false
	}
	c.Run()
	return true
}

// HandleKey runs the first enabled command of a key, and says whether there was one.
func (r *Registry) HandleKey(name fyne.KeyName, mods fyne.KeyModifier) bool {
	name = plainKey(name)
	for _, c := range r.commands {
		for _, k := range c.Keys {
			if n, m, _ := parseKey(k); n == name && m == mods && c.Run != nil && c.enabled() {
				c.Run()
				return true
			}
		}
	}
	return false
}

// HandleShortcut runs the first enabled command of a shortcut, and says whether there was one.
func (r *Registry) HandleShortcut(s fyne.Shortcut) bool {
	name, mods, ok := shortcutKey(s)
	return ok && r.HandleKey(name, mods)
}

// Attach makes the registry hear the window's keys: those that no widget has the focus for, and those that the focused
// widget of this package hands on. While a dialog or a menu is open it hears nothing.
func (r *Registry) Attach(w fyne.Window) {
	r.canvas = w.Canvas()
	r.canvas.SetOnTypedKey(func(ev *fyne.KeyEvent) {
		if r.canvas.Overlays().Top() == nil {
			r.HandleKey(ev.Name, modifiers())
		}
	})
	for _, c := range r.commands {
		r.bind(c)
	}
}

func (r *Registry) bind(c *Command) {
	if r.canvas == nil {
		return
	}
	for _, k := range c.Keys {
		name, mods, _ := parseKey(k)
		if mods&^fyne.KeyModifierShift == 0 && !isEditKey(name, mods) {
			continue // Fyne knows shortcuts with Ctrl, Alt or Super only; the others come as typed keys
		}
		r.canvas.AddShortcut(makeShortcut(name, mods), func(s fyne.Shortcut) {
			if r.canvas.Overlays().Top() == nil {
				r.HandleShortcut(s)
			}
		})
	}
}

// Menu returns a context menu of the commands called ids; "-" is a separator. Commands that are disabled are shown so.
func (r *Registry) Menu(ids ...string) *fyne.Menu {
	menu := fyne.NewMenu("")
	for _, id := range ids {
		if id == "-" {
			menu.Items = append(menu.Items, fyne.NewMenuItemSeparator())
			continue
		}
		menu.Items = append(menu.Items, r.item(r.must(id)))
	}
	return menu
}

func (r *Registry) item(c *Command) *fyne.MenuItem {
	item := fyne.NewMenuItem(c.Title, func() { r.Run(c.ID) })
	item.Disabled = !c.enabled()
	item.Checked = c.Checked != nil && c.Checked()
	if c.Icon != "" {
		item.Icon = Icon(c.Icon)
	}
	if len(c.Keys) > 0 {
		name, mods, _ := parseKey(c.Keys[0])
		item.Shortcut = &desktop.CustomShortcut{KeyName: name, Modifier: mods}
	}
	return item
}

func (r *Registry) must(id string) *Command {
	c := r.byID[id]
	if c == nil {
		panic("kit: no command " + id)
	}
	return c
}

// HelpLine is one line of the list of keys.
type HelpLine struct {
	Group, Title string
	Keys         []string
}

// Help lists the commands that have keys, group by group.
func (r *Registry) Help() []HelpLine {
	var groups []string
	for _, c := range r.commands {
		if !slices.Contains(groups, c.Group) {
			groups = append(groups, c.Group)
		}
	}
	var lines []HelpLine
	for _, g := range groups {
		for _, c := range r.commands {
			if c.Group != g || len(c.Keys) == 0 {
				continue
			}
			line := HelpLine{Group: g, Title: c.Title}
			for _, k := range c.Keys {
				line.Keys = append(line.Keys, KeyLabel(k))
			}
			if !slices.ContainsFunc(lines, func(l HelpLine) bool { // two screens may have the same
				return l.Group == line.Group && l.Title == line.Title && slices.Equal(l.Keys, line.Keys)
			}) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

var keyNames = map[string]fyne.KeyName{
	"enter": fyne.KeyReturn, "return": fyne.KeyReturn, "escape": fyne.KeyEscape, "esc": fyne.KeyEscape,
	"delete": fyne.KeyDelete, "del": fyne.KeyDelete, "insert": fyne.KeyInsert, "backspace": fyne.KeyBackspace,
	"space": fyne.KeySpace, "tab": fyne.KeyTab, "home": fyne.KeyHome, "end": fyne.KeyEnd,
	"pgup": fyne.KeyPageUp, "pageup": fyne.KeyPageUp, "pgdn": fyne.KeyPageDown, "pagedown": fyne.KeyPageDown,
	"up": fyne.KeyUp, "down": fyne.KeyDown, "left": fyne.KeyLeft, "right": fyne.KeyRight, "menu": desktop.KeyMenu,
	"comma": fyne.KeyComma, ",": fyne.KeyComma, ".": fyne.KeyPeriod, "/": fyne.KeySlash, "+": fyne.KeyPlus, "-": fyne.KeyMinus,
	"f1": fyne.KeyF1, "f2": fyne.KeyF2, "f3": fyne.KeyF3, "f4": fyne.KeyF4, "f5": fyne.KeyF5, "f6": fyne.KeyF6,
	"f7": fyne.KeyF7, "f8": fyne.KeyF8, "f9": fyne.KeyF9, "f10": fyne.KeyF10, "f11": fyne.KeyF11, "f12": fyne.KeyF12,
}

// parseKey reads "Ctrl+Shift+N".
func parseKey(s string) (name fyne.KeyName, mods fyne.KeyModifier, ok bool) {
	parts := strings.Split(s, "+")
	for _, p := range parts[:len(parts)-1] {
		switch strings.ToLower(p) {
		case "ctrl":
			mods |= fyne.KeyModifierShortcutDefault
		case "alt":
			mods |= fyne.KeyModifierAlt
		case "shift":
			mods |= fyne.KeyModifierShift
		case "super":
			mods |= fyne.KeyModifierSuper
		default:
			return "", 0, false
		}
	}
	last := parts[len(parts)-1]
	if n, known := keyNames[strings.ToLower(last)]; known {
		return n, mods, true
	}
	if len(last) == 1 && (last[0] >= '0' && last[0] <= '9' || last[0] >= 'A' && last[0] <= 'Z') {
		return fyne.KeyName(last), mods, true
	}
	return "", 0, false
}

// KeyLabel is how a key of [Command.Keys] is shown to people.
func KeyLabel(key string) string {
	if runtime.GOOS == "darwin" {
		return strings.ReplaceAll(key, "Ctrl+", "Cmd+")
	}
	return key
}

// plainKey takes the keypad's Enter for Enter.
func plainKey(name fyne.KeyName) fyne.KeyName {
	if name == fyne.KeyEnter {
		return fyne.KeyReturn
	}
	return name
}

// editKeys are the keys that Fyne turns into shortcuts of their own before anybody sees them.
var editKeys = []struct {
	name fyne.KeyName
	mods fyne.KeyModifier
	make func() fyne.Shortcut
}{
	{fyne.KeyA, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutSelectAll{} }},
	{fyne.KeyC, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutCopy{} }},
	{fyne.KeyX, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutCut{} }},
	{fyne.KeyV, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutPaste{} }},
	{fyne.KeyZ, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutUndo{} }},
	{fyne.KeyY, fyne.KeyModifierShortcutDefault, func() fyne.Shortcut { return &fyne.ShortcutRedo{} }},
}

func isEditKey(name fyne.KeyName, mods fyne.KeyModifier) bool {
	for _, e := range editKeys {
		if e.name == name && e.mods == mods {
			return true
		}
	}
	return false
}

func makeShortcut(name fyne.KeyName, mods fyne.KeyModifier) fyne.Shortcut {
	for _, e := range editKeys {
		if e.name == name && e.mods == mods {
			return e.make()
		}
	}
	return &desktop.CustomShortcut{KeyName: name, Modifier: mods}
}

// shortcutKey is the way back: which key a shortcut came from.
func shortcutKey(s fyne.Shortcut) (fyne.KeyName, fyne.KeyModifier, bool) {
	if c, ok := s.(*desktop.CustomShortcut); ok {
		return c.KeyName, c.Modifier, true
	}
	if cut, ok := s.(*fyne.ShortcutCut); ok && cut.Secondary {
		return fyne.KeyDelete, fyne.KeyModifierShift, true
	}
	for _, e := range editKeys {
		if e.make().ShortcutName() == s.ShortcutName() {
			return e.name, e.mods, true
		}
	}
	return "", 0, false
}
