#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/config_internal.h"
#include "base/file.h"
#include "base/toml.h"

namespace baiwan {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::size_t kMaxErrors = 100;
constexpr std::string_view kPrefix = "BAIWAN_";

using config_internal::CheckRange;
using config_internal::Expected;
using config_internal::ParseText;
using config_internal::VariableName;

const char* TypeOf(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a section";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// A value of the file for this key; the caller checks its range.
Result<ConfigValue, std::string> FromToml(const ConfigKey& key, const toml::node& node) {
  const auto wrong = [&] {
    const bool time = key.type == ConfigType::kDuration && node.is_integer();
    return fmt::format("expected {}, got {}{}", Expected(key), TypeOf(node),
                       time ? ": write the unit, as in \"10s\"" : "");
  };
  if (key.type == ConfigType::kBool) {
    if (!node.is_boolean()) return wrong();
    return ConfigValue(**node.as_boolean());
  }
  if (key.type == ConfigType::kList) {
    if (!node.is_array()) return wrong();
    std::vector<std::string> items;
    for (const toml::node& item : *node.as_array()) {
      if (!item.is_string()) return wrong() + fmt::format(" with {} in it", TypeOf(item));
      items.push_back(**item.as_string());
    }
    return ConfigValue(std::move(items));
  }
  const bool number = key.type == ConfigType::kInt || key.type == ConfigType::kBytes;
  if (number && node.is_integer()) return ConfigValue(**node.as_integer());
  if (key.type == ConfigType::kInt || !node.is_string()) return wrong();
  return ParseText(key, **node.as_string());
}

}  // namespace

// Collects values and mistakes from all sources.
class ConfigLoader {
 public:
  explicit ConfigLoader(const ConfigSchema& schema) : schema_(schema), config_(schema.keys_) {}

  void File(const std::string& path) {
    const auto text = ReadFile(path, kMaxFile);
    if (!text) {
      unread_ = true;
      return Wrong("", "", text.error());
    }
    Toml(*text, path);
  }

  void Toml(std::string_view text, std::string_view name) {
    try {
      Table(toml::parse(text, name), "", name);
    } catch (const toml::parse_error& error) {
      const auto& at = error.source().begin;
      unread_ = true;
      Wrong(fmt::format("{}:{}:{}", name, at.line, at.column), "",
            std::string(error.description()));
    }
  }

  void Environment(const std::vector<std::string>& environment,
                   const std::vector<std::string>& reserved) {
    for (const std::string& entry : environment) {
      const auto equals = entry.find('=');
      const std::string variable = entry.substr(0, equals);
      if (equals == std::string::npos || variable.rfind(kPrefix, 0) != 0 ||
          std::find(reserved.begin(), reserved.end(), variable) != reserved.end()) {
        continue;
      }
      const std::string where = "environment " + variable;
      const ConfigKey* key = nullptr;
      std::vector<std::string> names;
      for (const ConfigKey& k : schema_.keys()) {
        names.push_back(VariableName(k.name));
        if (names.back() == variable) key = &k;
      }
      if (key == nullptr) {
        const std::string nearest = NearestName(variable, names);
        for (const ConfigKey& k : schema_.keys()) {
          if (VariableName(k.name) == nearest) wrong_.insert(k.name);
        }
        Wrong(where, "", Unknown("setting", nearest));
      } else {
        Text(*key, entry.substr(equals + 1), where);
      }
    }
  }

  void Set(const std::string& flag) {
    const auto equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    if (equals == std::string::npos) {
      return Wrong("--set " + flag, "", "expected --set key=value");
    }
    const ConfigKey* key = Find(name);
    if (key == nullptr) return Wrong("--set", name, Unknown("key", Meant(name)));
    Text(*key, flag.substr(equals + 1), "--set");
  }

  Result<Config, std::vector<ConfigError>> Finish() {
    // A rule over several keys makes sense only if each is right by itself.
    for (const auto& [key, check] : schema_.checks_) {
      std::vector<std::string> looked_at = {key};
      config_.looked_at_ = &looked_at;
      const auto error = check(config_);
      config_.looked_at_ = nullptr;
      const bool follows = std::any_of(looked_at.begin(), looked_at.end(),
                                       [&](const auto& name) { return wrong_.count(name) > 0; });
      if (error && !follows && !unread_) Wrong(config_.source(key), key, *error);
    }
    if (!errors_.empty()) return std::move(errors_);
    return std::move(config_);
  }

 private:
  void Table(const toml::table& table, const std::string& prefix, std::string_view file) {
    for (const auto& [part, node] : table) {
      const std::string name = prefix + std::string(part.str());
      const ConfigKey* key = Find(name);
      if (key == nullptr && node.is_table() && IsSection(name)) {
        Table(*node.as_table(), name + ".", file);
        continue;
      }
      const auto& at = key == nullptr ? part.source().begin : node.source().begin;
      const std::string where = fmt::format("{}:{}:{}", file, at.line, at.column);
      if (key == nullptr) {
        Wrong(where, name, Unknown(node.is_table() ? "section" : "key", Meant(name)));
        continue;
      }
      auto value = FromToml(*key, node);
      if (!value) {
        Wrong(where, name, value.error());
      } else {
        Take(*key, std::move(*value), where);
      }
    }
  }

  void Text(const ConfigKey& key, std::string_view text, const std::string& where) {
    auto value = ParseText(key, text);
    if (!value) return Wrong(where, key.name, value.error());
    Take(key, std::move(*value), where);
  }

  void Take(const ConfigKey& key, ConfigValue value, const std::string& where) {
    if (const auto error = CheckRange(key, value)) return Wrong(where, key.name, *error);
    const auto index = static_cast<std::size_t>(&key - schema_.keys().data());
    config_.values_[index] = std::move(value);
    config_.sources_[index] = where;
  }

  void Wrong(std::string where, std::string key, std::string what) {
    wrong_.insert(key);
    if (errors_.size() < kMaxErrors) {
      errors_.push_back({std::move(where), std::move(key), std::move(what)});
    }
  }

  static std::string Unknown(std::string_view kind, const std::string& nearest) {
    return fmt::format("unknown {}{}", kind,
                       nearest.empty() ? std::string() : "; did you mean " + nearest + "?");
  }

  // The key that was most likely meant by this name, whose value is therefore not known.
  std::string Meant(const std::string& name) {
    std::string nearest = Nearest(name);
    wrong_.insert(nearest);
    return nearest;
  }

  // By spelling, or the one key that has this last part.
  std::string Nearest(const std::string& name) const {
    std::vector<std::string> names;
    std::vector<std::string> same_end;
    const std::string end = "." + name.substr(name.rfind('.') + 1);
    for (const ConfigKey& key : schema_.keys()) {
      names.push_back(key.name);
      if (("." + key.name).size() >= end.size() &&
          ("." + key.name).compare(key.name.size() + 1 - end.size(), end.size(), end) == 0) {
        same_end.push_back(key.name);
      }
    }
    std::string nearest = NearestName(name, names);
    return nearest.empty() && same_end.size() == 1 ? same_end.front() : nearest;
  }

  const ConfigKey* Find(std::string_view name) const {
    for (const ConfigKey& key : schema_.keys()) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }

  bool IsSection(const std::string& name) const {
    const auto inside = [&](const ConfigKey& key) { return key.name.rfind(name + ".", 0) == 0; };
    return std::any_of(schema_.keys().begin(), schema_.keys().end(), inside);
  }

  const ConfigSchema& schema_;
  Config config_;
  std::vector<ConfigError> errors_;
  std::set<std::string> wrong_;  // keys
  bool unread_ = false;          // the file: no value of it is known
};

std::vector<std::string> ProcessEnvironment() {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) result.emplace_back(*entry);
  return result;
}

Result<Config, std::vector<ConfigError>> LoadConfig(const ConfigSchema& schema,
                                                    const ConfigSources& sources) {
  ConfigLoader loader(schema);
  if (!sources.text.empty()) {
    loader.Toml(sources.text, sources.file);
  } else if (!sources.file.empty()) {
    loader.File(sources.file);
  }
  loader.Environment(sources.environment, sources.reserved);
  for (const std::string& flag : sources.sets) loader.Set(flag);
  return loader.Finish();
}

Result<Config, std::vector<ConfigError>> ParseConfig(const ConfigSchema& schema,
                                                     std::string_view toml, std::string_view name) {
  ConfigLoader loader(schema);
  loader.Toml(toml, name);
  return loader.Finish();
}

}  // namespace baiwan
