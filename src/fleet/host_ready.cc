#include "fleet/host_ready.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace baiwan::fleet {

using nlohmann::json;

std::string ToJson(const HostReady& host) {
  const monitor::HostUse& u = host.use;
  const json out = {{"host", u.name},
                    {"machine", u.machine},
                    {"cpus", u.cpus},
                    {"busy", u.busy},
                    {"steal", u.steal},
                    {"load", u.load},
                    {"memory", u.memory},
                    {"memory_available", u.memory_available},
                    {"disk", u.disk},
                    {"disk_free", u.disk_free},
                    {"open_files", host.open_files}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<HostReady, std::string> HostReadyFromJson(std::string_view text) {
  try {
    const json in = json::parse(text);
    HostReady host;
    in.at("host").get_to(host.use.name);
    in.at("machine").get_to(host.use.machine);
    in.at("cpus").get_to(host.use.cpus);
    in.at("busy").get_to(host.use.busy);
    in.at("steal").get_to(host.use.steal);
    in.at("load").get_to(host.use.load);
    in.at("memory").get_to(host.use.memory);
    in.at("memory_available").get_to(host.use.memory_available);
    in.at("disk").get_to(host.use.disk);
    in.at("disk_free").get_to(host.use.disk_free);
    in.at("open_files").get_to(host.open_files);
    return host;
  } catch (const std::exception& error) {
    return Result<HostReady, std::string>::Failure(
        fmt::format("not what a host tells of itself: {}", error.what()));
  }
}

}  // namespace baiwan::fleet
