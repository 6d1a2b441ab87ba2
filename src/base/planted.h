// Mistakes planted in the real roles and the store, to prove that the tests find such mistakes.
//
//   if (!Planted("pending-forgotten")) recover_.push_back(user);
//
// In a build with BAIWAN_PLANTED=ON a program makes the one mistake that the environment variable
// BAIWAN_PLANT names. `./dev plant` lets the pure and the simulated tests find each in turn. In
// every other build Planted is a constant, and nothing of the mistake is in the program.
//
// Threads: any. Failure: none; a name that stands nowhere plants nothing.
#pragma once

#include <string_view>

namespace baiwan {

#ifdef BAIWAN_PLANTED
bool Planted(std::string_view mistake);
#else
constexpr bool Planted(std::string_view) { return false; }
#endif

}  // namespace baiwan
