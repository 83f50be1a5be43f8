# The event loops of others that a loop can be embedded in, as targets epio::host_NAME, where they
# are found and work with this compiler and C library. Only examples and tests need them.
find_package(PkgConfig QUIET)
include(CheckSourceCompiles)

# epio_add_host(NAME LANGUAGE PACKAGE LIBRARIES SOURCE): a target for what is linked by LIBRARIES,
# if SOURCE can be built with it; PACKAGE is where Debian has it.
function(epio_add_host name language package libraries source)
    if(language STREQUAL "C" OR (epio_has_cxx AND NOT CMAKE_CROSSCOMPILING))
        set(CMAKE_REQUIRED_LIBRARIES ${libraries})
        set(CMAKE_REQUIRED_QUIET ON)
        check_source_compiles(${language} "${source}" EPIO_HOST_${name}_WORKS)
        if(EPIO_HOST_${name}_WORKS)
            add_library(epio_host_${name} INTERFACE)
            target_link_libraries(epio_host_${name} INTERFACE ${libraries})
            add_library(epio::host_${name} ALIAS epio_host_${name})
            return()
        endif()
    endif()
    message(STATUS "Without the examples and tests in ${name}: it was not found (${package})")
endfunction()

# epio_add_host_module(NAME MODULE PACKAGE SOURCE): a host in C that pkg-config knows.
function(epio_add_host_module name module package source)
    set(libraries nowhere::${name})
    if(PkgConfig_FOUND AND NOT CMAKE_CROSSCOMPILING)
        string(MAKE_C_IDENTIFIER "EPIO_PC_${name}" prefix)
        pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
        if(TARGET PkgConfig::${prefix})
            set(libraries PkgConfig::${prefix})
        endif()
    endif()
    if(libraries MATCHES "^nowhere")
        message(STATUS "Without the examples and tests in ${name}: it was not found (${package})")
        return()
    endif()
    epio_add_host(${name} C ${package} ${libraries} "${source}")
endfunction()

if(WIN32)
    epio_add_host(win32 C "part of Windows" user32 "
#include <windows.h>
int main(void) { return (int)GetQueueStatus(QS_INPUT); }")
endif()
if(APPLE)
    epio_add_host(cfrunloop C "part of macOS" "-framework CoreFoundation" "
#include <CoreFoundation/CoreFoundation.h>
int main(void) { return CFRunLoopGetCurrent() == NULL; }")
endif()
epio_add_host_module(glib glib-2.0 libglib2.0-dev "
#include <glib.h>
int main(void) { return g_main_context_default() == NULL; }")
epio_add_host_module(gtk gtk4>=4.6 libgtk-4-dev "
#include <gtk/gtk.h>
int main(void) { return !gtk_init_check(); }")
epio_add_host_module(sdl sdl2 libsdl2-dev "
#define SDL_MAIN_HANDLED
#include <SDL.h>
int main(void) { return SDL_Init(0); }")
epio_add_host_module(libuv libuv libuv1-dev "
#define _GNU_SOURCE
#include <uv.h>
int main(void) { return uv_loop_close(uv_default_loop()); }")
if(TARGET epio_host_libuv)
    target_compile_definitions(epio_host_libuv INTERFACE _GNU_SOURCE) # its header needs it
endif()

# Headers alone; it uses the system's threads, and its sockets.
if(NOT CMAKE_CROSSCOMPILING AND NOT WIN32)
    epio_add_host(asio CXX libasio-dev "$<TARGET_NAME_IF_EXISTS:Threads::Threads>" "
#include <asio.hpp>
int main() { asio::io_context context; return static_cast<int>(context.run()); }")
    if(TARGET epio_host_asio AND EPIO_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
        target_compile_options(epio_host_asio INTERFACE -Wno-tsan) # its fences are not understood
    endif()
endif()

# The first of the two that is there.
if(epio_has_cxx AND NOT CMAKE_CROSSCOMPILING)
    find_package(Qt6 QUIET COMPONENTS Core OPTIONAL_COMPONENTS Gui Widgets)
    set(qt Qt6)
    if(NOT TARGET Qt6::Core)
        find_package(Qt5 5.15 QUIET COMPONENTS Core OPTIONAL_COMPONENTS Gui Widgets)
        set(qt Qt5)
    endif()
    if(TARGET ${qt}::Core)
        epio_add_host(qt CXX qt6-base-dev ${qt}::Core "
#include <QtCore/QCoreApplication>
int main(int argc, char **argv) { QCoreApplication one(argc, argv); return 0; }")
    else()
        message(STATUS "Without the examples and tests in qt: it was not found (qt6-base-dev)")
    endif()
    if(TARGET ${qt}::Gui AND TARGET epio::host_qt)
        epio_add_host(qtgui CXX qt6-base-dev ${qt}::Gui "
#include <QtGui/QRasterWindow>
int main() { return 0; }")
    endif()
    # What has widgets has coroutines and stop tokens, too.
    if(TARGET ${qt}::Widgets AND TARGET epio::host_qt)
        set(CMAKE_CXX_STANDARD 20)
        epio_add_host(qtwidgets CXX qt6-base-dev ${qt}::Widgets "
#include <QtWidgets/QAbstractScrollArea>
#include <coroutine>
#include <stop_token>
int main() { return std::stop_source().stop_requested() || std::coroutine_handle<>(); }")
        set(CMAKE_CXX_STANDARD 17)
    endif()
endif()
