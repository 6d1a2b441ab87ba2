// Which sources this program was built from; written by the build.
#pragma once

namespace baiwan::cli {

// A git revision, "-dirty" behind it if the sources were changed since; "unknown" without git.
const char* Revision();

}  // namespace baiwan::cli
