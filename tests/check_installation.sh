#!/bin/sh
# Installs what was built into a folder of its own and builds a program outside
# of the tree against it: by pkg-config, shared and static, and by CMake.
# Usage: check_installation.sh CMAKE BUILD-DIR CONSUMER-DIR C-COMPILER
set -eu
cmake=$1
build=$2
consumer=$3
compiler=$4

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
installed=$folder/installed
# Moved after it was installed: nothing in it may know where it was.
"$cmake" --install "$build" --prefix "$installed" >"$folder/log"
mv "$installed" "$folder/prefix"
prefix=$folder/prefix
library=$(dirname "$(find "$prefix" -name libepio.a)")
export LD_LIBRARY_PATH="$library" DYLD_LIBRARY_PATH="$library"

# The consumer's check of what it was built with and against.
run() {
    printf '%s: ' "$1"
    "$2" "$folder/consumer.tmp"
}

by_cmake() {
    for target in epio::epio epio::epio_static epio::epio_shared; do
        rm -rf "$folder/cmake"
        "$cmake" -S "$consumer" -B "$folder/cmake" -G Ninja -DCMAKE_C_COMPILER="$compiler" \
            -DCMAKE_PREFIX_PATH="$prefix" -DCONSUMER_TARGET=$target >"$folder/log" ||
            { cat "$folder/log" && exit 1; }
        "$cmake" --build "$folder/cmake" >"$folder/log" || { cat "$folder/log" && exit 1; }
        run "find_package, $target" "$folder/cmake/consumer"
    done
}

# by_pkg_config NAME OPTION...
by_pkg_config() {
    name=$1
    shift
    # The flags are words to be split.
    # shellcheck disable=SC2046
    "$compiler" -std=c11 -Wall -Wextra -Werror -o "$folder/$name" "$consumer/main.c" \
        $(PKG_CONFIG_PATH="$library/pkgconfig" pkg-config "$@" --cflags --libs epio)
    run "pkg-config, $name" "$folder/$name"
}

by_cmake
if ! command -v pkg-config >/dev/null; then
    echo "pkg-config is not installed"
    exit 0
fi
by_pkg_config shared
# With nothing but the static library there, --static has to name all it needs.
find "$library" -name 'libepio.*' ! -name 'libepio.a' -exec rm {} +
by_pkg_config static --static
