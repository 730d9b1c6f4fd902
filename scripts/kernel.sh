#!/usr/bin/env bash
# Fetches the distribution's kernel for virtual machines, which test/qemu boots: nothing is installed, and this
# machine's own boot is not touched. Leaves in ${XDG_CACHE_HOME:-$HOME/.cache}/vitrine-kernel, if they are not there:
#
#   vmlinuz    the kernel
#   brd.ko     its driver for block devices in memory
set -euo pipefail

say() { printf 'kernel: %s\n' "$*"; }
die() { printf 'kernel: %s\n' "$*" >&2; exit 1; }

to=${XDG_CACHE_HOME:-$HOME/.cache}/vitrine-kernel
if [ -s "$to/vmlinuz" ] && [ -s "$to/brd.ko" ]; then exit 0; fi
for program in apt-get apt-cache dpkg; do
	command -v "$program" >/dev/null || die "needs Debian or Ubuntu: there is no $program. Elsewhere put a kernel for virtual machines, and its brd.ko unpacked, into $to"
done
[ "$(dpkg --print-architecture)" = amd64 ] || { say "only for amd64; test/qemu will not run here"; exit 0; }

# depends NAME PATTERN prints the packages that NAME depends on, or on one of several, and whose names match PATTERN.
depends() { apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null | sed -n 's/^ *|\{0,1\}Depends: //p' | grep -E "$2" || true; }

# known: apt can download it.
known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

fetch() { apt-get download -q "$1" >log 2>&1 || die "apt-get download $1: $(tail -n 3 log); is the package list old (apt-get update)?"; }

# Each depends on the image of the present version: linux-image-6.1.0-40-cloud-amd64 (Debian 12),
# linux-image-6.12.48+deb13-cloud-amd64 (Debian 13), linux-image-6.8.0-60-generic (Ubuntu). Debian's has its modules in it;
# Ubuntu's has them in packages of their own.
image=
for meta in linux-image-cloud-amd64 linux-image-virtual linux-image-generic; do
	image=$(depends "$meta" '^linux-image-(unsigned-)?[0-9]' | head -n 1)
	[ -z "$image" ] || break
done
[ -n "$image" ] || die "apt knows neither linux-image-cloud-amd64 (Debian) nor linux-image-virtual (Ubuntu); is there a package list (apt-get update)?"
version=${image#linux-image-}
version=${version#unsigned-}

work=$(mktemp -d /tmp/vitrine-kernel.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
say "fetching $image"
fetch "$image"
for more in "linux-modules-$version" "linux-modules-extra-$version"; do
	if known "$more"; then fetch "$more"; fi
done
for package in *.deb; do dpkg -x "$package" tree; done

# unpack PROGRAM FILE
unpack() { command -v "$1" >/dev/null || die "needs $1 to unpack $2"; "$1" -dc "$2" >brd.ko; }

driver=$(find tree -name 'brd.ko*' | head -n 1)
case $driver in
*.ko) cp "$driver" brd.ko ;;
*.xz) unpack xz "$driver" ;;
*.zst) unpack zstd "$driver" ;;
*.gz) unpack gzip "$driver" ;;
*) die "neither $image nor its modules have the driver brd" ;;
esac
kernel=$(find tree -name "vmlinuz-$version" | head -n 1)
[ -n "$kernel" ] || die "$image has no vmlinuz-$version"
mkdir -p "$to"
cp "$kernel" "$to/vmlinuz.new"
mv brd.ko "$to/brd.ko"
mv "$to/vmlinuz.new" "$to/vmlinuz" # last, and whole
say "$version is in $to"
