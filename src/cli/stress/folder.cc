#include "cli/stress/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;

std::string TimeName() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

// The lock of a run, or nothing if somebody has it.
UniqueFd TryLock(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.Reset();
  return fd;
}

void RemoveOldStores(const std::string& runs, const std::string& own) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(runs, ignored)) {
    const std::string path = entry.path().string();
    if (entry.is_symlink(ignored) || !entry.is_directory(ignored) || path == own) continue;
    if (!fs::exists(path + "/stores", ignored)) continue;
    const UniqueFd lock = TryLock(path + "/lock", O_RDWR);
    if (!lock && errno != ENOENT) continue;  // that run goes on
    fs::remove_all(path + "/stores", ignored);
  }
}

std::optional<std::string> WriteSecret(const std::string& path) {
  unsigned char bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return std::strerror(errno);
  std::string text;
  for (const unsigned char b : bytes) text += fmt::format("{:02x}", b);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::strerror(errno);
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<RunFolder>, std::string> RunFolder::Make(const std::string& runs,
                                                                bool keep_stores) {
  std::error_code error;
  const std::string all = fs::absolute(runs).lexically_normal().string();
  const auto wrong = [&](const std::string& why) {
    return fmt::format("cannot make a run folder in {}: {}; choose another place with --runs", all,
                       why);
  };
  fs::create_directories(all, error);
  if (error) return wrong(error.message());
  std::string path;
  const std::string name = TimeName();
  for (int n = 1; n < 100 && path.empty(); ++n) {  // others may start in the same second
    const std::string tried =
        n == 1 ? fmt::format("{}/{}", all, name) : fmt::format("{}/{}-{}", all, name, n);
    if (fs::create_directory(tried, error)) path = tried;
    if (error) return wrong(error.message());
  }
  if (path.empty()) return wrong("too many runs in one second");
  UniqueFd lock = TryLock(path + "/lock", O_RDWR | O_CREAT);
  if (!lock) return wrong(std::strerror(errno));
  for (const char* part : {"config", "logs", "stores", "ledgers", "results"}) {
    fs::create_directory(path + "/" + part, error);
    if (error) return wrong(error.message());
  }
  if (const auto why = WriteSecret(path + "/link.secret")) return wrong(*why);
  const std::string link = fmt::format("{}/.latest-{}", all, getpid());
  fs::remove(link, error);
  fs::create_symlink(fs::path(path).filename(), link, error);
  if (!error) fs::rename(link, all + "/latest", error);
  if (error) return wrong(error.message());
  if (!keep_stores) RemoveOldStores(all, path);
  return std::unique_ptr<RunFolder>(new RunFolder(std::move(path), std::move(lock)));
}

RunFolder::~RunFolder() { unlink((path_ + "/lock").c_str()); }

std::uint64_t BytesBelow(const std::string& folder) {
  std::error_code error;
  std::uint64_t bytes = 0;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) bytes += it->file_size(ignored);
  }
  return bytes;
}

}  // namespace baiwan::cli
