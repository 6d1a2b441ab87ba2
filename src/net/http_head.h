// Where the head of an HTTP message ends (RFC 9112, section 2.1): after the first empty line.
//
// Looks at each byte once, however often it is called with more of the same head. Lines that end in
// LF alone, and lines that continue the one before (section 5.2), are told apart, to be refused:
// not everybody reads them alike.
#pragma once

#include <cstddef>
#include <string_view>

namespace baiwan::net {

class HeadScanner {
 public:
  enum class Found { kEnd, kNotYet, kBareLineFeed, kFolded };

  // `data` begins where the head begins, and with what was scanned before.
  Found Scan(std::string_view data);
  std::size_t end() const { return at_; }  // once kEnd: the length of the head
  void Reset() { at_ = line_start_ = 0; }

 private:
  std::size_t at_ = 0;          // scanned up to here
  std::size_t line_start_ = 0;  // of the line that is being scanned
};

}  // namespace baiwan::net
