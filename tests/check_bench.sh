#!/bin/sh
# Runs the built epio-bench, in turns as short as can be: its command line, the keys
# of its JSON lines, and each engine once on each workload. Asserts no time.
#
#     check_bench.sh PROGRAM COMPARE [LAUNCHER]
#
# COMPARE is ci/bench-compare; LAUNCHER is what runs programs of another system.

set -u
export LC_ALL=C

program=${1:?usage: check_bench.sh PROGRAM COMPARE [LAUNCHER]}
compare=${2:?usage: check_bench.sh PROGRAM COMPARE [LAUNCHER]}
launcher=${3:-}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/epio-bench-XXXXXX") || exit 2
passed=0
failed=0

cleanup()
{
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

cd "$work" || exit 2
mkdir files

# bench ARGUMENT...: what it says goes to output and errors.
bench()
{
    # A launcher may be no word at all.
    # shellcheck disable=SC2086
    $launcher "$program" "$@" >"$work/output" 2>"$work/errors"
}

pass()
{
    passed=$((passed + 1))
}

fail()
{
    echo "FAILED: $1"
    cat "$work/output" "$work/errors"
    failed=$((failed + 1))
}

# ends_with STATUS ARGUMENT...
ends_with()
{
    wanted=$1
    shift
    bench "$@"
    status=$?
    if [ "$status" -eq "$wanted" ]; then
        pass
    else
        fail "epio-bench $*: ended with $status, not with $wanted"
    fi
}

# says FILE TEXT: in what the last one printed.
says()
{
    if grep -qF -e "$2" "$work/$1"; then
        pass
    else
        fail "nothing in the $1 about '$2'"
    fi
}

# says_in_every_line TEXT
says_in_every_line()
{
    if [ -s "$work/output" ] && ! grep -qvF -e "$1" "$work/output"; then
        pass
    else
        fail "a line without '$1'"
    fi
}

# ---- The command line ----

ends_with 0 --help
for command in peers run durable scale walk tree sqlite overhead compare; do
    says output "  $command"
done
# What a command line means is the same everywhere, and an emulator starts slowly.
commands="peers run durable scale walk tree sqlite overhead compare"
if [ -n "$launcher" ]; then
    commands=peers
fi
for command in $commands; do
    ends_with 0 $command --help
    says output "usage: epio-bench $command"
    says output "--json"
    ends_with 2 $command --no-such-option
    says errors "unknown argument '--no-such-option'"
    ends_with 2 $command --backend abacus
    says errors "abacus"
    ends_with 2 $command --path no/such/directory
    says errors "no/such/directory"
done
ends_with 2
ends_with 2 juggle
says errors "unknown command 'juggle'"
ends_with 2 run --size 7
says errors "8 to"
ends_with 2 run --workload delete
says errors "there is no 'delete'"
ends_with 2 run --depth
says errors "needs a value"
ends_with 2 peers --seconds 0
says errors "0.001 to 3600"
ends_with 2 peers --quick=yes
says errors "takes no value"
ends_with 2 run --busy 0
says errors "1 to 64"
ends_with 2 peers --workload "knitting"
says errors "cached read 4 KiB"

# ---- Beside busy programs ----

# They end with it; Windows has no shell for them.
if [ -z "$launcher" ]; then
    ends_with 0 run --seconds 0.01 --path files --busy 2
    sleep_until_none=100
    while pgrep -f "while :; do :; done.*read nothing" >/dev/null 2>&1; do
        sleep_until_none=$((sleep_until_none - 1))
        [ $sleep_until_none -gt 0 ] || {
            fail "what --busy started is still there"
            break
        }
        sleep 0.1
    done
fi

# ---- Every engine on every workload ----

with_sqlite=true
if ! bench sqlite --workload scan --rounds 1 --rows 10 --path files &&
    grep -q "built without epio-sqlite" errors; then
    with_sqlite=false
fi

short="--rounds 1 --seconds 0.001 --path files"

# $short is several words.
# shellcheck disable=SC2086
{
    ends_with 0 peers $short --json
    cp output peers.json
    if [ "$(uname)" = Linux ] && grep "leaves out" errors; then
        fail "an engine cannot do its work"
    fi
    for key in bench workload depth engine backend mode ops_per_s cpu_us_per_op p50_us p99_us \
        vs_blocking vs_best_peer rounds; do
        says_in_every_line "\"$key\":"
    done
    for workload in "cached read 4 KiB" "cached read 64 KiB" "cached overwrite 4 KiB" \
        "append 4 KiB and sync" "cached read 4 KiB, two layers" \
        "cached read 4 KiB, 64 MiB written beside"; do
        says output "\"workload\":\"$workload\""
    done
    for engine in blocking ideal threads epio; do
        says output "\"engine\":\"$engine\""
    done
    for mode in alone "handed over" inline; do
        says output "\"mode\":\"$mode\""
    done

    ends_with 0 peers $short --quick --workload "read 64"
    says output "cached read 64 KiB (1 round"
    if command -v gnuplot >/dev/null && [ -z "$launcher" ]; then
        ends_with 0 peers $short --workload "read 64" --plot "it's.svg"
        if grep -q "<svg" "it's.svg"; then
            pass
        else
            fail "there is no picture"
        fi
        ends_with 1 peers $short --workload "layers" --plot nothing.svg
        says errors "nothing was compared with blocking calls"
    fi
    ends_with 0 durable $short --json
    says_in_every_line '"bench":"durable"'
    says output '"engine":"both at once"'
    ends_with 0 durable $short --tasks 3
    ends_with 0 walk --rounds 1 --path files --entries 300 --json
    says_in_every_line '"bench":"walk"'
    says output '"engine":"epio_walk"'
    ends_with 0 tree --rounds 1 --path files --entries 300 --json
    says_in_every_line '"bench":"tree"'
    says output '"engine":"epio_copy_tree"'
    if $with_sqlite; then
        ends_with 0 sqlite $short --seconds 0.05 --statements 500 --rows 5000 --writers 3 \
            --cancels 3 --json
        says_in_every_line '"bench":"sqlite"'
        for workload in "speed, journal" "speed, WAL" "slow disk, journal" "slow disk, WAL" \
            commits scan cancel timer; do
            says output "\"workload\":\"$workload\""
        done
        for key in ops_per_s vs_first cpu_us_per_op p99_us max_us; do
            says output "\"$key\":"
        done
        ends_with 0 sqlite $short --workload scan --rows 3000
        says output "sqlite, scan: a query of 3000 rows"
    fi
    ends_with 0 scale $short --depth 1000 --json
    says_in_every_line '"bench":"scale"'
    says output '"depth":1000'
    ends_with 0 overhead $short --json
    says output '"workload":"without the kernel call"'
    says output '"workload":"cached read 4 KiB"'
    ends_with 0 compare --rounds 1 --iterations 32 --path files --json
    says_in_every_line '"speedup":'
}

ends_with 0 overhead --workload none --iterations 1000
says output "1000 operations"

# ---- run ----

for workload in read write append; do
    ends_with 0 run --workload $workload --seconds 0.01 --path files --files 3 --depth 5
    says output "3 files"
    says output "p99.9"
    ends_with 0 run --workload $workload --seconds 0.01 --path files --size 1000 --depth 1 \
        --inline --json
    for key in ops_per_s mb_per_s cpu_us_per_op min_us p50_us p90_us p99_us p999_us max_us; do
        says_in_every_line "\"$key\":"
    done
done

if [ -n "$(ls files)" ]; then
    fail "files were left behind"
else
    pass
fi

# ---- The comparison with a baseline ----

# compares STATUS OLD NEW
compares()
{
    bash "$compare" "$2" "$3" >"$work/output" 2>"$work/errors"
    status=$?
    if [ "$status" -eq "$1" ]; then
        pass
    else
        fail "bench-compare $2 $3: ended with $status, not with $1"
    fi
}

if command -v bash >/dev/null; then
    compares 0 peers.json peers.json
    says output " 0 lost"
    sed 's/"vs_blocking_high":[0-9.]*/"vs_blocking_high":0.0001/' peers.json >worse.json
    compares 1 peers.json worse.json
    says output "LOST: peers: cached read 4 KiB, depth 1, epio"
    grep -v '"depth":32' peers.json >fewer.json
    compares 0 peers.json fewer.json
    says output "only in the baseline: peers: cached read 4 KiB, depth 32"
    compares 0 fewer.json peers.json
    says output "not in the baseline: peers: cached read 4 KiB, depth 32"
    compares 0 no-such-file peers.json
    sed 's/,"others_cpu_percent":[0-9.]*//; s/}[^}]*$/,"others_cpu_percent":43.0}/' peers.json >busy.json
    compares 0 peers.json busy.json
    says output "too busy to judge"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
