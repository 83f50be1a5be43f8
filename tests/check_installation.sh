#!/bin/sh
# Installs what was built into a folder of its own and builds a program outside
# of the tree against it: by pkg-config, shared and static, and by CMake.
# Usage: check_installation.sh CMAKE BUILD-DIR CONSUMER-DIR C-COMPILER
#            [TOOLCHAIN-FILE EMULATOR LIBRARY-PREFIX COMPILER-OPTION...]
# Those for another system are built by CMake with TOOLCHAIN-FILE, by the compiler
# with its options, both with libsodium from LIBRARY-PREFIX; EMULATOR runs them.
set -eu
cmake=$1
build=$2
consumer=$3
compiler=$4
shift 4
toolchain=
emulator=
if [ $# -gt 0 ]; then
    toolchain=$1
    emulator=$2
    export PKG_CONFIG_LIBDIR="$3/lib/pkgconfig" EPIO_CROSS_PREFIX="$3"
    shift 3
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
installed=$folder/installed
# Moved after it was installed: nothing in it may know where it was.
"$cmake" --install "$build" --prefix "$installed" >"$folder/log"
mv "$installed" "$folder/prefix"
prefix=$folder/prefix
library=$(dirname "$(find "$prefix" -name libepio.a)")
# Where the program finds the shared library; the last is Wine's.
export LD_LIBRARY_PATH="$library" DYLD_LIBRARY_PATH="$library" WINEPATH="$prefix/bin"

# The consumer's check of what it was built with and against. For Windows its file
# ends in .exe.
run() {
    program=$2
    [ -e "$program" ] || program=$program.exe
    printf '%s: ' "$1"
    (cd "$folder" && ${emulator:+"$emulator"} "$program" consumer.tmp) || {
        echo "exit status $?"
        exit 1
    }
}

# A toolchain looks for packages in its own folders and in the staging prefix.
configure() {
    if [ -n "$toolchain" ]; then
        set -- "$@" -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DCMAKE_STAGING_PREFIX="$prefix"
    else
        set -- "$@" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix"
    fi
    "$cmake" -S "$consumer" -B "$folder/cmake" -G Ninja "$@"
}

by_cmake() {
    for target in epio::epio epio::epio_static epio::epio_shared; do
        rm -rf "$folder/cmake"
        configure -DCONSUMER_TARGET=$target >"$folder/log" || { cat "$folder/log" && exit 1; }
        "$cmake" --build "$folder/cmake" >"$folder/log" || { cat "$folder/log" && exit 1; }
        run "find_package, $target" "$folder/cmake/consumer"
    done
}

# by_pkg_config NAME PKG-CONFIG-OPTION COMPILER-OPTION...; no option may be "".
by_pkg_config() {
    name=$1
    option=$2
    shift 2
    # The flags are words to be split.
    # shellcheck disable=SC2046
    "$compiler" "$@" -std=c11 -Wall -Wextra -Werror -o "$folder/$name" "$consumer/main.c" \
        $(PKG_CONFIG_PATH="$library/pkgconfig" pkg-config ${option:+"$option"} --cflags --libs epio)
    run "pkg-config, $name" "$folder/$name"
}

by_cmake
if ! command -v pkg-config >/dev/null; then
    echo "pkg-config is not installed"
    exit 0
fi
by_pkg_config shared '' "$@"
# Other systems need not have all the static libraries that -static asks for.
if [ -n "$toolchain" ]; then
    by_pkg_config static-beside-shared --static -static "$@"
fi
# With nothing but the static library there, --static has to name all it needs.
find "$prefix" -name 'libepio.*' ! -name 'libepio.a' -exec rm {} +
by_pkg_config static --static "$@"
