#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/config_internal.h"
#include "base/units.h"

namespace baiwan::config_internal {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string Joined(const std::vector<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

std::string Limit(const ConfigKey& key, std::int64_t value) {
  switch (key.type) {
    case ConfigType::kBytes:
      return FormatBytes(static_cast<std::uint64_t>(value));
    case ConfigType::kDuration:
      return FormatDuration(value);
    default:
      return std::to_string(value);
  }
}

std::string Range(const ConfigKey& key) {
  return fmt::format("from {} to {}", Limit(key, key.min), Limit(key, key.max));
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = text.find(',');
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return items;
}

using Read = Result<ConfigValue, std::string>;

Read ReadInt(const ConfigKey& key, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return fmt::format("'{}' is not {}", text, Expected(key));
  }
  return ConfigValue(value);
}

Read ReadEndpoint(const ConfigKey& key, std::string_view text) {
  if (text.empty()) return ConfigValue(Endpoint{});
  auto endpoint = ParseEndpoint(text, key.use == ConfigUse::kListens);
  if (!endpoint) return endpoint.error();
  return ConfigValue(std::move(*endpoint));
}

}  // namespace

std::string Expected(const ConfigKey& key) {
  switch (key.type) {
    case ConfigType::kBool:
      return "true or false";
    case ConfigType::kInt:
      return fmt::format("a whole number {}{}{}", Range(key), key.unit.empty() ? "" : " ",
                         key.unit);
    case ConfigType::kBytes:
      return fmt::format("a size {}", Range(key));
    case ConfigType::kDuration:
      return fmt::format("a duration {}", Range(key));
    case ConfigType::kString:
      return "a text";
    case ConfigType::kEndpoint:
      return "an address host:port";
    case ConfigType::kEnum:
      return fmt::format("one of {}", Joined(key.choices));
    case ConfigType::kList:
      return "a list of texts";
  }
  return {};
}

Result<ConfigValue, std::string> ParseText(const ConfigKey& key, std::string_view text) {
  switch (key.type) {
    case ConfigType::kBool:
      if (text == "true" || text == "false") return ConfigValue(text == "true");
      return fmt::format("'{}' is not true or false", text);
    case ConfigType::kInt:
      return ReadInt(key, text);
    case ConfigType::kBytes: {
      const auto bytes = ParseBytes(text);
      if (!bytes) return bytes.error();
      return ConfigValue(static_cast<std::int64_t>(*bytes));
    }
    case ConfigType::kDuration: {
      const auto duration = ParseDuration(text);
      if (!duration) return duration.error();
      return ConfigValue(static_cast<std::int64_t>(*duration));
    }
    case ConfigType::kString:
    case ConfigType::kEnum:
      return ConfigValue(std::string(text));
    case ConfigType::kEndpoint:
      return ReadEndpoint(key, text);
    case ConfigType::kList:
      return ConfigValue(SplitList(text));
  }
  return std::string("unknown type");
}

std::optional<std::string> CheckRange(const ConfigKey& key, const ConfigValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if (*number >= key.min && *number <= key.max) return std::nullopt;
    return fmt::format("{} is out of range: give {}", Limit(key, *number), Expected(key));
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (key.type == ConfigType::kEnum) {
      const auto& choices = key.choices;
      if (std::find(choices.begin(), choices.end(), *text) != choices.end()) return std::nullopt;
      return fmt::format("'{}' is not {}", *text, Expected(key));
    }
    if (text->size() <= static_cast<std::size_t>(key.max)) {
      return key.form ? key.form(*text) : std::nullopt;
    }
    return fmt::format("is {} bytes long, at most {} are allowed", text->size(), key.max);
  }
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    if (list->size() > static_cast<std::size_t>(key.max)) {
      return fmt::format("has {} entries, at most {} are allowed", list->size(), key.max);
    }
    for (const std::string& item : *list) {
      if (auto wrong = key.form ? key.form(item) : std::nullopt) return wrong;
    }
  }
  return std::nullopt;
}

std::string Write(const ConfigKey& key, const ConfigValue& value) {
  switch (key.type) {
    case ConfigType::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case ConfigType::kInt:
      return std::to_string(std::get<std::int64_t>(value));
    case ConfigType::kBytes:
    case ConfigType::kDuration:
      return Quoted(Limit(key, std::get<std::int64_t>(value)));
    case ConfigType::kString:
    case ConfigType::kEnum:
      return Quoted(std::get<std::string>(value));
    case ConfigType::kEndpoint: {
      const auto& endpoint = std::get<Endpoint>(value);
      return Quoted(endpoint.host.empty() ? "" : endpoint.ToString());
    }
    case ConfigType::kList: {
      std::vector<std::string> items;
      for (const auto& item : std::get<std::vector<std::string>>(value)) {
        items.push_back(Quoted(item));
      }
      return fmt::format("[{}]", Joined(items));
    }
  }
  return {};
}

std::string VariableName(std::string_view key) {
  std::string name = "BAIWAN_";
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    name += c == '.' ? '_' : lower ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

}  // namespace baiwan::config_internal
