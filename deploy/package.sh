#!/usr/bin/env bash
# Packs the program for bare hosts of this machine's architecture: one tarball that needs nothing but
# libc and the kernel.
#
#   usage: deploy/package.sh BINARY VERSION FOLDER      (FOLDER gets the tarball and its .sha256)
#
# Within baiwan-VERSION-ARCH/: bin/baiwan, lib/ (every shared library it needs apart from libc's own,
# found by the program itself, so that no environment variable reaches what it starts), the units for
# systemd and runit, kernel.conf, deploy/ (steps and providers, so that a control host needs nothing
# else), ABOUT (version, architecture, libc), SHA256SUMS over all of it.
# The same input gives the same bytes. A tarball that does not hold together is not left behind.
set -euo pipefail

fail() { echo "package: $*" >&2; exit 1; }
[ $# -eq 3 ] || { sed -n 's/^#   usage: /usage: /p' "$0" >&2; exit 2; }
binary=$1 version=$2 folder=$3
here=$(dirname "$(readlink -f "$0")")
[ -x "$binary" ] || fail "$binary is not a program; build it first"
[[ $version =~ ^[A-Za-z0-9._+-]{1,64}$ ]] || fail "the version '$version' is not of letters, digits and . _ + -"
for tool in patchelf strip ldd tar gzip sha256sum; do
  command -v "$tool" >/dev/null || fail "$tool is missing; apt-get install patchelf binutils libc-bin tar gzip coreutils"
done

arch=$(uname -m)
name=baiwan-$version-$arch
mkdir -p "$folder"
work=$(mktemp -d "$folder/.package-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root/bin" "$root/lib" "$root/units"

# What libc brings belongs to the host: a loader and a libc of different versions do not work together.
own_to_libc='^(linux-vdso|ld-linux.*|libc|libm|libpthread|libdl|librt|libresolv|libutil|libanl|libnsl|libmvec)\.so'
needs=$(ldd "$binary") || fail "$binary has no shared libraries to pack"
grep -q 'not found' <<<"$needs" && fail "a library is missing here: $(grep 'not found' <<<"$needs")"
while read -r library _ path _; do
  [[ $path == /* && ! $library =~ $own_to_libc ]] || continue
  install -m 0755 "$(readlink -f "$path")" "$root/lib/$library"
  patchelf --force-rpath --set-rpath "\$ORIGIN" "$root/lib/$library"
done <<<"$needs"

install -m 0755 "$binary" "$root/bin/baiwan"
# Lines of the source are most of it, and every host would fetch, check and unpack them; names stay.
strip --strip-debug "$root/bin/baiwan"
# RPATH rather than RUNPATH: it also holds for what the libraries need themselves.
patchelf --force-rpath --set-rpath "\$ORIGIN/../lib" "$root/bin/baiwan"
install -m 0644 "$here"/units/*.service "$here/kernel.conf" "$root/units/"
install -m 0755 "$here"/units/*.run "$here"/units/*.finish "$root/units/"
tar -C "$here" --exclude='__pycache__' --exclude='*_test.py' --exclude='*_case.py' -cf - ansible providers kernel.conf |
  tar --one-top-level="$root/deploy" -xf -
find "$root/deploy" -type d -exec chmod 0755 {} + -o -perm /111 -exec chmod 0755 {} + -o -exec chmod 0644 {} +
libc=$(ldd --version | sed -n '1s/.* //p')
printf 'version %s\narchitecture %s\nlibc %s\n' "$version" "$arch" "$libc" >"$root/ABOUT"
sums=$(cd "$root" && find . -type f | LC_ALL=C sort | xargs sha256sum)
printf '%s\n' "$sums" >"$root/SHA256SUMS"

"$root/bin/baiwan" --help >/dev/null || fail "the packed program does not start"
elsewhere=$(ldd "$root/bin/baiwan" | grep '=> /' | grep -vF "$root/" || true)
while read -r library _; do
  [[ -z $library || $library =~ $own_to_libc ]] || fail "$library is still taken from this machine"
done <<<"$elsewhere"

tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work" -cf - "$name" |
  gzip -n -6 >"$work/$name.tar.gz"
(cd "$work" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
mv "$work/$name.tar.gz" "$work/$name.tar.gz.sha256" "$folder/"
echo "$folder/$name.tar.gz"
