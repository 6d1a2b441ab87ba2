// RealLoop over io_uring: one system call a turn, whatever the number of streams.
//
// A listener is polled, and connections are accepted one by one: a multishot accept would take all
// that wait, whatever descriptors are left for others. A stream has one multishot receive, which
// stays with the kernel until it is cancelled or it ends it (no IORING_CQE_F_MORE), and then is
// started again at the end of the turn. At most one send per stream is under way, so that bytes
// keep their order; its buffer stays where it is until the kernel has answered (StreamOutput).
//
// user_data is the address of the IoObject, with the operation in its low bits. It needs no
// generation: an object whose operations have not all been answered is not destroyed, nor is its
// descriptor closed (IoObject::operations), so no answer can meet a stranger.
//
// Needs Linux 6.0 (multishot receive); since 6.1 completions are worked off only when the loop asks
// (IORING_SETUP_DEFER_TASKRUN), which saves interrupting it.
#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "net/backends.h"
#include "net/buffer_ring.h"
#include "net/connection.h"
#include "net/listening.h"
#include "net/loop_core.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kMostPerSend = 1 << 30;  // bytes; the length has 32 bits, with a sign
constexpr Nanos kFarewell = kSecond;           // for the kernel to end what is cancelled

// In the low bits of user_data. 0: an answer that nobody waits for.
enum Operation : std::uint64_t { kNone, kWake, kReceive, kSend, kAccept, kConnect };
constexpr std::uint64_t kOperationMask = 7;
static_assert(alignof(IoObject) > kOperationMask);

class UringLoop final : public LoopCore {
 public:
  explicit UringLoop(const LoopOptions& options) : LoopCore(options) {}
  ~UringLoop() override;

  // Why it cannot be, or nothing.
  std::string Init();

  Backend backend() const override { return Backend::kIoUring; }
  bool Attach(IoObject&) override { return true; }
  void Detach(IoObject& object) override;
  void Read(Connection& connection) override { connection.readable = false; }
  void UpdateReading(Connection& connection) override;
  void UpdateAccepting(ListenSocket& listener) override;
  void Send(Connection& connection) override;
  void StartConnect(Connector& connector) override;

 protected:
  // io_uring waits for a blocking socket, and gives up at once on another.
  Blocking blocking() const override { return Blocking::kYes; }
  void Wait(Nanos wait) override;
  void Dispatch() override;

 private:
  int SetUp(unsigned flags);
  int Enter(Nanos wait);
  // Null: the ring is full and the kernel takes nothing at the moment; try in the next turn.
  io_uring_sqe* Next();
  void Start(IoObject& object, io_uring_sqe* sqe, Operation operation);
  bool CancelMultishot(IoObject& object, Operation operation);
  void CloseDescriptor(int descriptor);
  void WatchPosts();
  void Completed(IoObject& object);

  void OnReceive(Connection& connection, const io_uring_cqe& cqe);
  void OnSend(Connection& connection, const io_uring_cqe& cqe);

  BufferRing buffers_;
  io_uring ring_{};
  bool exists_ = false;
  bool enabled_ = false;
  bool watching_posts_ = false;
};

std::uint64_t Tag(const IoObject& object, Operation operation) {
  return reinterpret_cast<std::uintptr_t>(&object) | operation;
}

// Only a failure is to be told, and that as an answer that nobody waits for.
void Unheard(io_uring_sqe* sqe) {
  io_uring_sqe_set_data64(sqe, kNone);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

int UringLoop::SetUp(unsigned flags) {
  io_uring_params params{};
  params.flags = flags | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  const std::uint32_t entries = std::clamp<std::uint32_t>(options_.ring_entries, 64, 16'384);
  params.cq_entries = 4 * entries;
  const int error = -io_uring_queue_init_params(entries, &ring_, &params);
  if (error != 0) return error;
  exists_ = true;
  constexpr unsigned kNeeded = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP;
  return (params.features & kNeeded) == kNeeded ? 0 : ENOSYS;
}

std::string UringLoop::Init() {
  int error = SetUp(IORING_SETUP_DEFER_TASKRUN);
  if (error == EINVAL) error = SetUp(IORING_SETUP_COOP_TASKRUN);
  if (error == EINVAL || error == ENOSYS) return "io_uring: the kernel is older than Linux 6.0";
  if (error != 0) return std::string("io_uring: the kernel refuses it: ") + std::strerror(error);
  if (!posts_.Init()) return std::string("io_uring: eventfd: ") + std::strerror(errno);
  error = buffers_.Init(&ring_, options_.buffers, options_.buffer_bytes);
  if (error != 0) return std::string("io_uring: receive buffers: ") + std::strerror(error);
  return {};
}

UringLoop::~UringLoop() {
  Shutdown();
  // Ports are free and buffers at rest only when the kernel has let go of everything.
  const Nanos deadline = clock().Monotonic() + kFarewell;
  while (exists_ && !all_closed() && clock().Monotonic() < deadline) {
    if (Enter(10 * kMillisecond) == -EEXIST) break;  // destroyed by another thread than ran it
    Dispatch();
    DigGraves();
  }
  if (!exists_) return;
  io_uring_submit(&ring_);
  io_uring_queue_exit(&ring_);
}

io_uring_sqe* UringLoop::Next() {
  if (io_uring_sqe* const sqe = io_uring_get_sqe(&ring_)) return sqe;
  ++stats_.syscalls;
  io_uring_submit(&ring_);
  return io_uring_get_sqe(&ring_);
}

void UringLoop::Start(IoObject& object, io_uring_sqe* sqe, Operation operation) {
  io_uring_sqe_set_data64(sqe, Tag(object, operation));
  ++object.operations;
}

int UringLoop::Enter(Nanos wait) {
  if (!enabled_) {
    // Only now, so that a loop may be made by one thread and run by another.
    // liburing 2.3 declares io_uring_enable_rings(3) but does not export it.
    syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    enabled_ = true;
  }
  WatchPosts();
  ++stats_.syscalls;
  if (wait == 0 || io_uring_cq_ready(&ring_) > 0) return io_uring_submit_and_get_events(&ring_);
  __kernel_timespec timeout{};
  timeout.tv_sec = wait / kSecond;
  timeout.tv_nsec = wait % kSecond;
  io_uring_cqe* first = nullptr;
  return io_uring_submit_and_wait_timeout(&ring_, &first, 1, wait < 0 ? nullptr : &timeout,
                                          nullptr);
}

void UringLoop::Wait(Nanos wait) {
  // Time out, interrupted, or too much to take in: what is not done now is done in the next turn.
  // The one mistake that would repeat for ever is to run a loop on two threads.
  if (Enter(wait) == -EEXIST) std::abort();
}

void UringLoop::WatchPosts() {
  if (watching_posts_) return;
  io_uring_sqe* const sqe = Next();
  if (sqe == nullptr) return;
  // The eventfd is never read: every write to it is told.
  io_uring_prep_poll_multishot(sqe, posts_.fd(), POLLIN);
  io_uring_sqe_set_data64(sqe, kWake);
  watching_posts_ = true;
}

void UringLoop::Dispatch() {
  for (unsigned left = io_uring_cq_ready(&ring_); left > 0; --left) {
    io_uring_cqe* entry = nullptr;
    if (io_uring_peek_cqe(&ring_, &entry) != 0) break;
    io_uring_cqe cqe;
    std::memcpy(&cqe, entry, sizeof *entry);
    io_uring_cqe_seen(&ring_, entry);
    const auto operation = static_cast<Operation>(cqe.user_data & kOperationMask);
    if (operation == kWake && (cqe.flags & IORING_CQE_F_MORE) == 0) watching_posts_ = false;
    if (operation == kNone || operation == kWake) continue;

    auto& object = *reinterpret_cast<IoObject*>(cqe.user_data & ~kOperationMask);
    switch (operation) {
      case kReceive:
        OnReceive(static_cast<Connection&>(object), cqe);
        break;
      case kSend:
        OnSend(static_cast<Connection&>(object), cqe);
        break;
      case kAccept:
        object.arming = false;
        AcceptFrom(static_cast<ListenSocket&>(object));
        break;
      default:
        static_cast<Connector&>(object).Finished(-cqe.res);
        break;
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) Completed(object);
  }
}

// The kernel has given the last answer to one of the object's operations.
void UringLoop::Completed(IoObject& object) {
  --object.operations;
  if (object.operations == 0 && object.closing_fd >= 0) {
    CloseDescriptor(std::exchange(object.closing_fd, -1));
  }
}

void UringLoop::CloseDescriptor(int descriptor) {
  if (io_uring_sqe* const sqe = Next()) {
    io_uring_prep_close(sqe, descriptor);
    Unheard(sqe);
  } else {
    close(descriptor);
    ++stats_.syscalls;
  }
}

void UringLoop::Detach(IoObject& object) {
  const int descriptor = std::exchange(object.fd, -1);
  if (object.operations == 0) {
    CloseDescriptor(descriptor);
    return;
  }
  object.closing_fd = descriptor;
  if (io_uring_sqe* const sqe = Next()) {
    io_uring_prep_cancel_fd(sqe, descriptor, IORING_ASYNC_CANCEL_ALL);
    Unheard(sqe);
  } else {
    shutdown(descriptor, SHUT_RDWR);  // ends them as well
    ++stats_.syscalls;
  }
}

bool UringLoop::CancelMultishot(IoObject& object, Operation operation) {
  io_uring_sqe* const sqe = Next();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, Tag(object, operation), 0);
  Unheard(sqe);
  object.cancelling = true;
  return true;
}

void UringLoop::UpdateReading(Connection& connection) {
  const bool wanted = connection.WantsRead();
  if (connection.arming) {
    if (wanted || connection.cancelling) return;
    if (!CancelMultishot(connection, kReceive)) MarkDirty(connection);
  } else if (wanted) {
    io_uring_sqe* const sqe = Next();
    if (sqe == nullptr) {
      MarkDirty(connection);
      return;
    }
    io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BufferRing::kGroup;
    Start(connection, sqe, kReceive);
    connection.arming = true;
  }
}

void UringLoop::OnReceive(Connection& connection, const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
    connection.arming = connection.cancelling = false;
    if (connection.fd >= 0) MarkDirty(connection);  // to be started again, if it is wanted
  }
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    const std::uint32_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe.res > 0 && connection.fd >= 0) {
      connection.Take({buffers_.At(id), static_cast<std::size_t>(cqe.res)});
    }
    buffers_.GiveBack(id);
  }
  if (cqe.res > 0 || connection.fd < 0) return;
  switch (-cqe.res) {
    case 0:
      connection.EndOfReading(NetError::kEof);
      break;
    case ENOBUFS:    // all buffers were in use; they have been given back since
    case ECANCELED:  // by a pause
    case EINTR:
    case EAGAIN:
      break;
    default:
      connection.EndOfReading(ErrorOf(-cqe.res));
  }
}

void UringLoop::Send(Connection& connection) {
  if (connection.sending) return;
  const std::string_view data = connection.NextToSend();
  if (data.empty()) return;
  io_uring_sqe* const sqe = Next();
  if (sqe == nullptr) {
    MarkDirty(connection);
    return;
  }
  io_uring_prep_send(sqe, connection.fd, data.data(), std::min(data.size(), kMostPerSend),
                     MSG_NOSIGNAL);
  Start(connection, sqe, kSend);
  connection.sending = true;
}

void UringLoop::OnSend(Connection& connection, const io_uring_cqe& cqe) {
  connection.sending = false;
  if (connection.fd < 0) return;
  if (cqe.res > 0) {
    connection.Sent(static_cast<std::size_t>(cqe.res));
  } else if (cqe.res != -EINTR && cqe.res != -EAGAIN) {
    connection.SendFailed(ErrorOf(-cqe.res));
    return;
  }
  MarkDirty(connection);  // what is left of it, or came since, or the end after it
}

void UringLoop::UpdateAccepting(ListenSocket& listener) {
  if (listener.arming || !listener.wants_accept()) return;
  io_uring_sqe* const sqe = Next();
  if (sqe == nullptr) {
    MarkDirty(listener);
    return;
  }
  io_uring_prep_poll_add(sqe, listener.fd, POLLIN);
  Start(listener, sqe, kAccept);
  listener.arming = true;
}

void UringLoop::StartConnect(Connector& connector) {
  io_uring_sqe* const sqe = Next();
  if (sqe == nullptr) {
    connector.Finish(NetError::kOther);
    return;
  }
  io_uring_prep_connect(sqe, connector.fd, connector.to().get(), connector.to().size);
  Start(connector, sqe, kConnect);
}

}  // namespace

Result<std::unique_ptr<RealLoop>, std::string> CreateUringLoop(const LoopOptions& options) {
  auto loop = std::make_unique<UringLoop>(options);
  std::string error = loop->Init();
  if (!error.empty()) return error;
  return std::unique_ptr<RealLoop>(std::move(loop));
}

}  // namespace baiwan::net
