// Which sources this program was built from; written by the build.
#pragma once

namespace baiwan::cli {

// Of the project, as in "0.1.0".
const char* Version();
// How it was built: "Release", "Debug", …
const char* BuildType();
// A git revision, "-dirty" behind it if the sources were changed since; "unknown" without git.
const char* Revision();

}  // namespace baiwan::cli
