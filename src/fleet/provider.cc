#include "fleet/provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace baiwan::fleet {
namespace {

using nlohmann::json;

constexpr std::size_t kTail = 2048;
constexpr const char* kAws = "aws";
constexpr const char* kNetns = "netns";
constexpr std::uint64_t kMiB = 1 << 20;
// So much longer than the journey a host lives: the control host still tells why it has ended.
constexpr Nanos kAfterDeadline = 30 * kSecond;
constexpr Nanos kLeastLife = 60 * kSecond;  // less is over before it is made

std::string SubnetName(std::size_t number) { return fmt::format("subnet-{}", number + 1); }

std::string SubnetOf(const FleetPlan& plan, Address address) {
  for (std::size_t i = 0; i < plan.network.subnets.size(); ++i) {
    const auto range = ParseRange(plan.network.subnets[i]);
    if (range && range->Holds(address)) return SubnetName(i);
  }
  return "";
}

json HostOf(const FleetPlan& plan, const std::string& name, Address address) {
  return {{"name", name}, {"address", FormatAddress(address)}, {"subnet", SubnetOf(plan, address)}};
}

json AwsOptions(const FleetPlan& plan) {
  json options = {{"type", plan.hosts.type},
                  {"architecture", plan.hosts.architecture == "aarch64" ? "arm64" : "x86_64"},
                  {"disk_gb", plan.aws.disk_gb},
                  {"spot", plan.aws.spot},
                  {"placement_group", plan.aws.placement_group}};
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) options[key] = value;
  };
  text("region", plan.aws.region);
  text("zone", plan.aws.zone);
  text("operator_cidr", plan.aws.operator_cidr);
  text("image", plan.aws.image);
  text("bucket", plan.aws.bucket);
  text("instance_profile", plan.aws.instance_profile);
  text("scheduler_role", plan.aws.scheduler_role);
  text("endpoint_url", plan.aws.endpoint_url);
  text("prices", plan.aws.prices);
  text("ssh_config", plan.aws.ssh_config);
  return options;
}

std::string Text(const json& in, const char* key) {
  const auto at = in.find(key);
  return at != in.end() && at->is_string() ? at->get<std::string>() : "";
}

class ProviderActivity : public Activity {
 public:
  ProviderActivity(std::unique_ptr<Tool> tool, Step step, const std::vector<std::string>& hosts)
      : tool_(std::move(tool)), step_(step), left_(hosts) {}

  std::vector<HostReport> Poll() override {
    std::vector<HostReport> reports;
    const bool over = ended();  // before its last lines are read
    for (const std::string& line : tool_->NewErrors()) {
      const auto event = json::parse(line, nullptr, false);
      if (!event.is_object() || Text(event, "event") != "ready" || step_ != Step::kUp) continue;
      Take(Text(event, "host"), std::nullopt, &reports);
    }
    if (!over) return reports;
    if (*tool_->Ended() == 0) {
      for (const std::string& host : std::vector(left_)) Take(host, std::nullopt, &reports);
      return reports;
    }
    Failure failure = ParseProviderFailure(tool_->Output(), tool_->ErrorTail(kTail));
    if (failure.command.empty()) failure.command = tool_->command();
    failure.refused = *tool_->Ended() == 2;  // the request is wrong, and nothing was changed
    failure.final = failure.refused;
    for (const std::string& host : std::vector(left_)) Take(host, failure, &reports);
    return reports;
  }
  bool ended() override { return tool_->Ended().has_value(); }

 private:
  void Take(const std::string& host, const std::optional<Failure>& failure,
            std::vector<HostReport>* reports) {
    const auto at = std::find(left_.begin(), left_.end(), host);
    if (at == left_.end()) return;
    left_.erase(at);
    reports->push_back({host, failure});
  }

  std::unique_ptr<Tool> tool_;
  const Step step_;
  std::vector<std::string> left_;
};

}  // namespace

std::string ProviderRequest(const FleetPlan& plan, const std::string& state,
                            std::optional<Nanos> left) {
  Nanos life = plan.deadline;
  if (left) life = std::min(life, std::max(*left + kAfterDeadline, kLeastLife));
  json hosts = json::array();
  json control = HostOf(plan, kControl, ControlAddress(plan));
  control["outside"] = true;
  hosts.push_back(std::move(control));
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    hosts.push_back(HostOf(plan, WorkerName(i), WorkerAddress(plan, i)));
  }
  json subnets = json::object();
  for (std::size_t i = 0; i < plan.network.subnets.size(); ++i) {
    subnets[SubnetName(i)] = plan.network.subnets[i];
  }
  json request = {{"run", plan.run},
                  {"state", state},
                  {"network", {{"vpc", plan.network.vpc}, {"subnets", subnets}}},
                  {"hosts", hosts},
                  {"deadline_s", std::max<Nanos>(1, life / kSecond)},
                  {"heartbeat_s", plan.limits.silence / kSecond}};
  if (plan.provider == kAws) request["options"] = AwsOptions(plan);
  if (plan.provider == kNetns) request["options"] = {{"init", plan.netns.init}};
  return request.dump();
}

const ProvidedHost* Described::Find(std::string_view name) const {
  for (const ProvidedHost& host : hosts) {
    if (host.name == name) return &host;
  }
  return nullptr;
}

Result<Described, std::string> ParseDescribed(std::string_view text) {
  using Out = Result<Described, std::string>;
  const auto in = json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("hosts") || !in["hosts"].is_array()) {
    return Out::Failure("the provider's answer has no list of hosts");
  }
  Described out;
  out.ssh_key = Text(in, "ssh_key");
  out.known_hosts = Text(in, "known_hosts");
  out.heartbeat = Text(in, "heartbeat");
  for (const json& host : in["hosts"]) {
    if (!host.is_object()) continue;
    ProvidedHost& one = out.hosts.emplace_back();
    one.name = Text(host, "name");
    one.state = Text(host, "state");
    one.disk_kept = host.contains("disk_kept") && host["disk_kept"] == true;
    if (!host.contains("ssh") || !host["ssh"].is_array()) continue;
    for (const json& word : host["ssh"]) {
      if (word.is_string()) one.ssh.push_back(word.get<std::string>());
    }
  }
  return out;
}

Failure ParseProviderFailure(std::string_view text, const std::string& otherwise) {
  const auto in = json::parse(text, nullptr, false);
  if (!in.is_object() || Text(in, "error").empty()) {
    return {"the provider ended without an answer", "", otherwise, false};
  }
  std::string why = Text(in, "error");
  if (const std::string host = Text(in, "host"); !host.empty()) why = host + ": " + why;
  return {std::move(why), Text(in, "command"), Text(in, "log_tail"), false};
}

std::optional<std::string> AddFacts(std::string_view text, ProviderFacts* facts) {
  const auto in = json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("ok")) return "the provider's answer cannot be read";
  const auto number = [&](const char* key) -> std::uint64_t {
    const auto at = in.find(key);
    return at != in.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : 0;
  };
  if (in.contains("shared") && in["shared"].is_boolean()) facts->shared = in["shared"];
  if (number("memory_mb") > 0) facts->memory_bytes = number("memory_mb") * kMiB;
  if (number("disk_mb") > 0) facts->disk_bytes = number("disk_mb") * kMiB;
  if (number("cpus") > 0) facts->cores = static_cast<std::uint32_t>(number("cpus"));
  if (number("open_files") > 0) {
    facts->open_files = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(facts->open_files, number("open_files")));
  }
  if (!in.contains("missing") || !in["missing"].is_array()) return std::nullopt;
  for (const json& one : in["missing"]) {
    if (!one.is_object()) continue;
    std::string sentence = Text(one, "what") + " is missing: " + Text(one, "why");
    const std::string package = Text(one, "package");
    if (!package.empty()) sentence += fmt::format("; apt-get install {}", package);
    facts->missing.push_back(std::move(sentence));
  }
  return std::nullopt;
}

Result<Described, std::string> Describe(const ProviderAt& at, const FleetPlan& plan, Nanos limit) {
  using Out = Result<Described, std::string>;
  const auto end = RunTool(
      {"describe", {at.program, "describe"}, at.folder, ProviderRequest(plan, at.state), false},
      limit);
  if (!end) return Out::Failure(end.error());
  if (end->code != 0) {
    return Out::Failure(ParseProviderFailure(end->output, end->error_tail).why);
  }
  return ParseDescribed(end->output);
}

std::optional<std::string> Publish(const ProviderAt& at, const FleetPlan& plan,
                                   const std::string& file, const std::string& link, Nanos limit) {
  json request = json::parse(ProviderRequest(plan, at.state));
  request["file"] = file;
  request["link"] = link;
  const auto end =
      RunTool({"publish", {at.program, "publish"}, at.folder, request.dump(), false}, limit);
  if (!end) return end.error();
  if (end->code == 0) return std::nullopt;
  return ParseProviderFailure(end->output, end->error_tail).why;
}

std::unique_ptr<Activity> ProviderStep(const ProviderAt& at, const FleetPlan& plan, Step step,
                                       const std::vector<std::string>& hosts,
                                       std::optional<Nanos> left) {
  auto tool = Tool::Start(
      {NameOf(step), {at.program, NameOf(step)}, at.folder, ProviderRequest(plan, at.state, left)});
  if (!tool) return DoneAtOnce(hosts, Failure{tool.error(), at.program, "", false});
  return std::make_unique<ProviderActivity>(std::move(*tool), step, hosts);
}

}  // namespace baiwan::fleet
