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
    src/sqlite/vfs_control.c
    src/sqlite/vfs_file.c
    src/sqlite/vfs_lock.c
    src/sqlite/vfs_map.c
    src/sqlite/vfs_open.c
    src/sqlite/vfs_shm.c
    src/sqlite/vfs_temporary.c)
set(epio_sqlite_async_sources
    src/sqlite/backup.c
    src/sqlite/blob.c
    src/sqlite/changes.c
    src/sqlite/checkpoint.c
    src/sqlite/connection.c
    src/sqlite/db.c
    src/sqlite/db_cancel.c
    src/sqlite/db_perform.c
    src/sqlite/db_queue.c
    src/sqlite/db_verbs.c
    src/sqlite/group.c
    src/sqlite/rows.c
    src/sqlite/statement.c
    src/sqlite/statement_cache.c
    src/sqlite/transaction.c)
if(EPIO_ASYNC)
    list(APPEND epio_sqlite_sources ${epio_sqlite_async_sources})
endif()

foreach(kind IN ITEMS static shared)
    string(TOUPPER ${kind} library_type)
    set(export "")
    if(kind STREQUAL "shared" AND WIN32)
        set(export "__declspec(dllexport)")
    elseif(kind STREQUAL "shared")
        set(export "__attribute__((visibility(\"default\")))")
    endif()
    add_library(epio_sqlite_${kind} ${library_type} ${epio_sqlite_sources})
    add_library(epio::sqlite_${kind} ALIAS epio_sqlite_${kind})
    target_include_directories(epio_sqlite_${kind} PRIVATE src)
    target_compile_definitions(epio_sqlite_${kind} PRIVATE "EPIO_SQLITE_API=${export}")
    target_link_libraries(epio_sqlite_${kind} PUBLIC epio_${kind} PRIVATE SQLite::SQLite3)
    set_target_properties(epio_sqlite_${kind} PROPERTIES
        OUTPUT_NAME epio-sqlite
        EXPORT_NAME sqlite_${kind}
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
endforeach()
target_compile_definitions(epio_sqlite_shared INTERFACE
    $<$<PLATFORM_ID:Windows>:EPIO_SQLITE_SHARED>)
set_target_properties(epio_sqlite_shared PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${epio_soversion})
if(MSVC)
    set_target_properties(epio_sqlite_static PROPERTIES OUTPUT_NAME epio-sqlite_static)
endif()
if(NOT PROJECT_IS_TOP_LEVEL AND NOT EPIO_INSTALL)
    set_target_properties(epio_sqlite_static epio_sqlite_shared PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()
add_library(epio::sqlite ALIAS epio_sqlite_${epio_default})
