// Tells a callback whether the object that it belongs to still exists.
//
// Every callback here may destroy the object that called it, and loops and transports keep work
// that outlives whoever asked for it. Code that goes on after a callback, and work handed to a
// loop, holds a token and looks at it first. One thread.
#pragma once

#include <memory>

namespace baiwan::net {

class Lifetime {
 public:
  using Token = std::shared_ptr<const bool>;

  Lifetime() : alive_(std::make_shared<bool>(true)) {}
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;
  ~Lifetime() { *alive_ = false; }

  Token token() const { return alive_; }

 private:
  std::shared_ptr<bool> alive_;
};

}  // namespace baiwan::net
