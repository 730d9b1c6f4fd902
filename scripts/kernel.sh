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
[ "$(dpkg --print-architecture)" = amd64 ] || { say "only for amd64; test/qemu will not run here"; exit 0; }

# depends NAME PATTERN prints the packages that NAME depends on and whose names match PATTERN.
depends() { apt-cache depends --no-recommends --no-suggests "$1" | sed -n 's/^ *Depends: //p' | grep -E "$2" || true; }

# Debian's image has its modules in it; Ubuntu's has them in packages of their own.
for meta in linux-image-cloud-amd64 linux-image-virtual; do
	image=$(depends "$meta" '^linux-image-[0-9]' 2>/dev/null | head -n 1)
	[ -z "$image" ] || break
done
[ -n "$image" ] || die "apt knows neither linux-image-cloud-amd64 nor linux-image-virtual; is there a package list (apt-get update)?"
version=${image#linux-image-}

work=$(mktemp -d /tmp/vitrine-kernel.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
say "fetching $image"
apt-get download -q "$image" >log 2>&1 || die "apt-get download failed: $(tail -n 3 log)"
for more in "linux-modules-$version" "linux-modules-extra-$version"; do
	if [ -n "$(apt-cache madison "$more" 2>/dev/null)" ]; then apt-get download -q "$more" >log 2>&1 || die "apt-get download failed: $(tail -n 3 log)"; fi
done
for package in *.deb; do dpkg -x "$package" tree; done

driver=$(find tree -name 'brd.ko*' | head -n 1)
case $driver in
*.ko) cp "$driver" brd.ko ;;
*.xz) xz -dc "$driver" >brd.ko ;;
*.zst) zstd -dcq "$driver" >brd.ko ;;
*) die "$image has no driver brd" ;;
esac
mkdir -p "$to"
cp "tree/boot/vmlinuz-$version" "$to/vmlinuz.new"
mv brd.ko "$to/brd.ko"
mv "$to/vmlinuz.new" "$to/vmlinuz" # last, and whole
say "$version is in $to"
