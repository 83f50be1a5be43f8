#!/bin/sh
# A shared library exports what its public headers declare, all of it and nothing else;
# the static one defines nothing outside its prefixes, and can be linked into a static program
# without a warning. Each of these functions is in a table
# of the tests named, which try what it does with NULL.
# Usage: check_symbols.sh LIBRARY INCLUDE-DIR HEADERS EPIO_ASYNC C-COMPILER STATIC SHARED TESTS
# LIBRARY is epio or epio-sqlite, which mark what they declare in different ways. HEADERS are
# names, TESTS files, both separated by blanks. HEADERS may be `all`, SHARED and TESTS `none`.
set -u
library=$1
include=$2
headers=$3
async=$4
compiler=$5
static=$6
shared=$7
tests=$8
failed=0

# glib.h needs GLib's headers, and declares nothing of the library.
[ "$headers" != all ] || headers=$(cd "$include/epio" && ls -- *.h | grep -vx 'glib\.h')
case $library in
epio) macro=EPIO_API public='epio_[a-z]' defined='epio_' ;;
epio-sqlite)
    macro=EPIO_SQLITE_API
    public='epio_(sqlite|db|rows)_[a-z]'
    defined='epio__?(sqlite|db|rows)_'
    ;;
esac

command -v nm >/dev/null || {
    echo "nm is not installed"
    exit 77
}

# The names of an nm listing, without the underscore that macOS puts first.
names() {
    if [ "$(uname)" = Darwin ]; then
        awk 'NF == 3 { sub(/^_/, "", $3); print $3 }'
    else
        awk 'NF == 3 { print $3 }'
    fi | sort -u
}

exported() {
    if [ "${shared%.dll}" != "$shared" ]; then
        objdump -p "$shared" | awk '
            /^\[Ordinal\/Name Pointer\] Table/ { inside = 1; next }
            inside && /^\t\[/ { print $NF }
            inside && !/^\t/ { inside = 0 }' | sort -u
    elif [ "$(uname)" = Darwin ]; then
        nm -g "$shared" | awk '$2 != "U"' | names
    else
        nm -D --defined-only "$shared" | names
    fi
}

# What the macro stands before: the word in front of the first parenthesis.
declared() {
    for header in $headers; do
        "$compiler" -std=c11 -E -P -DEPIO_ASYNC="$async" "-D$macro=EXPORTED" -I"$include" \
            -x c "$include/epio/$header"
    done | tr '\n' ' ' | grep -o 'EXPORTED [^(;]*(' | sed 's/ *($//; s/.*[ *]//' | sort -u
}

# complain TEXT NAMES: a failure unless there are none.
complain() {
    if [ -n "$2" ]; then
        echo "$1:"
        echo "$2" | sed 's/^/    /'
        failed=1
    fi
}

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
declared >"$directory/declared"
if [ ! -s "$directory/declared" ]; then
    echo "found no declarations at all"
    exit 1
fi

if [ "$shared" != none ]; then
    exported >"$directory/exported"
    complain "the shared library exports what is not of $library" \
        "$(grep -vE "^$public" "$directory/exported")"
    complain "exported, but in no header" "$(comm -23 "$directory/exported" "$directory/declared")"
    complain "in a header, but not exported" "$(comm -13 "$directory/exported" "$directory/declared")"
fi
# (.refptr. is how objects of mingw-w64 find the variables of a DLL.)
nm -g "$static" | awk 'NF == 3 && $2 != "U"' | names | grep -v "^\.refptr\." >"$directory/defined"
complain "the static library defines what is not of $library" \
    "$(grep -vE "^(\.refptr\.)?$defined" "$directory/defined")"
complain "in a header, but not in the static library" \
    "$(comm -23 "$directory/declared" "$directory/defined")"
# What a C library finds by its shared parts: the linker warns of it in a static program.
complain "the static library needs shared ones when it runs" \
    "$(nm -u "$static" | sed 's/.* _\{0,1\}//' | grep -E '^(getpw|getgr|getaddrinfo|gethost|dlopen|iconv_open)' | sort -u)"

if [ "$tests" != none ]; then
    # Between the tables' first line and the first function that uses them.
    for test in $tests; do
        sed -n '/^#define NULL_[A-Z]*(X)/,/^static /p' "$test"
    done | grep -o 'epio_[a-z_]*(' | tr -d '(' | sort -u >"$directory/tried"
    complain "in a header, but not tried with NULL in $tests" \
        "$(comm -23 "$directory/declared" "$directory/tried")"
fi
exit $failed
