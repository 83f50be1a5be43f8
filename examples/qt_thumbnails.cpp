/* Thumbnails of a directory's pictures, in a window of Qt that scrolls.
 *
 *     qt_thumbnails [--script] [--screenshot FILE.png] DIRECTORY
 *     qt_thumbnails --make N DIRECTORY
 *
 * Each picture in view is a coroutine, which loads the file, has it decoded on a worker thread, and
 * puts the thumbnail into the window. Semaphores of epio limit what is in flight, however fast the
 * user scrolls, and a std::stop_source cancels what has left the view. All of it runs in Qt's event
 * loop: epio/qt.hpp. docs/cpp.md explains the C++, docs/embedding.md the event loop. */
#include <epio/epio.hpp>
#include <epio/qt.hpp>

#include "qt_screen.h"

#include <QtCore/QBuffer>
#include <QtCore/QFileInfo>
#include <QtCore/QTimer>
#include <QtGui/QCloseEvent>
#include <QtGui/QImageReader>
#include <QtGui/QPainter>
#include <QtWidgets/QAbstractScrollArea>
#include <QtWidgets/QApplication>
#include <QtWidgets/QScrollBar>
#include <QtWidgets/QStyle>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace
{

using namespace std::chrono_literals;

constexpr std::uint32_t most_loads = 8;
constexpr std::uint32_t most_bytes = 64 << 20; // of files, from their load until they are decoded
constexpr std::uint64_t most_for_picture = 1 << 30; // one that is larger is not loaded
constexpr std::uint32_t most_decoders = 2;
constexpr QSize cell_size(160, 150);
constexpr QSize picture_size(144, 108);
constexpr int kept_screens = 4; // thumbnails further away are dropped
constexpr std::chrono::milliseconds frame_time = 16ms;

/* ---- What is in flight, as this program sees it -------------------------- */

// For the figures at the end; it is epio that keeps the limits.
struct gauge {
    std::atomic<std::uint64_t> now{0};
    std::atomic<std::uint64_t> most{0};
};

struct counted {
    counted(gauge &what, std::uint64_t how_many) : of(what), amount(how_many)
    {
        const std::uint64_t now = of.now += amount;
        std::uint64_t most = of.most;
        while (now > most && !of.most.compare_exchange_weak(most, now)) {
        }
    }

    counted(const counted &) = delete;

    ~counted()
    {
        of.now -= amount;
    }

    gauge &of;
    const std::uint64_t amount;
};

/* ---- From a path to a thumbnail ------------------------------------------ */

struct thumbnail {
    QImage image;
    QString reason; // why there is no image
};

thumbnail sign(const std::error_code &error)
{
    return {QImage(), QString::fromStdString(error.message())};
}

// On a worker thread.
thumbnail decode(const epio::buffer &file, gauge &decoders)
{
    const counted decoding(decoders, 1);
    QByteArray bytes = QByteArray::fromRawData(file.data(), static_cast<int>(file.size()));
    QBuffer device(&bytes);
    QImageReader reader(&device);
    const QSize size = reader.size();
    const auto fits = [](QSize one) { return one.boundedTo(picture_size) == one; };

    reader.setAutoTransform(true);
    if (!fits(size)) {
        reader.setScaledSize(size.scaled(picture_size, Qt::KeepAspectRatio)); // spares JPEG work
    }
    QImage image = reader.read();
    if (image.isNull()) {
        return {QImage(), reader.errorString()};
    }
    if (!fits(image.size())) { // its size was not known, or it is turned
        image = image.scaled(picture_size, Qt::KeepAspectRatio, Qt::SmoothTransformation);
    }
    return {image.convertToFormat(QImage::Format_ARGB32_Premultiplied), QString()};
}

QByteArray png_of(const QImage &image)
{
    QByteArray bytes;
    QBuffer device(&bytes);
    image.save(&device, "PNG");
    return bytes;
}

/* Runs on the thread of the loop, but for decode. A task of it ends soon when its stop is
 * requested: what waits for a permit at once, a load between two reads, a decoder with its picture.
 */
class loader
{
  public:
    explicit loader(epio::loop &loop)
        : loop_(loop), turns_(epio::semaphore::create(most_loads).value()),
          memory_(epio::semaphore::create(most_bytes).value()),
          decoders_(epio::semaphore::create(most_decoders).value()),
          decoding_(epio::limit_vfs(loop, decoders_).value())
    {
    }

    /* First the turn, then the memory: what has memory needs no turn once it is loaded, so no two
     * wait for each other. */
    epio::task<thumbnail> load(std::string path)
    {
        const std::stop_token stop = co_await epio::get_stop_token();
        auto turn = co_await epio::with_stop(epio::acquire(loop_, turns_), stop);
        if (!turn) {
            co_return sign(turn.error());
        }
        std::optional<counted> loading(std::in_place, loads, 1);
        auto info = co_await epio::with_stop(epio::stat(loop_, path), stop);
        if (!info) {
            co_return sign(info.error());
        }
        const char *refusal = info->type != EPIO_TYPE_FILE     ? "not a file"
                              : info->bytes == 0               ? "empty"
                              : info->bytes > most_for_picture ? "too large"
                                                               : nullptr;
        if (refusal != nullptr) {
            co_return thumbnail{QImage(), refusal};
        }

        // One permit for each byte. A file that is larger than all of them takes all, and is alone.
        const std::uint64_t permits = std::min<std::uint64_t>(info->bytes, most_bytes);
        auto memory = co_await epio::with_stop(
            epio::acquire(loop_, memory_, static_cast<std::uint32_t>(permits)), stop);
        if (!memory) {
            co_return sign(memory.error());
        }
        const counted held(bytes, info->bytes);
        epio_load_options options = epio_load_options();
        options.size = sizeof options;
        options.most = info->bytes; // it may have grown since
        auto file = co_await epio::with_stop(epio::load(loop_, path, &options), stop);
        if (!file) {
            co_return sign(file.error());
        }
        loading.reset();
        turn->release();

        // What goes through a `limit` holds one of its permits: so many decode at once.
        auto decoded = co_await epio::with_stop(
            epio::work(decoding_, [this, &file] { return decode(*file, decoders); }), stop);
        co_return decoded ? std::move(*decoded) : sign(decoded.error());
    }

    gauge loads;
    gauge bytes;
    gauge decoders;

  private:
    epio::loop &loop_;
    epio::semaphore turns_;
    epio::semaphore memory_;
    epio::semaphore decoders_;
    epio::vfs decoding_;
};

/* ---- The window ----------------------------------------------------------- */

struct options {
    std::string directory;
    std::string screenshot; // "": none
    bool script = false;
    unsigned make = 0; // pictures; 0: they are shown
};

int complain(int status, const std::string &what, const std::string &why)
{
    std::fprintf(stderr, "qt_thumbnails: %s: %s\n", what.c_str(), why.c_str());
    return status;
}

class window : public QAbstractScrollArea
{
  public:
    window(epio::loop &loop, const options &wanted) : loop_(loop), loader_(loop), options_(wanted)
    {
        setWindowTitle(QString::fromStdString(options_.directory));
        resize(6 * cell_size.width() + 30, 700);
        verticalScrollBar()->setSingleStep(cell_size.height() / 3);
        frame_.setTimerType(Qt::PreciseTimer);
        frame_.setInterval(frame_time);
        connect(&frame_, &QTimer::timeout, this, [this] { tick(); });
        epio::spawn(loop_, list());
        if (options_.script || !options_.screenshot.empty()) {
            epio::spawn(loop_, play());
        }
    }

    /* After the loop's end, as coroutines are counted to theirs. The exit status. */
    int report() const
    {
        std::printf("%zu pictures: %u started, %u shown, %u with a sign, %u cancelled, %u of them "
                    "at the end\n",
                    pictures_.size(), started_, shown_, signs_, cancelled_, at_the_end_);
        std::printf("most at once: %" PRIu64 " loads, %" PRIu64 " bytes, %" PRIu64 " decoding\n",
                    loader_.loads.most.load(), loader_.bytes.most.load(),
                    loader_.decoders.most.load());
        std::printf("%u frames, longest gap %.1f ms\n", frames_,
                    static_cast<double>(longest_gap_) / 1e6);
        return status_;
    }

  protected:
    void resizeEvent(QResizeEvent *) override
    {
        lay_out();
    }

    void scrollContentsBy(int, int) override
    {
        look();
    }

    void paintEvent(QPaintEvent *) override
    {
        QPainter painter(viewport());
        const int row = verticalScrollBar()->value() / cell_size.height();
        std::size_t i = static_cast<std::size_t>(row * columns());
        for (; i < pictures_.size() && distance_of(i) == 0; i++) {
            draw(painter, place_of(i), pictures_[i]);
        }

        const std::uint64_t now = epio_clock_monotonic();
        if (latest_frame_ != 0) {
            longest_gap_ = std::max(longest_gap_, now - latest_frame_);
        }
        latest_frame_ = frame_.isActive() ? now : 0;
        frames_++;
    }

    /* The loop is closed later, when the window is not shown any more. */
    void closeEvent(QCloseEvent *event) override
    {
        at_the_end_ = closing_ ? at_the_end_ : in_flight_;
        closing_ = true;
        for (picture &one : pictures_) {
            stop(one);
        }
        event->accept();
    }

  private:
    enum class state { absent, loading, shown, sign };

    struct picture {
        std::string name;
        enum state state = state::absent;
        std::stop_source stopper; // of its coroutine, while it is loading
        thumbnail shown;
    };

    /* ---- What is to be loaded ---- */

    // What its name says is a picture; whether it is one is seen when it is decoded.
    epio::task<> list()
    {
        const QList<QByteArray> formats = QImageReader::supportedImageFormats();
        const auto add = [&](const epio_walk_entry *entries, std::size_t count) {
            for (std::size_t i = 0; i < count; i++) {
                const QFileInfo name(QString::fromUtf8(entries[i].name));
                if (formats.contains(name.suffix().toLower().toUtf8())) {
                    pictures_.emplace_back().name = entries[i].name;
                }
            }
            lay_out();
            return !closing_;
        };
        epio_walk_options flat = epio_walk_options();
        flat.flags = EPIO_WALK_SORTED;
        flat.most_depth = 1;
        auto listed = co_await epio::walk(loop_, options_.directory, add, flat);
        listed_ = true;
        if (!listed && !closing_) {
            fail(options_.directory, listed.error());
        }
    }

    epio::task<> fetch(std::size_t index)
    {
        const std::stop_token stop = co_await epio::get_stop_token();
        thumbnail got = co_await loader_.load(options_.directory + '/' + pictures_[index].name);
        in_flight_--;
        if (stop.stop_requested()) { // it may have come back, and have another coroutine
            cancelled_++;
            co_return;
        }
        picture &one = pictures_[index];
        one.state = got.image.isNull() ? state::sign : state::shown;
        one.shown = std::move(got);
        (one.state == state::shown ? shown_ : signs_)++;
    }

    void start(std::size_t index)
    {
        picture &one = pictures_[index];
        one.state = state::loading;
        one.stopper = std::stop_source();
        started_++;
        in_flight_++;
        if (!frame_.isActive()) {
            frame_.start();
            latest_frame_ = frames_ != 0 ? epio_clock_monotonic() : 0;
        }
        epio::spawn(loop_, fetch(index), one.stopper.get_token());
    }

    static void stop(picture &one)
    {
        if (one.state == state::loading) {
            one.state = state::absent;
            one.stopper.request_stop();
        }
    }

    /* ---- What is in view ---- */

    int columns() const
    {
        return std::max(viewport()->width() / cell_size.width(), 1);
    }

    QRect place_of(std::size_t index) const
    {
        const int at = static_cast<int>(index);
        return QRect(QPoint(at % columns() * cell_size.width(),
                            at / columns() * cell_size.height() - verticalScrollBar()->value()),
                     cell_size);
    }

    // How far it is from what is in view, in screens; 0: it is in view.
    int distance_of(std::size_t index) const
    {
        const int height = viewport()->height();
        const QRect place = place_of(index);
        return place.top() >= height ? place.top() / height
               : place.bottom() < 0  ? 1 - place.bottom() / height
                                     : 0;
    }

    void lay_out()
    {
        const int rows = (static_cast<int>(pictures_.size()) + columns() - 1) / columns();
        const int height = rows * cell_size.height();
        verticalScrollBar()->setPageStep(viewport()->height());
        verticalScrollBar()->setRange(0, std::max(height - viewport()->height(), 0));
        look();
    }

    // Starts what is in view, cancels what is not, and drops what is far away.
    void look()
    {
        viewport()->update();
        for (std::size_t i = 0; i < pictures_.size(); i++) {
            picture &one = pictures_[i];
            const int distance = distance_of(i);
            if (distance == 0 && one.state == state::absent && !closing_) {
                start(i);
            } else if (distance != 0) {
                stop(one);
            }
            if (distance > kept_screens && one.state == state::shown) {
                one = {std::move(one.name), state::absent, {}, {}};
            }
        }
    }

    /* ---- Drawing ---- */

    void draw(QPainter &painter, QRect place, const picture &one) const
    {
        const QRect name = place.adjusted(4, place.height() - 26, -4, -4);
        QRect room(QPoint(), picture_size);
        room.moveCenter(QPoint(place.center().x(), place.top() + 8 + room.height() / 2));
        if (one.state == state::shown) {
            QRect image = one.shown.image.rect();
            image.moveCenter(room.center());
            painter.drawImage(image.topLeft(), one.shown.image);
        } else {
            painter.fillRect(room, palette().alternateBase());
        }
        if (one.state == state::sign) {
            const QRect icon(room.center().x() - 16, room.top() + 8, 32, 32);
            style()->standardIcon(QStyle::SP_MessageBoxWarning).paint(&painter, icon);
            painter.drawText(room.adjusted(4, 44, -4, -4), Qt::AlignHCenter | Qt::TextWordWrap,
                             one.shown.reason);
        }
        const QString text = QString::fromStdString(one.name);
        painter.drawText(name, Qt::AlignCenter,
                         fontMetrics().elidedText(text, Qt::ElideMiddle, name.width()));
    }

    // While anything is in flight all that has come is drawn once in a frame, and these are timed.
    void tick()
    {
        if (in_flight_ == 0) {
            frame_.stop();
        }
        viewport()->update();
    }

    /* ---- Without hands: no await is in a condition, see docs/cpp.md on g++ 12 ---- */

    epio::task<bool> all_is_there()
    {
        do {
            (void)co_await epio::sleep(loop_, frame_time);
        } while (!closing_ && (!listed_ || in_flight_ != 0));
        co_return !closing_;
    }

    epio::task<> play()
    {
        const bool open = co_await all_is_there();
        if (open && !options_.screenshot.empty()) {
            const QImage image = grab().toImage();
            auto png = co_await epio::work(loop_, [&image] { return png_of(image); });
            const QByteArray bytes = png ? std::move(*png) : QByteArray();
            auto saved = co_await epio::save(loop_, options_.screenshot, bytes);
            if (!saved) {
                fail(options_.screenshot, saved.error());
            }
        }
        if (open && options_.script) {
            co_await scroll_about();
        }
        close();
    }

    // To the end, back, and to where all is to be loaded again, in the middle of which it ends.
    epio::task<> scroll_about()
    {
        QScrollBar *bar = verticalScrollBar();
        while (!closing_ && bar->value() < bar->maximum()) {
            bar->setValue(bar->value() + bar->pageStep()); // cancelled before it has begun
            bar->setValue(bar->value() + bar->pageStep());
            (void)co_await epio::sleep(loop_, frame_time);
        }
        bool open = co_await all_is_there();
        while (open && bar->value() > 0) {
            bar->setValue(bar->value() - bar->pageStep());
            open = co_await all_is_there();
        }
        bar->setValue(bar->maximum());
        while (in_flight_ != 0 && loader_.loads.now == 0) {
            (void)co_await epio::current_time(loop_); // the next iteration of the loop
        }
    }

    void fail(const std::string &path, const std::error_code &error)
    {
        status_ = complain(1, path, error.message());
        close();
    }

    epio::loop &loop_;
    loader loader_;
    const options options_;
    std::vector<picture> pictures_;
    bool listed_ = false;
    bool closing_ = false;
    unsigned in_flight_ = 0; // coroutines, those too that are being cancelled

    int status_ = 0;
    unsigned started_ = 0;
    unsigned shown_ = 0;
    unsigned signs_ = 0;
    unsigned cancelled_ = 0;
    unsigned at_the_end_ = 0;

    QTimer frame_;
    unsigned frames_ = 0;
    std::uint64_t latest_frame_ = 0; // 0: none that the next one is compared with
    std::uint64_t longest_gap_ = 0;
};

int show(const options &wanted, int argc, char **argv)
{
    if (const char *missing = qt_lacks_screen(argc, argv)) {
        return complain(1, wanted.directory, missing);
    }
    const QApplication application(argc, argv);
    epio_loop_options tuned = epio_loop_options();
    tuned.size = sizeof tuned;
    tuned.poll_budget_ns = 2000000; // what a frame is late at most
    tuned.worker_nice = 10;         // workers give way to what draws
    epio::loop loop = epio::loop::create(&tuned).value();
    epio::qt::loop_host host(loop.get());
    if (host.error() != 0) {
        return complain(1, "no handle", epio_error_message(host.error()));
    }
    window shown(loop, wanted);
    shown.show();
    QApplication::exec();
    host.detach();
    // Ends what is in flight: coroutines run on to their ends, for which the window is still there.
    (void)loop.close();
    return shown.report();
}

/* ---- Pictures for trying --------------------------------------------------- */

QImage paint(unsigned number)
{
    QImage image(400, 300, QImage::Format_RGB32);
    QPainter painter(&image);
    const int hue = static_cast<int>(number * 47 % 360);
    QLinearGradient gradient(0, 0, 0, image.height());
    gradient.setColorAt(0, QColor::fromHsv(hue, 90, 250));
    gradient.setColorAt(1, QColor::fromHsv((hue + 60) % 360, 200, 120));
    painter.fillRect(image.rect(), gradient);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setBrush(QColor::fromHsv((hue + 180) % 360, 150, 240));
    painter.drawEllipse(QPoint(static_cast<int>(number * 71 % 400), 100), 60, 60);
    painter.end();
    return image;
}

// Nothing else is to be done meanwhile: epio::perform needs no loop.
int make(const options &wanted)
{
    epio_vfs *os = epio_os_vfs();
    epio_save_options quickly = epio_save_options();
    quickly.size = sizeof quickly;
    quickly.flags = EPIO_SAVE_NO_DURABLE;
    std::error_code error = epio::perform(epio::mkdir(os, wanted.directory)).error();
    if (error == std::errc::file_exists) {
        error.clear();
    }
    for (unsigned i = 0; i < wanted.make && !error; i++) {
        char name[32];
        std::snprintf(name, sizeof name, "/picture-%05u.png", i);
        const QByteArray bytes = png_of(paint(i));
        error = epio::perform(epio::save(os, wanted.directory + name, bytes, &quickly)).error();
    }
    return error ? complain(1, wanted.directory, error.message()) : 0;
}

/* ---- The program ----------------------------------------------------------- */

int print_help()
{
    std::puts("Usage: qt_thumbnails [OPTION]... DIRECTORY\n"
              "\n"
              "Shows the pictures of the directory in a window that scrolls. Once it is closed it\n"
              "prints how many were loaded and cancelled, how much was in flight at most, and the\n"
              "longest gap between two frames while anything was.\n"
              "\n"
              "  --make N           write N pictures there for trying, and show nothing\n"
              "  --screenshot FILE  write the window to FILE, a PNG, and close it\n"
              "  --script           scroll to the end and back, and close while pictures load\n"
              "  --help             this text\n"
              "\n"
              "Without a screen: QT_QPA_PLATFORM=offscreen.");
    return 0;
}

// 0, or the exit status.
int take_arguments(options &wanted, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const std::string one = argv[i];
        if (one == "--script") {
            wanted.script = true;
        } else if ((one == "--make" || one == "--screenshot") && i + 1 == argc) {
            return complain(2, one, "its value is missing; see --help");
        } else if (one == "--screenshot") {
            wanted.screenshot = argv[++i];
        } else if (one == "--make") {
            wanted.make = QByteArray(argv[++i]).toUInt(); // 0 if it is no number
            if (wanted.make == 0 || wanted.make > 99999) {
                return complain(2, argv[i], "no number from 1 to 99999; see --help");
            }
        } else if (one[0] == '-') {
            return complain(2, one, "unknown option; see --help");
        } else if (!wanted.directory.empty()) {
            return complain(2, one, "one directory is enough; see --help");
        } else {
            wanted.directory = one;
        }
    }
    return wanted.directory.empty() ? complain(2, "DIRECTORY", "it is missing; see --help") : 0;
}

} // namespace

int main(int argc, char **argv)
{
    options wanted;
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        return print_help();
    }
    const int refused = take_arguments(wanted, argc, argv);
    if (refused != 0) {
        return refused;
    }
    try {
        return wanted.make != 0 ? make(wanted) : show(wanted, argc, argv);
    } catch (const std::exception &error) {
        return complain(1, wanted.directory, error.what());
    }
}
