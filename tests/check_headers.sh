#!/bin/sh
# Each public header compiles alone, as C11 and as C++17, with and without the
# asynchronous half, and so do the macros that take arguments. In C++ no cast is C's.
# Usage: check_headers.sh INCLUDE-DIR C-COMPILER [C++-COMPILER]
set -u
include=$1
c_compiler=$2
cxx_compiler=${3:-}
failed=0

# What a user writes with the header: a macro is compiled only where it is used.
use() {
    case $1 in
    compiler.h) echo 'EPIO_API void declared(void);' ;;
    epio.h) echo 'uint32_t flags(int mode); uint32_t flags(int mode) { return EPIO_OPEN_PERMISSIONS(mode); }' ;;
    esac
}

# What the compiler needs for the library that a header is for. False: it is not installed.
options() {
    case $1 in
    glib.h) module=glib-2.0 ;;
    qt.hpp) module=Qt6Core ;;
    *) return 0 ;;
    esac
    # What is wrong with its headers is not ours to mend.
    pkg-config --cflags "$module" 2>/dev/null | sed 's/-I/-isystem /g' | grep .
}

# compile HEADER COMMAND...: the header is all that is compiled, but for its use.
compile() {
    header=${1#"$include"/epio/}
    shift
    if ! flags=$(options "$header"); then
        echo "$header: not compiled, as what it needs is not installed"
        return
    fi
    # Options are words to be split.
    # shellcheck disable=SC2086
    for async in 0 1; do
        if ! { printf '#include <epio/%s>\n' "$header" && use "$header"; } |
            "$@" -pedantic-errors -Wall -Wextra -Wconversion -Werror -fsyntax-only \
                -DEPIO_ASYNC=$async -I"$include" $flags -; then
            echo "$header: does not compile alone by $* with EPIO_ASYNC=$async"
            failed=1
        fi
    done
}

for header in "$include"/epio/*.h; do
    compile "$header" "$c_compiler" -std=c11 -x c
    case $cxx_compiler in
    '' | *NOTFOUND) echo "no C++ compiler: ${header##*/} was tried as C alone" ;;
    *) compile "$header" "$cxx_compiler" -std=c++17 -Wold-style-cast -Wzero-as-null-pointer-constant -x c++ ;;
    esac
done
for header in "$include"/epio/qt.hpp; do
    case $cxx_compiler in
    '' | *NOTFOUND) ;;
    *) compile "$header" "$cxx_compiler" -std=c++17 -fPIC -Wold-style-cast -x c++ ;;
    esac
done
# Those for C++: as a whole as C++17 and C++20, without exceptions, by each compiler that there is;
# and its parts, each alone.
for cxx in "$cxx_compiler" g++ clang++; do
    case $cxx in
    '' | *NOTFOUND) continue ;;
    esac
    if ! command -v "$cxx" >/dev/null || { [ "$cxx" != "$cxx_compiler" ] &&
        [ "$("$cxx" --version)" = "$("$cxx_compiler" --version 2>/dev/null)" ]; }; then
        continue
    fi
    for options in -std=c++17 -std=c++20 '-std=c++20 -fno-exceptions -fno-rtti'; do
        # Options are words to be split.
        # shellcheck disable=SC2086
        compile "$include/epio/epio.hpp" "$cxx" $options -Wpedantic -Wshadow -Wold-style-cast \
            -Wnon-virtual-dtor -x c++
    done
done
for header in "$include"/epio/cpp/*.hpp; do
    case $cxx_compiler in
    '' | *NOTFOUND) ;;
    *) compile "$header" "$cxx_compiler" -std=c++20 -Wold-style-cast -x c++ ;;
    esac
done
exit $failed
