#!/usr/bin/env bash
# Unpacks the FTP servers that the tests compare with, from the system's package archive into the folder $1. They are not
# installed: an installed FTP server would start to serve this machine, and those packages exclude one another.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. scripts/lib.sh
to=${1:?folder}
has_apt || { say "No apt-get here: install vsftpd, ProFTPD (with mod_tls) and Pure-FTPd yourself for the tests with them."; exit 0; }

missing() { [ ! -x "$to/usr/sbin/$1" ] && [ ! -x "/usr/sbin/$1" ]; }
unpack() {
  local work
  work=$(mktemp -d) || return 1
  mkdir -p "$work/partial" "$to"
  # --download-only resolves what the system lacks without changing it, and needs no rights.
  apt-get install -y -q --download-only --no-install-recommends -o Debug::NoLocking=true -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$work" "$@" </dev/null >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; rm -rf "$work"; return 1; }
  local deb
  for deb in "$work"/*.deb; do [ -e "$deb" ] && dpkg -x "$deb" "$to"; done
  rm -rf "$work"
}

code=0
for server in "vsftpd vsftpd" "proftpd proftpd-core proftpd-mod-crypto" "pure-ftpd pure-ftpd"; do
  read -r program packages <<<"$server"
  missing "$program" || continue
  ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || as_root apt-get update -q >/dev/null
  say "Unpacking $program into $to"
  # shellcheck disable=SC2086
  unpack $packages || { say "$program could not be fetched: the tests with it are skipped."; code=1; }
done
exit $code
