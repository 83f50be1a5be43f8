# What the toolchains for Windows have in common; they include this file, and set
# `cross_target` before if it is not `windows`.
if(cross_target STREQUAL "windows32")
    set(mingw_triplet i686-w64-mingw32)
    set(mingw_processor x86)
else()
    set(cross_target windows)
    set(mingw_triplet x86_64-w64-mingw32)
    set(mingw_processor x86_64)
endif()
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR ${mingw_processor})
set(CMAKE_RC_COMPILER ${mingw_triplet}-windres)
set(CMAKE_AR ${mingw_triplet}-ar CACHE FILEPATH "Archiver")
set(CMAKE_RANLIB ${mingw_triplet}-ranlib CACHE FILEPATH "Indexer of archives")

include(${CMAKE_CURRENT_LIST_DIR}/cross-prefix.cmake)
set(CMAKE_FIND_ROOT_PATH ${EPIO_CROSS_PREFIX} /usr/${mingw_triplet})

# Programs that need no DLL but the system's.
foreach(kind IN ITEMS EXE SHARED MODULE)
    set(CMAKE_${kind}_LINKER_FLAGS_INIT -static)
endforeach()
# The DLL of the prefix would be found first; it is for the shared epio-sqlite alone.
if(NOT DEFINED SQLite3_LIBRARY AND EXISTS ${EPIO_CROSS_PREFIX}/lib/libsqlite3.a)
    set(SQLite3_LIBRARY ${EPIO_CROSS_PREFIX}/lib/libsqlite3.a CACHE FILEPATH "SQLite")
endif()

if(cross_target STREQUAL "windows")
    set(CMAKE_CROSSCOMPILING_EMULATOR ${cross_root}/ci/run-in-wine)
endif()
