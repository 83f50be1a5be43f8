# Installation: libraries, headers, epio.pc and the CMake package. All of it can
# be moved after it was installed.
include(CMakePackageConfigHelpers)

set(EPIO_INSTALL_LIBRARIES "static;shared" CACHE STRING "Which kinds of the library to install")

set(epio_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/epio)

list(TRANSFORM EPIO_INSTALL_LIBRARIES PREPEND epio_ OUTPUT_VARIABLE epio_installed)
install(TARGETS ${epio_installed} EXPORT epio)
install(DIRECTORY include/epio DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

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
set(epio_pc_private_libs "")
set(epio_pc_private_packages "libsodium")
if(epio_has_liburing)
    string(APPEND epio_pc_private_packages ", liburing")
endif()
if(NOT WIN32)
    set(epio_pc_private_libs " -pthread")
endif()
configure_file(cmake/epio.pc.in epio.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/epio.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# ---- CMake ----

configure_package_config_file(cmake/epio-config.cmake.in epio-config.cmake
    INSTALL_DESTINATION ${epio_package_dir})
write_basic_package_version_file(epio-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT epio DESTINATION ${epio_package_dir} NAMESPACE epio:: FILE epio-targets.cmake)
install(FILES
    ${PROJECT_BINARY_DIR}/epio-config.cmake
    ${PROJECT_BINARY_DIR}/epio-config-version.cmake
    cmake/FindSodium.cmake
    cmake/FindLiburing.cmake
    DESTINATION ${epio_package_dir})
