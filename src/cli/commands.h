// The commands of the program, one file each.
#pragma once

#include "cli/args.h"

namespace baiwan::cli {

Command StressCommand();
Command ServeCommand();
Command RegistryCommand();
Command MonitorCommand();
Command SuperviseCommand();
Command GenerateCommand();
Command ImportCommand();
Command RestoreCommand();
Command DriveCommand();
Command VerifyCommand();
Command TopCommand();
Command ReportCommand();
Command ConfigCommand();
Command FleetCommand();

}  // namespace baiwan::cli
