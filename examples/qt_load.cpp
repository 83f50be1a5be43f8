/* A window of Qt that keeps drawing while it loads a file, and saves it.
 *
 *     qt_load [--create MIB] FILE [COPY]
 *
 * Prints how many frames were drawn meanwhile, and the longest gap between two of them. Without a
 * screen: QT_QPA_PLATFORM=offscreen qt_load FILE. All that embedding needs is in epio/qt.hpp. */
#include "load.h"
#include "qt_screen.h"

#include <epio/qt.hpp>

#include <QtCore/QTimer>
#include <QtGui/QGuiApplication>
#include <QtGui/QPainter>
#include <QtGui/QRasterWindow>

namespace
{

/* A bar in constant motion, one that grows, and a line of text. */
class window : public QRasterWindow
{
  public:
    explicit window(struct load &of) : load_(of)
    {
        setTitle("epio");
        resize(600, 150);
        frame_.setTimerType(Qt::PreciseTimer);
        frame_.setInterval(LOAD_FRAME_MS);
        connect(&frame_, &QTimer::timeout, this, [this] { update(); });
        frame_.start();
    }

  protected:
    void paintEvent(QPaintEvent *) override
    {
        QPainter painter(this);
        const int third = height() / 3;

        painter.fillRect(0, 0, width(), height(), Qt::white);
        painter.fillRect(drawn_++ % 60 * width() / 60, 0, width() / 10, third, Qt::blue);
        painter.fillRect(0, third, static_cast<int>(load_part(&load_) * width()), third, Qt::blue);
        painter.drawText(20, 3 * third - 10, load_.phase == LOAD_SAVING ? "saving" : "loading");
        if (!load_frame(&load_)) {
            frame_.stop();
            QTimer::singleShot(0, this, [this] { close(); }); /* and the program ends */
        }
    }

  private:
    struct load &load_;
    QTimer frame_;
    int drawn_ = 0;
};

} // namespace

int main(int argc, char **argv)
{
    static struct load load;

    load_help(argc, argv, "Without a screen: QT_QPA_PLATFORM=offscreen.\n");
    if (const char *missing = qt_lacks_screen(argc, argv)) {
        fprintf(stderr, "qt_load: %s\n", missing);
        return 1;
    }
    QGuiApplication application(argc, argv);
    const int status = load_start(&load, argc, argv);

    if (status != 0) {
        return status;
    }
    {
        epio::qt::loop_host host(load.loop);
        window shown(load);

        if (host.error() != 0) {
            return load_fail(&load, "qt_load: no handle");
        }
        shown.show();
        QGuiApplication::exec();
    }
    return load_finish(&load);
}
