// What a logic server under test is given where nothing may go wrong: it fails the test when it is
// asked to die, or when a client is refused.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "base/fatal.h"
#include "cell/ports.h"
#include "wire/client.pb.h"

namespace baiwan::cell {

class Unlucky final : public Fatal {
 public:
  void Die(std::string_view why) override { ADD_FAILURE() << "asked to die: " << why; }
};

class Nobody final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame& frame) override {
    for (const wire::Refusal& r : frame.refusals()) {
      ADD_FAILURE() << "refused: " << wire::Reason_Name(r.reason());
    }
  }
};

}  // namespace baiwan::cell
