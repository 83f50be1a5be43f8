#!/bin/sh
# Runs the example gtk_editor on a screen in memory, by its scripts, and checks what it says, what
# it leaves in the files, and that it leaves nothing else.
#
#     check_editor.sh PROGRAM
#
# Its pictures go to the directory EPIO_SCREENSHOTS, if that is set. EPIO_TEST_EFFORT: the files for
# which it has to draw long have so many times 64 MiB (1).

set -u
export LC_ALL=C

program=${1:?usage: check_editor.sh PROGRAM}
programs=$(cd "$(dirname "$program")" && pwd) || exit 2
program=$programs/$(basename "$program")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/epio-editor-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
pictures=$work/pictures
if [ -n "${EPIO_SCREENSHOTS:-}" ]; then
    mkdir -p "$EPIO_SCREENSHOTS" && pictures=$(cd "$EPIO_SCREENSHOTS" && pwd) || exit 2
fi
mib=$((64 * ${EPIO_TEST_EFFORT:-1}))
checks=$(cd "$(dirname "$0")" && pwd)/support/checks.sh
cd "$work" || exit 2
mkdir -p "$pictures" files
. "$checks"

has_screen gtk_editor || exit 77

# edit STEPS FILE: what it prints is in said.txt.
edit()
{
    on_screen timeout 120 "$program" --script "$1" "$2" >said.txt 2>errors.txt
    ended=$?
    cat said.txt errors.txt
    return $ended
}

says()
{
    grep -q "$1" said.txt || {
        cat said.txt errors.txt
        return 1
    }
}

says_not()
{
    ! grep -q "$1" said.txt
}

# holds FILE TEXT: and nothing else.
holds()
{
    printf '%b' "$2" >wanted
    cmp wanted "$1"
}

is_picture()
{
    [ "$(head -c 4 "$pictures/$1" | tail -c 3)" = PNG ] && [ "$(wc -c <"$pictures/$1")" -gt 2000 ]
}

# ---- Loading, editing, saving ---------------------------------------------------

edit_and_save()
{
    printf 'one\r\ntwo\303\251\nno end' >files/letter
    chmod 640 files/letter
    check "it loads, edits and saves" edit \
        "wait loaded;screenshot $pictures/gtk_editor.png;type zero ;press Save;wait saved;close" files/letter
    check "it saved what was typed" holds files/letter 'zero one\r\ntwo\303\251\nno end'
    check "it says how long frames were apart: loaded" says \
        "^loaded 0.0 MiB in [0-9]* ms: [0-9]* frames, longest gap [0-9.]* ms$"
    check "it says how long frames were apart: saved" says "^saved 0.0 MiB in .*longest gap [0-9.]* ms$"
    check "its own save is no change on disk" says_not "on disk"
    check "it keeps permissions" test "$(stat -c %a files/letter 2>/dev/null || echo 640)" = 640
    check "it draws a picture" is_picture gtk_editor.png
    check "it left nothing else" holds_only files letter

    check "it makes a new file" edit "wait loaded;type new;press Save;wait saved;close" files/new
    check "it made a new file" holds files/new new
    : >files/empty
    check "it takes an empty file" edit "wait loaded;type x;press Save;wait saved;close" files/empty
    check "it saved an empty file" holds files/empty x
    ln -s letter files/link
    check "it saves by a link" edit "wait loaded;type by link ;press Save;wait saved;close" files/link
    check "it leaves the link" test -L files/link
    check "it saved what the link leads to" grep -q '^by link zero' files/letter
    rm -r files/*
}

# What cannot be edited is shown in part, and saved whole.
read_only()
{
    head -c 300000 /dev/urandom >files/bytes
    head -c 3000000 /dev/zero | tr '\000' 'x' >files/line
    for name in bytes line; do
        cp files/$name before
        check "it shows $name" edit \
            "wait loaded;screenshot $pictures/gtk_editor_$name.png;press Save;wait saved;close" files/$name
        check "it saves $name as they were" cmp before files/$name
        check "it does not edit $name" fails_with 1 edit "wait loaded;type x" files/$name
    done
    rm files/* before
}

# ---- What others do to the file ------------------------------------------------------

# another_writes COMMAND...: once something was saved.
another_writes()
{
    (
        wait_until grep -q ^saved said.txt
        "$@"
    ) &
    other=$!
}

replace()
{
    printf theirs >files/.other
    mv files/.other files/letter
}

write_over()
{
    printf theirs >files/letter
}

changed_on_disk()
{
    for how in replace write_over; do
        rm -f said.txt
        printf old >files/letter
        another_writes $how
        check "it notices a change, and reloads: $how" edit \
            "wait loaded;type my ;press Save;wait saved;wait bar: letter has changed on disk;screenshot $pictures/gtk_editor_changed.png;press Reload;wait loaded;type not ;press Save;wait saved;close" files/letter
        wait $other
        check "it had reloaded: $how" holds files/letter "not theirs"
        check "it asks once: $how" test "$(grep -c '^bar: .* on disk' said.txt)" = 1

        rm -f said.txt
        printf old >files/letter
        another_writes $how
        check "it does not overwrite unasked: $how" edit \
            "wait loaded;type my ;press Save;wait saved;wait bar: letter has changed;type own ;press Save;wait bar: letter has changed on disk. Reloading loses;press Overwrite;wait saved;close" files/letter
        wait $other
        check "it overwrites when it is asked to: $how" holds files/letter "my own old"
    done
    check "a picture of that" is_picture gtk_editor_changed.png
    rm -f said.txt
    another_writes rm files/letter
    check "it notices that the file is gone" edit \
        "wait loaded;type x;press Save;wait saved;wait bar: letter was removed on disk;press Overwrite;wait saved;close" files/letter
    wait $other
    check "it makes it again" holds files/letter "xmy own old"
    check "it left nothing else" holds_only files letter
}

# ---- Cancelling, and closing the window ------------------------------------------------

cancel()
{
    rm -f files/*
    mkfifo files/pipe # its load waits for a writer
    check "a load is cancelled by Escape, and by a button" edit \
        "escape;wait bar: files/pipe was not loaded: the operation was cancelled;screenshot $pictures/gtk_editor_cancelled.png;press Try again;press Cancel;wait bar: files/pipe was not loaded;close" files/pipe
    check "what was not loaded is not saved" fails_with 1 edit \
        "press Cancel;wait bar: files/pipe was not loaded;press Save" files/pipe
    check "a window is closed while it loads" edit "close" files/pipe
    rm files/pipe

    yes "a line of a large file" | head -c $((mib * 1048576)) >files/large
    cp files/large before
    check "a save is cancelled" edit \
        "wait loaded;press Save;press Cancel;wait bar: files/large was not saved: the operation was cancelled (EPIO_ECANCELED);press Save;escape;wait bar: files/large was not saved;close" files/large
    check "a cancelled save leaves the file" cmp before files/large
    check "a cancelled save leaves nothing else" holds_only files large
}

close_in_the_middle()
{
    inode=$(ls -i files/large | cut -d ' ' -f 1)
    check "a window that is closed waits for the save" edit \
        "wait loaded;press Save;close;wait bar: large is being saved;screenshot $pictures/gtk_editor_closing.png" files/large
    check "the save has ended" says "^saved $mib.0 MiB"
    check "the file is another one" test "$(ls -i files/large | cut -d ' ' -f 1)" != "$inode"
    check "the file is whole" cmp before files/large
    check "the window stays if the save is cancelled" edit \
        "wait loaded;press Save;close;press Cancel the save;wait bar: files/large was not saved;close" files/large
    check "a window that was closed left nothing else" holds_only files large
    rm files/large before

    printf old >files/letter
    check "a text that is not saved is asked about" edit \
        "wait loaded;type my ;close;wait bar: letter was changed, and is not saved;screenshot $pictures/gtk_editor_unsaved.png;press Close without saving" files/letter
    check "it was not saved" holds files/letter old
    check "saved, then closed" edit "wait loaded;type my ;close;press Save and close" files/letter
    check "it was saved" holds files/letter "my old"
    check "closed while a small text is saved" edit "wait loaded;type own ;press Save;close" files/letter
    check "that was saved, too" holds files/letter "own my old"
    check "it left nothing else" holds_only files letter
}

# ---- Errors --------------------------------------------------------------------------

errors()
{
    check "a directory is an error" edit \
        "wait bar: files was not loaded: it is a directory, not a file (EPIO_EISDIR);screenshot $pictures/gtk_editor_error.png;close" files
    check "no directory is an error" edit \
        "wait bar: nowhere/letter was not loaded: no such file or directory (EPIO_ENOENT);close" nowhere/letter
    mkdir gone
    rm -f said.txt
    another_writes rm -r gone
    check "a save that fails is an error, and the text stays" edit \
        "wait loaded;type x;press Save;wait saved;wait bar: letter was removed;type y;press Overwrite;wait bar: gone/letter was not saved: no such file or directory (EPIO_ENOENT);close;wait bar: letter was changed, and is not saved;press Close without saving" gone/letter
    wait $other
    check "--help" "$program" --help
    check "it needs a file" fails_with 2 "$program"
    check "it takes one file" fails_with 2 "$program" a b
    check "it knows no --force" fails_with 2 "$program" --force a
    check "it needs a display" fails_with 1 env -u DISPLAY -u WAYLAND_DISPLAY "$program" files/letter
    check "it draws by --screenshot" on_screen "$program" --screenshot "$pictures/gtk_editor_option.png" files/letter
    check "it drew by --screenshot" is_picture gtk_editor_option.png
}

# ---- How long it does not draw ---------------------------------------------------------

# Figures of this machine, which nothing depends on.
figures()
{
    line="the quick brown fox jumps over the lazy dog, and over it again, and so on"
    yes "$line" | head -c 4000000 >files/text
    yes "$line" | head -c $((mib * 1048576)) >files/large
    for name in text large; do
        check "it draws while it loads and saves: $name" edit \
            "wait loaded;press Save;wait saved;close" files/$name
        grep -E '^(loaded|saved)' said.txt
    done
}

edit_and_save
read_only
changed_on_disk
cancel
close_in_the_middle
errors
figures

echo "$passed checks passed, $failed failed"
[ "$failed" -eq 0 ]
