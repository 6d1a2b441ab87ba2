// What is believed is asserted, in release builds too.
//
//   CHECK(MayDrop(r), "nothing refers to a user that is dropped");
//
// A belief that does not hold means that memory or records are about to be damaged, so the process
// ends at once, with the place, the condition and the sentence on standard error, and a core dump
// if the system takes them. The sentence says what is believed. Bad input is never a reason.
#pragma once

namespace baiwan {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const char* sentence);

}  // namespace baiwan

#define CHECK(condition, sentence)                                     \
  do {                                                                 \
    if (__builtin_expect(!(condition), 0)) {                           \
      ::baiwan::CheckFailed(__FILE__, __LINE__, #condition, sentence); \
    }                                                                  \
  } while (false)
