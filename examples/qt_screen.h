/* Whether Qt finds a screen, for the examples: where it finds none, it aborts. */
#ifndef EXAMPLES_QT_SCREEN_H
#define EXAMPLES_QT_SCREEN_H

#include <QtCore/QByteArray>

#include <cstring>

/* What is missing; NULL: nothing is. Whether a screen that is named answers, Qt says itself. */
inline const char *qt_lacks_screen(int argc, char **argv)
{
#if defined(Q_OS_UNIX) && !defined(Q_OS_MACOS)
    for (const char *variable : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}) {
        if (!qEnvironmentVariableIsEmpty(variable)) {
            return nullptr;
        }
    }
    for (int i = 1; i < argc; i++) {
        if (std::strcmp(argv[i], "-platform") == 0 || std::strcmp(argv[i], "--platform") == 0) {
            return nullptr;
        }
    }
    return "no screen: neither DISPLAY nor WAYLAND_DISPLAY is set; with "
           "QT_QPA_PLATFORM=offscreen it runs without one";
#else
    (void)argc;
    (void)argv;
    return nullptr;
#endif
}

#endif
