# Installation: libraries, headers, epio.pc, the CMake package and what there is to read.
# All of it can be moved after it was installed.
include(CMakePackageConfigHelpers)

set(epio_kinds static shared)
if(DEFINED BUILD_SHARED_LIBS)
    set(epio_kinds ${epio_default})
endif()
set(EPIO_INSTALL_LIBRARIES "${epio_kinds}" CACHE STRING "Which kinds of the library to install")

set(epio_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/epio)

# Each kind has its own targets file: the static one has needs that the other has not.
foreach(kind IN LISTS EPIO_INSTALL_LIBRARIES)
    install(TARGETS epio_${kind} EXPORT epio-${kind})
    install(EXPORT epio-${kind} DESTINATION ${epio_package_dir} NAMESPACE epio::
        FILE epio-${kind}-targets.cmake)
endforeach()
install(DIRECTORY include/epio DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES ports/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/ports)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.[ch]")

# ---- pkg-config ----

file(RELATIVE_PATH epio_pc_to_prefix
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(epio_pc_libdir "\${prefix}")
cmake_path(APPEND epio_pc_libdir "${CMAKE_INSTALL_LIBDIR}")
set(epio_pc_includedir "\${prefix}")
cmake_path(APPEND epio_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
# The header assumes the asynchronous half.
set(epio_pc_definitions "")
if(NOT EPIO_ASYNC)
    set(epio_pc_definitions " -DEPIO_ASYNC=0")
endif()

# What the static library needs, by name: as Requires.private it would have to be
# installed for the shared one too, since pkg-config reads those for every request.
if(NOT Sodium_STATIC_LIBS)
    set(Sodium_STATIC_LIBS -lsodium) # another project has found it
endif()
set(epio_pc_static_libs ${Sodium_STATIC_LIBS})
if(epio_has_liburing)
    if(NOT Liburing_STATIC_LIBS)
        set(Liburing_STATIC_LIBS -luring)
    endif()
    list(APPEND epio_pc_static_libs ${Liburing_STATIC_LIBS})
endif()
if(NOT WIN32)
    list(APPEND epio_pc_static_libs -pthread)
endif()
list(TRANSFORM CMAKE_C_IMPLICIT_LINK_DIRECTORIES PREPEND -L OUTPUT_VARIABLE epio_pc_known_directories)
list(REMOVE_ITEM epio_pc_static_libs ${epio_pc_known_directories})
list(REMOVE_DUPLICATES epio_pc_static_libs)
list(JOIN epio_pc_static_libs " " epio_pc_static_libs)
set(epio_pc_libs "-lepio")
set(epio_pc_private_libs " ${epio_pc_static_libs}")
if(NOT "shared" IN_LIST EPIO_INSTALL_LIBRARIES)
    # There is no other, so that nobody has to ask for it by --static.
    get_target_property(epio_pc_name epio_static OUTPUT_NAME)
    set(epio_pc_libs "-l${epio_pc_name} ${epio_pc_static_libs}")
    set(epio_pc_private_libs "")
endif()
configure_file(cmake/epio.pc.in epio.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/epio.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# ---- CMake ----

configure_package_config_file(cmake/epio-config.cmake.in epio-config.cmake
    INSTALL_DESTINATION ${epio_package_dir})
write_basic_package_version_file(epio-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/epio-config.cmake
    ${PROJECT_BINARY_DIR}/epio-config-version.cmake
    cmake/FindSodium.cmake
    cmake/FindLiburing.cmake
    DESTINATION ${epio_package_dir})
