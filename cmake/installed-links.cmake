# Makes the links to headers in the documents that were just installed in epio_documents lead to
# where the headers are installed, epio_doc_to_include from there. What links to one of
# epio_absent_headers becomes its name.
foreach(pattern README.md CHANGELOG.md docs/*.md ports/*.md)
    file(GLOB files ${epio_documents}/${pattern})
    # From the directory of the document up to that of them all, as links in the tree go.
    set(up "")
    if(pattern MATCHES "/")
        set(up "../")
    endif()
    foreach(file IN LISTS files)
        file(READ ${file} before)
        set(text "${before}")
        foreach(header IN LISTS epio_absent_headers)
            string(REGEX REPLACE "\\[([^]\n]*)\\]\\(${up}include/epio/${header}\\)" "\\1"
                text "${text}")
        endforeach()
        string(REPLACE "](${up}include/" "](${up}${epio_doc_to_include}/" text "${text}")
        if(NOT text STREQUAL before)
            file(WRITE ${file} "${text}")
        endif()
    endforeach()
endforeach()
