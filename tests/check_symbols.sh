#!/bin/sh
# The shared library exports what the public headers declare, all of it and
# nothing else; the static one defines nothing outside epio's two prefixes. Each of these
# functions is in a table of test_misuse.c, which tries what it does with NULL.
# Usage: check_symbols.sh INCLUDE-DIR EPIO_ASYNC C-COMPILER STATIC SHARED TESTS
set -u
include=$1
async=$2
compiler=$3
static=$4
shared=$5
tests=$6
failed=0

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

# What EPIO_API stands before: the word in front of the first parenthesis.
declared() {
    for header in "$include"/epio/*.h; do
        case $header in */sqlite.h | */db.h) continue ;; esac # of the other library
        "$compiler" -std=c11 -E -P -DEPIO_ASYNC="$async" -DEPIO_API=EXPORTED -I"$include" \
            -x c "$header"
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
exported >"$directory/exported"
declared >"$directory/declared"
# Between the tables' first line and the first function that uses them.
sed -n '/^#define NULL_ABORTS/,/^static /p' "$tests/test_misuse.c" | grep -o 'epio_[a-z_]*(' |
    tr -d '(' | sort -u >"$directory/tried"
if [ ! -s "$directory/exported" ] || [ ! -s "$directory/declared" ]; then
    echo "found no symbols at all"
    exit 1
fi

complain "the shared library exports what is not epio_'s" \
    "$(grep -v '^epio_[a-z]' "$directory/exported")"
complain "exported, but in no header" "$(comm -23 "$directory/exported" "$directory/declared")"
complain "in a header, but not exported" "$(comm -13 "$directory/exported" "$directory/declared")"
if [ "$async" = 1 ]; then
    complain "in a header, but not tried with NULL in tests/test_misuse.c" \
        "$(comm -23 "$directory/declared" "$directory/tried")"
fi
complain "the static library defines what is not epio_'s or epio__'s" \
    "$(nm -g "$static" | awk 'NF == 3 && $2 != "U"' | names | grep -vE '^(\.refptr\.)?epio_')"
exit $failed
