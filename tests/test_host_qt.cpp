/* A loop in Qt's: epio/qt.hpp. The cases are in support/host_cases.c. */
#include "host.h"

/* The polls of the host are counted. */
#define epio_loop_poll host_poll
#include <epio/qt.hpp>

#include <QtCore/QTimer>

namespace
{

QObject *parent; /* owns what detach deletes */
epio::qt::loop_host *attached;
int detached;

void start()
{
    parent = new QObject;
}

void stop()
{
    delete parent;
}

void attach(epio_loop *loop)
{
    attached = new epio::qt::loop_host(loop, parent);
    host_require(attached->error() == 0, "loop_host");
    host_require(attached->loop() == loop, "the host's loop");
}

/* In each of the ways. */
void detach()
{
    switch (detached++ % 3) {
    case 0:
        delete attached;
        break;
    case 1:
        attached->detach();
        attached->detach();
        break;
    default:
        delete parent;
        parent = new QObject;
    }
}

void iterate(int milliseconds)
{
    QTimer limit;
    limit.setSingleShot(true);
    limit.start(milliseconds);
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
}

void post(void (*function)(void *user), void *user)
{
    QTimer::singleShot(0, QCoreApplication::instance(), [=] { function(user); });
}

class drawing : public QObject
{
  public:
    drawing(void (*function)(void *user), void *user) : function_(function), user_(user)
    {
    }

    bool event(QEvent *what) override
    {
        if (what->type() != QEvent::UpdateRequest) {
            return QObject::event(what);
        }
        function_(user_);
        deleteLater();
        return true;
    }

  private:
    void (*function_)(void *user);
    void *user_;
};

/* As QWidget does. */
void post_drawing(void (*function)(void *user), void *user)
{
    QCoreApplication::postEvent(new drawing(function, user), new QEvent(QEvent::UpdateRequest),
                                Qt::LowEventPriority);
}

} // namespace

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    host qt = {};
    qt.name = "Qt";
    qt.start = start;
    qt.stop = stop;
    qt.attach = attach;
    qt.detach = detach;
    qt.iterate = iterate;
    qt.post = post;
    qt.post_drawing = post_drawing;
    qt.nests = true;
    return host_run(&qt);
}
