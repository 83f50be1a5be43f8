# Builds the source tree that this port lies in.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
if(NOT EXISTS "${SOURCE_PATH}/include/epio/epio.h")
    message(FATAL_ERROR "this port belongs into epio's own tree, as its ports/epio")
endif()

# vcpkg has one kind of library for each triplet.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "dynamic")
    set(libraries shared)
else()
    set(libraries static)
endif()

vcpkg_check_features(OUT_FEATURE_OPTIONS features
    FEATURES
        bench EPIO_BUILD_BENCH
        sqlite EPIO_SQLITE
)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DEPIO_INSTALL=ON
        -DEPIO_INSTALL_LIBRARIES=${libraries}
        -DEPIO_HARDEN=OFF # the triplet says what there is to be of that
        -DEPIO_BUILD_TESTS=OFF
        -DEPIO_BUILD_EXAMPLES=OFF
        ${features}
)
vcpkg_cmake_install()
vcpkg_copy_pdbs()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/epio)
vcpkg_fixup_pkgconfig()
if("bench" IN_LIST FEATURES)
    # Into tools/epio, as vcpkg wants programs.
    vcpkg_copy_tools(TOOL_NAMES epio-bench AUTO_CLEAN)
endif()

file(REMOVE_RECURSE
    "${CURRENT_PACKAGES_DIR}/debug/include"
    "${CURRENT_PACKAGES_DIR}/debug/share"
    "${CURRENT_PACKAGES_DIR}/share/doc"
)

file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
