// Text as TOML takes it between quotes, for the files that are written here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace baiwan::fleet {

std::string Quoted(std::string_view text);
// ["a", "b"]
std::string QuotedList(const std::vector<std::string>& items);

}  // namespace baiwan::fleet
