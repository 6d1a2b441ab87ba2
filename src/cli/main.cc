#include "cli/commands.h"
#include "cli/prepare.h"

int main(int argc, char** argv) {
  using namespace baiwan::cli;
  PrepareProcess();
  return RunCommands(
      "baiwan", "A chat backend made of cells, and the stress test that proves it.",
      {StressCommand(), ServeCommand(), RegistryCommand(), MonitorCommand(), SuperviseCommand(),
       GenerateCommand(), ImportCommand(), RestoreCommand(), DriveCommand(), VerifyCommand(),
       TopCommand(), ReportCommand(), FleetCommand(), ConfigCommand()},
      argc, argv);
}
