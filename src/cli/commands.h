// The commands of the program, one file each.
#pragma once

#include "cli/args.h"

namespace baiwan::cli {

Command ServeCommand();
Command RegistryCommand();
Command SuperviseCommand();
Command GenerateCommand();
Command ImportCommand();
Command DriveCommand();
Command StressCommand();
Command ConfigCommand();

}  // namespace baiwan::cli
