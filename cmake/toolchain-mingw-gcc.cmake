# For Windows on x86-64, by mingw-w64's gcc. The programs run under Wine.
# Debian has two of it: that with POSIX threads has those of C++ as well.
find_program(EPIO_MINGW_GCC NAMES x86_64-w64-mingw32-gcc-posix x86_64-w64-mingw32-gcc
    NO_CMAKE_FIND_ROOT_PATH REQUIRED)
mark_as_advanced(EPIO_MINGW_GCC)
set(CMAKE_C_COMPILER ${EPIO_MINGW_GCC})
include(${CMAKE_CURRENT_LIST_DIR}/toolchain-mingw.cmake)
