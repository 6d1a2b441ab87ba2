// The commands of the program, one file each.
#pragma once

#include "cli/args.h"

namespace baiwan::cli {

Command GenerateCommand();

}  // namespace baiwan::cli
