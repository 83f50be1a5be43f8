# What the checks of examples share; to be read by `.` in a directory of the check's own, which is
# $work. $programs is where the examples are.
# shellcheck shell=sh
# shellcheck disable=SC2154

passed=0
failed=0

# skip WHAT WHY
skip()
{
    echo "skipped: $1 ($2)"
}

# check WHAT COMMAND...: the command succeeds.
check()
{
    what=$1
    shift
    if "$@" >"$work/.output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        sed 's/^/    /' "$work/.output" | tail -20
    fi
}

# fails_with STATUS COMMAND...: it exits with exactly this status.
fails_with()
{
    expected=$1
    shift
    "$@"
    status=$?
    [ "$status" -eq "$expected" ] && return 0
    echo "exit status $status instead of $expected"
    return 1
}

# No file but those named is in the directory, hidden ones included.
holds_only()
{
    directory=$1
    shift
    found=$(ls -A "$directory" | sort | tr '\n' ' ')
    wanted=$(for name in "$@"; do echo "$name"; done | sort | tr '\n' ' ')
    [ "$found" = "$wanted" ] && return 0
    echo "$directory holds '$found' instead of '$wanted'"
    return 1
}

# Waits until a command succeeds, for half a minute at most.
wait_until()
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return 1
        sleep 0.05
    done
}

# has_screen PROGRAM: it is there, and a screen in memory for it.
has_screen()
{
    if [ ! -x "$programs/$1" ]; then
        skip "$1" "it was built without GTK 4, or what else it needs"
        return 1
    fi
    if ! command -v xvfb-run >/dev/null; then
        skip "$1" "no xvfb-run"
        return 1
    fi
}

# on_screen COMMAND...: GTK keeps what it has made until the end of the process.
on_screen()
{
    # xvfb-run fails, too, if it cannot remove its own files: the program's status alone counts.
    rm -f .status
    env "ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" GSK_RENDERER=cairo GSETTINGS_BACKEND=memory \
        xvfb-run -a sh -c '"$@"; echo $? >.status' sh "$@"
    return "$(cat .status 2>/dev/null || echo 125)"
}
