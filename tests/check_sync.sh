#!/bin/sh
# Changes a directory in all ways while the example `sync` mirrors it, stops and kills that in the
# middle, and compares.
#
#     check_sync.sh PROGRAM
#
# EPIO_TEST_EFFORT says how often, 1 without it. Needs find(1) with -printf.
set -u
program=${1:?usage: check_sync.sh PROGRAM}
effort=${EPIO_TEST_EFFORT:-1}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/epio-sync-XXXXXX") || exit 2
pid=
leave() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    chmod -R u+rwx "$work" 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT

fail() {
    echo "check_sync: $1" >&2
    tail -n 20 "$work/log" "$work/err" >&2
    exit 1
}

from=$work/from
to=$work/to
mkdir "$from" || exit 2
: >"$work/log"
: >"$work/err"

# ---- What is the same ----

list() {
    (cd "$1" && find . ! -type p -printf '%p %y %m %T@ %l\n' | sort)
}

# Names, bytes, types, modes, times, and nothing beside.
is_same() {
    diff -r --no-dereference -x fifo "$from" "$to" >"$work/diff" 2>&1 ||
        fail "$1: the trees differ: $(head -20 "$work/diff")"
    list "$from" >"$work/list1"
    list "$to" >"$work/list2"
    diff "$work/list1" "$work/list2" >"$work/diff" || fail "$1: $(head -20 "$work/diff")"
}

start() {
    : >"$work/log"
    "$program" --verbose "$@" "$from" "$to" >"$work/log" 2>>"$work/err" &
    pid=$!
    wait_for_line '^idle$'
}

wait_for_line() {
    while ! grep -q "$1" "$work/log"; do
        kill -0 "$pid" 2>/dev/null || fail "it has ended"
        sleep 0.05
    done
}

# Until what was changed before this is mirrored: a file that is made now is, and then all is.
marker=0
wait_until_idle() {
    marker=$((marker + 1))
    echo $marker >"$from/marker.$marker"
    wait_for_line "^copy marker.$marker\$"
    until awk -v marker="copy marker.$marker" \
        '$0 == marker { seen = 1 } seen && $0 == "idle" { idle = 1 } END { exit !idle }' "$work/log"; do
        kill -0 "$pid" 2>/dev/null || fail "it has ended"
        sleep 0.05
    done
}

stop() {
    kill "-$1" "$pid"
    wait "$pid" 2>/dev/null
    status=$?
    pid=
}

# ---- Changes of all kinds, always the same ones ----

seed=1
random() { # below $1, in $number
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    number=$((seed / 65536 % $1))
}

some_directory() {
    random 6
    directory=$from/d$number
    random 3
    directory=$directory/e$number
    mkdir -p "$directory"
}

change() {
    some_directory
    random 10
    name=$directory/f$number
    random 17
    case $number in
    0 | 1 | 2) echo "made $1" >"$name" ;;
    3) echo "appended $1" >>"$name" ;;
    4) echo "replaced $1" >"$directory/.new" && mv -f "$directory/.new" "$name" ;;
    5) rm -f "$name" ;;
    6) mkdir -p "$directory/deep/er/$1" && echo "$1" >"$directory/deep/er/$1/file" ;;
    7) rm -rf "$directory" ;;
    8) rm -rf "$directory/moved" && mkdir "$directory/moved" && echo 1 >"$directory/moved/a" &&
        mv "$directory/moved" "$from/moved.$1" ;;
    9) rm -rf "$from/other" && mv "$directory" "$from/other" ;;
    10) rm -rf "$work/outside" && mv "$directory" "$work/outside" ;;
    11) [ ! -e "$work/outside" ] || mv "$work/outside" "$directory/back.$1" ;;
    12) ln -sfn "../f$1" "$directory/link" ;;
    13) [ ! -e "$name" ] || chmod $((600 + $1 % 8)) "$name" ;;
    14) [ ! -e "$name" ] || touch -d @$((1000000000 + $1)) "$name" ;;
    15) chmod 7$(($1 % 8))5 "$directory" ;;
    16) head -c 300000 /dev/urandom >"$name" ;;
    esac
}

# Two names of the same size and time exchange what they have.
exchange() {
    mkdir "$from/$1" "$from/$1/p" "$from/$1/q"
    echo 1 >"$from/$1/p/f"
    echo 2 >"$from/$1/q/f"
    touch -d @1000000000 "$from/$1/p/f" "$from/$1/q/f"
    [ "$2" = now ] || wait_until_idle
    mv "$from/$1/p" "$from/$1/z"
    mv "$from/$1/q" "$from/$1/p"
    mv "$from/$1/z" "$from/$1/q"
    mv "$from/$1/p/f" "$from/$1/t"
    mv "$from/$1/q/f" "$from/$1/p/f"
    mv "$from/$1/t" "$from/$1/q/f"
}

# ---- A full pass ----

i=0
while [ $i -lt 200 ]; do
    change $i
    i=$((i + 1))
done
mkfifo "$from/fifo"
echo read-only >"$directory/read-only"
mkdir "$from/closed" && echo x >"$from/closed/x" && chmod 555 "$from/closed"
"$program" --dry-run "$from" "$to" >"$work/log" 2>"$work/err" || fail "a dry run fails"
grep -q '^copy closed/x$' "$work/log" || fail "a dry run does not say what it would do"
[ ! -e "$to" ] || fail "a dry run makes the target"
"$program" --once --progress "$from" "$to" >"$work/log" 2>"$work/err" || fail "a full pass fails"
grep -q 'fifo: neither file, directory nor link; skipped' "$work/err" || fail "a FIFO is not named"
grep -q '[1-9] files, [0-9]* of [0-9]* MiB' "$work/err" || fail "there is no progress"
files=$(find "$from" -type f -o -type l | wc -l)
directories=$(($(find "$from" -type d | wc -l) - 1))
grep -Eqx "$files files copied, [0-9]+ bytes, $directories directories made" "$work/log" ||
    fail "no summary of $files files and $directories directories"
is_same "a full pass"
"$program" --once --verbose "$from" "$to" >"$work/log" 2>/dev/null || fail "a second pass fails"
[ ! -s "$work/log" ] || fail "a second pass does something"
"$program" --once "$from" "$to" >"$work/log" 2>/dev/null || fail "another pass fails"
grep -qx '0 files copied, 0 bytes' "$work/log" || fail "it does not say that it did nothing"
echo beside >"$to/beside"
mkdir "$to/d9" && echo 1 >"$to/d9/1"
chmod 555 "$to/d9"
"$program" --once "$from" "$to" 2>/dev/null || fail "a third pass fails"
[ -e "$to/beside" ] || fail "without --delete it removes"
[ -e "$to/d9/1" ] || fail "without --delete it removes"
"$program" --once --delete "$from" "$to" >"$work/log" 2>/dev/null || fail "--delete fails"
is_same "--delete"
grep -qx '0 files copied, 0 bytes, 2 removed' "$work/log" || fail "the summary lacks what was removed"
echo quietly >"$from/quiet"
"$program" --dry-run -q "$from" "$to" >"$work/log" || fail "a quiet dry run fails"
[ ! -s "$work/log" ] || fail "a dry run is not quiet"
"$program" --once -q --progress "$from" "$to" >"$work/log" 2>"$work/err" || fail "-q fails"
[ ! -s "$work/log" ] && ! grep -v skipped "$work/err" || fail "-q is not quiet"
is_same "-q"

# ---- What is wrong ----

for paths in "$from $from" "$from $from/d1" "$from/closed $from" "$from $from/new"; do
    # shellcheck disable=SC2086 # two words
    "$program" --once $paths 2>/dev/null
    [ $? -eq 2 ] || fail "$paths is not refused"
done
[ ! -e "$from/new" ] || fail "a target that is refused was made"
"$program" --once "$from" 2>/dev/null
[ $? -eq 2 ] || fail "one directory is enough"
"$program" --once --often "$from" "$to" 2>/dev/null
[ $? -eq 2 ] || fail "it knows --often"
"$program" --once "$work/missing" "$to" 2>"$work/err" && fail "a missing source succeeds"
grep -q 'missing: no such file' "$work/err" || fail "the missing source is not named"
"$program" --help | grep -q '^Usage: sync' || fail "no help"
mkdir "$to/blocked" && echo 1 >"$to/blocked/1"
echo file >"$from/blocked"
echo other >"$from/other file"
"$program" --once "$from" "$to" 2>"$work/err" && fail "an error is not in the status"
grep -q 'blocked: there is a directory in its place' "$work/err" || fail "an error is not named"
[ -e "$to/other file" ] || fail "an error ends it"
: >"$work/err"

# ---- Mirrored ----

start --delete
is_same "the first pass of a watch"
round=0
changes=0
while [ $round -lt $((effort * 4)) ]; do
    i=0
    while [ $i -lt 150 ]; do
        changes=$((changes + 1))
        change $changes
        i=$((i + 1))
    done
    wait_until_idle
    is_same "round $round"
    round=$((round + 1))
done
exchange now now
exchange later later
chmod u+w "$from/closed" && mv "$from/closed" "$from/opened" && echo 2 >"$from/opened/y"
chmod 555 "$from/opened"
wait_until_idle
is_same "exchanged"
chmod 755 "$from/opened" && rm -r "$from/opened"
wait_until_idle
is_same "what was read-only is removed"

# ---- Written while it is copied; what is replaced is whole at every moment ----

number_file() {
    yes "$1" | head -n 30000 >"$from/new" && mv -f "$from/new" "$from/numbers"
}
number_file 0
wait_until_idle
(
    while [ ! -e "$work/enough" ]; do
        awk 'NR == 1 { first = $0 } $0 != first { exit 1 } END { exit NR != 30000 }' "$to/numbers" ||
            echo part >>"$work/parts"
    done
) &
reader=$!
head -c 60000000 /dev/urandom >"$from/large"
i=0
while [ $i -lt $((effort * 40)) ]; do
    number_file $i
    echo $i >>"$from/large"
    sleep 0.03 # so that some are copied in between
    i=$((i + 1))
done
wait_until_idle
: >"$work/enough"
wait $reader
[ ! -e "$work/parts" ] || fail "a file in part was seen $(wc -l <"$work/parts") times"
is_same "written while it is copied"
[ "$(grep -c '^copy large$' "$work/log")" -lt $((effort * 40)) ] || fail "writes are not coalesced"

# ---- More than the system remembers ----

mkdir "$from/many"
echo before >"$from/changed"
touch -d @1000000000 "$from/changed"
wait_until_idle
kill -STOP "$pid"
limit=$(cat /proc/sys/fs/inotify/max_queued_events 2>/dev/null || echo 16384)
i=0
while [ $i -lt $((limit / 2 + 500)) ] && [ $i -lt 20000 ]; do
    echo $i >"$from/many/$i"
    i=$((i + 1))
done
echo afterw >"$from/changed"
touch -d @1000000000 "$from/changed"
rm -rf "$from/other"
kill -CONT "$pid"
wait_until_idle
is_same "after an overflow"
grep -q '^overflow' "$work/log" || echo "no overflow came of $i files"

# ---- Ended ----

stop TERM
[ $status -eq 0 ] || fail "terminated, its status is $status"
[ ! -s "$work/err" ] || ! grep -v skipped "$work/err" || fail "it complains"
start
stop INT
[ $status -eq 0 ] || fail "interrupted, its status is $status"

# ---- Killed, and started again ----

killed=0
left=0
while [ $killed -lt $((effort * 4)) ]; do
    start --delete
    i=0
    while [ $i -lt 20 ]; do
        changes=$((changes + 1))
        change $changes
        i=$((i + 1))
    done
    i=0
    while [ $i -lt 16 ]; do
        dd if="$from/large" of="$from/large.$i" bs=1M count=8 skip=$(((i + killed) % 40)) 2>/dev/null
        i=$((i + 1))
    done
    wait_for_line '^copy large.'
    stop KILL
    killed=$((killed + 1))
    left=$((left + $(find "$to" -name '.*.saving*' | wc -l)))
done
start --delete
wait_until_idle
is_same "after it was killed"
[ -z "$(find "$to" -name '.*saving*')" ] || fail "something is left of a copy"
stop INT
[ $status -eq 0 ] || fail "interrupted, its status is $status"
echo "$changes changes, killed $killed times in which $left files were not whole yet"
