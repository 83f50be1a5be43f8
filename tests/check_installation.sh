#!/bin/sh
# Installs what was built into a directory of its own and builds a program outside
# of the tree against it: by pkg-config, shared and static, and by CMake. Another such
# program has epio's sources in its own tree.
# Usage: check_installation.sh CMAKE BUILD-DIR CONFIGURATION CONSUMER-DIR C-COMPILER
#            [TOOLCHAIN-FILE EMULATOR LIBRARY-PREFIX COMPILER-OPTION...]
# Those for another system are built by CMake with TOOLCHAIN-FILE, by the compiler
# with its options, both with libsodium from LIBRARY-PREFIX; EMULATOR runs them.
set -eu
cmake=$1
build=$2
configuration=$3
consumer=$4
compiler=$5
shift 5
toolchain=
emulator=
if [ $# -gt 0 ]; then
    toolchain=$1
    emulator=$2
    export PKG_CONFIG_LIBDIR="$3/lib/pkgconfig" EPIO_CROSS_PREFIX="$3"
    shift 3
fi
source=$(sed -n 's/^epio_SOURCE_DIR:STATIC=//p' "$build/CMakeCache.txt")

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

fail() {
    echo "$1"
    exit 1
}

# logged COMMAND...: its output only if it fails.
logged() {
    "$@" >"$directory/log" 2>&1 || {
        cat "$directory/log"
        fail "failed: $*"
    }
}

# ---- Installing ----

# Moved after it was installed: nothing in it may know where it was.
logged "$cmake" --install "$build" --config "$configuration" --prefix "$directory/installed"
mv "$directory/installed" "$directory/prefix"
prefix=$directory/prefix
package=$(dirname "$(find "$prefix" -name epio.pc)")
library=$(dirname "$package")
# Where the program finds the shared library: elsewhere, under Wine, and on Windows.
export LD_LIBRARY_PATH="$library" DYLD_LIBRARY_PATH="$library" WINEPATH="$prefix/bin"
export PATH="$prefix/bin:$PATH"

documents=$(dirname "$(find "$prefix" -name LICENSE)")
for document in README.md CHANGELOG.md docs/locking.md; do
    [ -f "$documents/$document" ] || fail "$document is not installed beside the licence"
done
if grep -rqF "$directory/installed" "$prefix"/lib*/cmake "$package"; then
    fail "what is installed knows where it was installed"
fi

# The program is installed where it is built, and needs nothing of the build.
bench=$(find "$prefix" -name 'epio-bench' -o -name 'epio-bench.exe')
if [ -e "$build/bench/$(basename "${bench:-epio-bench}")" ]; then
    logged ${emulator:+"$emulator"} "$bench" --help
    echo "epio-bench: starts where it is installed"
fi

# A package is made of what lies under DESTDIR, as if that were the root.
staged() {
    DESTDIR=$directory/stage logged "$cmake" --install "$build" --config "$configuration" --prefix /usr
    (cd "$prefix" && find . ! -type d | sort) >"$directory/in-prefix"
    (cd "$directory/stage/usr" && find . ! -type d | sort) >"$directory/in-stage"
    cmp "$directory/in-prefix" "$directory/in-stage" || fail "DESTDIR holds other files than the prefix"
    rm -r "$directory/stage"
    echo "DESTDIR: as many files"
}

# ---- Programs ----

# The consumer's check of what it was built with and against. For Windows its file
# ends in .exe.
run() {
    program=$2
    [ -e "$program" ] || program=$program.exe
    printf '%s: ' "$1"
    (cd "$directory" && ${emulator:+"$emulator"} "$program" consumer.tmp) || fail "exit status $?"
}

# A toolchain looks for packages in its own directories and in the staging prefix.
configure() {
    if [ -n "$toolchain" ]; then
        set -- "$@" -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DCMAKE_STAGING_PREFIX="$prefix"
    else
        set -- "$@" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix"
    fi
    "$cmake" -S "$consumer" -B "$directory/cmake" -G Ninja -DCMAKE_BUILD_TYPE=Debug "$@"
}

# by_cmake NAME EXPECTED-TYPE OPTION...
by_cmake() {
    name=$1
    type=$2
    shift 2
    logged configure "$@"
    grep -qx "$type" "$directory/cmake/consumer-uses" ||
        fail "$name: $(cat "$directory/cmake/consumer-uses") instead of $type"
    logged "$cmake" --build "$directory/cmake"
    run "$name" "$directory/cmake/consumer"
}

by_package() {
    rm -rf "$directory/cmake"
    for target in epio::epio epio::epio_shared epio::epio_static; do
        type=SHARED_LIBRARY
        [ $target != epio::epio_static ] || type=STATIC_LIBRARY
        by_cmake "find_package, $target" $type -DCONSUMER_TARGET=$target
    done
}

# The objects of the first serve the second.
by_subdirectory() {
    rm -rf "$directory/cmake"
    set -- -DCONSUMER_EPIO_SOURCE="$source" \
        "$(grep -h '^EPIO_ASYNC:' "$build/CMakeCache.txt" | sed 's/^/-D/')"
    by_cmake "add_subdirectory, BUILD_SHARED_LIBS=OFF" STATIC_LIBRARY "$@" -DBUILD_SHARED_LIBS=OFF
    [ -z "$(find "$directory/cmake/epio" -name 'libepio*.so*' -o -name 'libepio*.d[ly]*')" ] ||
        fail "add_subdirectory: builds the shared library that nobody links"
    by_cmake "add_subdirectory, BUILD_SHARED_LIBS=ON" SHARED_LIBRARY "$@" -DBUILD_SHARED_LIBS=ON
}

# by_pkg_config NAME PKG-CONFIG-OPTION COMPILER-OPTION...; no option may be "".
by_pkg_config() {
    name=$1
    option=$2
    shift 2
    # The flags are words to be split.
    # shellcheck disable=SC2046
    "$compiler" "$@" -std=c11 -Wall -Wextra -Werror -o "$directory/$name" "$consumer/main.c" \
        $(pkg-config ${option:+"$option"} --cflags --libs epio)
    run "pkg-config, $name" "$directory/$name"
}

# What a program outside writes a layer and a VFS with.
examples_by_pkg_config() {
    for name in xor_layer remote_vfs; do
        # shellcheck disable=SC2046
        "$compiler" "$@" -std=c11 -Wall -Wextra -Werror -o "$directory/$name" \
            "$source/examples/$name.c" $(pkg-config --cflags --libs epio)
        run "pkg-config, $name" "$directory/$name"
    done
}

# What the README begins with, built as it says.
first_program_by_pkg_config() {
    awk '/^```c$/ { inside = ++blocks == 1; next } /^```$/ { inside = 0 } inside' \
        "$source/README.md" >"$directory/first.c"
    # shellcheck disable=SC2046
    "$compiler" "$@" -std=c11 -Wall -Wextra -Werror -o "$directory/first" "$directory/first.c" \
        $(pkg-config --cflags --libs epio)
    output=$(run "pkg-config, the README's first program" "$directory/first") || fail "$output"
    echo "$output"
    case $output in
    *"5 bytes: hello"*) ;;
    *) fail "it does not print what the README says" ;;
    esac
}

# With nothing to be found of what epio is made of: the shared library alone.
without_dependencies() {
    (
        export PKG_CONFIG_LIBDIR="$package" PKG_CONFIG_PATH=
        by_pkg_config without-libsodium '' "$@"
        rm -rf "$directory/cmake"
        if [ -n "$toolchain" ]; then
            exit 0 # it says itself where packages are
        fi
        by_cmake "find_package without libsodium" SHARED_LIBRARY
        rm -rf "$directory/cmake"
        if configure -DCONSUMER_COMPONENTS=static >"$directory/log" 2>&1; then
            fail "find_package finds a static library that cannot be linked"
        fi
        grep -q 'development files of:.*libsodium' "$directory/log" || {
            cat "$directory/log"
            fail "find_package does not say what is missing"
        }
    )
}

staged
by_package
by_subdirectory
if ! command -v pkg-config >/dev/null; then
    echo "pkg-config is not installed"
    exit 0
fi
without_dependencies "$@"
export PKG_CONFIG_PATH="$package"
by_pkg_config shared '' "$@"
if grep -q '^EPIO_ASYNC:BOOL=ON' "$build/CMakeCache.txt"; then
    examples_by_pkg_config "$@"
    first_program_by_pkg_config "$@"
fi
# Other systems need not have all the static libraries that -static asks for.
if [ -n "$toolchain" ]; then
    by_pkg_config static-beside-shared --static -static "$@"
fi
# With nothing but the static library there, --static has to name all it needs.
find "$prefix" -name 'libepio.*' ! -name 'libepio.a' -exec rm {} +
by_pkg_config static --static "$@"
