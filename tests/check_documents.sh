#!/bin/sh
# The documents say what is there: links and paths lead to files, headings exist, the code
# compiles, docs/architecture.md names every file of src, and its table of phases is that
# of src/core/phase.c.
# Usage: check_documents.sh ROOT C-COMPILER [C++-COMPILER]
set -u
# shellcheck source=tests/support/links.sh
. "$(dirname "$0")/support/links.sh"
cd "$1" || exit 1
compiler=$2
cxx_compiler=${3:-}
failed=0

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT

documents="README.md CHANGELOG.md ports/README.md $(ls docs/*.md)"
architecture=docs/architecture.md

# complain TEXT LINES: a failure unless there are none.
complain() {
    if [ -n "$2" ]; then
        echo "$1:"
        echo "$2" | sed 's/^/    /'
        failed=1
    fi
}

# ---- Links and paths ----

# dead_paths DOCUMENT: files that the text names by their path in the tree, and are not there.
# What begins a line of a table may be relative to the table's head.
# shellcheck disable=SC2016
dead_paths() {
    prose "$1" | sed 's/^| `[^|]*//' | grep -oE '`(bench|ci|cmake|docs|examples|include|ports|src|tests)/[^` ]*' | tr -d '`' |
        while read -r path; do
            # A name may be a pattern.
            # shellcheck disable=SC2086
            ls -d $path >/dev/null 2>&1 || echo "$1: $path"
        done
}

for document in $documents; do
    complain "a link that leads nowhere" "$(dead_links "$document")"
    complain "a path that is not there" "$(dead_paths "$document")"
done

# ---- Code ----

# Each block of C becomes a file: as it is if it is a program or functions, else within a
# function that has a loop, a VFS, a file, an op and a database. One of C++ does if it includes
# what it uses; others are parts of programs.
write_blocks() {
    awk -v base="$2" '
        function finish(   i, functions, includes, name) {
            for (i = 1; i <= count; i++)
                if (lines[i] ~ /^{/) functions = 1
            for (i = 1; i <= count; i++)
                if (lines[i] ~ /^#include/) includes = 1
            if (language == "cpp" && !includes) return
            name = sprintf("%s-%d.%s", base, first, language)
            print "#include <epio/bench.h>\n#include <epio/epio.h>\n#include <epio/locks.h>" > name
            print "#include <epio/db.h>\n#include <epio/layer.h>" > name
            print "#include <inttypes.h>\n#include <stdio.h>" > name
            for (i = 1; i <= count; i++)
                if (lines[i] ~ /^#/) print lines[i] > name
            if (!functions)
                print "#define HEAD void run(epio_loop *loop, epio_vfs *vfs, epio_file *file, " \
                    "epio_op op, epio_db *db)\nHEAD;\nHEAD\n{\n" \
                    "(void)loop, (void)vfs, (void)file, (void)op, (void)db;" > name
            printf "#line %d \"%s\"\n", first, FILENAME > name
            for (i = 1; i <= count; i++)
                print lines[i] ~ /^#/ ? "" : lines[i] > name
            if (!functions) print "}" > name
            close(name)
        }
        /^```c(pp)?$/ { language = substr($0, 4); inside = 1; count = 0; first = FNR + 1; next }
        /^```$/ && inside { inside = 0; finish(); next }
        inside { lines[++count] = $0 }
    ' "$1"
}

# flags FILE: what the compiler needs for the libraries beside epio that it includes.
# False: they are not installed.
flags() {
    case $(grep -o '^#include <[^>]*>' "$1" | tr -d '\n') in
    *glib-unix.h* | *epio/glib.h*) pkg-config --cflags glib-2.0 2>/dev/null ;;
    *epio/qt.hpp*) pkg-config --cflags Qt6Core 2>/dev/null | sed 's/-I/-isystem /g; s/$/ -fPIC/' | grep isystem ;;
    *sqlite3.*) pkg-config --cflags sqlite3 2>/dev/null ;;
    *SDL*) pkg-config --cflags sdl2 2>/dev/null ;;
    *'<uv.h>'*) pkg-config --cflags libuv 2>/dev/null && echo -D_GNU_SOURCE ;;
    *'<asio.hpp>'*) printf '#include <asio.hpp>\n' | "$cxx_compiler" -E -x c++ - >/dev/null 2>&1 ;;
    *windows.h* | *CoreFoundation*) false ;;
    *) : ;;
    esac
}

for document in $documents; do
    write_blocks "$document" "$directory/$(basename "$document" .md)"
done
for block in "$directory"/*.c "$directory"/*.cpp; do
    [ -e "$block" ] || continue
    language="$compiler -std=c11"
    if [ "$block" != "${block%.cpp}" ]; then
        language="$cxx_compiler -std=c++17"
        case $cxx_compiler in '' | *NOTFOUND) continue ;; esac
    fi
    if ! options=$(flags "$block"); then
        echo "not compiled, as a library is not installed: $(sed -n 's/^#line //p' "$block")"
        continue
    fi
    # Options are words to be split.
    # shellcheck disable=SC2086
    complain "code that does not compile" "$($language -Wall -Wextra -Wconversion -Werror \
        -Wno-unused-function -Iinclude $options -fsyntax-only "$block" 2>&1)"
done

# ---- The map of the files ----

# The files that the tables of architecture.md name, by their paths. A table's head says of
# which directory; a name with a directory holds for the names behind it in its line, too.
mapped() {
    awk -F '|' '
        /^\| file of `/ { split($2, word, "`"); home = word[2]; next }
        !/^\|/ { home = "" }
        home != "" && $2 ~ /`/ {
            room = home
            count = split($2, word, "`")
            for (i = 2; i <= count; i += 2) {
                name = word[i]
                if (match(name, /.*\//)) {
                    room = home "/" substr(name, 1, RLENGTH - 1)
                    name = substr(name, RLENGTH + 1)
                }
                print room "/" name
            }
        }
    ' "$architecture"
}

# A header goes with the file of its name.
without_ending() {
    sed 's/\.[ch]$//' | sort -u
}

mapped >"$directory/mapped"
find src bench -name '*.[ch]' -type f | without_ending >"$directory/there"
# A name may be a pattern.
while read -r name; do
    # shellcheck disable=SC2086
    ls -d $name 2>/dev/null
done <"$directory/mapped" | without_ending >"$directory/named"
complain "not in the tables of $architecture" "$(comm -23 "$directory/there" "$directory/named")"
complain "in the tables of $architecture, but not there" "$(while read -r name; do
    # shellcheck disable=SC2086
    ls -d $name >/dev/null 2>&1 || echo "$name"
done <"$directory/mapped")"
complain "twice in the tables of $architecture" "$(sort "$directory/mapped" | uniq -d)"

# ---- The phases of an op ----

# Each as "PHASE NEXT NEXT...", the next in the order of their names.
sorted() {
    while read -r phase next; do
        # shellcheck disable=SC2086
        echo "$phase $(printf '%s\n' $next | sort | tr '\n' ' ')"
    done | sort
}

awk '/^    \[EPIO__PHASE_/ { inside = 1 } inside { printf "%s", $0 } inside && /},$/ { print ""; inside = 0 }' \
    src/core/phase.c | sed 's/^ *\[EPIO__PHASE_\([A-Z]*\)\][^,]*,/\1/; s/TO(\([A-Z]*\))/\1/g; s/[^A-Z ]/ /g' |
    sorted >"$directory/phases"
sed -n '/^| phase | /,/^$/p' "$architecture" | awk -F '|' '$2 ~ /`/ { print $2, $4 }' |
    sed 's/[^A-Z ]/ /g' | sorted >"$directory/phases-told"
complain "src/core/phase.c (<) and $architecture (>) differ" "$(diff "$directory/phases" "$directory/phases-told")"

exit $failed
