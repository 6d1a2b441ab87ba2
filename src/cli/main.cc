#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace baiwan::cli;
  return RunCommands("baiwan", "A chat backend made of cells, and the stress test that proves it.",
                     {ServeCommand(), RegistryCommand(), SuperviseCommand(), GenerateCommand(),
                      ImportCommand(), DriveCommand(), StressCommand(), ConfigCommand()},
                     argc, argv);
}
