# What the two toolchains for Windows have in common; they include this file.
# EPIO_CROSS_PREFIX, a cache or environment variable, is where libraries for Windows
# are looked for; by default where ci/cross-dependencies puts them.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_AR x86_64-w64-mingw32-ar CACHE FILEPATH "Archiver")
set(CMAKE_RANLIB x86_64-w64-mingw32-ranlib CACHE FILEPATH "Indexer of archives")

cmake_path(SET mingw_root NORMALIZE ${CMAKE_CURRENT_LIST_DIR}/..)
cmake_path(ABSOLUTE_PATH mingw_root NORMALIZE)

# The configuration of a try_compile reads this file too, but no cache.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EPIO_CROSS_PREFIX)
if(NOT EPIO_CROSS_PREFIX)
    if(DEFINED ENV{EPIO_CROSS_PREFIX})
        set(EPIO_CROSS_PREFIX $ENV{EPIO_CROSS_PREFIX})
    else()
        set(EPIO_CROSS_PREFIX ${mingw_root}/build/cross/prefix)
    endif()
endif()
set(EPIO_CROSS_PREFIX ${EPIO_CROSS_PREFIX} CACHE PATH "Where libraries for Windows are")

# Nothing of this machine's is for Windows, but the tools are all this machine's.
set(CMAKE_FIND_ROOT_PATH ${EPIO_CROSS_PREFIX} /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_LIBDIR} ${EPIO_CROSS_PREFIX}/lib/pkgconfig)

# Programs that need no DLL but the system's.
foreach(kind IN ITEMS EXE SHARED MODULE)
    set(CMAKE_${kind}_LINKER_FLAGS_INIT -static)
endforeach()

set(CMAKE_CROSSCOMPILING_EMULATOR ${mingw_root}/ci/run-in-wine)
