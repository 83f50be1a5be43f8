# What epio and epio-sqlite have in common as libraries: how their files are called, which
# version they say, and when they are built.

# Until 1.0 a minor version may change the ABI.
set(epio_soversion ${PROJECT_VERSION_MAJOR})
if(epio_soversion EQUAL 0)
    set(epio_soversion 0.${PROJECT_VERSION_MINOR})
endif()

# Which kind epio::epio and epio::sqlite are: as BUILD_SHARED_LIBS says, where it says anything.
set(epio_default shared)
if(DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS)
    set(epio_default static)
endif()

# epio_built_if_linked(TARGET): in another's tree what nobody links is not built.
function(epio_built_if_linked target)
    if(NOT PROJECT_IS_TOP_LEVEL AND NOT EPIO_INSTALL)
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    endif()
endfunction()

# epio_names_library(TARGET KIND FILE DESCRIPTION): names and versions of a library of that
# kind, static or shared.
function(epio_names_library target kind file description)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${file})
    epio_built_if_linked(${target})
    if(kind STREQUAL "static")
        if(MSVC)
            # Without the ending it is how programs find the DLL.
            set_target_properties(${target} PROPERTIES OUTPUT_NAME ${file}_static)
        endif()
        return()
    endif()
    set_target_properties(${target} PROPERTIES
        VERSION ${PROJECT_VERSION}
        SOVERSION ${epio_soversion})
    if(WIN32)
        set(dll_name ${file}.dll)
        if(MINGW)
            # Those of several versions may lie in one directory of the path.
            set(dll_name lib${file}-${epio_soversion}.dll)
            set_target_properties(${target} PROPERTIES
                RUNTIME_OUTPUT_NAME ${file}-${epio_soversion})
        endif()
        if(CMAKE_RC_COMPILER)
            configure_file(${PROJECT_SOURCE_DIR}/cmake/version.rc.in ${file}_version.rc @ONLY)
            target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${file}_version.rc)
        endif()
    endif()
endfunction()
