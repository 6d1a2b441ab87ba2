// The settings of a process: declared in one place, read from file, environment and flags, checked
// as a whole before anything starts, and read by name with their type afterwards.
//
//   ConfigSchema schema;
//   schema.Bytes("limits.window_bytes", 256 << 10, "What a user may have in flight.", 1 << 10,
//                64 << 20);
//   auto config = LoadConfig(schema, {.file = "baiwan.toml", .sets = flags});
//   if (!config) return Fail(ToText(config.error()));
//   Start(config->bytes("limits.window_bytes"));
//
// Later sources win: default, the TOML file, the environment (BAIWAN_LIMITS_WINDOW_BYTES=1MiB),
// flags (--set limits.window_bytes=1MiB). What is unknown, of the wrong type or out of range is
// refused, every mistake at once, each with its place, its key, and what would be right.
//
// Threads: a schema is built by one thread; a Config never changes and may be read by any.
// Failure: mistakes of the operator are values; a name that was never declared, or is read as
// another type, is a mistake of the programmer and aborts with its name.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/transport.h"

namespace baiwan {

enum class ConfigType : std::uint8_t {
  kBool,
  kInt,
  kBytes,
  kDuration,
  kString,
  kEndpoint,
  kEnum,
  kList,
};

// What CheckDeployment needs to know about a key.
enum class ConfigUse : std::uint8_t {
  kOther,
  kListens,  // an endpoint that the process listens on
  kMemory,   // bytes of memory that the process may use
};

// kInt, kBytes and kDuration (nanoseconds) are integers; kString and kEnum are strings.
using ConfigValue =
    std::variant<bool, std::int64_t, std::string, Endpoint, std::vector<std::string>>;

// What is wrong with the form of a text, or nothing.
using ConfigForm = std::function<std::optional<std::string>(std::string_view)>;

struct ConfigKey {
  std::string name;
  ConfigType type = ConfigType::kString;
  std::string what;  // one line, for people
  ConfigValue standard;
  std::int64_t min = 0;  // of integers; of lists and strings: their length
  std::int64_t max = 0;
  std::string unit;                  // kInt: "messages", "threads", …
  std::vector<std::string> choices;  // kEnum
  ConfigUse use = ConfigUse::kOther;
  ConfigForm form;  // kString, and each item of kList; empty: any text
};

struct ConfigError {
  std::string where;  // "host.toml:3:9", "environment BAIWAN_GATEWAY_HTTP", "--set gateway.http"
  std::string key;    // may be empty
  std::string what;   // and the fix

  std::string ToString() const;
  bool operator==(const ConfigError&) const = default;
};
std::string ToText(const std::vector<ConfigError>& errors);  // a line each

class Config;

class ConfigSchema {
 public:
  // Names are lower case, with dots between sections and underscores between words. Defaults must
  // be in range. `what` is one line.
  void Bool(std::string name, bool standard, std::string what);
  void Int(std::string name, std::int64_t standard, std::string what, std::int64_t min,
           std::int64_t max, std::string unit = "");
  void Bytes(std::string name, std::uint64_t standard, std::string what, std::uint64_t min,
             std::uint64_t max, ConfigUse use = ConfigUse::kOther);
  void Duration(std::string name, Nanos standard, std::string what, Nanos min, Nanos max);
  void String(std::string name, std::string standard, std::string what,
              std::size_t max_length = 4096, ConfigForm form = nullptr);
  // `standard` may be empty: no address is set. Only those that listen may have port 0 (a free
  // one).
  void Endpoint(std::string name, std::string_view standard, std::string what,
                ConfigUse use = ConfigUse::kOther);
  void Enum(std::string name, std::string standard, std::string what,
            std::vector<std::string> choices);
  void List(std::string name, std::vector<std::string> standard, std::string what,
            std::size_t max_items = 1024, ConfigForm form = nullptr);

  // A rule over several keys: says what is wrong with `key`, or nothing. What it says is left out
  // if a key that it looks at is wrong by itself.
  using CheckFn = std::function<std::optional<std::string>(const Config&)>;
  void Check(std::string key, CheckFn check);

  // Every key with its meaning and default, as a TOML file in which each is commented out.
  std::string Describe() const;
  const std::vector<ConfigKey>& keys() const { return *keys_; }

 private:
  friend class ConfigLoader;

  void Add(ConfigKey key);

  std::shared_ptr<std::vector<ConfigKey>> keys_ = std::make_shared<std::vector<ConfigKey>>();
  std::vector<std::pair<std::string, CheckFn>> checks_;
};

class Config {
 public:
  bool boolean(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::uint64_t bytes(std::string_view name) const;
  Nanos duration(std::string_view name) const;
  const std::string& string(std::string_view name) const;
  const Endpoint& endpoint(std::string_view name) const;  // host is empty if none is set
  const std::string& choice(std::string_view name) const;
  const std::vector<std::string>& list(std::string_view name) const;

  // Where the value came from, as ConfigError::where; "default" if nobody set it.
  const std::string& source(std::string_view name) const;
  // Every value in effect, as a TOML file that loads to the same.
  std::string ToToml() const;
  const std::vector<ConfigKey>& keys() const { return *keys_; }

 private:
  friend class ConfigLoader;

  explicit Config(const std::shared_ptr<const std::vector<ConfigKey>>& keys);
  std::size_t Index(std::string_view name, ConfigType type) const;

  std::shared_ptr<const std::vector<ConfigKey>> keys_;
  std::vector<ConfigValue> values_;
  std::vector<std::string> sources_;
  // While it is loaded: takes the names of what a rule looks at.
  std::vector<std::string>* looked_at_ = nullptr;
};

struct ConfigSources {
  std::string file;               // a path; empty: no file
  std::string text;               // TOML in place of a file, which `file` then only names
  std::vector<std::string> sets;  // "key=value", as given to --set
  // "NAME=value"; only names that begin with BAIWAN_ are looked at, and these must be known.
  std::vector<std::string> environment;
  // Variables with that beginning which are not settings.
  std::vector<std::string> reserved = {"BAIWAN_READY_FD"};
};
std::vector<std::string> ProcessEnvironment();

// Blocks while it reads the file (up to 1 MiB). All mistakes, not only the first.
Result<Config, std::vector<ConfigError>> LoadConfig(const ConfigSchema& schema,
                                                    const ConfigSources& sources);
// The same for text in place of a file; `name` stands for its path in errors.
Result<Config, std::vector<ConfigError>> ParseConfig(const ConfigSchema& schema,
                                                     std::string_view toml, std::string_view name);

// A process of a deployment, and which of its settings count.
struct DeployedProcess {
  std::string name;
  std::string machine;
  const Config* config = nullptr;
  std::vector<std::string> sections;  // e.g. {"gateway", "process"}; empty: all
  // Ports that each address stands for, one after the other.
  std::uint32_t ports = 1;
};

// What does not fit together, all of it: two processes of a machine that listen on the same port
// (the same address, or either on all addresses; also two keys of one process), told of each
// address with the first that has the port, ports beyond the last, and machines whose processes
// may use more memory than the `machine_bytes` that each machine has.
std::vector<ConfigError> CheckDeployment(const std::vector<DeployedProcess>& processes,
                                         std::uint64_t machine_bytes);

// The candidate that somebody who wrote `word` most likely meant; empty if none is near.
std::string NearestName(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace baiwan
