#include "fleet/pulse.h"

#include <chrono>

namespace baiwan::fleet {
namespace {

constexpr int kBeatsWithin = 3;  // two may be missed
constexpr std::chrono::milliseconds kLook{50};
// Each host by itself and in bounded time: one that hangs delays no other.
constexpr const char* kScript = R"(file=$1 key=$2 known=$3; shift 3
touch "$file"
[ $# -eq 0 ] || printf '%s\n' "$@" | xargs -P 16 -I{} timeout 10 ssh -n -i "$key" \
  -o UserKnownHostsFile="$known" -o BatchMode=yes -o ConnectTimeout=5 root@{} touch "$file")";

}  // namespace

Pulse::Pulse(PulseOptions options) : o_(std::move(options)) {
  if (o_.silence > 0) thread_ = std::thread([this] { Run(); });
}

Pulse::~Pulse() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Pulse::Beat(bool workers) {
  const std::lock_guard lock(mutex_);
  workers_ = workers;
  trusted_until_ = SystemClock().Monotonic() + o_.trust;
}

void Pulse::Run() {
  std::unique_ptr<Tool> tool;
  Nanos next = 0;
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kLook, [this] { return over_; })) {
    const Nanos now = SystemClock().Monotonic();
    if (now > trusted_until_ || now < next) continue;
    if (tool && !tool->Ended() && now < next + o_.silence) continue;
    next = now + o_.silence / kBeatsWithin;
    Argv argv = {"/bin/sh", "-c", kScript, "sh", o_.file, o_.ssh_key, o_.known_hosts};
    if (workers_) argv.insert(argv.end(), o_.workers.begin(), o_.workers.end());
    lock.unlock();
    tool.reset();  // may take a moment, if it hangs
    if (auto begun = Tool::Start({"pulse", argv, o_.folder, "", false})) tool = std::move(*begun);
    lock.lock();
  }
}

}  // namespace baiwan::fleet
