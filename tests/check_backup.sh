#!/bin/sh
# Kills the example `backup` at random moments, lets it go on, and verifies the copy; then all else
# that it says it does, and what users get wrong.
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
grep -q '^1 file copied, .* 1 removed, 0 errors$' "$work/out" || fail "a third one copies: $(cat "$work/out")"
[ ! -e "$work/to/a/8" ] || fail "--delete leaves what is gone"
is_whole

# run WHAT STATUS ARGUMENT...: what it printed is in out and err.
run() {
    what=$1
    expected=$2
    shift 2
    $as "$program" "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$expected" ] || fail "$what: status $status: $(cat "$work/out" "$work/err")"
}

says() {
    grep -q -- "$1" "$work/out" "$work/err" ||
        fail "$what: no \"$1\": $(cat "$work/out" "$work/err")"
}

is_same() {
    diff -r --no-dereference -x .epio-backup "$1" "$2" || fail "$what: the copy differs"
}

as=
cd "$work" || exit 2

# ---- Damage is seen, and mended ----
printf damage | dd of="to/a/b c/large 2" bs=1 seek=1234567 conv=notrunc 2>/dev/null
run "damage" 1 --verify to
says 'large 2: differs'
says '^304 files as backed up, 1 not$'
says 'backup --verify SOURCE DESTINATION copies'
run "damage with another time" 0 from to
says '^1 file copied, '
printf damage | dd of="to/a/b c/large 2" bs=1 seek=1234567 conv=notrunc 2>/dev/null
touch -r "from/a/b c/large 2" "to/a/b c/large 2"
run "damage that no time shows" 0 from to
says '^0 files copied, '
run "mending" 0 --verify from to
says 'large 2: differed'
says '^1 file copied, 304 unchanged, '
run "what was mended" 0 --verify to
is_whole

# ---- A list that is missing, or not what was written ----
mkdir none
run "no backup" 1 --verify none
says 'none: no backup here'
cp to/.epio-backup list
damage() {
    run "$1" 1 --verify to
    says 'damaged; backup --renew SOURCE'
    run "$1" 1 --delete from to
    says 'damaged; backup --renew SOURCE'
}
echo garbage >to/.epio-backup
damage "garbage"
: >to/.epio-backup
damage "an empty list"
sed '$d' list >to/.epio-backup
damage "a list without its end"
head -c 1000 list >to/.epio-backup
damage "a list cut in a line"
sed '4d' list >to/.epio-backup
damage "a list without a line"
sed '4s/^./x/' list >to/.epio-backup
damage "a list with another line"
run "renewal" 0 --renew from to
says '^305 files copied, 0 unchanged, 0 removed, 0 errors$'
is_whole
rm to/.epio-backup
run "no list" 1 --verify to
says 'to: no backup here'
run "no list" 1 --delete from to
says 'no backup here, and not empty'
run "no list" 0 --fast from to
is_whole

# ---- Permissions ----
mkdir -p modes/private modes/closed modes/open
echo 1 >modes/secret
echo 2 >modes/tool
echo 3 >modes/private/closed
echo 4 >modes/closed/read
for mode in 600:secret 751:tool 400:private/closed 444:closed/read 700:private 555:closed \
    1777:open 750:.; do
    chmod "${mode%%:*}" "modes/${mode#*:}"
done
modes() {
    (cd "$1" && find . ! -name '.epio-*' -exec stat -c '%a %n' {} + | sort)
}
same_modes() {
    [ "$(modes modes)" = "$(modes to4)" ] || fail "$what: permissions: $(modes to4)"
}
if stat -c %a . >"$work/out" 2>&1; then
    run "permissions" 0 modes to4
    same_modes
    [ "$(stat -c %a to4/.epio-backup)" = 600 ] || fail "others can read the list"
    chmod 640 modes/tool
    chmod 711 modes/private
    run "other permissions" 0 modes to4
    says '^0 files copied, '
    same_modes
    chmod 755 modes/closed
    echo more >>modes/secret
    rm modes/closed/read
    chmod 555 modes/closed
    run "permissions" 0 --delete modes to4
    says '^1 file copied, 2 unchanged, 1 removed, '
    same_modes
    # Nothing is made for more than its owner.
    if strace -o /dev/null true 2>/dev/null; then
        rm -rf to4
        ASAN_OPTIONS=detect_leaks=0 strace -f -o trace "$program" modes to4 >/dev/null
        grep -E 'O_CREAT|mkdir' trace >made
        [ -s made ] || fail "nothing is made"
        grep -E '(mode=|, )0[0-7]*([1-7][0-7]|[0-7][1-7])[,)]' made &&
            fail "permissions are wider for a moment"
        chmod 750 modes/private
        "$program" modes to4 >/dev/null
        chmod 700 modes/private
        echo 5 >modes/private/new
        ASAN_OPTIONS=detect_leaks=0 strace -f -o trace "$program" modes to4 >/dev/null
        awk '/chmod.*, 0700\)/ { closed = 1 }
             /O_CREAT/ && /private/ { made = 1; if (!closed) exit 1 }
             END { if (!made || !closed) exit 1 }' trace ||
            fail "a directory is wider than it was when a file is made in it"
    fi
fi

# ---- --delete ----
mkdir -p s/d s/e s/keep
echo 1 >s/d/f
echo 2 >s/e/f
echo 3 >s/keep/f
ln -s f s/keep/link
ln -s e s/dirlink
run "a first one" 0 s d
rm -r s/d s/keep/link s/dirlink
run "without --delete" 0 s d
says '^0 files copied, 2 unchanged, 0 removed, '
[ -e d/d/f ] || fail "it removes without --delete"
run "what was left" 0 --verify d
says '^3 files as backed up'
mkdir -p d/made/there
echo 4 >d/made/there/f
run "with --delete" 0 --delete s d
says '^0 files copied, 2 unchanged, 7 removed, 0 errors$'
is_same s d
run "with --delete" 0 --verify d
says '^2 files as backed up'
run "again" 0 --delete s d
says ' 0 removed, '

# ---- Files that become directories, and the reverse ----
rm -r s/e
echo file >s/e
rm s/keep/f
mkdir s/keep/f
echo deep >s/keep/f/deep
run "a directory in the way" 1 s d
says 'e: there is a directory in its place; --delete removes it'
says ' 1 error$'
[ "$(cat d/e/f)" = 2 ] || fail "a directory in the way is removed"
[ "$(cat d/keep/f/deep)" = deep ] || fail "a file in the way stays"
run "what is in the way" 0 --verify d
run "with --delete" 0 --delete s d
says '^1 file copied, 1 unchanged, 2 removed, 0 errors$'
is_same s d
run "with --delete" 0 --verify d
says '^2 files as backed up'
rm -r d/keep
mkdir elsewhere
echo mine >elsewhere/f
ln -s ../elsewhere d/keep
rm d/e
ln -s ../elsewhere/f d/e
run "links in the way" 0 s d
is_same s d
[ "$(cat elsewhere/f)" = mine ] || fail "it writes through a link"
rm s/e
ln -s keep s/e
run "a link for a file" 0 s d
is_same s d
rm s/e
mkdir s/e
run "a directory for a link" 0 s d
is_same s d
rmdir s/e
ln -s keep s/e
run "a link for a directory" 1 s d
says '--delete removes it'
run "a link for a directory" 0 --delete s d
is_same s d

# ---- What cannot be read ----
# As another user, if this is root, who can read all.
if [ "$(id -u)" -eq 0 ]; then
    as='setpriv --reuid 65534 --regid 65534 --clear-groups'
    $as true 2>/dev/null || as=none
fi
if [ "$as" != none ]; then
    mkdir user
    cp "$program" tool
    own() {
        [ -z "$as" ] || chown -R 65534:65534 user
    }
    cd user || exit 2
    chmod 711 "$work"
    mkdir -p s/dir s/sub s/was
    for i in dir/f dir/keep sub/f was/f gone; do
        echo "$i" >"s/$i"
    done
    own_program=$program
    program=$work/tool
    (cd .. && own)
    run "as a user" 0 s d
    says '^5 files copied, '
    rm -r s/gone s/was
    echo file >s/was
    chmod 0 s/dir
    (cd .. && own)
    run "an unreadable directory" 1 --delete s d
    says 'dir: permission denied'
    says 'nothing is removed, as not all of SOURCE was backed up'
    says ' 0 removed, 2 errors$'
    for i in dir/f dir/keep sub/f was/f gone; do
        [ "$(cat "d/$i")" = "$i" ] || fail "$what: $i is lost"
    done
    run "what could not be read" 0 --verify d
    says '^5 files as backed up'
    chmod 755 s/dir
    echo changed >s/dir/keep
    chmod 0 s/dir/keep
    run "an unreadable file" 1 --delete s d
    says 'dir/keep: permission denied'
    says ' [0-9]* removed, 1 error$'
    [ "$(cat d/dir/keep)" = dir/keep ] && [ -e d/gone ] || fail "$what: it is lost"
    run "what could not be read" 0 --verify d
    chmod 644 s/dir/keep
    run "all of it" 0 --delete s d
    is_same s d
    run "all of it" 0 --verify d
    says '^4 files as backed up'
    cd ..
    program=$own_program
fi
as=

# ---- What users get wrong ----
run "a missing source" 1 missing to2
says 'missing: no such file'
[ ! -e to2 ] || fail "a destination was made for nothing"
run "no directory" 2 --verify
run "one directory" 2 from
run "an unknown option" 2 --unknown from to
run "a missing destination" 1 --verify missing
: >file
run "a file" 1 from file
says 'file: .*not a directory'
run "a file" 1 --verify file
says 'file: .*not a directory'
ln -s from alias
for pair in "from from" "from alias" "from from/inside" "from from/a/new/deep" "from/a from" \
    "alias from/a"; do
    run "one in the other: $pair" 2 ${pair}
    says 'SOURCE and DESTINATION are the same, or one is in the other'
done
[ ! -e from/inside ] && [ ! -e from/a/new ] || fail "directories are made inside"
run "another source" 1 --delete s to
says "to: this is the backup of .*/from, not of .*/s; --renew"
is_whole
run "the same source" 0 alias to
run "help" 0 --help
says 'Exit status'
"$program" --progress from to3 2>&1 >/dev/null | grep -q '100 %' || fail "there is no bar"
echo "killed $killed times"
