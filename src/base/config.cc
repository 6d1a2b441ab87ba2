#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/config_internal.h"

namespace baiwan {
namespace {

using config_internal::CheckRange;
using config_internal::Expected;
using config_internal::VariableName;
using config_internal::Write;

[[noreturn]] void Mistake(std::string_view name, std::string_view what) {
  std::fprintf(stderr, "configuration key '%.*s' %.*s\n", static_cast<int>(name.size()),
               name.data(), static_cast<int>(what.size()), what.data());
  std::abort();
}

bool IsName(std::string_view name) {
  bool begins = true;  // a word must begin here, and with a letter
  for (const char c : name) {
    const bool letter = c >= 'a' && c <= 'z';
    if (begins ? !letter : !(letter || (c >= '0' && c <= '9') || c == '_' || c == '.')) {
      return false;
    }
    begins = c == '.';
  }
  return !begins;
}

std::int64_t Number(std::uint64_t n) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(n, INT64_MAX));
}

struct Name {
  std::string_view section;
  std::string_view last;
};
Name SplitName(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// The keys by section, the sections in the order of their first key. Keys without a section come
// first: in TOML they could not follow one.
using Sections = std::vector<std::pair<std::string, std::vector<std::size_t>>>;
Sections BySection(const std::vector<ConfigKey>& keys) {
  Sections sections{{"", {}}};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto section = SplitName(keys[i].name).section;
    auto at = std::find_if(sections.begin(), sections.end(),
                           [&](const auto& entry) { return entry.first == section; });
    if (at == sections.end()) at = sections.insert(at, {std::string(section), {}});
    at->second.push_back(i);
  }
  if (sections.front().second.empty()) sections.erase(sections.begin());
  return sections;
}

}  // namespace

std::string ConfigError::ToString() const {
  std::string text = where;
  for (const auto& part : {key, what}) {
    if (!part.empty()) text += (text.empty() ? "" : ": ") + part;
  }
  return text;
}

std::string ToText(const std::vector<ConfigError>& errors) {
  std::string text;
  for (const ConfigError& error : errors) text += error.ToString() + "\n";
  return text;
}

void ConfigSchema::Add(ConfigKey key) {
  if (!IsName(key.name)) Mistake(key.name, "is not a proper name");
  for (const ConfigKey& other : *keys_) {
    if (VariableName(other.name) == VariableName(key.name)) {
      Mistake(key.name, "cannot be told from " + other.name);
    }
  }
  if (const auto error = CheckRange(key, key.standard)) {
    Mistake(key.name, "has a wrong default: " + *error);
  }
  // A new vector: a Config that was loaded before keeps the one it has.
  auto keys = std::make_shared<std::vector<ConfigKey>>(*keys_);
  keys->push_back(std::move(key));
  keys_ = std::move(keys);
}

void ConfigSchema::Bool(std::string name, bool standard, std::string what) {
  Add({std::move(name), ConfigType::kBool, std::move(what), standard});
}

void ConfigSchema::Int(std::string name, std::int64_t standard, std::string what, std::int64_t min,
                       std::int64_t max, std::string unit) {
  Add({std::move(name), ConfigType::kInt, std::move(what), standard, min, max, std::move(unit)});
}

void ConfigSchema::Bytes(std::string name, std::uint64_t standard, std::string what,
                         std::uint64_t min, std::uint64_t max, ConfigUse use) {
  Add({std::move(name),
       ConfigType::kBytes,
       std::move(what),
       Number(standard),
       Number(min),
       Number(max),
       "",
       {},
       use});
}

void ConfigSchema::Duration(std::string name, Nanos standard, std::string what, Nanos min,
                            Nanos max) {
  Add({std::move(name), ConfigType::kDuration, std::move(what), standard, min, max});
}

void ConfigSchema::String(std::string name, std::string standard, std::string what,
                          std::size_t max_length, ConfigForm form) {
  ConfigKey key{std::move(name),   ConfigType::kString, std::move(what), std::move(standard), 0,
                Number(max_length)};
  key.form = std::move(form);
  Add(std::move(key));
}

void ConfigSchema::Endpoint(std::string name, std::string_view standard, std::string what,
                            ConfigUse use) {
  ConfigKey key{std::move(name),
                ConfigType::kEndpoint,
                std::move(what),
                baiwan::Endpoint{},
                0,
                0,
                "",
                {},
                use};
  auto value = config_internal::ParseText(key, standard);
  if (!value) Mistake(key.name, "has a wrong default: " + value.error());
  key.standard = std::move(*value);
  Add(std::move(key));
}

void ConfigSchema::Enum(std::string name, std::string standard, std::string what,
                        std::vector<std::string> choices) {
  Add({std::move(name), ConfigType::kEnum, std::move(what), std::move(standard), 0, 0, "",
       std::move(choices)});
}

void ConfigSchema::List(std::string name, std::vector<std::string> standard, std::string what,
                        std::size_t max_items, ConfigForm form) {
  ConfigKey key{std::move(name),  ConfigType::kList, std::move(what), std::move(standard), 0,
                Number(max_items)};
  key.form = std::move(form);
  Add(std::move(key));
}

void ConfigSchema::Check(std::string key, CheckFn check) {
  const auto known = [&](const ConfigKey& k) { return k.name == key; };
  if (std::none_of(keys_->begin(), keys_->end(), known)) Mistake(key, "was never declared");
  checks_.emplace_back(std::move(key), std::move(check));
}

std::string ConfigSchema::Describe() const {
  std::string text;
  for (const auto& [section, indexes] : BySection(*keys_)) {
    if (!text.empty()) text += '\n';
    if (!section.empty()) text += fmt::format("[{}]\n", section);
    for (const std::size_t i : indexes) {
      const ConfigKey& key = (*keys_)[i];
      text += fmt::format("# {} ({})\n#{} = {}\n", key.what, Expected(key),
                          SplitName(key.name).last, Write(key, key.standard));
    }
  }
  return text;
}

Config::Config(const std::shared_ptr<const std::vector<ConfigKey>>& keys) : keys_(keys) {
  for (const ConfigKey& key : *keys_) values_.push_back(key.standard);
  sources_.assign(keys_->size(), "default");
}

std::size_t Config::Index(std::string_view name, ConfigType type) const {
  for (std::size_t i = 0; i < keys_->size(); ++i) {
    if ((*keys_)[i].name != name) continue;
    if (looked_at_ != nullptr) looked_at_->push_back((*keys_)[i].name);
    if ((*keys_)[i].type != type) Mistake(name, "is read as another type than it was declared");
    return i;
  }
  Mistake(name, "was never declared");
}

bool Config::boolean(std::string_view name) const {
  return std::get<bool>(values_[Index(name, ConfigType::kBool)]);
}
std::int64_t Config::integer(std::string_view name) const {
  return std::get<std::int64_t>(values_[Index(name, ConfigType::kInt)]);
}
std::uint64_t Config::bytes(std::string_view name) const {
  return static_cast<std::uint64_t>(
      std::get<std::int64_t>(values_[Index(name, ConfigType::kBytes)]));
}
Nanos Config::duration(std::string_view name) const {
  return std::get<std::int64_t>(values_[Index(name, ConfigType::kDuration)]);
}
const std::string& Config::string(std::string_view name) const {
  return std::get<std::string>(values_[Index(name, ConfigType::kString)]);
}
const Endpoint& Config::endpoint(std::string_view name) const {
  return std::get<Endpoint>(values_[Index(name, ConfigType::kEndpoint)]);
}
const std::string& Config::choice(std::string_view name) const {
  return std::get<std::string>(values_[Index(name, ConfigType::kEnum)]);
}
const std::vector<std::string>& Config::list(std::string_view name) const {
  return std::get<std::vector<std::string>>(values_[Index(name, ConfigType::kList)]);
}

const std::string& Config::source(std::string_view name) const {
  for (std::size_t i = 0; i < keys_->size(); ++i) {
    if ((*keys_)[i].name == name) return sources_[i];
  }
  Mistake(name, "was never declared");
}

std::string Config::ToToml() const {
  std::string text;
  for (const auto& [section, indexes] : BySection(*keys_)) {
    if (!text.empty()) text += '\n';
    if (!section.empty()) text += fmt::format("[{}]\n", section);
    for (const std::size_t i : indexes) {
      const ConfigKey& key = (*keys_)[i];
      text += fmt::format("{} = {}\n", SplitName(key.name).last, Write(key, values_[i]));
    }
  }
  return text;
}

std::string NearestName(std::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Levenshtein distance, a row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t replace = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
      }
    }
    if (row.back() < best) {
      best = row.back();
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace baiwan
