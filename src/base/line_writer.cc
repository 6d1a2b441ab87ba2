#include "base/line_writer.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace baiwan {
namespace {

constexpr int kLookMs = 100;                     // how often a held writer asks whether to end
constexpr int kAgainMs = 10;                     // between two tries on a descriptor that is full
constexpr Nanos kFarewell = kSecond;             // for the last lines of a process
constexpr std::size_t kMaxLine = PIPE_BUF;       // with its end
constexpr std::string_view kCut = " … (cut)\n";  // the end of a line that is longer

std::string Bounded(std::string_view line) {
  if (line.size() + 1 <= kMaxLine) return std::string(line) + '\n';
  return std::string(line.substr(0, kMaxLine - kCut.size())) + std::string(kCut);
}

}  // namespace

struct LineWriter::State {
  struct Entry {
    std::string text;       // with its end; empty: only the gap is to be told
    std::uint64_t gap = 0;  // lines dropped right before it, because too much waited
  };

  State(int descriptor, std::size_t most) : fd(descriptor), max_bytes(most) {}

  // The thread's work.
  void Run();
  void Put(const Entry& entry);
  bool WriteAll(std::string_view text);

  const int fd;
  const std::size_t max_bytes;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Entry> waiting;  // this and all below: guarded by mutex
  std::size_t bytes = 0;      // of them
  std::uint64_t gap = 0;      // dropped since the last that was taken
  bool writing = false;
  bool ended = false;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> dropped = 0;

  std::uint64_t failed = 0;  // lines that could not be written and are not told yet; the thread's
  bool torn = false;         // the last one of them had begun

  std::thread thread;
};

LineWriter::LineWriter(int fd, std::size_t max_bytes)
    : state_(std::make_shared<State>(fd, max_bytes)) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  state_->thread = std::thread([state = state_] { state->Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LineWriter::~LineWriter() {
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
  const bool ended =
      state_->changed.wait_for(lock, std::chrono::seconds(1), [this] { return state_->ended; });
  lock.unlock();
  // A write that the kernel does not come back from is left to itself.
  std::thread thread = std::move(state_->thread);
  if (ended) {
    thread.join();
  } else {
    thread.detach();
  }
}

void LineWriter::Write(std::string_view line) { Add(line, false); }

void LineWriter::WriteLast(std::string_view line) { Add(line, true); }

void LineWriter::Add(std::string_view line, bool always) {
  std::string text = Bounded(line);
  const std::lock_guard lock(state_->mutex);
  if (!always && state_->bytes + text.size() > state_->max_bytes) {
    ++state_->gap;
    ++state_->dropped;
    return;
  }
  state_->bytes += text.size();
  state_->waiting.push_back({std::move(text), std::exchange(state_->gap, 0)});
  state_->changed.notify_all();
}

bool LineWriter::Flush(Nanos within) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::nanoseconds(within), [this] {
    return state_->waiting.empty() && state_->gap == 0 && !state_->writing;
  });
}

std::uint64_t LineWriter::dropped() const { return state_->dropped; }

void LineWriter::State::Run() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stop || !waiting.empty() || gap > 0; });
    if (stop) break;
    Entry next;
    if (waiting.empty()) {
      next.gap = std::exchange(gap, 0);
    } else {
      next = std::move(waiting.front());
      waiting.pop_front();
    }
    writing = true;
    lock.unlock();
    Put(next);
    lock.lock();
    writing = false;
    bytes -= next.text.size();
    changed.notify_all();
  }
  ended = true;
  changed.notify_all();
}

void LineWriter::State::Put(const Entry& entry) {
  failed += entry.gap;
  if (failed > 0) {
    const std::string note =
        fmt::format("{}--- {} lines left out: they were not read, or could not be written\n",
                    torn ? "\n" : "", failed);
    if (WriteAll(note)) {
      failed = 0;
      torn = false;
    }
  }
  if (entry.text.empty() || (failed == 0 && WriteAll(entry.text))) return;
  ++failed;
  ++dropped;
}

bool LineWriter::State::WriteAll(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    pollfd room{fd, POLLOUT, 0};
    const int ready = ::poll(&room, 1, kLookMs);
    if (stop) return false;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ::ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      ::poll(nullptr, 0, kAgainMs);  // somebody made it non-blocking
    } else if (errno != EINTR) {
      torn = torn || rest.size() < text.size();
      return false;
    }
  }
  return true;
}

namespace {

std::atomic<LineWriter*> process_stderr = nullptr;  // once there is one

}  // namespace

LineWriter& ProcessStderr() {
  // Never destroyed: other threads may have something to say while the process ends.
  static LineWriter* const writer = [] {
    auto* const made = new LineWriter(STDERR_FILENO);
    process_stderr = made;
    std::atexit(FlushProcessStderr);
    return made;
  }();
  return *writer;
}

void FlushProcessStderr() {
  if (LineWriter* const writer = process_stderr) writer->Flush(kFarewell);
}

}  // namespace baiwan
