#!/bin/sh
# The test cases for Windows are those for POSIX, but for the ones that README.md
# names in its table, each with a reason; and it names no others.
# Usage: check_windows_cases.sh POSIX-TESTS WINDOWS-TESTS LAUNCHER README
set -u
posix=$1
windows=$2
launcher=$3
readme=$4
failed=0

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# complain TEXT NAMES: a failure unless there are none.
complain() {
    if [ -n "$2" ]; then
        echo "$1:"
        echo "$2" | sed 's/^/    /'
        failed=1
    fi
}

# list SUFFIX FOLDER [LAUNCHER]: the cases of all programs in it, in each setting.
list() {
    find "$2" -maxdepth 1 -name "test_*$1" -type f -perm -u+x | sort | while read -r program; do
        EPIO_TEST_LIST=1 ${3:-} "$program" </dev/null || echo "$program cannot tell its cases"
    done | tr -d '\r' | sort -u
}

# Without their settings, of which a case may lose some alone.
names() {
    sed 's/ (.*//' | sort -u
}

list '' "$posix" >"$folder/posix"
list .exe "$windows" "$launcher" >"$folder/windows"
sed -n '/^| test cases | why /,/^$/p' "$readme" | grep -o '^|[^|]*|' | grep -o '`[a-z_0-9]*`' |
    tr -d '`' | sort >"$folder/excused"
if [ ! -s "$folder/posix" ] || [ ! -s "$folder/windows" ] || [ ! -s "$folder/excused" ]; then
    echo "found no test cases at all"
    exit 1
fi

comm -23 "$folder/posix" "$folder/windows" | names >"$folder/missing"
complain "not on Windows, and not in README.md" "$(comm -23 "$folder/missing" "$folder/excused")"
complain "in README.md, but on Windows too" "$(comm -13 "$folder/missing" "$folder/excused")"
complain "with several reasons" "$(uniq -d "$folder/excused")"

echo "$(wc -l <"$folder/posix") cases for POSIX; for Windows" \
    "$(comm -12 "$folder/posix" "$folder/windows" | wc -l) of them and" \
    "$(comm -13 "$folder/posix" "$folder/windows" | wc -l) of its own;" \
    "$(comm -23 "$folder/posix" "$folder/windows" | wc -l) left out, which are" \
    "$(wc -l <"$folder/missing") functions in several settings"
exit $failed
