#!/bin/sh
# Kills the example `backup` at random moments, lets it go on, and verifies the copy.
#
#     check_backup.sh PROGRAM
#
# EPIO_TEST_KILLS says how often, 8 times without it. Needs timeout(1) and cmp(1).
set -u
program=${1:?usage: check_backup.sh PROGRAM}
kills=${EPIO_TEST_KILLS:-8}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/epio-backup-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

fail() {
    echo "check_backup: $1" >&2
    exit 1
}

# ---- A tree: many small files, some large ones, names that need care ----
mkdir -p "$work/from/a/b c" "$work/from/empty" || exit 2
i=0
while [ $i -lt 300 ]; do
    echo "file $i" >"$work/from/a/$i"
    i=$((i + 1))
done
for i in 1 2 3 4; do
    head -c 3000000 /dev/urandom >"$work/from/a/b c/large $i" || exit 2
done
: >"$work/from/nothing"
echo percent >"$work/from/100%41"
ln -s ../nothing "$work/from/a/link"
ln -s nowhere "$work/from/dangling"

is_whole() {
    "$program" --verify "$work/to" >"$work/verified" 2>&1 || {
        cat "$work/verified"
        fail "it does not verify"
    }
    # All that is in the one is in the other, and the list alone beside.
    diff -r --no-dereference -x .epio-backup "$work/from" "$work/to" || fail "the copy differs"
}

# ---- Killed, and run again ----
killed=0
i=0
while [ "$killed" -lt "$kills" ]; do
    i=$((i + 1))
    [ $((i % 4)) -eq 1 ] && rm -rf "$work/to"
    # From 0 to 255 ms, by the kernel's random numbers.
    delay=$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')
    if timeout -s KILL "$(printf '0.%03d' "$delay")" "$program" --fast "$work/from" "$work/to" \
        >/dev/null 2>&1; then
        : # it was quicker
    fi
    killed=$((killed + 1))
    if [ $((i % 4)) -eq 0 ]; then
        "$program" --fast "$work/from" "$work/to" >"$work/out" 2>&1 || fail "it does not go on: $(cat "$work/out")"
        is_whole
    fi
done
"$program" "$work/from" "$work/to" >"$work/out" || fail "it does not go on: $(cat "$work/out")"
is_whole

# ---- What has not changed is not copied; what has, is ----
"$program" "$work/from" "$work/to" >"$work/out" || fail "a second one fails"
grep -q '^0 files copied, ' "$work/out" || fail "a second one copies: $(cat "$work/out")"
echo longer than it was >"$work/from/a/7"
rm "$work/from/a/8"
"$program" --delete "$work/from" "$work/to" >"$work/out" || fail "a third one fails"
grep -q '^1 files copied, ' "$work/out" || fail "a third one copies: $(cat "$work/out")"
[ ! -e "$work/to/a/8" ] || fail "--delete leaves what is gone"
is_whole

# ---- Damage is seen ----
printf X | dd of="$work/to/a/b c/large 2" bs=1 seek=1234567 conv=notrunc 2>/dev/null
"$program" --verify "$work/to" >"$work/out" 2>"$work/err" && fail "damage is not seen"
grep -q 'large 2: differs' "$work/err" || fail "damage is not named: $(cat "$work/err")"

# ---- What users get wrong ----
"$program" "$work/missing" "$work/to2" 2>"$work/err" && fail "a missing source succeeds"
grep -q 'missing: no such file' "$work/err" || fail "the missing source is not named"
[ ! -e "$work/to2" ] || fail "a destination was made for nothing"
"$program" --verify 2>"$work/err" && fail "no directory succeeds"
"$program" "$work/from" "$work/from/inside" >/dev/null || fail "a destination inside fails"
[ ! -e "$work/from/inside/inside" ] || fail "the destination is in its own copy"
"$program" --progress "$work/from" "$work/to3" 2>&1 >/dev/null | grep -q '100 %' ||
    fail "there is no bar"
echo "killed $killed times"
