# Finds libsodium, as vcpkg's CMake package or by pkg-config, and defines
# Sodium::sodium; Sodium_STATIC_LIBS is what a linker is given for the static one.
if(NOT TARGET Sodium::sodium)
    find_package(unofficial-sodium CONFIG QUIET)
    if(TARGET unofficial-sodium::sodium)
        set(Sodium_TARGET unofficial-sodium::sodium)
        set(Sodium_STATIC_LIBS -lsodium)
        if(MSVC)
            set(Sodium_STATIC_LIBS -llibsodium)
        endif()
    else()
        find_package(PkgConfig QUIET)
        if(PkgConfig_FOUND)
            pkg_check_modules(Sodium_PC QUIET IMPORTED_TARGET libsodium)
        endif()
        if(TARGET PkgConfig::Sodium_PC)
            set(Sodium_TARGET PkgConfig::Sodium_PC)
            set(Sodium_STATIC_LIBS ${Sodium_PC_STATIC_LDFLAGS})
        endif()
    endif()
else()
    set(Sodium_TARGET Sodium::sodium)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Sodium
    REQUIRED_VARS Sodium_TARGET
    REASON_FAILURE_MESSAGE "libsodium's development files (libsodium-dev) and pkg-config are needed")

if(Sodium_FOUND AND NOT TARGET Sodium::sodium)
    add_library(Sodium::sodium INTERFACE IMPORTED)
    target_link_libraries(Sodium::sodium INTERFACE ${Sodium_TARGET})
    # Its header asks for a DLL where it is not told otherwise. (vcpkg's package
    # says so itself.)
    if(WIN32 AND Sodium_PC_FOUND AND Sodium_PC_LINK_LIBRARIES MATCHES "libsodium\\.a")
        target_compile_definitions(Sodium::sodium INTERFACE SODIUM_STATIC)
    endif()
endif()
