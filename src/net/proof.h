// Proves knowledge of the deployment's secret over a text: HMAC-SHA-256 (RFC 2104, FIPS 180-4).
//
// Pure. The purpose separates proofs of one kind from those of another, and from those of links.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace baiwan::net {

// 64 hexadecimal digits. Each field counts with its length, so none can pass for a part of another.
std::string Prove(std::string_view secret, std::string_view purpose,
                  std::initializer_list<std::string_view> fields);
// In constant time.
bool SameText(std::string_view expected, std::string_view got);

}  // namespace baiwan::net
