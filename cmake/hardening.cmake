# Hardening of what is optimized (not of debug builds, nor under sanitizers, which look
# closer): canaries in stack frames, checked calls of the C library, landing pads for
# indirect jumps where processors have them (CET on x86, BTI and PAC on ARM), and tables
# of addresses that are read-only once a program runs. What it costs: docs/performance.md.
# Microsoft's compiler has canaries by default; mingw-w64's has no library for them.
if(NOT EPIO_HARDEN OR EPIO_SANITIZE OR WIN32 OR NOT CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
    return()
endif()
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

set(epio_optimized "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")

set(CMAKE_REQUIRED_FLAGS -Werror)
check_c_compiler_flag(-fstack-protector-strong EPIO_HAS_STACK_PROTECTOR)
if(EPIO_HAS_STACK_PROTECTOR)
    add_compile_options($<${epio_optimized}:-fstack-protector-strong>)
endif()
check_c_compiler_flag(-fcf-protection EPIO_HAS_CF_PROTECTION)
check_c_compiler_flag(-mbranch-protection=standard EPIO_HAS_BRANCH_PROTECTION)
if(EPIO_HAS_CF_PROTECTION)
    add_compile_options($<${epio_optimized}:-fcf-protection>)
elseif(EPIO_HAS_BRANCH_PROTECTION)
    add_compile_options($<${epio_optimized}:-mbranch-protection=standard>)
endif()
unset(CMAKE_REQUIRED_FLAGS)

# Without optimization it only warns; some compilers define it themselves.
string(TOUPPER "${CMAKE_BUILD_TYPE}" epio_build_type)
if(NOT "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${epio_build_type}}" MATCHES "_FORTIFY_SOURCE")
    add_compile_options($<${epio_optimized}:-U_FORTIFY_SOURCE>
        $<${epio_optimized}:-D_FORTIFY_SOURCE=2>)
endif()

foreach(option IN ITEMS relro now)
    check_linker_flag(C -Wl,-z,${option} EPIO_HAS_Z_${option})
    if(EPIO_HAS_Z_${option})
        add_link_options($<${epio_optimized}:-Wl,-z,${option}>)
    endif()
endforeach()
