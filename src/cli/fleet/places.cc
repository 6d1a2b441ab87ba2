#include <unistd.h>

#include <climits>
#include <filesystem>

#include "cli/fleet/fleet.h"

namespace baiwan::cli {

std::string DeployFolder() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return "";
  const auto program = std::filesystem::path(std::string(path, static_cast<std::size_t>(length)));
  for (const char* way : {"../deploy", "../../deploy"}) {
    std::error_code error;
    const auto folder = std::filesystem::canonical(program.parent_path() / way, error);
    if (!error && std::filesystem::is_directory(folder / "providers")) return folder.string();
  }
  return "";
}

}  // namespace baiwan::cli
