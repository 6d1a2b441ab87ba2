// What a host tells of itself before it is used, as `baiwan fleet facts` prints it there and the
// step engine brings it to the control host.
//
// Pure; any thread. Failure: what does not read is a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "monitor/host_use.h"

namespace baiwan::fleet {

struct HostReady {
  monitor::HostUse use;
  std::uint64_t open_files = 0;  // of a process; 0: not known
};

// One line, without its end.
std::string ToJson(const HostReady& host);
Result<HostReady, std::string> HostReadyFromJson(std::string_view json);

}  // namespace baiwan::fleet
