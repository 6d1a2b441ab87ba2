// Whether bytes are well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, no code point
// above U+10FFFF. Eight ASCII bytes are checked at a time. Pure.
#pragma once

#include <string_view>

namespace baiwan::net {

bool IsUtf8(std::string_view text);

}  // namespace baiwan::net
