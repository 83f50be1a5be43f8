# epio_takes_utf8(TARGET): lets a program for Windows have its arguments in UTF-8,
# which is what epio's paths are in, instead of in the code page of the country.
set(epio_utf8_directory ${CMAKE_CURRENT_LIST_DIR})

function(epio_takes_utf8 target)
    if(MSVC)
        target_sources(${target} PRIVATE ${epio_utf8_directory}/utf8.manifest)
    elseif(CMAKE_RC_COMPILER)
        target_sources(${target} PRIVATE ${epio_utf8_directory}/utf8.rc)
        set_source_files_properties(${epio_utf8_directory}/utf8.rc TARGET_DIRECTORY ${target}
            PROPERTIES OBJECT_DEPENDS ${epio_utf8_directory}/utf8.manifest)
    endif()
endfunction()
