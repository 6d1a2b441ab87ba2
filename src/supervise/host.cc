#include "supervise/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <limits>

#include "base/file.h"
#include "base/toml.h"
#include "base/units.h"
#include "supervise/event_file.h"
#include "supervise/supervisor.h"
#include "supervise/usage_file.h"

namespace baiwan::supervise {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::size_t kMaxChildren = 1000;
constexpr std::size_t kMaxErrors = 100;
constexpr Nanos kLook = 200 * kMillisecond;

constexpr std::pair<std::string_view, int> kSignals[] = {
    {"TERM", SIGTERM}, {"INT", SIGINT},   {"HUP", SIGHUP},  {"QUIT", SIGQUIT},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};
constexpr std::pair<std::string_view, Restart> kPolicies[] = {
    {"always", Restart::kAlways}, {"on-failure", Restart::kOnFailure}, {"never", Restart::kNever}};

// Reads one table key by key; each Take… leaves the target alone when the key is absent or wrong.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string_view file, std::string prefix,
              std::vector<ConfigError>* errors)
      : table_(table), file_(file), prefix_(std::move(prefix)), errors_(errors) {}

  // The node under this name, which is known from now on; null if there is none.
  const toml::node* Node(std::string_view key) {
    known_.emplace_back(key);
    return table_.get(key);
  }
  void Text(std::string_view key, std::string* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    if (!node->is_string()) return Wrong(*node, key, "expected a text");
    *out = **node->as_string();
  }
  void Time(std::string_view key, Nanos* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    if (!node->is_string()) return Wrong(*node, key, "expected a duration like \"10s\"");
    const auto parsed = ParseDuration(**node->as_string());
    if (!parsed) return Wrong(*node, key, parsed.error());
    *out = *parsed;
  }
  void Size(std::string_view key, std::uint64_t* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    if (!node->is_string()) return Wrong(*node, key, "expected a size like \"64MiB\"");
    const auto parsed = ParseBytes(**node->as_string());
    if (!parsed) return Wrong(*node, key, parsed.error());
    *out = *parsed;
  }
  template <class T>
  void Number(std::string_view key, std::int64_t min, std::int64_t max, T* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    const auto* number = node->as_integer();
    if (number == nullptr || number->get() < min || number->get() > max) {
      return Wrong(*node, key, fmt::format("expected a whole number from {} to {}", min, max));
    }
    *out = static_cast<T>(number->get());
  }
  void Flag(std::string_view key, bool* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    if (!node->is_boolean()) return Wrong(*node, key, "expected true or false");
    *out = **node->as_boolean();
  }
  template <class T, std::size_t N>
  void Choice(std::string_view key, const std::pair<std::string_view, T> (&choices)[N], T* out) {
    const toml::node* node = table_.get(key);
    std::string text;
    Text(key, &text);
    if (node == nullptr || !node->is_string()) return;
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) {
      names.push_back(name);
      if (name == text) {
        *out = value;
        return;
      }
    }
    Wrong(*node, key, fmt::format("'{}' is not one of {}", text, fmt::join(names, ", ")));
  }
  void Numbers(std::string_view key, std::vector<int>* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    const auto is_code = [](const toml::node& n) {
      return n.is_integer() && **n.as_integer() >= 0 && **n.as_integer() <= 255;
    };
    if (array == nullptr || !std::all_of(array->begin(), array->end(), is_code)) {
      return Wrong(*node, key, "expected a list of whole numbers from 0 to 255");
    }
    for (const toml::node& item : *array) out->push_back(static_cast<int>(**item.as_integer()));
  }
  void Texts(std::string_view key, std::vector<std::string>* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    const auto is_text = [](const toml::node& n) { return n.is_string(); };
    if (array == nullptr || !std::all_of(array->begin(), array->end(), is_text)) {
      return Wrong(*node, key, "expected a list of texts");
    }
    for (const toml::node& item : *array) out->push_back(**item.as_string());
  }
  void Pairs(std::string_view key, std::vector<std::pair<std::string, std::string>>* out) {
    const toml::node* node = Node(key);
    if (node == nullptr) return;
    if (!node->is_table()) return Wrong(*node, key, "expected a table of texts");
    for (const auto& [name, value] : *node->as_table()) {
      if (!value.is_string()) return Wrong(value, key, "expected a table of texts");
      out->emplace_back(std::string(name.str()), **value.as_string());
    }
  }

  // After everything was taken: what else is there is a mistake.
  void RefuseTheRest() {
    for (const auto& [part, node] : table_) {
      const std::string name(part.str());
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      const std::string nearest = NearestName(name, known_);
      Add(part.source(), prefix_ + name,
          nearest.empty() ? "unknown key" : "unknown key; did you mean " + nearest + "?");
    }
  }
  void Wrong(const toml::node& node, std::string_view key, std::string what) {
    Add(node.source(), prefix_ + std::string(key), std::move(what));
  }
  void WrongTable(std::string what) { Add(table_.source(), prefix_, std::move(what)); }

 private:
  void Add(const toml::source_region& at, std::string key, std::string what) {
    if (errors_->size() >= kMaxErrors) return;
    errors_->push_back({fmt::format("{}:{}:{}", file_, at.begin.line, at.begin.column),
                        std::move(key), std::move(what)});
  }

  const toml::table& table_;
  const std::string_view file_;
  const std::string prefix_;
  std::vector<ConfigError>* errors_;
  std::vector<std::string> known_;
};

ChildSpec ReadChild(TableReader& reader) {
  ChildSpec spec;
  const std::int64_t most = std::numeric_limits<std::int32_t>::max();
  reader.Text("name", &spec.name);
  reader.Texts("command", &spec.argv);
  reader.Pairs("env", &spec.env);
  reader.Text("log", &spec.log_file);
  reader.Size("log_max", &spec.log_max_bytes);
  reader.Choice("restart", kPolicies, &spec.restart);
  reader.Numbers("final", &spec.final_codes);
  reader.Time("backoff_first", &spec.backoff_first);
  reader.Time("backoff_max", &spec.backoff_max);
  reader.Number("max_restarts", 0, most, &spec.max_restarts);
  reader.Time("restart_window", &spec.restart_window);
  reader.Choice("stop_signal", kSignals, &spec.stop_signal);
  reader.Time("stop_deadline", &spec.stop_deadline);
  reader.Number("stage", -most, most, &spec.stage);
  reader.Flag("ready", &spec.notifies_ready);
  reader.RefuseTheRest();
  if (spec.name.empty()) reader.WrongTable("a child needs a name");
  if (spec.argv.empty()) reader.WrongTable("a child needs a command, a list of texts");
  return spec;
}

HostPlan ReadPlan(const toml::table& table, std::string_view file,
                  std::vector<ConfigError>* errors) {
  HostPlan plan;
  TableReader reader(table, file, "", errors);
  reader.Time("stop_within", &plan.stop_within);
  reader.Text("usage", &plan.usage);
  reader.Text("events", &plan.events);
  const toml::node* children = reader.Node("child");
  reader.RefuseTheRest();
  if (children == nullptr) {
    reader.WrongTable("there is no [[child]] to run");
    return plan;
  }
  const auto* array = children->as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    reader.Wrong(*children, "child", "children are written as [[child]]");
    return plan;
  }
  if (array->size() > kMaxChildren) {
    reader.Wrong(*children, "child", fmt::format("at most {} children", kMaxChildren));
    return plan;
  }
  for (const toml::node& entry : *array) {
    TableReader child(*entry.as_table(), file, "child.", errors);
    ChildSpec spec = ReadChild(child);
    const auto same = [&](const ChildSpec& other) { return other.name == spec.name; };
    if (std::any_of(plan.children.begin(), plan.children.end(), same)) {
      child.WrongTable(fmt::format("there are two children named '{}'", spec.name));
    }
    plan.children.push_back(std::move(spec));
  }
  return plan;
}

bool AllEnded(Supervisor& supervisor, bool* any_given_up) {
  bool all = true;
  for (const ChildStatus& status : supervisor.Snapshot()) {
    all = all && (status.state == State::kExited || status.state == State::kStopped ||
                  status.state == State::kGaveUp);
    *any_given_up |= status.state == State::kGaveUp;
  }
  return all;
}

// The lowest of the codes with which a child ended for good, 0 left aside; 0: there is none.
int FinalCode(Supervisor& supervisor, const HostPlan& plan) {
  int lowest = 0;
  const auto all = supervisor.Snapshot();
  for (const ChildSpec& spec : plan.children) {
    for (const ChildStatus& status : all) {
      if (status.name != spec.name || status.state != State::kExited || !status.last_exit) continue;
      if (status.last_exit->by_signal) continue;
      const int code = status.last_exit->code;
      const auto& finals = spec.final_codes;
      if (code == 0 || std::find(finals.begin(), finals.end(), code) == finals.end()) continue;
      lowest = lowest == 0 ? code : std::min(lowest, code);
    }
  }
  return lowest;
}

// True if all stopped in time. A second signal ends their patience.
bool StopHost(Supervisor& supervisor, const HostPlan& plan, StopSignals& signals, Log& log) {
  auto stopping =
      std::async(std::launch::async, [&] { return supervisor.StopAll(plan.stop_within); });
  while (stopping.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (signals.Wait(kLook) != 0) {
      log.Warn("a second signal: killing what still runs");
      supervisor.StopAll(0);
    }
  }
  const StopReport report = stopping.get();
  for (const std::string& name : report.stuck) log.Error("{} cannot be killed", name);
  return report.killed.empty() && report.stuck.empty();
}

}  // namespace

Result<HostPlan, std::vector<ConfigError>> ParseHostPlan(std::string_view toml,
                                                         std::string_view name) {
  std::vector<ConfigError> errors;
  HostPlan plan;
  try {
    plan = ReadPlan(toml::parse(toml, name), name, &errors);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    errors.push_back(
        {fmt::format("{}:{}:{}", name, at.line, at.column), "", std::string(error.description())});
  }
  if (!errors.empty()) return errors;
  return plan;
}

Result<HostPlan, std::vector<ConfigError>> LoadHostPlan(const std::string& path) {
  const auto text = ReadFile(path, kMaxFile);
  if (!text) return std::vector<ConfigError>{{"", "", text.error()}};
  return ParseHostPlan(*text, path);
}

int RunHost(const HostPlan& plan, StopSignals& signals, Log& log) {
  EventFile events;
  if (const auto wrong = events.Open(plan.events)) log.Warn("{}", *wrong);
  Supervisor supervisor({.on_event = [&log, &events](const Event& event) {
    events.Add(Kept(event, static_cast<std::int64_t>(SystemClock().WallMillis())));
    const bool bad = event.kind == EventKind::kGaveUp || event.kind == EventKind::kKilled;
    log.Write(bad ? LogLevel::kError : LogLevel::kInfo, event.text);
  }});
  UsageFile usage(plan.usage);
  bool good = true;
  for (const ChildSpec& spec : plan.children) {
    if (const auto error = supervisor.Start(spec)) {
      log.Error("{}", *error);
      good = false;
      break;
    }
  }
  bool given_up = false;
  while (good && !AllEnded(supervisor, &given_up)) {
    if (const int signal = signals.Wait(kLook); signal != 0) {
      log.Info("signal {}: stopping {} children", signal, plan.children.size());
      break;
    }
    if (!usage.Due()) continue;
    if (const auto wrong = usage.Keep(supervisor.Snapshot())) log.Warn("{}", *wrong);
  }
  const int final_code = FinalCode(supervisor, plan);
  const bool stopped = StopHost(supervisor, plan, signals, log);
  if (const auto wrong = usage.Keep(supervisor.Snapshot())) log.Warn("{}", *wrong);
  return good && stopped && !given_up ? final_code : 2;
}

}  // namespace baiwan::supervise
