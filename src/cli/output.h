// What a command prints because it was asked for it, on standard output.
//
// A reader that has seen enough and goes (`… | head -n1`) is no failure: nothing more is written,
// nothing is said, and the exit code is what it would have been. Any other reason, a full disk say,
// is told once, and the command fails.
//
// Threads: the main one. Failure: false, and see Finish.
#pragma once

#include <string_view>

namespace baiwan::cli {

// Writes `text` at once. False: it did not get out, and what follows will not either.
bool Print(std::string_view text);
// At the end of a command: its exit code, or kUsage if it should be 0 and not everything got out.
int Finish(int code);

}  // namespace baiwan::cli
