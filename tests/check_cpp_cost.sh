#!/bin/sh
# Counts, by valgrind, the instructions of a cached read that a coroutine awaits, and of one
# with a callback: at most 60 more.
# Usage: check_cpp_cost.sh TEST-CPP-COST, as build/dev/tests/test_cpp_cost
set -eu
program=${1:?usage: check_cpp_cost.sh TEST-CPP-COST, as build/dev/tests/test_cpp_cost}
if [ ! -x "$program" ]; then
    echo "$program is not there: cmake --build --preset dev --target test_cpp_cost builds it" >&2
    exit 2
fi
if ! command -v valgrind >/dev/null; then
    echo "valgrind is not installed"
    exit 77
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# instructions WAY COUNT: of a whole run.
instructions() {
    EPIO_BACKEND=epoll valgrind --tool=callgrind --callgrind-out-file="$directory/out" \
        "$program" "$1" "$2" >"$directory/log" 2>&1 || {
        cat "$directory/log" >&2
        exit 1
    }
    sed -n 's/^\(summary\|totals\): *//p' "$directory/out" | head -n 1
}

# of_one WAY: of one read.
of_one() {
    few=$(instructions "$1" 1000)
    many=$(instructions "$1" 11000)
    echo $(((many - few) / 10000))
}

callback=$(of_one callback)
awaited=$(of_one await)
difference=$((awaited - callback))
echo "instructions of a cached read: by callback $callback, awaited $awaited, $difference more"
[ "$difference" -le 60 ] || {
    echo "more than 60"
    exit 1
}
