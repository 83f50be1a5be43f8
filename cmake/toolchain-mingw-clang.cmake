# For Windows on x86-64, by clang with the headers, libraries and linker of
# mingw-w64's gcc. The programs run under Wine.
set(CMAKE_C_COMPILER clang)
set(CMAKE_C_COMPILER_TARGET x86_64-w64-mingw32)
include(${CMAKE_CURRENT_LIST_DIR}/toolchain-mingw.cmake)

# Debian calls the directory of gcc's own libraries such that clang misses it.
execute_process(COMMAND x86_64-w64-mingw32-gcc -print-libgcc-file-name
    OUTPUT_VARIABLE mingw_libgcc OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
cmake_path(GET mingw_libgcc PARENT_PATH mingw_gcc_directory)
foreach(kind IN ITEMS EXE SHARED MODULE)
    string(APPEND CMAKE_${kind}_LINKER_FLAGS_INIT " -L${mingw_gcc_directory}")
endforeach()

# What CMake has by default, and what the libraries of the prefix need if they were built by the gcc
# with POSIX threads, which adds it by itself.
set(CMAKE_C_STANDARD_LIBRARIES "-lkernel32 -luser32 -lgdi32 -lwinspool -lshell32 -lole32 \
-loleaut32 -luuid -lcomdlg32 -ladvapi32 -lwinpthread" CACHE STRING "Libraries of each program")
