#include "fleet/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/units.h"
#include "fleet/plan_fields.h"
#include "fleet/toml_text.h"

namespace baiwan::fleet {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::size_t kMostSubnets = 16;
constexpr std::size_t kMostText = 256;
constexpr std::size_t kMostWords = 64;   // of a command
constexpr std::size_t kLongestRun = 20;  // as the providers take it

// What a parser of ours says about a text.
template <class Parsed>
ConfigForm FormOf(Result<Parsed, std::string> (*parse)(std::string_view)) {
  return [parse](std::string_view text) -> std::optional<std::string> {
    const auto parsed = parse(text);
    return parsed ? std::nullopt : std::optional(parsed.error());
  };
}

class Declare {
 public:
  explicit Declare(ConfigSchema* schema) : schema_(*schema) {}

  void Text(const char* key, const std::string& standard, const char* what) {
    schema_.String(key, standard, what, kMostText);
  }
  void Address(const char* key, const std::string& standard, const char* what) {
    schema_.String(key, standard, what, kMostText, FormOf(&ParseAddress));
  }
  void Range(const char* key, const std::string& standard, const char* what) {
    schema_.String(key, standard, what, kMostText, FormOf(&ParseRange));
  }
  void Money(const char* key, Cents standard, const char* what) {
    schema_.String(key, FormatMoney(standard), what, kMostText, FormOf(&ParseMoney));
  }
  void List(const char* key, const std::vector<std::string>& standard, const char* what) {
    schema_.List(key, standard, what, kMostSubnets, FormOf(&ParseRange));
  }
  void Choice(const char* key, const std::string& standard, const char* what,
              std::vector<std::string> choices) {
    schema_.Enum(key, standard, what, std::move(choices));
  }
  template <class T>
  void Number(const char* key, T standard, const char* what, std::int64_t min, std::int64_t max) {
    schema_.Int(key, static_cast<std::int64_t>(standard), what, min, max);
  }
  void Words(const char* key, const std::vector<std::string>& standard, const char* what) {
    schema_.List(key, standard, what, kMostWords);
  }
  void Flag(const char* key, bool standard, const char* what) { schema_.Bool(key, standard, what); }
  void Bytes(const char* key, std::uint64_t standard, const char* what, std::uint64_t min,
             std::uint64_t max) {
    schema_.Bytes(key, standard, what, min, max);
  }
  void Time(const char* key, Nanos standard, const char* what, Nanos min, Nanos max) {
    schema_.Duration(key, standard, what, min, max);
  }

 private:
  ConfigSchema& schema_;
};

// Ranges and comments are Declare's business.
class Read {
 public:
  explicit Read(const Config& config) : config_(config) {}

  void Text(const char* key, std::string& out, const char*) { out = config_.string(key); }
  void Address(const char* key, std::string& out, const char*) { out = config_.string(key); }
  void Range(const char* key, std::string& out, const char*) { out = config_.string(key); }
  void Money(const char* key, Cents& out, const char*) { out = *ParseMoney(config_.string(key)); }
  void List(const char* key, std::vector<std::string>& out, const char*) {
    out = config_.list(key);
  }
  void Choice(const char* key, std::string& out, const char*, const std::vector<std::string>&) {
    out = config_.choice(key);
  }
  template <class T>
  void Number(const char* key, T& out, const char*, std::int64_t, std::int64_t) {
    out = static_cast<T>(config_.integer(key));
  }
  void Words(const char* key, std::vector<std::string>& out, const char*) {
    out = config_.list(key);
  }
  void Flag(const char* key, bool& out, const char*) { out = config_.boolean(key); }
  void Bytes(const char* key, std::uint64_t& out, const char*, std::uint64_t, std::uint64_t) {
    out = config_.bytes(key);
  }
  void Time(const char* key, Nanos& out, const char*, Nanos, Nanos) { out = config_.duration(key); }

 private:
  const Config& config_;
};

class Write {
 public:
  void Text(std::string_view key, const std::string& value, const char* what) {
    Line(key, Quoted(value), what);
  }
  void Address(std::string_view key, const std::string& value, const char* what) {
    Line(key, Quoted(value), what);
  }
  void Range(std::string_view key, const std::string& value, const char* what) {
    Line(key, Quoted(value), what);
  }
  void Money(std::string_view key, Cents value, const char* what) {
    Line(key, Quoted(FormatMoney(value)), what);
  }
  void List(std::string_view key, const std::vector<std::string>& value, const char* what) {
    Line(key, QuotedList(value), what);
  }
  void Choice(std::string_view key, const std::string& value, const char* what,
              const std::vector<std::string>& choices) {
    Line(key, Quoted(value), fmt::format("{} ({})", what, fmt::join(choices, ", ")));
  }
  template <class T>
  void Number(std::string_view key, T value, const char* what, std::int64_t, std::int64_t) {
    Line(key, std::to_string(value), what);
  }
  void Words(std::string_view key, const std::vector<std::string>& value, const char* what) {
    Line(key, QuotedList(value), what);
  }
  void Flag(std::string_view key, bool value, const char* what) {
    Line(key, value ? "true" : "false", what);
  }
  void Bytes(std::string_view key, std::uint64_t value, const char* what, std::uint64_t,
             std::uint64_t) {
    Line(key, Quoted(FormatBytes(value)), what);
  }
  void Time(std::string_view key, Nanos value, const char* what, Nanos, Nanos) {
    Line(key, Quoted(FormatDuration(value)), what);
  }

  std::string text;

 private:
  void Line(std::string_view key, const std::string& value, std::string_view what) {
    const auto dot = key.find('.');
    const std::string section(dot == std::string_view::npos ? "" : key.substr(0, dot));
    if (section != section_) text += fmt::format("\n[{}]\n", section);
    section_ = section;
    text += fmt::format("# {}\n{} = {}\n", what, key.substr(dot + 1), value);
  }

  std::string section_;
};

ConfigSchema PlanSchema() {
  ConfigSchema schema;
  Declare declare(&schema);
  const FleetPlan standard;
  plan_internal::VisitPlan(declare, standard);
  return schema;
}

}  // namespace

Result<FleetPlan, std::vector<ConfigError>> ParsePlan(std::string_view toml,
                                                      std::string_view name) {
  const auto config = ParseConfig(PlanSchema(), toml, name);
  if (!config) return config.error();
  FleetPlan plan;
  Read read(*config);
  plan_internal::VisitPlan(read, plan);
  return plan;
}

Result<FleetPlan, std::vector<ConfigError>> ReadPlan(const std::string& path) {
  const auto text = ReadFile(path, kMaxFile);
  if (!text) return std::vector<ConfigError>{{"", "", text.error()}};
  return ParsePlan(*text, path);
}

std::string WritePlan(const FleetPlan& plan) {
  Write write;
  write.text = "# A run across hosts. Check it with: baiwan fleet check FILE\n\n";
  plan_internal::VisitPlan(write, plan);
  return write.text;
}

std::uint32_t CellsOf(const FleetPlan& plan) {
  return plan.roles.layout == "role" ? plan.roles.logic : plan.hosts.count;
}

stress::WorkloadSpec WorkloadOf(const FleetPlan& plan) {
  stress::WorkloadSpec spec = plan.workload;
  spec.cells = CellsOf(plan);
  spec.users_per_cell = plan.hosts.users_per_host;
  return spec;
}

bool IsOther(const FleetPlan& plan) { return !plan.service.serve.empty(); }

std::string WorkerName(std::uint32_t number) { return fmt::format("worker-{:03}", number); }

Address ControlAddress(const FleetPlan& plan) { return *ParseAddress(plan.network.control); }

Address WorkerAddress(const FleetPlan& plan, std::uint32_t number) {
  return *ParseAddress(plan.network.workers_from) + number;
}

std::string WrongRunName(std::string_view run) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool all = std::all_of(run.begin(), run.end(), [&](char c) { return good(c) || c == '-'; });
  if (!run.empty() && run.size() <= kLongestRun && all && run.front() >= 'a' && good(run.back())) {
    return "";
  }
  return fmt::format(
      "'{}' is no name for a run: take up to {} of a-z, 0-9 and -, with a letter first and no - "
      "at the end",
      run, kLongestRun);
}

}  // namespace baiwan::fleet
