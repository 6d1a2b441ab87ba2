#include "fleet/home.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace baiwan::fleet {
namespace {

using nlohmann::json;

constexpr std::uint32_t kPeerPort = 6881;
constexpr std::uint32_t kTrackerPort = 6969;

std::optional<std::string> MakeSecret(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return std::nullopt;
  std::array<unsigned char, 32> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fmt::format("no random bytes for {}: {}", path, std::strerror(errno));
  }
  const std::string text = fmt::format("{:02x}\n", fmt::join(bytes, ""));
  // Whole or not at all, and never readable by others in between.
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());
  const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(fd.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
    return fmt::format("cannot write {}: {}", path, std::strerror(errno));
  }
  return std::nullopt;
}

json ToJson(const HostFiles& host) {
  return {{"name", host.name},
          {"address", host.address},
          {"local", host.name == kControl},
          {"files", "hosts/" + host.name},
          {"folders", host.folders},
          {"imports", host.imports},
          {"serve", host.serve},
          {"ready", host.ready},
          {"load", host.load},
          {"verify", host.verify},
          {"share", host.share},
          {"collect", host.collect}};
}

std::optional<std::string> WriteFiles(const HostFiles& host, const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const auto& [path, content] : host.files) {
    const fs::path at = fs::path(folder) / path;
    fs::create_directories(at.parent_path(), error);
    if (auto wrong = ReplaceFile(at.string(), content)) return wrong;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> WriteHome(const FleetPlan& plan, const std::string& home,
                                     const HomeOptions& options) {
  std::error_code error;
  for (const char* folder : {"hosts", "shares", "collected", "tools"}) {
    std::filesystem::create_directories(home + "/" + folder, error);
    if (error) return fmt::format("cannot make {}/{}: {}", home, folder, error.message());
  }
  json hosts = json::array();
  for (const HostFiles& host : FilesOf(plan, options.paths)) {
    const std::string folder = home + "/hosts/" + host.name;
    if (auto wrong = WriteFiles(host, folder)) return wrong;
    if (const std::string service = home + "/service"; std::filesystem::is_directory(service)) {
      std::filesystem::copy(service, folder + "/service",
                            std::filesystem::copy_options::recursive |
                                std::filesystem::copy_options::overwrite_existing,
                            error);
      if (error) return fmt::format("cannot copy {}: {}", service, error.message());
    }
    hosts.push_back(ToJson(host));
  }
  if (auto wrong = MakeSecret(home + "/link.secret")) return wrong;
  const json all = {{"run", plan.run},
                    {"package", options.package},
                    {"program", options.paths.program},
                    {"folder", options.paths.folder},
                    {"ssh_key", options.ssh_key},
                    {"known_hosts", options.known_hosts},
                    {"payload", options.payload},
                    {"rate_mbit", 0},
                    {"peer_port", kPeerPort},
                    {"tracker_port", kTrackerPort},
                    {"hosts", hosts}};
  return ReplaceFile(home + "/hosts.json", all.dump(1) + "\n");
}

}  // namespace baiwan::fleet
