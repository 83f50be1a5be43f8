#!/bin/sh
# What a compiler does not see of the house's rules: which directories may know the
# operating system, the form of the text, and that scripts of ci say how they are used.
# Usage: check_style.sh ROOT
set -u
cd "$1" || exit 1
failed=0

# complain TEXT LINES: a failure unless there are none.
complain() {
    if [ -n "$2" ]; then
        echo "$1:"
        echo "$2" | sed 's/^/    /'
        failed=1
    fi
}

# files DIRECTORY...: the C files in them.
files() {
    find "$@" -name '*.[ch]' -type f | sort
}

# All of the library but its platform directories.
portable=$(files include src | grep -v -e '^src/posix/' -e '^src/win32/')

# ---- Conditions on an operating system or compiler ----

# One directive may go over several lines; only its first number is shown.
conditions() {
    awk '
        FNR == 1 { directive = "" }
        directive == "" { line = FNR }
        { directive = directive $0 }
        /\\$/ { sub(/\\$/, " ", directive); next }
        directive ~ /^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)[^a-z]/ {
            print FILENAME ":" line ": " directive
        }
        { directive = "" }
    ' $portable
}

systems='_?_?(WIN32|WIN64|MINGW32|MINGW64|CYGWIN__|linux|linux__|gnu_linux__|ANDROID__|APPLE__)'
systems="$systems|_?_?(MACH__|unix|unix__|FreeBSD__|NetBSD__|OpenBSD__|DragonFly__|sun|_AIX)"
systems="$systems|TARGET_OS_[A-Z]+|_MSC_VER|__GNUC__|__clang__|_POSIX_[A-Z_]+"
# How Windows imports from a DLL is part of every declaration, so this one line
# (for each of the two libraries) is the exception; and src/compiler.h is about compilers.
complain "#if on an operating system or compiler outside the platform directories" "$(
    conditions | grep -E "[^A-Za-z0-9_]($systems)([^A-Za-z0-9_]|\$)" |
        grep -v -e '^include/epio/compiler.h:[0-9]*: #if defined(_WIN32) && defined(EPIO\(_SQLITE\)*_SHARED)$' \
            -e '^include/epio/compiler\.h:[0-9]*: #e*l*if .*\(__clang__\|__GNUC__\)' \
            -e '^src/compiler\.h:[0-9]*: #e*l*if .*\(__clang__\|__GNUC__\)'
)"

# ---- Headers ----

c11='assert|ctype|float|inttypes|limits|stdalign|stdarg|stdatomic|stdbool|stddef|stdint'
c11="$c11|stdio|stdlib|stdnoreturn|string"
complain "neither a header of C11 nor of ours" "$(
    grep -nE '^[ 	]*#[ 	]*include[ 	]*<' $portable |
        grep -vE "<(($c11)\\.h|epio/[a-z_]+\\.h)>" |
        grep -v -e '^src/core/random.c:[0-9]*:#include <sodium.h>$' \
            -e '^src/sqlite/[a-z_]*\.[ch]:[0-9]*:#include <sqlite3.h>$' \
            -e '^include/epio/glib.h:[0-9]*:#include <glib.h>$'
)"

# The rooms know each other in one direction.
complain "includes that go up" "$(ci/include-graph | sed -n '/go up/,$p')"

# ---- Words ----

# What only gcc and clang have, or only POSIX. Microsoft's compiler has to take all
# else; the two compiler.h ask which of them there are, and say what else will do.
complain "only src/posix and compiler.h may use these words" "$(
    files include src | grep -v -e '^src/posix/' -e '/compiler\.h$' |
        xargs grep -nwE '__attribute__|__builtin_[a-z_]+|__typeof__|ssize_t|clock_gettime|unistd\.h'
)"
# Programs on top of epio may include it; the tests use the library's.
complain "only src/win32/win32.h may include this" "$(
    files include src tests | grep -v '^src/win32/win32\.h$' |
        xargs grep -niE '^[ 	]*#[ 	]*include[ 	]*[<"](windows|winsock2?|winternl)\.h'
)"
complain "type names end in _t only in the standard" "$(
    grep -nE '^(typedef .*[ *}]|\} *)[a-z_0-9]+_t;' $(files include src bench examples tests)
)"

complain "a public function without EPIO_API" "$(
    grep -nE '^[a-z][a-z0-9_ *]*[ *]epio_[a-z_]+\(' $(files include) | grep -v -e ':typedef ' -e ':static inline '
)"

# ---- Layout ----

# Its versions differ in detail, so one of them decides.
formatter=
for candidate in clang-format-14 clang-format; do
    if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
        formatter=$candidate
        break
    fi
done
sources=$(files include src bench examples tests)
if [ -z "$formatter" ]; then
    echo "clang-format 14 is not installed: the layout was not checked"
else
    complain "not as $formatter lays it out; run: $formatter -i FILE" "$(
        "$formatter" --dry-run $sources 2>&1 | sed -n 's/^\([^:]*\.[ch]\):.*-Wclang-format-violations.*/\1/p' |
            sort | uniq
    )"
fi

# ---- Scripts ----

complain "no usage by --help, with exit status 0" "$(
    for script in ci/*; do
        if [ -x "$script" ] && [ -f "$script" ]; then
            usage=$(timeout 20 "$script" --help 2>/dev/null </dev/null) &&
                case $usage in *[Uu]sage:*) true ;; *) false ;; esac || echo "$script"
        fi
    done
)"

# ---- Blanks ----

complain "a tab or a blank at the end of a line" "$(grep -nE '	|[ 	]$' $sources)"
exit $failed
