#include <sys/resource.h>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace baiwan::cli;
  // As many open files as this user may have: a gateway holds one for each of its clients.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return RunCommands(
      "baiwan", "A chat backend made of cells, and the stress test that proves it.",
      {StressCommand(), ServeCommand(), RegistryCommand(), MonitorCommand(), SuperviseCommand(),
       GenerateCommand(), ImportCommand(), DriveCommand(), VerifyCommand(), TopCommand(),
       ReportCommand(), FleetCommand(), ConfigCommand()},
      argc, argv);
}
