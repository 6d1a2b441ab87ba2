// What a process settles with its operating system and its libraries before it does anything else.
//
// Threads: the main one, before there are others. Failure: none; what cannot be had is done
// without.
#pragma once

namespace baiwan::cli {

// Standard input, output and error are open, if only on /dev/null: else the next file or socket
// would get the number of one, and lines of the log with it. A pipe or socket without a reader
// gives an error and no SIGPIPE. As many files may be open as this user may have. Protobuf, which
// prints a line for each frame of a stranger's that is not well-formed, prints nothing.
void PrepareProcess();

}  // namespace baiwan::cli
