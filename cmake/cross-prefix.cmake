# What all toolchains have in common; they include this file. EPIO_CROSS_PREFIX, a cache
# or environment variable, is where libraries for the other system are looked for; by
# default where `ci/cross-dependencies ${cross_target}` puts them.
cmake_path(SET cross_root NORMALIZE ${CMAKE_CURRENT_LIST_DIR}/..)
cmake_path(ABSOLUTE_PATH cross_root NORMALIZE)

# The configuration of a try_compile reads this file too, but no cache.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EPIO_CROSS_PREFIX)
if(NOT EPIO_CROSS_PREFIX)
    if(DEFINED ENV{EPIO_CROSS_PREFIX})
        set(EPIO_CROSS_PREFIX $ENV{EPIO_CROSS_PREFIX})
    else()
        set(EPIO_CROSS_PREFIX ${cross_root}/build/cross/${cross_target})
    endif()
endif()
set(EPIO_CROSS_PREFIX ${EPIO_CROSS_PREFIX} CACHE PATH "Where libraries for the other system are")

# Nothing of this machine's is for it, but the tools are all this machine's.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_LIBDIR} ${EPIO_CROSS_PREFIX}/lib/pkgconfig)
