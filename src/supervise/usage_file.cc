#include "supervise/usage_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace baiwan::supervise {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFile = 4 << 20;

}  // namespace

Result<UsageByName, std::string> ReadUsage(const std::string& path) {
  using Out = Result<UsageByName, std::string>;
  const auto text = ReadFile(path, kMaxFile);
  if (!text) return Out::Failure(text.error());
  UsageByName all;
  try {
    const json in = json::parse(*text);
    if (in.at("version") != 1) return Out::Failure(path + ": of another version");
    for (const json& child : in.at("children")) {
      KeptUsage& kept = all[child.at("name").get<std::string>()];
      kept.usage = {child.at("user_us").get<std::uint64_t>(),
                    child.at("system_us").get<std::uint64_t>(),
                    child.at("max_rss_kib").get<std::uint64_t>()};
      kept.runs = child.at("runs").get<std::uint64_t>();
    }
  } catch (const std::exception& error) {
    return Out::Failure(path + ": " + error.what());
  }
  return all;
}

UsageFile::UsageFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  if (const auto earlier = ReadUsage(path_)) earlier_ = *earlier;
}

std::optional<std::string> UsageFile::Keep(const std::vector<ChildStatus>& children) {
  if (path_.empty()) return std::nullopt;
  UsageByName all = earlier_;
  for (const ChildStatus& child : children) {
    KeptUsage& kept = all[child.name];
    kept.usage.user_us += child.usage.user_us;
    kept.usage.system_us += child.usage.system_us;
    kept.usage.max_rss_kib = std::max(kept.usage.max_rss_kib, child.usage.max_rss_kib);
    kept.runs += child.runs;
  }
  json out = {{"version", 1}, {"children", json::array()}};
  for (const auto& [name, kept] : all) {
    out["children"].push_back({{"name", name},
                               {"user_us", kept.usage.user_us},
                               {"system_us", kept.usage.system_us},
                               {"max_rss_kib", kept.usage.max_rss_kib},
                               {"runs", kept.runs}});
  }
  return ReplaceFile(path_, out.dump(1) + "\n");
}

bool UsageFile::Due() {
  const Nanos now = SystemClock().Monotonic();
  if (path_.empty() || now < next_) return false;
  next_ = now + kEvery;
  return true;
}

}  // namespace baiwan::supervise
