#!/bin/sh
# Runs the built examples and checks what they promise.
#
#     check_examples.sh DIRECTORY [LAUNCHER]
#
# DIRECTORY holds the programs async_io, copy, log, walk, watch and xor_layer, and cpp_tour,
# sqlite_tour and those of other event loops if they were built, or async_io.exe and so on for
# Windows; LAUNCHER is what runs them elsewhere, by its full path (ci/run-in-wine).
# The order of system calls is checked with strace, where it is installed and allowed to
# trace. EPIO_CHECK_KILLS: how often the log is killed (10); EPIO_SCREENSHOTS: the directory where
# screenshots are kept.

set -u
export LC_ALL=C

programs=$(cd "${1:?usage: check_examples.sh DIRECTORY [LAUNCHER]}" && pwd) || exit 2
built=$programs
launcher=${2:-}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/epio-examples-XXXXXX") || exit 2
kills=${EPIO_CHECK_KILLS:-10}
windows=false
suffix=
if [ -e "$programs/copy.exe" ]; then
    windows=true
    suffix=.exe
fi

has_cpp_tour=false
if [ -e "$programs/cpp_tour$suffix" ]; then
    has_cpp_tour=true
fi

cleanup()
{
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

checks=$(cd "$(dirname "$0")" && pwd)/support/checks.sh
cd "$work" || exit 2
. "$checks"

# Replaces the programs by scripts of the same names. The process that starts from
# one is the program itself: it can be killed.
launch_by_scripts()
{
    mkdir .programs
    for name in async_io copy cpp_tour log sqlite_tour walk watch win32_load xor_layer; do
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$launcher" "$programs/$name$suffix" \
            >.programs/$name
        chmod +x .programs/$name
    done
    programs=$work/.programs
}

# ---- --help --------------------------------------------------------------------

# prints_help COMMAND...: it ends with 0, also without a screen, and its output begins with what it
# takes.
prints_help()
{
    env -u DISPLAY -u WAYLAND_DISPLAY -u QT_QPA_PLATFORM timeout 60 "$@" --help </dev/null >help.txt 2>&1
    status=$?
    head -1 help.txt
    [ "$status" -eq 0 ] && head -1 help.txt | grep -qi '^usage: '
}

# All that were built.
ask_for_help()
{
    asked=0
    for program in "$built"/*"$suffix"; do
        if [ -f "$program" ] && [ -x "$program" ]; then
            check "$(basename "$program") --help" prints_help ${launcher:+"$launcher"} "$program"
            asked=$((asked + 1))
        fi
    done
    check "there are programs" test "$asked" -gt 10
}

# ---- async_io ----------------------------------------------------------------

run_async_io()
{
    mkdir tour
    check "async_io exits with 0" "$programs/async_io" tour
    cp .output tour.txt
    check "async_io takes turns" grep -q "the other one.s turn  *0" tour.txt
    check "async_io tells its four parts" grep -q "All four parts are done" tour.txt
    check "async_io keeps its limit" grep -Eq "100 done, at most ([1-9]|10) at the same time" tour.txt
    check "async_io leaves no file" holds_only tour
    check "async_io refuses a directory that is not there" fails_with 1 "$programs/async_io" nowhere
    check "async_io refuses two directories" fails_with 2 "$programs/async_io" tour tour
}

# ---- copy --------------------------------------------------------------------

copy_files()
{
    mkdir copies
    : >empty
    printf 'x' >one
    head -c 262144 /dev/urandom >slot
    head -c 262145 /dev/urandom >slot1
    head -c 30000000 /dev/urandom >large
    for name in empty one slot slot1 large; do
        check "copy exits with 0: $name" "$programs/copy" $name copies/$name
        check "copy is right: $name" cmp $name copies/$name
    done
    check "copy left nothing else" holds_only copies empty one slot slot1 large

    rm copies/*
    check "copy into a directory" "$programs/copy" empty one large copies
    check "copy into a directory has them all" holds_only copies empty one large
    check "copy into a directory is right" cmp large copies/large
    check "copy into a directory with a slash" "$programs/copy" slot copies/
    check "copy replaces" "$programs/copy" slot1 copies/slot
    check "copy replaced it" cmp slot1 copies/slot

    printf '#!/bin/sh\n' >script
    chmod 750 script
    check "copy of a program" "$programs/copy" script copies/script
    if $windows; then
        skip "copy keeps permissions" "Windows has none of this kind"
    else
        check "copy keeps permissions" test -x copies/script
    fi
    check "copy takes names that look like options" \
        sh -c 'printf y >./-odd && "$0" -- -odd copies && cmp ./-odd copies/-odd' "$programs/copy"
}

copy_streams()
{
    if $windows; then
        skip "copy of streams" "standard input has no name there, and no shell makes a named pipe"
        return
    fi
    check "copy of a stream" sh -c 'cat large | "$0" /dev/stdin from-pipe' "$programs/copy"
    check "copy of a stream is right" cmp large from-pipe
    check "copy of slow pieces" \
        sh -c '(printf a; sleep 0.2; printf b; sleep 0.2; printf c) | "$0" /dev/stdin pieces' \
        "$programs/copy"
    check "copy of slow pieces is right" sh -c 'test "$(cat pieces)" = abc'
    check "copy of an empty stream" sh -c ': | "$0" /dev/stdin nothing' "$programs/copy"
    check "copy of an empty stream is empty" sh -c 'test -f nothing && ! test -s nothing'
    check "copy of a redirected file" sh -c '"$0" /dev/stdin redirected <large' "$programs/copy"
    check "copy of a redirected file is right" cmp large redirected
}

copy_refuses()
{
    cp large itself
    ln -s itself link
    mkdir other
    check "copy --help" "$programs/copy" --help
    check "copy needs arguments" fails_with 2 "$programs/copy"
    check "copy needs a target" fails_with 2 "$programs/copy" large
    check "copy knows no --force" fails_with 2 "$programs/copy" --force large other
    check "copy onto itself" fails_with 1 "$programs/copy" itself ./itself
    if [ -L link ]; then
        check "copy onto itself by a link" fails_with 1 "$programs/copy" itself link
    else
        skip "copy onto itself by a link" "this shell makes a copy of it"
    fi
    check "copy onto itself in its directory" fails_with 1 "$programs/copy" itself .
    check "copy onto itself changed nothing" cmp large itself
    check "copy of what is not there" fails_with 1 "$programs/copy" absent other
    check "copy of a directory" fails_with 1 "$programs/copy" copies other
    check "copy to where no directory is" fails_with 1 "$programs/copy" large absent/large
    check "copy of two to a file" fails_with 2 "$programs/copy" one slot itself
    check "copy of two of one name" fails_with 2 "$programs/copy" one ./one other
    if $windows; then
        check "copy onto a device" fails_with 1 "$programs/copy" one NUL
        check "copy makes no file of a device's name" test ! -e NUL
    else
        check "copy onto a device" fails_with 1 "$programs/copy" one /dev/null
        check "copy left the device alone" test -c /dev/null
    fi
    check "copy that failed left nothing" holds_only other
    check "copy goes on after a failure" fails_with 1 "$programs/copy" absent one other
    check "copy went on" cmp one other/one
    ls -A >.listing
    check "copy left no part behind" sh -c '! grep -q part .listing'
}

# A source that keeps copy busy for as long as the test wants: a stream that does not
# end or, as Windows has no FIFOs, a file of holes whose copy takes seconds.
make_long_source()
{
    if $windows; then
        truncate -s 2G long
        return
    fi
    mkfifo long
    (
        cat large
        exec sleep 60
    ) >long &
    feeder=$!
}

remove_long_source()
{
    if ! $windows; then
        kill "$feeder" 2>/dev/null
        wait "$feeder" 2>/dev/null
    fi
    rm long
}

start_long_copy()
{
    make_long_source
    "$programs/copy" long target/file 2>copy.txt &
    copier=$!
    wait_until sh -c 'find target -name ".copy-*" -size +29999999c | grep -q .'
}

# Shells start background jobs with SIGINT ignored, which copy does not mind: it
# sets its own handler. To a program under Wine SIGINT is Ctrl-C.
copy_interrupted()
{
    signals="INT TERM"
    if $windows; then
        signals=INT
        skip "copy ended by SIGTERM" "nothing sends it there"
    fi
    for signal in $signals; do
        mkdir target
        printf 'what was there' >target/file
        check "copy writes beside its target" start_long_copy
        kill -$signal "$copier"
        check "copy ends when it is interrupted" fails_with 130 wait "$copier"
        check "copy removes what is half written" holds_only target file
        check "copy leaves what was there" sh -c 'test "$(cat target/file)" = "what was there"'
        remove_long_source
        rm -r target
    done
}

# ---- walk --------------------------------------------------------------------

walk_a_tree()
{
    mkdir -p tree/b/deep tree/a
    printf 12345 >tree/b/file
    : >tree/a/empty
    check "walk prints a tree" "$programs/walk" --sorted tree
    check "walk --depth" sh -c 'test "$("$0" --depth 1 tree | wc -l)" -eq 2' "$programs/walk"
    if $windows; then
        skip "walk, what follows" "links of this shell are none of Windows"
        return
    fi
    ln -s .. tree/a/up
    check "walk prints a tree with a link" "$programs/walk" --sorted tree
    cut -d' ' -f1 <.output | tr -d '\n' >types.txt
    sed 's/.* //' .output | tr '\n' ' ' >paths.txt
    check "walk knows types" grep -qx "ddfldf" types.txt
    check "walk sorts" sh -c 'test "$(cat paths.txt)" = "a b a/empty a/up b/deep b/file "'
    check "walk prints sizes" sh -c '"$0" tree | grep -Eqx "f +5 b/file"' "$programs/walk"
    check "walk --skip" sh -c 'test "$("$0" --skip b tree | wc -l)" -eq 4' "$programs/walk"
    check "walk --follow notices a loop" fails_with 1 "$programs/walk" --follow tree
    check "walk --help" "$programs/walk" --help
    check "walk knows no --force" fails_with 2 "$programs/walk" --force
    check "walk needs a depth" fails_with 2 "$programs/walk" --depth x
    check "walk of what is not there" fails_with 1 "$programs/walk" absent
    check "walk of a file" fails_with 1 "$programs/walk" tree/b/file
}

# ---- watch -------------------------------------------------------------------

watch_a_directory()
{
    mkdir watched
    "$programs/watch" --recursive --count 2 watched >events.txt 2>watch.txt &
    watcher=$!
    while ! grep -q "^watching" watch.txt && kill -0 $watcher 2>/dev/null; do
        sleep 0.1
    done
    : >watched/first
    mkdir watched/second
    wait $watcher
    check "watch ends after two events" test $? -eq 0
    check "watch prints what was made" grep -q "^made first" events.txt
    check "watch --help" "$programs/watch" --help
    check "watch knows no --force" fails_with 2 "$programs/watch" --force
    check "watch needs a count" fails_with 2 "$programs/watch" --count
    check "watch of what is not there" fails_with 1 "$programs/watch" absent
    check "watch of a file" fails_with 1 "$programs/watch" watched/first
}

# ---- log ---------------------------------------------------------------------

# Every line of $1 is in $2 as it is.
holds_acknowledged()
{
    tr -d '\000' <"$2" | sort >.held
    sort "$1" | comm -23 - .held >.missing
    [ -s .missing ] || return 0
    echo "$(wc -l <.missing) acknowledged records are missing, such as:"
    head -3 .missing
    return 1
}

# The log has as many whole records as were acknowledged, and no rest.
is_whole()
{
    "$programs/log" --verify "$1" | grep -qx "$2 records, 0 unfinished bytes after them"
}

log_runs()
{
    check "log runs" "$programs/log" --path plain.log --threads 8 --records 50
    check "log is whole" is_whole plain.log 400
    check "log continues" "$programs/log" --path plain.log --threads 3 --records 10 --acknowledge
    check "log is whole after going on" is_whole plain.log 430
    check "log --help" "$programs/log" --help
    check "log refuses no threads" fails_with 2 "$programs/log" --threads 0
    check "log refuses unknown options" fails_with 2 "$programs/log" --quickly
    check "log refuses a missing value" fails_with 2 "$programs/log" --path
    check "log tells that it cannot be opened" fails_with 1 "$programs/log" --path absent/log
    printf 'torn' >>plain.log
    check "log notices an unfinished end" \
        sh -c '"$0" --verify plain.log | grep -qx "430 records, 4 unfinished bytes after them"' \
        "$programs/log"
    check "log drops an unfinished end" "$programs/log" --path plain.log --threads 1 --records 1
    check "log is whole again" is_whole plain.log 431
}

# A number from 0 to 299.
random_number()
{
    number=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
    echo $((number % 300))
}

log_killed()
{
    : >acknowledged
    round=0
    while [ "$round" -lt "$kills" ]; do
        rm -f one-run
        "$programs/log" --path killed.log --threads 8 --records 1000000000 --acknowledge \
            >one-run 2>/dev/null &
        logger=$!
        wait_until test -s one-run
        sleep "0.$(printf '%03d' "$(random_number)")"
        kill -KILL "$logger"
        wait "$logger" 2>/dev/null
        check "log acknowledges before it is killed" test -s one-run
        # A line that the kill cut in half acknowledged nothing.
        sed -n '/^[0-9]\{16\} .*$/p' one-run | head -n "$(wc -l <one-run)" >>acknowledged
        check "log holds what it acknowledged" holds_acknowledged acknowledged killed.log
        round=$((round + 1))
    done
    check "log continues after the last kill" \
        "$programs/log" --path killed.log --threads 1 --records 1
    check "log still holds what it acknowledged" holds_acknowledged acknowledged killed.log
    check "log has no rest" sh -c '"$0" --verify killed.log | grep -q ", 0 unfinished"' \
        "$programs/log"
}

# Reads a trace of `log` and fails unless each acknowledged record was written,
# and then covered by a flush that started after its write had ended, and only
# then acknowledged. Calls of several threads overlap: "<unfinished ...>" and
# "resumed" are the start and the end of one.
order_of_calls='
function records_in(text, list,    n) {
    n = 0
    while (match(text, /[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9] /)) {
        list[++n] = substr(text, RSTART, 16)
        text = substr(text, RSTART + RLENGTH)
    }
    return n
}
function begin(pid, call, text,    list, n, i, record) {
    running[pid] = call
    if (call ~ /^pwrite/) {
        begun[pid] = text
    } else if (call ~ /^f(data)?sync$/) {
        covered[pid] = ""
        for (record in written)
            covered[pid] = covered[pid] " " record
    } else if (call == "write" && text ~ /^write\(1,/) {
        n = records_in(text, list)
        for (i = 1; i <= n; i++) {
            acknowledged++
            if (!(list[i] in durable)) {
                print "acknowledged, but not durable: " list[i]
                wrong++
            }
        }
    }
}
function end(pid, call, good,    list, n, i) {
    if (good && call ~ /^pwrite/) {
        n = records_in(begun[pid], list)
        for (i = 1; i <= n; i++)
            written[list[i]] = 1
    } else if (good && call ~ /^f(data)?sync$/) {
        n = split(covered[pid], list, " ")
        for (i = 1; i <= n; i++) {
            durable[list[i]] = 1
            delete written[list[i]]
        }
    }
    delete running[pid]
}
{
    pid = $1
    text = $0
    sub(/^[0-9]+ +/, "", text)
}
text ~ /^<\.\.\. .* resumed>/ {
    if (pid in running)
        end(pid, running[pid], text !~ /= -1 /)
    next
}
text ~ /^[a-z0-9_]+\(/ {
    call = text
    sub(/\(.*/, "", call)
    begin(pid, call, text)
    if (text !~ /<unfinished \.\.\.>$/)
        end(pid, call, text !~ /= -1 /)
}
END {
    if (acknowledged != expected) {
        print acknowledged " acknowledgements in the trace instead of " expected
        wrong++
    }
    exit wrong ? 1 : 0
}'

log_order()
{
    if $windows; then
        skip "the order of system calls" "strace sees none of Windows, and Wine's server flushes"
        return
    fi
    if ! strace -f -o /dev/null true 2>/dev/null; then
        skip "the order of system calls" "no strace, or it may not trace"
        return
    fi
    # The writes of a ring are no calls that strace sees.
    # Two tracers of one program are one too many for a leak check.
    check "log runs under strace" \
        env EPIO_BACKEND=epoll "ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" strace -f -s 65536 -o trace \
        -e trace=write,pwrite64,pwritev,pwritev2,fsync,fdatasync \
        "$programs/log" --path traced.log --threads 4 --records 100 --acknowledge
    check "log flushes after writing, before returning" \
        awk -v expected=400 "$order_of_calls" trace
    # The check itself must be able to fail.
    grep -v sync trace >trace-without-flushes
    check "a log that does not flush is noticed" \
        fails_with 1 awk -v expected=400 "$order_of_calls" trace-without-flushes
}

# ---- cpp_tour ----------------------------------------------------------------

run_cpp_tour()
{
    if [ $has_cpp_tour = false ]; then
        skip cpp_tour "there is no C++ compiler"
        return
    fi
    mkdir cpp
    "$programs/cpp_tour" cpp >cpp.txt 2>&1
    check "cpp_tour exits with 0" "$programs/cpp_tour" cpp
    check "cpp_tour loads what it saved" grep -q "^performed: first" cpp.txt
    check "cpp_tour awaits" grep -q "^awaited: 6 bytes, FIRST" cpp.txt
    check "cpp_tour commits a save" grep -q "^saved: second" cpp.txt
    check "cpp_tour leaves nothing" rmdir cpp
    check "cpp_tour needs a directory" fails_with 2 "$programs/cpp_tour"
    check "cpp_tour has no options" fails_with 2 "$programs/cpp_tour" --unknown
    check "cpp_tour --help exits with 0" "$programs/cpp_tour" --help
    check "cpp_tour fails without the directory" fails_with 1 "$programs/cpp_tour" cpp
    "$programs/cpp_tour" cpp >cpp.txt 2>&1
    check "cpp_tour names what is missing" grep -q "^cpp_tour: cpp/cpp_tour.txt: no such file" cpp.txt
}

# ---- xor_layer ---------------------------------------------------------------

transform()
{
    check "xor_layer exits with 0" "$programs/xor_layer" transformed
    cp .output transform.txt
    check "xor_layer reads what it wrote" grep -q "^through the layer: the quick brown fox" transform.txt
    check "xor_layer refuses an append" grep -q "^through the layer no append" transform.txt
    check "xor_layer copies" grep -q "^through the layer: the quick brown foxthe quick brown fox" transform.txt
    check "xor_layer refuses a mapping" grep -q "^through the layer no mapping" transform.txt
    check "xor_layer lets no plain byte pass" fails_with 1 grep -q "quick" transformed
    check "xor_layer needs a file" fails_with 2 "$programs/xor_layer"
    rm -f transformed
}

# ---- sqlite_tour --------------------------------------------------------------

tour_sqlite()
{
    if ! $with_sqlite; then
        skip "sqlite_tour" "it was built without SQLite"
        return
    fi
    mkdir books
    check "sqlite_tour exits with 0" "$programs/sqlite_tour" books
    cp .output books.txt
    check "sqlite_tour tells its seven parts" grep -q "All seven parts are done" books.txt
    check "sqlite_tour writes by few syncs" grep -Eq "100,000 books: [0-9]+ writes, [0-9]{1,2} syncs" books.txt
    check "sqlite_tour undoes a savepoint" grep -Eq "but that is undone +0" books.txt
    check "sqlite_tour commits" grep -Eq "committed: it is on the medium +0" books.txt
    check "sqlite_tour runs a function" grep -Eq "a function in a transaction +10" books.txt
    check "sqlite_tour shows what SQLite says" grep -q "EPIO_ESQL: no such table: bok" books.txt
    check "sqlite_tour searches" grep -Eq "WHERE year < 1600 +19998" books.txt
    check "sqlite_tour streams" grep -q "100000 books in 100 batches" books.txt
    check "sqlite_tour cancels" grep -q "cancelled after 20 ms *EPIO_ECANCELED" books.txt
    check "sqlite_tour has deadlines" grep -q "with 20 ms of time *EPIO_ETIMEDOUT" books.txt
    check "sqlite_tour shares commits" grep -Eq "640 transactions, durable by [0-9]{1,3} commits" books.txt
    check "sqlite_tour empties the log" grep -Eq "left by a checkpoint +0" books.txt
    check "sqlite_tour copies" grep -Eq "^  copied +0" books.txt
    check "sqlite_tour leaves no file" holds_only books
    check "sqlite_tour refuses a directory that is not there" fails_with 1 "$programs/sqlite_tour" nowhere
    check "sqlite_tour refuses two directories" fails_with 2 "$programs/sqlite_tour" books books
}

# ---- Other event loops ---------------------------------------------------------

# needs_screen PROGRAM ARGUMENT...: without one it says so; Qt would abort.
needs_screen()
{
    if [ -x "$programs/$1" ] && ! $windows && [ "$(uname)" != Darwin ]; then
        name=$1
        shift
        check "$name fails without a screen" fails_with 1 \
            env -u DISPLAY -u WAYLAND_DISPLAY -u QT_QPA_PLATFORM "$programs/$name" "$@"
        cp .output screen.txt
        check "$name says that there is no screen" grep -q "^$name: .*no screen" screen.txt
    fi
}

# loads_in HOST [COMMAND...]: HOST_load, started by the command, loads and saves a file.
loads_in()
{
    name=${1}_load
    shift
    if [ ! -e "$programs/$name" ] && [ ! -e "$programs/$name$suffix" ]; then
        skip "$name" "it was built without what it needs"
        return
    fi
    check "$name exits with 0" "$@" "$programs/$name" --create 20 loaded saved
    cp .output load.txt
    for what in loaded saved; do
        check "$name says how long frames were apart: $what" grep -Eq \
            "^20 MiB $what in [0-9]+ ms: [0-9]+ frames, longest gap [0-9.]+ ms" load.txt
    done
    check "$name saves what it loaded" cmp loaded saved
    : >empty
    check "$name loads an empty file" "$@" "$programs/$name" empty saved
    check "$name saves an empty file" test -f saved -a ! -s saved
    check "$name fails without the file" fails_with 1 "$@" "$programs/$name" absent saved
    check "$name needs a file" fails_with 2 "$@" "$programs/$name"
    rm -f loaded saved empty
}

load_in_hosts()
{
    loads_in glib
    loads_in libuv
    loads_in asio
    loads_in cfrunloop
    loads_in win32
    loads_in sdl env SDL_VIDEODRIVER=dummy
    loads_in qt env QT_QPA_PLATFORM=offscreen
    needs_screen qt_load absent
    if has_screen gtk_load; then
        loads_in gtk on_screen
    fi
}

# ---- gtk_sqlite_browser --------------------------------------------------------

browse_in_a_window()
{
    has_screen gtk_sqlite_browser || return
    check "gtk_sqlite_browser exits with 0" \
        on_screen "$programs/gtk_sqlite_browser" --rows 150000 --seconds 4 browsed
    cp .output browsed.txt
    check "gtk_sqlite_browser tells of its frames" grep -Eq \
        '^15[0-9]{4} rows: [0-9]+ frames, longest gap [0-9.]+ ms, longest poll [0-9.]+ ms; [1-9][0-9]* rows written, [1-9][0-9]* searches, [0-9]+ cancelled$' browsed.txt
    check "gtk_sqlite_browser opens what it made" \
        on_screen "$programs/gtk_sqlite_browser" --rows 1000 --seconds 0.1 browsed
    check "gtk_sqlite_browser needs a file" fails_with 2 "$programs/gtk_sqlite_browser"
    rm -f browsed browsed-wal browsed-shm
}

# ---- qt_thumbnails -------------------------------------------------------------

# keep_screenshot FILE: where it is looked at later, if anywhere.
keep_screenshot()
{
    if [ -n "${EPIO_SCREENSHOTS:-}" ]; then
        mkdir -p "$EPIO_SCREENSHOTS" && cp "$1" "$EPIO_SCREENSHOTS"
    fi
}

# A thousand pictures and five that are none: their script starts S coroutines, which all end.
thumbnails_add_up()
{
    sed 's/[^0-9 ]//g' "$1" | awk '
        NR == 1 { started = $2; shown = $3; signs = $4; cancelled = $5; at_the_end = $6 }
        NR == 1 && ($1 != 1005 || shown < 1000 || signs != 5) { print "not all were shown"; bad = 1 }
        NR == 1 && started != shown + signs + cancelled { print "some have not ended"; bad = 1 }
        NR == 1 && at_the_end < 1 { print "it was not closed in the middle"; bad = 1 }
        NR == 1 && cancelled <= at_the_end { print "nothing was cancelled by scrolling"; bad = 1 }
        NR == 2 && ($1 < 2 || $1 > 8) { print $1 " loads at once"; bad = 1 }
        NR == 2 && ($2 < 1 || $2 > 67108864) { print $2 " bytes at once"; bad = 1 }
        NR == 2 && ($3 < 1 || $3 > 2) { print $3 " decoded at once"; bad = 1 }
        NR == 3 && $1 < 20 { print "only " $1 " frames"; bad = 1 }
        END { exit bad || NR != 3 }'
}

# most_bytes FROM TO FILE: so many were in flight at once, as the program has printed in FILE.
most_bytes()
{
    bytes=$(sed -n 's/^most at once: .* loads, \([0-9]*\) bytes.*/\1/p' "$3")
    [ "${bytes:-0}" -ge "$1" ] && [ "$bytes" -le "$2" ] && return 0
    echo "$bytes bytes instead of $1 to $2"
    return 1
}

# A picture, and zeros behind it until it is so large.
enlarge_picture()
{
    cp pictures/picture-00000.png "$2"
    truncate -s "$1" "$2"
}

show_thumbnails()
{
    has_screen qt_thumbnails || return
    check "qt_thumbnails makes pictures" "$programs/qt_thumbnails" --make 1000 pictures
    ln -s nowhere pictures/a-dangling.png
    mkdir pictures/b-directory.png
    : >pictures/c-empty.png
    echo nonsense >pictures/d-nonsense.png
    head -c 2000 pictures/picture-00003.png >pictures/e-broken.png
    echo "it has no picture's name" >pictures/f.text
    check "qt_thumbnails scrolls, and is closed in the middle" \
        on_screen "$programs/qt_thumbnails" --script --screenshot qt_thumbnails.png pictures
    grep -E '^[0-9]+ pictures:|^most at once:|^[0-9]+ frames,' .output >thumbnails.txt
    sed 's/^/qt_thumbnails: /' thumbnails.txt
    check "qt_thumbnails keeps its limits, and ends what it has begun" \
        thumbnails_add_up thumbnails.txt
    check "qt_thumbnails writes a screenshot" test "$(wc -c <qt_thumbnails.png)" -gt 10000
    keep_screenshot qt_thumbnails.png

    # Files so large that few are loaded at once, and one that is larger than all that is allowed.
    mkdir large-pictures
    for number in 1 2 3 4 5 6 7; do
        enlarge_picture 20M large-pictures/$number.png
    done
    check "qt_thumbnails shows large files" \
        on_screen "$programs/qt_thumbnails" --screenshot large.png large-pictures
    cp .output large.txt
    check "qt_thumbnails holds no more bytes than it may" most_bytes 20971520 67108864 large.txt
    enlarge_picture 70M large-pictures/huge.png
    enlarge_picture 3G large-pictures/too-large.png
    check "qt_thumbnails ends with a huge file" \
        on_screen "$programs/qt_thumbnails" --screenshot large.png large-pictures
    cp .output large.txt
    check "qt_thumbnails shows a huge file" grep -q "^9 pictures: 9 started, 8 shown, 1 with a sign" large.txt
    check "qt_thumbnails loads a huge file alone" most_bytes 73400320 73400320 large.txt

    needs_screen qt_thumbnails pictures
    check "qt_thumbnails fails without the directory" \
        fails_with 1 on_screen "$programs/qt_thumbnails" absent
    check "qt_thumbnails says where no screenshot can be" \
        fails_with 1 on_screen "$programs/qt_thumbnails" --screenshot absent/one.png large-pictures
    check "qt_thumbnails --help" "$programs/qt_thumbnails" --help
    check "qt_thumbnails needs a directory" fails_with 2 "$programs/qt_thumbnails"
    check "qt_thumbnails knows no --force" fails_with 2 "$programs/qt_thumbnails" --force pictures
    check "qt_thumbnails makes a number of pictures" \
        fails_with 2 "$programs/qt_thumbnails" --make some pictures
    check "qt_thumbnails says where none can be made" \
        fails_with 1 "$programs/qt_thumbnails" --make 1 absent/pictures
    rm -rf pictures large-pictures
}

with_sqlite=false
if [ -e "$programs/sqlite_tour$suffix" ]; then
    with_sqlite=true
fi
if [ -n "$launcher" ]; then
    launch_by_scripts
fi
ask_for_help
run_async_io
run_cpp_tour
copy_files
copy_streams
copy_refuses
copy_interrupted
walk_a_tree
watch_a_directory
log_runs
log_killed
log_order
transform
tour_sqlite
load_in_hosts
browse_in_a_window
show_thumbnails

echo "$passed checks passed, $failed failed"
[ "$failed" -eq 0 ]
