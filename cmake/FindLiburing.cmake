# Finds liburing by pkg-config, and defines Liburing::liburing; Liburing_STATIC_LIBS is
# what a linker is given for the static one.
if(NOT TARGET Liburing::liburing)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        # 2.3 is the first whose calls for deferred completions epio uses.
        pkg_check_modules(Liburing_PC QUIET IMPORTED_TARGET liburing>=2.3)
    endif()
    if(TARGET PkgConfig::Liburing_PC)
        set(Liburing_TARGET PkgConfig::Liburing_PC)
        set(Liburing_STATIC_LIBS ${Liburing_PC_STATIC_LDFLAGS})
    endif()
else()
    set(Liburing_TARGET Liburing::liburing)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Liburing
    REQUIRED_VARS Liburing_TARGET
    REASON_FAILURE_MESSAGE "liburing's development files (liburing-dev, 2.3 or newer) and pkg-config are needed")

if(Liburing_FOUND AND NOT TARGET Liburing::liburing)
    add_library(Liburing::liburing INTERFACE IMPORTED)
    target_link_libraries(Liburing::liburing INTERFACE ${Liburing_TARGET})
endif()
