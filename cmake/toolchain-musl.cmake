# For Linux with musl, by Debian's musl-gcc: static programs, which this machine runs.
# EPIO_CROSS_PREFIX, a cache or environment variable, is where its libraries are looked
# for; by default where ci/cross-dependencies puts them.
set(CMAKE_C_COMPILER musl-gcc)

set(cross_target musl)
include(${CMAKE_CURRENT_LIST_DIR}/cross-prefix.cmake)

# musl-gcc knows nothing of /usr/include, nor has musl the kernel's headers: they are in
# the prefix as well.
set(CMAKE_C_FLAGS_INIT "-isystem ${EPIO_CROSS_PREFIX}/include")
set(CMAKE_FIND_ROOT_PATH ${EPIO_CROSS_PREFIX})
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
