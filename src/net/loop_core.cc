#include "net/loop_core.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "net/connection.h"
#include "net/listening.h"

namespace baiwan::net {

LoopCore::~LoopCore() {
  for (const auto& object : objects_) object->core_ = nullptr;
}

void LoopCore::Post(std::function<void()> work) { posts_.Push(std::move(work)); }

TimerId LoopCore::After(Nanos delay, std::function<void()> work) {
  if (shut_down_) return 0;
  return timers_.Add(clock().Monotonic() + std::max<Nanos>(delay, 0), std::move(work));
}

void LoopCore::RemoveTurnHook(TurnHook* hook) {
  if (in_hooks_) {
    std::replace(hooks_.begin(), hooks_.end(), hook, static_cast<TurnHook*>(nullptr));
  } else {
    hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), hook), hooks_.end());
  }
}

void LoopCore::Run() {
  posts_.Open();
  for (bool last = false; !last;) {
    last = posts_.TakeStop();
    Turn(last ? 0 : -1);
  }
  posts_.Close();
}

void LoopCore::RunOnce(Nanos wait) {
  posts_.Open();
  Turn(std::max<Nanos>(wait, 0));
}

void LoopCore::Stop() { posts_.Stop(); }

void LoopCore::Turn(Nanos wait) {
  ++stats_.turns;
  wait = TimeToWait(wait);
  if (wait != 0 && !posts_.BeginSleep()) wait = 0;
  Wait(wait);
  posts_.EndSleep(posted_);
  RunReadyObjects();
  Dispatch();
  RunPosted();
  if (timers_.size() > 0) timers_.Run(clock().Monotonic());
  RunHooks();
  FlushDirty();
  DigGraves();
}

Nanos LoopCore::TimeToWait(Nanos wait) {
  if (!ready_.empty() || !dirty_.empty()) return 0;
  const Nanos due = timers_.next_due();
  if (due < 0 || wait == 0) return wait;
  const Nanos until = std::max<Nanos>(due - clock().Monotonic(), 0);
  return wait < 0 ? until : std::min(wait, until);
}

void LoopCore::RunReadyObjects() {
  ready_now_.swap(ready_);
  for (IoObject* const object : ready_now_) {
    object->in_ready_ = false;
    object->RunReady();
  }
  ready_now_.clear();
}

void LoopCore::RunPosted() {
  for (auto& work : posted_) {
    const std::function<void()> mine = std::move(work);
    mine();
  }
  posted_.clear();
}

void LoopCore::RunHooks() {
  in_hooks_ = true;
  for (std::size_t i = 0; i < hooks_.size(); ++i) {
    if (hooks_[i] != nullptr) hooks_[i]->OnTurnEnd();
  }
  in_hooks_ = false;
  hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), nullptr), hooks_.end());
}

void LoopCore::FlushDirty() {
  dirty_now_.swap(dirty_);
  for (IoObject* const object : dirty_now_) {
    object->in_dirty_ = false;
    object->Flush();
  }
  dirty_now_.clear();
}

void LoopCore::MarkReady(IoObject& object) {
  if (std::exchange(object.in_ready_, true)) return;
  ready_.push_back(&object);
}

void LoopCore::MarkDirty(IoObject& object) {
  if (std::exchange(object.in_dirty_, true)) return;
  dirty_.push_back(&object);
}

void LoopCore::Bury(IoObject& object) {
  if (!std::exchange(object.buried_, true)) graves_.push_back(&object);
}

void LoopCore::DigGraves() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < graves_.size(); ++i) {
    IoObject* const object = graves_[i];
    if (object->in_ready_ || object->in_dirty_ || object->operations > 0) {
      graves_[kept++] = object;
      continue;
    }
    object->Release();
    Forget(*object);
    object->core_ = nullptr;
    objects_.back()->index_ = object->index_;
    std::swap(objects_[object->index_], objects_.back());
    // Destroyed last: an owner's function may be among what goes with it.
    const std::shared_ptr<IoObject> gone = std::move(objects_.back());
    objects_.pop_back();
  }
  graves_.resize(kept);
}

// A socket has been closed in full.
void LoopCore::Forget(IoObject& object) {
  if (object.kind == IoObject::Kind::kListener) std::erase(listeners_, &object);
  if (!object.accepted) return;
  const bool was_full = !may_accept();
  --accepted_;
  if (!was_full || shut_down_) return;
  for (IoObject* const listener : listeners_) MarkDirty(*listener);
}

void LoopCore::AcceptFrom(ListenSocket& listener) {
  const int flags = SOCK_CLOEXEC | (blocking() == Blocking::kNo ? SOCK_NONBLOCK : 0);
  while (listener.wants_accept() && listener.room() > 0) {
    SocketAddress peer;
    ++stats_.syscalls;
    const int fd = accept4(listener.fd, peer.get(), &peer.size, flags);
    if (fd >= 0) {
      listener.Accepted(fd, ToEndpoint(peer));
      continue;
    }
    const int error = errno;
    listener.AcceptFailed(error);
    if (error == EAGAIN) break;
  }
  if (listener.fd >= 0) MarkDirty(listener);
}

void LoopCore::Adopt(std::shared_ptr<IoObject> object) {
  object->index_ = objects_.size();
  objects_.push_back(std::move(object));
}

std::unique_ptr<ByteStream> LoopCore::NewStream(int descriptor, const Endpoint& peer,
                                                bool accepted) {
  auto connection = std::make_shared<Connection>(*this, descriptor, peer);
  if (!Attach(*connection)) {
    close(descriptor);
    return nullptr;
  }
  Adopt(connection);
  connection->accepted = accepted;
  accepted_ += accepted ? 1 : 0;
  MarkDirty(*connection);
  return std::make_unique<Stream>(std::move(connection));
}

Result<std::unique_ptr<Listener>, NetError> LoopCore::Listen(const Endpoint& at,
                                                             AcceptFn on_accept) {
  auto descriptor = OpenListener(at, options_.backlog, Blocking::kNo);
  const Nanos until = clock().Monotonic() + options_.port_within;
  while (!descriptor && descriptor.error() == NetError::kAddressInUse &&
         clock().Monotonic() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    descriptor = OpenListener(at, options_.backlog, Blocking::kNo);
  }
  if (!descriptor) return descriptor.error();
  auto socket = std::make_shared<ListenSocket>(*this, *descriptor, std::move(on_accept));
  if (!Attach(*socket)) {
    close(*descriptor);
    return NetError::kOther;
  }
  Adopt(socket);
  listeners_.push_back(socket.get());
  MarkDirty(*socket);
  return std::unique_ptr<Listener>(std::make_unique<ListenHandle>(std::move(socket)));
}

void LoopCore::Connect(const Endpoint& to, Nanos timeout, ConnectFn done) {
  const auto address = ToSocketAddress(to);
  Result<int, NetError> descriptor = NetError::kUnreachable;
  if (address) descriptor = OpenSocket(*address, blocking());
  auto connector = std::make_shared<Connector>(
      *this, descriptor ? *descriptor : -1, address ? *address : SocketAddress{}, std::move(done));
  Adopt(connector);
  if (!descriptor) {
    connector->Finish(descriptor.error());
    return;
  }
  connector->SetTimeout(timeout);
  StartConnect(*connector);
}

void LoopCore::Shutdown() {
  shut_down_ = true;
  hooks_.clear();
  posts_.Close();
  const auto posted = std::exchange(posted_, {});
  timers_.Clear();
  const auto objects = objects_;
  for (const auto& object : objects) object->Orphan();
  for (const auto& object : objects) object->in_ready_ = object->in_dirty_ = false;
  ready_.clear();
  dirty_.clear();
  DigGraves();
}

}  // namespace baiwan::net
