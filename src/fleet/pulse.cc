#include "fleet/pulse.h"

namespace baiwan::fleet {
namespace {

constexpr int kBeatsWithin = 3;  // two may be missed
// Each host by itself and in bounded time: one that hangs delays no other.
constexpr const char* kScript = R"(file=$1 key=$2 known=$3; shift 3
touch "$file"
[ $# -eq 0 ] || printf '%s\n' "$@" | xargs -P 16 -I{} timeout 10 ssh -n -i "$key" \
  -o UserKnownHostsFile="$known" -o BatchMode=yes -o ConnectTimeout=5 root@{} touch "$file")";

}  // namespace

Pulse::Pulse(PulseOptions options) : o_(std::move(options)) {}

void Pulse::Beat(bool workers) {
  if (o_.silence == 0) return;
  const Nanos now = SystemClock().Monotonic();
  if (tool_ && !tool_->Ended() && now < next_ + o_.silence) return;
  if (now < next_) return;
  next_ = now + o_.silence / kBeatsWithin;
  tool_.reset();
  Argv argv = {"/bin/sh", "-c", kScript, "sh", o_.file, o_.ssh_key, o_.known_hosts};
  if (workers) argv.insert(argv.end(), o_.workers.begin(), o_.workers.end());
  if (auto tool = Tool::Start({"pulse", argv, o_.folder, "", false})) tool_ = std::move(*tool);
}

}  // namespace baiwan::fleet
