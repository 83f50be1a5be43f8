#!/bin/sh
# The test cases for Windows are those for POSIX, but for the ones that
# docs/windows.md names in its table, each with a reason; and it names no others.
# Usage: check_windows_cases.sh POSIX-TESTS WINDOWS-TESTS LAUNCHER TABLE
set -u
posix=$1
windows=$2
launcher=$3
table=$4
failed=0

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT

# complain TEXT NAMES: a failure unless there are none.
complain() {
    if [ -n "$2" ]; then
        echo "$1:"
        echo "$2" | sed 's/^/    /'
        failed=1
    fi
}

# list SUFFIX DIRECTORY [LAUNCHER]: the cases of all programs in it, in each setting.
list() {
    find "$2" -maxdepth 1 -name "test_*$1" -type f -perm -u+x | sort | while read -r program; do
        EPIO_TEST_LIST=1 ${3:-} "$program" </dev/null || echo "$program cannot list its cases"
    done | tr -d '\r' | sort -u
}

# Without their settings, of which a case may lose some alone.
names() {
    sed 's/ (.*//' | sort -u
}

list '' "$posix" >"$directory/posix"
list .exe "$windows" "$launcher" >"$directory/windows"
sed -n '/^| test cases | why /,/^$/p' "$table" | grep -o '^|[^|]*|' | grep -o '`[a-z_0-9]*`' |
    tr -d '`' | sort >"$directory/excused"
if [ ! -s "$directory/posix" ] || [ ! -s "$directory/windows" ] || [ ! -s "$directory/excused" ]; then
    echo "found no test cases at all"
    exit 1
fi

comm -23 "$directory/posix" "$directory/windows" | names >"$directory/missing"
complain "not on Windows, and not in docs/windows.md" "$(comm -23 "$directory/missing" "$directory/excused")"
complain "in docs/windows.md, but on Windows too" "$(comm -13 "$directory/missing" "$directory/excused")"
complain "with several reasons" "$(uniq -d "$directory/excused")"

echo "$(wc -l <"$directory/posix") cases for POSIX; for Windows" \
    "$(comm -12 "$directory/posix" "$directory/windows" | wc -l) of them and" \
    "$(comm -13 "$directory/posix" "$directory/windows" | wc -l) of its own;" \
    "$(comm -23 "$directory/posix" "$directory/windows" | wc -l) left out, which are" \
    "$(wc -l <"$directory/missing") functions in several settings"
exit $failed
