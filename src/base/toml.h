// toml++, made fit for files that people write: include this, and only in a .cc file.
//
// toml++ 3.3 checks some of what a file may hold ("[=" for one) with its own assertions before it
// reports it as an error: a typing mistake would end a debug build, and is undefined behaviour in a
// release build by clang. Without the assertions the error is reported. This is for the whole
// program, since all of toml++ is inline.
#pragma once

#define TOML_ASSERT(expression) static_assert(true)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
#include <cassert>  // again, as the build wants it
