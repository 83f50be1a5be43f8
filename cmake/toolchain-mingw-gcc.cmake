# For Windows on x86-64, by mingw-w64's gcc. The programs run under Wine.
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
include(${CMAKE_CURRENT_LIST_DIR}/toolchain-mingw.cmake)
