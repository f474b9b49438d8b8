#!/bin/sh
# get_photos.sh DIR: the JPEG photos of the Debian packages tuxpaint-data and lomiri-wallpapers-16.04
# into DIR, without installing the packages.
set -eu
dir=$1
[ "$(find "$dir" -name '*.jpg' 2>/dev/null | wc -l)" -ge 34 ] && exit 0
command -v apt-get >/dev/null 2>&1 || {
    echo "The default photos come from Debian packages; name a folder of your own photos." >&2
    exit 1
}
mkdir -p "$dir" "$dir.packages"
echo "Fetching photos ..." >&2
cd "$dir.packages"
apt-get download -qq tuxpaint-data lomiri-wallpapers-16.04 >/dev/null 2>&1 || {
    if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    apt-get download -qq tuxpaint-data lomiri-wallpapers-16.04 >/dev/null 2>&1 || {
        echo "The packages of the default photos cannot be fetched; name a folder of photos." >&2
        exit 1
    }
}
for p in *.deb; do dpkg-deb -x "$p" unpacked; done
cd - >/dev/null
find "$dir.packages/unpacked/usr/share/tuxpaint/templates" \
    "$dir.packages/unpacked/usr/share/backgrounds" -type f -name '*.jpg' |
    while read -r f; do cp "$f" "$dir/"; done
rm -rf "$dir.packages"
