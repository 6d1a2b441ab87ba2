// What the parts of the configuration share: how a value is read and written.
#pragma once

#include <string>
#include <string_view>

#include "base/config.h"

namespace baiwan::config_internal {

// Reads a value as written in a flag or variable, or between quotes in TOML.
Result<ConfigValue, std::string> ParseText(const ConfigKey& key, std::string_view text);
// What is wrong with a value of the right type, or nothing.
std::optional<std::string> CheckRange(const ConfigKey& key, const ConfigValue& value);
// "a size from 1KiB to 64MiB"
std::string Expected(const ConfigKey& key);
// As TOML.
std::string Write(const ConfigKey& key, const ConfigValue& value);
// BAIWAN_GATEWAY_HTTP
std::string VariableName(std::string_view key);

}  // namespace baiwan::config_internal
