# Installation: libraries, headers, the modules for pkg-config, the CMake package and what
# there is to read.
# All of it can be moved after it was installed.
include(CMakePackageConfigHelpers)

set(epio_kinds static shared)
if(DEFINED BUILD_SHARED_LIBS)
    set(epio_kinds ${epio_default})
endif()
set(EPIO_INSTALL_LIBRARIES "${epio_kinds}" CACHE STRING "Which kinds of the library to install")

set(epio_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/epio)

# install_library TARGET FILE KIND: with a targets file of its own, as the static one has needs
# that the shared one has not.
function(install_library target file kind)
    install(TARGETS ${target} EXPORT ${file}-${kind})
    install(EXPORT ${file}-${kind} DESTINATION ${epio_package_dir} NAMESPACE epio::
        FILE ${file}-${kind}-targets.cmake)
endfunction()

set(epio_installed_sqlite "")
foreach(kind IN LISTS EPIO_INSTALL_LIBRARIES)
    install_library(epio_${kind} epio ${kind})
    if(TARGET epio_sqlite_${kind})
        install_library(epio_sqlite_${kind} epio-sqlite ${kind})
        list(APPEND epio_installed_sqlite ${kind})
    endif()
endforeach()

# db.h says what the asynchronous half does with SQLite.
set(epio_other_headers "")
if(NOT epio_installed_sqlite)
    list(APPEND epio_other_headers PATTERN sqlite.h EXCLUDE)
endif()
if(NOT epio_installed_sqlite OR NOT EPIO_ASYNC)
    list(APPEND epio_other_headers PATTERN db.h EXCLUDE)
endif()
install(DIRECTORY include/epio DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp" ${epio_other_headers})

install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES ports/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/ports)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.[ch]" PATTERN "*.cpp")

# Their links to headers are those of the tree.
file(RELATIVE_PATH epio_doc_to_include
    ${CMAKE_INSTALL_FULL_DOCDIR} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
list(REMOVE_ITEM epio_other_headers PATTERN EXCLUDE)
set(epio_installed_documents "\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_DOCDIR}")
    set(epio_installed_documents "${CMAKE_INSTALL_DOCDIR}")
endif()
install(CODE "
    set(epio_documents \"\$ENV{DESTDIR}${epio_installed_documents}\")
    set(epio_doc_to_include \"${epio_doc_to_include}\")
    set(epio_absent_headers \"${epio_other_headers}\")
    include(\"${PROJECT_SOURCE_DIR}/cmake/installed-links.cmake\")")

# ---- pkg-config ----

file(RELATIVE_PATH epio_pc_to_prefix
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(epio_pc_libdir "\${prefix}")
cmake_path(APPEND epio_pc_libdir "${CMAKE_INSTALL_LIBDIR}")
set(epio_pc_includedir "\${prefix}")
cmake_path(APPEND epio_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")

# install_module FILE TARGET KINDS STATIC-LIBS DESCRIPTION LINE...: a module for the library
# that is installed in these kinds, TARGET_static and TARGET_shared. STATIC-LIBS, what the
# static one needs, are by name: as Requires.private they would have to be installed for the
# shared one too, since pkg-config reads those for every request. The lines are the module's own.
function(install_module file target kinds static_libs description)
    list(TRANSFORM CMAKE_C_IMPLICIT_LINK_DIRECTORIES PREPEND -L OUTPUT_VARIABLE known_directories)
    list(REMOVE_ITEM static_libs ${known_directories})
    list(REMOVE_DUPLICATES static_libs)
    list(JOIN static_libs " " static_libs)
    set(libs "-l${file}")
    set(private_libs " ${static_libs}")
    if(NOT "shared" IN_LIST kinds)
        # There is no other, so that nobody has to ask for it by --static.
        get_target_property(name ${target}_static OUTPUT_NAME)
        set(libs "-l${name} ${static_libs}")
        set(private_libs "")
    endif()
    list(JOIN ARGN "\n" lines)
    configure_file(cmake/epio.pc.in ${file}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${file}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

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
# The header assumes the asynchronous half.
set(epio_pc_definitions "")
if(NOT EPIO_ASYNC)
    set(epio_pc_definitions " -DEPIO_ASYNC=0")
endif()
install_module(epio epio "${EPIO_INSTALL_LIBRARIES}" "${epio_pc_static_libs}"
    "${PROJECT_DESCRIPTION}" "Cflags: -I\${includedir}${epio_pc_definitions}")

if(epio_installed_sqlite)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(EPIO_SQLITE_PC QUIET sqlite3)
    endif()
    if(NOT EPIO_SQLITE_PC_STATIC_LDFLAGS)
        set(EPIO_SQLITE_PC_STATIC_LDFLAGS -lsqlite3)
    endif()
    install_module(epio-sqlite epio_sqlite "${epio_installed_sqlite}"
        "${EPIO_SQLITE_PC_STATIC_LDFLAGS}" "${epio_sqlite_description}"
        "Requires: epio" "Cflags: -I\${includedir}")
endif()

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
