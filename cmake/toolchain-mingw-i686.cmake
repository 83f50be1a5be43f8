# For Windows on x86 with 32 bits, by mingw-w64's gcc. What it builds is not run: a Wine
# for it is a package of another architecture.
set(cross_target windows32)
set(CMAKE_C_COMPILER i686-w64-mingw32-gcc)
include(${CMAKE_CURRENT_LIST_DIR}/toolchain-mingw.cmake)
