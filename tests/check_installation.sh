#!/bin/sh
# Installs what was built into a directory of its own and builds programs outside
# of the tree against it, one that uses epio and one that uses epio-sqlite: by pkg-config,
# shared and static, and by CMake. Others have epio's sources in their own tree.
# Usage: check_installation.sh CMAKE BUILD-DIR CONFIGURATION CONSUMER-DIR C-COMPILER
#            [TOOLCHAIN-FILE EMULATOR LIBRARY-PREFIX COMPILER-OPTION...]
# Those for another system are built by CMake with TOOLCHAIN-FILE, by the compiler
# with its options, both with libsodium and the like from LIBRARY-PREFIX; EMULATOR runs them.
set -eu
# shellcheck source=tests/support/links.sh
. "$(dirname "$0")/support/links.sh"
cmake=$1
build=$2
configuration=$3
consumer=$4
compiler=$5
shift 5
toolchain=
emulator=
cross=
if [ $# -gt 0 ]; then
    toolchain=$1
    emulator=$2
    cross=$3
    export PKG_CONFIG_LIBDIR="$cross/lib/pkgconfig" EPIO_CROSS_PREFIX="$cross"
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
export LD_LIBRARY_PATH="$library" DYLD_LIBRARY_PATH="$library" WINEPATH="$prefix/bin;$cross/bin"
export PATH="$prefix/bin:$PATH"

documents=$(dirname "$(find "$prefix" -name LICENSE)")
for document in README.md CHANGELOG.md docs/locking.md; do
    [ -f "$documents/$document" ] || fail "$document is not installed beside the licence"
done
# The headers lie elsewhere than in the tree, and some may be missing.
dead=$(find "$documents" -name '*.md' | while read -r document; do dead_links "$document"; done)
[ -z "$dead" ] || fail "installed links lead nowhere: $dead"
# Which kinds of epio-sqlite there are; headers and a module for pkg-config if there are any.
sqlite_kinds=
for kind in shared static; do
    if [ -e "$library/cmake/epio/epio-sqlite-$kind-targets.cmake" ]; then
        sqlite_kinds="$sqlite_kinds $kind"
    fi
done
async=$(sed -n 's/^EPIO_ASYNC:BOOL=//p' "$build/CMakeCache.txt")

# installed_with CONDITION FILE: it is there exactly if the condition holds.
installed_with() {
    if [ "$1" = true ]; then
        [ -e "$2" ] || fail "$2 is not installed"
    else
        [ ! -e "$2" ] || fail "$2 is installed, but not what it is for"
    fi
}
has_sqlite=$([ -z "$sqlite_kinds" ] || echo true)
installed_with "$has_sqlite" "$prefix/include/epio/sqlite.h"
installed_with "$has_sqlite" "$package/epio-sqlite.pc"
installed_with "$([ "$async" != ON ] || echo "$has_sqlite")" "$prefix/include/epio/db.h"

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
        by_cmake "find_package, $target" "$(type_of $target)" -DCONSUMER_TARGET=$target
    done
}

type_of() {
    case $1 in
    *_static) echo STATIC_LIBRARY ;;
    *) echo SHARED_LIBRARY ;;
    esac
}

# The objects of the first serve the others.
by_subdirectory() {
    rm -rf "$directory/cmake"
    set -- -DCONSUMER_EPIO_SOURCE="$source" \
        "$(grep -h '^EPIO_ASYNC:' "$build/CMakeCache.txt" | sed 's/^/-D/')"
    by_cmake "add_subdirectory, BUILD_SHARED_LIBS=OFF" STATIC_LIBRARY "$@" -DBUILD_SHARED_LIBS=OFF
    [ -z "$(find "$directory/cmake/epio" -name 'libepio*.so*' -o -name 'libepio*.d[ly]*' \
        -o -name 'libepio-sqlite*')" ] ||
        fail "add_subdirectory: builds a library that nobody links"
    by_cmake "add_subdirectory, BUILD_SHARED_LIBS=ON" SHARED_LIBRARY "$@" -DBUILD_SHARED_LIBS=ON
    for kind in $sqlite_kinds; do
        target=epio::sqlite_$kind
        sqlite_by_cmake "add_subdirectory, $target" "$target" "$@" \
            -DBUILD_SHARED_LIBS="$([ "$kind" = static ] || echo ON)"
    done
}

# sqlite_by_cmake NAME TARGET OPTION...: with the program's SQLite of the kind that the target is.
sqlite_by_cmake() {
    name=$1
    target=$2
    type=$(type_of "$target")
    shift 2
    set -- "$@" -DCONSUMER_SQLITE=ON -DCONSUMER_TARGET="$target"
    if [ -e "$cross/lib/libsqlite3.dll.a" ]; then
        sqlite=libsqlite3.dll.a
        [ "$type" != STATIC_LIBRARY ] || sqlite=libsqlite3.a
        set -- "$@" -DSQLite3_LIBRARY="$cross/lib/$sqlite"
    fi
    by_cmake "$name" "$type" "$@"
}

sqlite_by_package() {
    rm -rf "$directory/cmake"
    for kind in $sqlite_kinds; do
        # epio::sqlite is shared, as epio::epio is.
        for target in epio::sqlite_$kind $([ "$kind" = static ] || echo epio::sqlite); do
            sqlite_by_cmake "find_package, $target" "$target" -DCONSUMER_COMPONENTS="${target#epio::}"
        done
    done
}

# refused COMPONENT TEXT OPTION...: find_package of it fails, and says why.
refused() {
    component=$1
    text=$2
    shift 2
    rm -rf "$directory/cmake"
    if configure -DCONSUMER_COMPONENTS="$component" "$@" >"$directory/log" 2>&1; then
        fail "find_package finds the component $component, which cannot be there"
    fi
    # CMake breaks lines.
    tr -s '\n ' '  ' <"$directory/log" | grep -q "$text" || {
        cat "$directory/log"
        fail "find_package does not say why there is no $component"
    }
}

# Where epio-sqlite is not installed, and where SQLite is not.
without_sqlite() {
    case $sqlite_kinds in
    *static*)
        refused sqlite_static 'epio::sqlite_static needs the development files of: SQLite' \
            -DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON
        ;;
    esac
    mkdir "$directory/aside"
    find "$library/cmake/epio" -name 'epio-sqlite-*' -exec mv {} "$directory/aside" \;
    refused sqlite 'epio::sqlite_[a-z]* is not installed'
    find "$directory/aside" -type f -exec mv {} "$library/cmake/epio" \;
}

# compile SOURCE MODULES PKG-CONFIG-OPTION PROGRAM COMPILER-OPTION...; no option may be "".
compile() {
    compiled=$1
    modules=$2
    option=$3
    program=$4
    shift 4
    # The flags are words to be split, as the modules are.
    # shellcheck disable=SC2046,SC2086
    "$compiler" "$@" -std=c11 -Wall -Wextra -Werror -o "$program" "$compiled" \
        $(pkg-config ${option:+"$option"} --cflags --libs $modules)
}

# by_pkg_config NAME PKG-CONFIG-OPTION COMPILER-OPTION...
by_pkg_config() {
    name=$1
    option=$2
    shift 2
    compile "$consumer/main.c" epio "$option" "$directory/$name" "$@"
    run "pkg-config, $name" "$directory/$name"
    if [ -n "$sqlite_kinds" ] && pkg-config --exists sqlite3; then
        compile "$consumer/sqlite.c" 'epio-sqlite sqlite3' "$option" "$directory/sqlite-$name" "$@"
        run "pkg-config, epio-sqlite, $name" "$directory/sqlite-$name"
    fi
}

# What a program outside writes a layer and a VFS with.
examples_by_pkg_config() {
    for name in xor_layer remote_vfs; do
        compile "$source/examples/$name.c" epio '' "$directory/$name" "$@"
        run "pkg-config, $name" "$directory/$name"
    done
}

# What the README begins with, built as it says.
first_program_by_pkg_config() {
    awk '/^```c$/ { inside = ++blocks == 1; next } /^```$/ { inside = 0 } inside' \
        "$source/README.md" >"$directory/first.c"
    compile "$directory/first.c" epio '' "$directory/first" "$@"
    output=$(run "pkg-config, the README's first program" "$directory/first") || fail "$output"
    echo "$output"
    case $output in
    *"5 bytes: hello"*) ;;
    *) fail "it does not print what the README says" ;;
    esac
    output=$(EPIO_BACKEND=urnig run "with a backend that is not there" "$directory/first" 2>&1) &&
        fail "a backend that is not there is found"
    case $output in
    *"no loop: unknown backend 'urnig' in EPIO_BACKEND; there are "*) ;;
    *) fail "the README's first program does not say why there is no loop: $output" ;;
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
        refused static 'development files of:.*libsodium'
    )
}

staged
by_package
sqlite_by_package
without_sqlite
by_subdirectory
if ! command -v pkg-config >/dev/null; then
    echo "pkg-config is not installed"
    exit 0
fi
without_dependencies "$@"
export PKG_CONFIG_PATH="$package"
by_pkg_config shared '' "$@"
if [ "$async" = ON ]; then
    examples_by_pkg_config "$@"
    first_program_by_pkg_config "$@"
fi
# Other systems need not have all the static libraries that -static asks for.
if [ -n "$toolchain" ]; then
    by_pkg_config static-beside-shared --static -static "$@"
fi
# With nothing but the static library there, --static has to name all it needs.
find "$prefix" -name 'libepio*' ! -name 'libepio.a' ! -name 'libepio-sqlite.a' -exec rm {} +
by_pkg_config static --static "$@"
