#!/bin/sh
# Installs what building (and, with the argument "test", testing) needs, when it is missing.
# Debian and Ubuntu: apt-get, through sudo when not root. Elsewhere it names the packages.
set -eu

packages="gcc make pkg-config libc6-dev liblapack-dev libjpeg-dev libpng-dev libwebp-dev
libarchive-dev libjansson-dev zlib1g-dev"
modules="lapack libjpeg libpng libwebp libarchive jansson zlib"
if [ "${1:-}" = test ]; then
    packages="$packages check libopenmpi-dev openmpi-bin procps iproute2 g++ cmake python3-cffi groff-base zsh fish"
    modules="$modules check"
fi

missing() {
    command -v cc >/dev/null 2>&1 || return 0
    command -v make >/dev/null 2>&1 || return 0
    command -v pkg-config >/dev/null 2>&1 || return 0
    for m in $modules; do pkg-config --exists "$m" || return 0; done
    return 1
}

# Some tests are skipped without these.
tools_are_there() {
    [ "${packages#*openmpi}" = "$packages" ] && return
    for tool in mpicc mpirun ip c++ cmake groff zsh fish; do command -v $tool || return; done >/dev/null 2>&1
    python3 -c 'import cffi' 2>/dev/null
}

if ! missing; then
    tools_are_there && exit 0
    command -v apt-get >/dev/null 2>&1 || exit 0
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 || exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Please install a C compiler, make, pkg-config and the development packages of:" >&2
    echo "LAPACK, libjpeg-turbo, libpng, libwebp, libarchive, jansson, zlib, check (for the tests)." >&2
    exit 1
fi
root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "Please run as root, or install: $packages" >&2
        exit 1
    }
    root=sudo
fi
echo "Installing:" $packages >&2
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq >&2
# shellcheck disable=SC2086 # a list of words
$root apt-get install -y -qq --no-install-recommends $packages >&2
if missing; then
    echo "Something is still missing after installing: $packages" >&2
    exit 1
fi
