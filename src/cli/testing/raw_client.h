// A client that writes what it likes to a port of this machine, and waits.
//
// Threads: the test's. Failure: an empty answer, or a descriptor that is none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"

namespace baiwan::cli {

// Connected to 127.0.0.1, or none.
UniqueFd ConnectTo(std::uint16_t port, Nanos within);
bool SendAll(const UniqueFd& socket, std::string_view bytes);
// What comes until `end` is in it, or the other side closes, or it takes too long.
std::string ReceiveUntil(const UniqueFd& socket, std::string_view end, Nanos within);
// A whole request on a connection of its own, e.g. ("GET", "/healthz"): what came, head and all.
std::string Ask(std::uint16_t port, std::string_view method, std::string_view target,
                std::string_view body, Nanos within);

}  // namespace baiwan::cli
