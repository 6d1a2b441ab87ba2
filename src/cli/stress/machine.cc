#include "cli/stress/machine.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

namespace baiwan::cli {

Machine ThisMachine(const std::string& folder) {
  Machine m;
  m.cores = std::max(1U, std::thread::hardware_concurrency());
  struct sysinfo about {};
  if (sysinfo(&about) == 0) m.memory_bytes = about.totalram * about.mem_unit;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) m.open_files = files.rlim_max;
  std::error_code error;
  m.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  // The nearest folder that is there already is on the same disk.
  std::filesystem::path at = std::filesystem::absolute(folder);
  while (!std::filesystem::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  struct statvfs disk {};
  if (statvfs(at.c_str(), &disk) == 0) {
    m.disk_free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    m.disk_total_bytes = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  }
  return m;
}

}  // namespace baiwan::cli
