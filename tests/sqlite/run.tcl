# Runs one of SQLite's TCL tests: testfixture run.tcl FILE [CHILD]. With CHILD, another
# testfixture, every second process that the test starts is that one, the first of them too.

set child [lindex $argv 1]

# SQLite itself, and stock's VFS for Windows, unlock only as much at once as they locked: so does
# shmlock.test, which asks for it by this variable.
trace add variable isWindows write {apply {args {set ::isWindows 1}}}

if {$child ne ""} {
    set children [list $child [info nameofexecutable]]
    proc next_child {} {
        set ::children [list {*}[lassign $::children next] $next]
        return $next
    }
    namespace ensemble configure info -map \
        [dict replace [namespace ensemble configure info -map] nameofexecutable ::next_child]

    # The bytes that are locked are at 1 GiB where programs share databases; SQLite's tests move
    # stock's to where they fit into smaller files.
    proc stay {args} {
        return $::sqlite_pending_byte
    }
    rename sqlite3_test_control_pending_byte {}
    rename stay sqlite3_test_control_pending_byte
}

set argv0 [lindex $argv 0]
set argv {}
source $argv0
