# What ./run, ./test and bench/run share: where Go is, what the build needs, how a missing package comes here. Sourced.

# The flags of the one build that everything uses; another set would mean another four minutes of C.
TAGS=migrated_fynedo,no_emoji,no_animations

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# has_apt: Debian, Ubuntu and their kin.
has_apt() { have apt-get && have dpkg; }

# as_root CMD...: CMD with root's rights; fails when there is no way to them.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else say "This needs root's rights, and there is no sudo: $*" >&2; return 1
  fi
}

# apt_install PACKAGE...: installs packages, having said which.
apt_install() {
  say "Installing: $*"
  export DEBIAN_FRONTEND=noninteractive
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || say "apt-get update failed; trying with the package lists that are here." >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >"${TMPDIR:-/tmp}/portside-apt.$$" 2>&1
  local code=$?
  [ $code = 0 ] || tail -n 20 "${TMPDIR:-/tmp}/portside-apt.$$" >&2
  rm -f "${TMPDIR:-/tmp}/portside-apt.$$"
  return $code
}

# need_go: Go 1.25 or newer is there, or the script ends and says what is.
need_go() {
  have go || [ ! -x /usr/local/go/bin/go ] || PATH=$PATH:/usr/local/go/bin
  have go || die "Go is missing: Portside needs Go 1.25 or newer (https://go.dev/dl/)."
  local found
  # In the module's folder a Go from 1.21 on fetches the version that go.mod asks for, where that is allowed.
  found=$(go env GOVERSION 2>/dev/null)
  case $found in
    "") die "Go is too old: Portside needs Go 1.25 or newer (https://go.dev/dl/), and this is: $(GOTOOLCHAIN=local go version 2>&1 | head -n 1)" ;;
    go1.[0-9] | go1.[0-9].* | go1.1[0-9]* | go1.2[0-4]*) die "Go is too old: Portside needs Go 1.25 or newer (https://go.dev/dl/), and this is $found." ;;
  esac
  # A checkout of another account, as in containers: git refuses to answer, and go build would fail for want of a version stamp.
  if [ -e .git ] && ! git status --porcelain >/dev/null 2>&1; then export GOFLAGS="${GOFLAGS:-} -buildvcs=false"; fi
}

# build_missing: prints what a build on Linux lacks, a line "WHAT PACKAGE" each, with Debian's package names.
build_missing() {
  have gcc || have cc || [ -n "${CC:-}" ] || say "gcc gcc"
  printf '#include <stdio.h>\n' | "${CC:-cc}" -E - >/dev/null 2>&1 || say "libc-headers libc6-dev"
  have pkg-config || say "pkg-config pkg-config"
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ] || [ -d /etc/ssl/certs ] || say "ca-certificates ca-certificates"
  local module package
  while read -r module package; do
    pkg-config --exists "$module" 2>/dev/null || say "$module $package"
  done <<'LIST'
gl libgl-dev
egl libegl-dev
x11 libx11-dev
xrandr libxrandr-dev
xxf86vm libxxf86vm-dev
xi libxi-dev
xcursor libxcursor-dev
xinerama libxinerama-dev
wayland-client libwayland-dev
xkbcommon libxkbcommon-dev
LIST
}

# need_build_tools: all that the build needs is there, installed if need be, or the script ends and says what is missing.
need_build_tools() {
  case $(uname -s) in
    Linux) ;;
    Darwin) xcode-select -p >/dev/null 2>&1 || die "The C compiler is missing: run xcode-select --install."; return ;;
    *) have gcc || have clang || die "A C compiler (gcc or clang) is missing."; return ;;
  esac
  local missing
  missing=$(build_missing)
  [ -n "$missing" ] || return 0
  if has_apt; then
    # shellcheck disable=SC2046
    apt_install $(say "$missing" | cut -d' ' -f2 | sort -u) || die "The packages could not be installed. By hand: apt-get install $(say "$missing" | cut -d' ' -f2 | sort -u | tr '\n' ' ')"
    missing=$(build_missing)
    [ -z "$missing" ] || die "Still missing after the installation: $(say "$missing" | cut -d' ' -f1 | tr '\n' ' ')"
    return 0
  fi
  die "Missing for the build (this is neither Debian nor Ubuntu, so please install it yourself): $(say "$missing" | cut -d' ' -f1 | tr '\n' ' ')
Names in Debian: $(say "$missing" | cut -d' ' -f2 | tr '\n' ' ')
Names in Fedora: gcc pkgconf libglvnd-devel libX11-devel libXrandr-devel libXxf86vm-devel libXi-devel libXcursor-devel libXinerama-devel wayland-devel libxkbcommon-devel
Names in Arch: gcc pkgconf libglvnd libx11 libxrandr libxxf86vm libxi libxcursor libxinerama wayland libxkbcommon"
}

# build: ./portside.
build() {
  [ -d "$(go env GOCACHE)" ] && ls "$(go env GOCACHE)"/?? >/dev/null 2>&1 || say "Building; the first time takes about four minutes, since the window's C parts are compiled, too."
  go build -tags "$TAGS" -o portside .
}
