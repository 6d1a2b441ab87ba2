// RealLoop over epoll.
//
// Sockets are watched for edges, in both directions, from their first moment to their last, so that
// pausing, resuming and a full socket cost no system call. Whoever sees an edge reads once, into a
// buffer that all streams share; a read that filled it, or that came with the end of the stream,
// leaves the stream marked as readable for the next turn, after everybody else had theirs.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/backends.h"
#include "net/connection.h"
#include "net/listening.h"
#include "net/loop_core.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr int kEventsPerTurn = 1024;

class EpollLoop final : public LoopCore {
 public:
  explicit EpollLoop(const LoopOptions& options) : LoopCore(options), buffer_(kReadBytes, '\0') {}
  ~EpollLoop() override {
    Shutdown();
    if (epoll_ >= 0) close(epoll_);
  }

  // An errno, 0 if all is well.
  int Init() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0 || !posts_.Init()) return errno;
    // Its counter is never read: every write to it is an edge.
    epoll_event wake{};
    wake.events = EPOLLIN | EPOLLET;
    wake.data.ptr = nullptr;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, posts_.fd(), &wake) == 0 ? 0 : errno;
  }

  Backend backend() const override { return Backend::kEpoll; }

  bool Attach(IoObject& object) override {
    // Edges would lose the connections that are left in the backlog at the end of a turn.
    if (object.kind == IoObject::Kind::kListener) return Control(EPOLL_CTL_ADD, object, 0);
    const std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (Control(EPOLL_CTL_ADD, object, events)) return true;
    return errno == EEXIST && Control(EPOLL_CTL_MOD, object, events);  // it was a connector's
  }

  void Detach(IoObject& object) override {
    close(std::exchange(object.fd, -1));
    ++stats_.syscalls;
  }

  void Read(Connection& connection) override {
    connection.readable = false;
    const ssize_t n = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    const int error = errno;
    ++stats_.syscalls;
    if (n > 0) {
      connection.readable = connection.hung_up || static_cast<std::size_t>(n) == buffer_.size();
      connection.Take({buffer_.data(), static_cast<std::size_t>(n)});
      if (connection.readable && connection.WantsRead()) MarkReady(connection);
    } else if (n == 0) {
      connection.EndOfReading(NetError::kEof);
    } else if (error == EINTR) {
      connection.readable = true;
      MarkReady(connection);
    } else if (error != EAGAIN) {
      connection.EndOfReading(ErrorOf(error));
    }
  }

  void UpdateReading(Connection& connection) override {
    if (connection.readable && connection.WantsRead()) MarkReady(connection);
  }

  void UpdateAccepting(ListenSocket& listener) override {
    if (listener.arming == listener.wants_accept()) return;
    if (Control(EPOLL_CTL_MOD, listener, listener.wants_accept() ? std::uint32_t{EPOLLIN} : 0)) {
      listener.arming = listener.wants_accept();
    }
  }

  void Send(Connection& connection) override {
    if (connection.blocked) return;
    // Twice only if an earlier send left a part: what has been written since is another buffer.
    for (int i = 0; i < 2; ++i) {
      const std::string_view data = connection.NextToSend();
      if (data.empty()) return;
      const ssize_t n = send(connection.fd, data.data(), data.size(), MSG_NOSIGNAL);
      const int error = errno;
      ++stats_.syscalls;
      if (n >= 0) {
        connection.blocked = static_cast<std::size_t>(n) < data.size();
        connection.Sent(static_cast<std::size_t>(n));
        if (connection.blocked) return;
      } else if (error == EAGAIN) {
        connection.blocked = true;
        return;
      } else if (error == EINTR) {
        MarkDirty(connection);
        return;
      } else {
        connection.SendFailed(ErrorOf(error));
        return;
      }
    }
  }

  void StartConnect(Connector& connector) override {
    ++stats_.syscalls;
    if (connect(connector.fd, connector.to().get(), connector.to().size) != 0 &&
        errno != EINPROGRESS) {
      connector.Finished(errno);
    } else if (!Control(EPOLL_CTL_ADD, connector, EPOLLOUT | EPOLLET)) {
      connector.Finished(errno);
    }
  }

 protected:
  Blocking blocking() const override { return Blocking::kNo; }

  void Wait(Nanos wait) override {
    timespec timeout{};
    timeout.tv_sec = wait / kSecond;
    timeout.tv_nsec = wait % kSecond;
    ++stats_.syscalls;
    count_ = epoll_pwait2(epoll_, events_.data(), kEventsPerTurn, wait < 0 ? nullptr : &timeout,
                          nullptr);
    if (count_ < 0 && errno == ENOSYS) {  // kernels before 5.11
      const Nanos millis = (wait + kMillisecond - 1) / kMillisecond;
      count_ = epoll_wait(epoll_, events_.data(), kEventsPerTurn,
                          wait < 0 ? -1 : static_cast<int>(std::min<Nanos>(millis, 1 << 30)));
    }
  }

  void Dispatch() override {
    for (int i = 0; i < count_; ++i) {
      if (events_[i].data.ptr == nullptr) continue;  // only to wake up
      auto& object = *static_cast<IoObject*>(events_[i].data.ptr);
      if (object.fd < 0) continue;  // closed earlier in this turn
      switch (object.kind) {
        case IoObject::Kind::kConnection:
          OnConnection(static_cast<Connection&>(object), events_[i].events);
          break;
        case IoObject::Kind::kListener:
          AcceptFrom(static_cast<ListenSocket&>(object));
          break;
        case IoObject::Kind::kConnector:
          OnConnector(static_cast<Connector&>(object));
          break;
      }
    }
  }

 private:
  bool Control(int operation, IoObject& object, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &object;
    ++stats_.syscalls;
    return epoll_ctl(epoll_, operation, object.fd, &event) == 0;
  }

  void OnConnection(Connection& connection, std::uint32_t events) {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.hung_up = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 && connection.blocked) {
      connection.blocked = false;
      MarkDirty(connection);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
    // One that is marked already is read in the next turn: once a turn is enough for anybody.
    const bool marked = connection.readable;
    connection.readable = true;
    if (!marked && connection.WantsRead()) Read(connection);
  }

  void OnConnector(Connector& connector) {
    int error = 0;
    socklen_t size = sizeof error;
    ++stats_.syscalls;
    getsockopt(connector.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    connector.Finished(error);
  }

  int epoll_ = -1;
  int count_ = 0;
  std::array<epoll_event, kEventsPerTurn> events_;
  std::string buffer_;
};

}  // namespace

Result<std::unique_ptr<RealLoop>, std::string> CreateEpollLoop(const LoopOptions& options) {
  auto loop = std::make_unique<EpollLoop>(options);
  if (const int error = loop->Init()) return std::string("epoll: ") + std::strerror(error);
  return std::unique_ptr<RealLoop>(std::move(loop));
}

}  // namespace baiwan::net
