/* A loop in Qt's: a QObject that polls it. For Qt 5.15 and 6, of which it needs QtCore alone, from
 * C++17 on; all of it is in this header, and moc is not needed.
 *
 *     epio_loop_create(&loop, nullptr);
 *     epio::qt::loop_host host(loop);
 *     application.exec();
 *     host.detach();
 *     epio_loop_destroy(loop);
 *
 * The host does not own the loop: it is detached or destroyed first, which is allowed in a `done`,
 * too. Ops that are in flight then stay so until the loop is run, polled or closed. Loop and host
 * belong to the same thread, which runs Qt's event loop.
 *
 * Qt's notifiers have no priorities. So that a window draws before the next poll, a notification is
 * only answered by an event of low priority, behind all that is posted, drawing included; that
 * event polls. While nothing happens, nothing wakes. A `done` that runs an event loop of its own,
 * as a modal dialog does, finds the loop polled there as well. */
#ifndef EPIO_QT_HPP
#define EPIO_QT_HPP

#include <epio/epio.h>

#include <QtCore/QCoreApplication>
#include <QtCore/QEvent>
#include <QtCore/QObject>
#include <QtCore/QtGlobal>
#ifdef Q_OS_WIN
#include <QtCore/QWinEventNotifier>
#else
#include <QtCore/QSocketNotifier>
#endif

#if EPIO_ASYNC

namespace epio::qt
{

class loop_host : public QObject
{
  public:
    /* The owner of the loop. Where there is no handle the host does nothing: see error. */
    explicit loop_host(epio_loop *loop, QObject *parent = nullptr) : QObject(parent), loop_(loop)
    {
        const intptr_t handle = epio_loop_handle(loop);
        if (handle < 0) {
            error_ = static_cast<int>(handle);
            return;
        }
#ifdef Q_OS_WIN
        notifier_ = new QWinEventNotifier(reinterpret_cast<Qt::HANDLE>(handle), this);
        connect(notifier_, &QWinEventNotifier::activated, this, [this] { notified(); });
        notifier_->setEnabled(true);
#else
        /* The signal is overloaded in Qt 5, the event is not. */
        notifier_ = new QSocketNotifier(handle, QSocketNotifier::Read, this);
        notifier_->installEventFilter(this);
#endif
    }

    /* 0, or why there is no handle: EPIO_EMFILE, EPIO_ENOMEM. */
    int error() const
    {
        return error_;
    }

    epio_loop *loop() const
    {
        return loop_;
    }

    /* From now on the loop is not polled here. Once is enough. */
    void detach()
    {
        delete notifier_;
        notifier_ = nullptr;
        QCoreApplication::removePostedEvents(this, poll_event());
    }

    bool event(QEvent *what) override
    {
        if (what->type() != poll_event()) {
            return QObject::event(what);
        }
        if (!last_) {
            last_ = true;
            post_poll();
            return true;
        }
        /* Before the poll, in which a `done` may run an event loop, or delete the host. */
        notifier_->setEnabled(true);
        epio_loop_poll(loop_, EPIO_NOW, 0);
        return true;
    }

    bool eventFilter(QObject *watched, QEvent *what) override
    {
        if (watched != notifier_ || what->type() != QEvent::SockAct) {
            return QObject::eventFilter(watched, what);
        }
        notified();
        return true;
    }

  private:
    static QEvent::Type poll_event()
    {
        static const int type = QEvent::registerEventType();
        return static_cast<QEvent::Type>(type);
    }

    void notified()
    {
        notifier_->setEnabled(false);
        last_ = false;
        post_poll();
    }

    /* Drawing is posted with LowEventPriority. Twice: what is posted while Qt delivers goes behind
     * all that was there, whatever its priority; the second time that is drawing's place as well.
     */
    void post_poll()
    {
        QCoreApplication::postEvent(this, new QEvent(poll_event()), Qt::LowEventPriority - 1);
    }

    epio_loop *const loop_;
    int error_ = 0;
    bool last_ = false; /* the event polls, and is not posted again */
#ifdef Q_OS_WIN
    QWinEventNotifier *notifier_ = nullptr;
#else
    QSocketNotifier *notifier_ = nullptr;
#endif
};

} // namespace epio::qt

#endif

#endif
