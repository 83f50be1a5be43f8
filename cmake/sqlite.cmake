# epio-sqlite: SQLite over epio, and databases whose statements complete on a loop. A library
# of its own, static and shared as epio is; it sees epio's public headers alone.
set(epio_has_sqlite FALSE)
if(EPIO_SQLITE)
    find_package(SQLite3 3.37 QUIET GLOBAL)
    if(SQLite3_FOUND)
        set(epio_has_sqlite TRUE)
    elseif(EPIO_SQLITE STREQUAL "AUTO")
        message(STATUS "Without epio-sqlite: SQLite 3.37 or newer (libsqlite3-dev) was not found")
    else()
        message(FATAL_ERROR "EPIO_SQLITE needs SQLite 3.37 or newer (libsqlite3-dev)")
    endif()
endif()
if(NOT epio_has_sqlite)
    return()
endif()

set(epio_sqlite_sources
    src/sqlite/error.c
    src/sqlite/vfs.c
    src/sqlite/vfs_ahead.c
    src/sqlite/vfs_control.c
    src/sqlite/vfs_delayed.c
    src/sqlite/vfs_file.c
    src/sqlite/vfs_lock.c
    src/sqlite/vfs_map.c
    src/sqlite/vfs_open.c
    src/sqlite/vfs_overlap.c
    src/sqlite/vfs_record.c
    src/sqlite/vfs_shm.c
    src/sqlite/vfs_temporary.c
    src/sqlite/vfs_together.c)
set(epio_sqlite_async_sources
    src/sqlite/backup.c
    src/sqlite/batch.c
    src/sqlite/blob.c
    src/sqlite/changes.c
    src/sqlite/checkpoint.c
    src/sqlite/connection.c
    src/sqlite/db.c
    src/sqlite/db_cancel.c
    src/sqlite/db_dispatch.c
    src/sqlite/db_park.c
    src/sqlite/db_perform.c
    src/sqlite/db_pool.c
    src/sqlite/db_queue.c
    src/sqlite/db_verbs.c
    src/sqlite/group.c
    src/sqlite/rows.c
    src/sqlite/rows_work.c
    src/sqlite/statement.c
    src/sqlite/statement_cache.c
    src/sqlite/transaction.c)
if(EPIO_ASYNC)
    list(APPEND epio_sqlite_sources ${epio_sqlite_async_sources})
endif()

# ---- The library, static and shared, of the same objects ----

# The shared one needs a shared SQLite. With a static one it would hold a copy, and programs,
# which have another, would not see its VFSes.
set(epio_sqlite_kinds static shared)
set(epio_sqlite_shared_needs SQLite::SQLite3)
if(SQLite3_LIBRARY MATCHES "\\.a$" AND NOT SQLite3_LIBRARY MATCHES "\\.dll\\.a$")
    set(suffix ${CMAKE_SHARED_LIBRARY_SUFFIX})
    if(MINGW)
        set(suffix ${CMAKE_IMPORT_LIBRARY_SUFFIX})
    endif()
    find_library(EPIO_SHARED_SQLITE libsqlite3${suffix})
    mark_as_advanced(EPIO_SHARED_SQLITE)
    if(EPIO_SHARED_SQLITE)
        set(epio_sqlite_shared_needs ${EPIO_SHARED_SQLITE})
    else()
        set(epio_sqlite_kinds static)
        message(STATUS "Without the shared epio-sqlite: there is no shared SQLite")
    endif()
endif()

include(CheckCCompilerFlag)
if(NOT WIN32 AND NOT MSVC)
    check_c_compiler_flag(-fno-plt EPIO_HAS_NO_PLT)
endif()

# add_epio_sqlite_objects NAME KIND EXPORT: an object library for a library of that kind, whose
# API is marked by EXPORT.
function(add_epio_sqlite_objects name kind export)
    add_library(${name} OBJECT ${epio_sqlite_sources})
    target_include_directories(${name} PRIVATE src)
    target_compile_definitions(${name} PRIVATE "EPIO_SQLITE_API=${export}")
    if(EPIO_HAS_NO_PLT) # each value of a row is a few short calls of SQLite's
        target_compile_options(${name} PRIVATE -fno-plt)
    endif()
    target_link_libraries(${name} PRIVATE epio_${kind} SQLite::SQLite3)
    set_target_properties(${name} PROPERTIES
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    epio_built_if_linked(${name})
endfunction()

if(WIN32)
    add_epio_sqlite_objects(epio_sqlite_static_objects static "")
    if("shared" IN_LIST epio_sqlite_kinds)
        add_epio_sqlite_objects(epio_sqlite_shared_objects shared "__declspec(dllexport)")
    endif()
else()
    add_epio_sqlite_objects(epio_sqlite_objects static "__attribute__((visibility(\"default\")))")
    add_library(epio_sqlite_static_objects ALIAS epio_sqlite_objects)
    add_library(epio_sqlite_shared_objects ALIAS epio_sqlite_objects)
endif()

set(epio_sqlite_description "SQLite on epio: VFSes, and databases that are asynchronous")
foreach(kind IN LISTS epio_sqlite_kinds)
    string(TOUPPER ${kind} library_type)
    add_library(epio_sqlite_${kind} ${library_type} $<TARGET_OBJECTS:epio_sqlite_${kind}_objects>)
    add_library(epio::sqlite_${kind} ALIAS epio_sqlite_${kind})
    target_link_libraries(epio_sqlite_${kind} PUBLIC epio_${kind})
    set_target_properties(epio_sqlite_${kind} PROPERTIES EXPORT_NAME sqlite_${kind})
    epio_names_library(epio_sqlite_${kind} ${kind} epio-sqlite "${epio_sqlite_description}")
endforeach()
target_link_libraries(epio_sqlite_static PRIVATE SQLite::SQLite3)
if(TARGET epio_sqlite_shared)
    target_link_libraries(epio_sqlite_shared PRIVATE $<BUILD_INTERFACE:${epio_sqlite_shared_needs}>)
    target_compile_definitions(epio_sqlite_shared INTERFACE
        $<$<PLATFORM_ID:Windows>:EPIO_SQLITE_SHARED>)
endif()
# Of the kind that epio::epio is, as a program has one epio.
if(TARGET epio_sqlite_${epio_default})
    add_library(epio::sqlite ALIAS epio_sqlite_${epio_default})
endif()
