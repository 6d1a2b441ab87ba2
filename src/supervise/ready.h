// How a child tells its supervisor that it serves now, and where.
//
// A child whose spec says `notifies_ready` finds the number of an open file in the environment
// variable BAIWAN_READY_FD. It writes one line there and closes it. The text is for whoever started
// it: which ports it took, for example. The same idea as s6's notification-fd.
#pragma once

#include <cstddef>
#include <string_view>

namespace baiwan::supervise {

inline constexpr const char* kReadyVariable = "BAIWAN_READY_FD";
inline constexpr std::size_t kMaxReadyText = 4096;  // bytes; what is beyond is cut off

// In the child, once. Does nothing when nobody asked. `text` must not hold line breaks.
void NotifyReady(std::string_view text);

}  // namespace baiwan::supervise
