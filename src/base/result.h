// A value or an error, for code on the data path, where nothing throws.
//
//   Result<Frame, NetError> Parse(...);
//   auto frame = Parse(...);
//   if (!frame) return frame.error();
//   Use(*frame);
//
// Each module has one error enum with a `const char* Message(E)`; 0 is never an error. Where value
// and error are of one type (two strings, say), errors are made with Failure.
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

namespace baiwan {

template <class T, class E>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(E error)                                            // NOLINT: implicit on purpose
      requires(!std::is_same_v<T, E>)
      : state_(std::in_place_index<1>, std::move(error)) {}
  static Result Failure(E error) { return Result(std::in_place_index<1>, std::move(error)); }

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() { return assert(ok()), *std::get_if<0>(&state_); }
  const T& operator*() const { return assert(ok()), *std::get_if<0>(&state_); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  const E& error() const { return assert(!ok()), *std::get_if<1>(&state_); }

 private:
  Result(std::in_place_index_t<1> which, E error) : state_(which, std::move(error)) {}

  std::variant<T, E> state_;
};

}  // namespace baiwan
