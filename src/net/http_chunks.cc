#include "net/http_chunks.h"

#include <algorithm>

namespace baiwan::net {
namespace {

constexpr int kMaxDigits = 16;

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
// RFC 9110, section 5.6.2.
bool IsTokenChar(char c) {
  return IsAlnum(c) ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}
bool IsBlank(char c) { return c == ' ' || c == '\t'; }
// What may stand in a quoted text or a field's value: no control characters.
bool IsText(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7F);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::size_t ChunkDecoder::Put(std::string_view data, std::string* body) {
  std::size_t used = 0;
  while (used < data.size() && !done() && fault_ == ChunkFault::kNone) {
    if (state_ != State::kData) {
      Take(data[used++]);
      continue;
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size() - used));
    body->append(data, used, size);
    used += size;
    left_ -= size;
    if (left_ == 0) state_ = State::kDataCr;
  }
  return used;
}

void ChunkDecoder::Take(char c) {
  switch (state_) {
    case State::kSize:
      return TakeSize(c);
    case State::kSizeEnd:
      return EndSize(c);
    case State::kDataCr:
      return Expect(c, '\r', State::kDataLf);
    case State::kDataLf:
      digits_ = 0;
      return Expect(c, '\n', State::kSize);
    case State::kField:
    case State::kFieldName:
    case State::kFieldValue:
    case State::kFieldEnd:
    case State::kEnd:
      return TakeTrailer(c);
    default:
      return TakeExtension(c);
  }
}

void ChunkDecoder::Expect(char c, char wanted, State next) {
  if (c == wanted) {
    state_ = next;
  } else {
    Fail(ChunkFault::kMalformed);
  }
}

void ChunkDecoder::TakeSize(char c) {
  const int digit = HexDigit(c);
  if (digit >= 0) {
    left_ = (digits_ == 0 ? 0 : left_ << 4) | static_cast<std::uint64_t>(digit);
    if (++digits_ > kMaxDigits) Fail(ChunkFault::kMalformed);
    return;
  }
  if (digits_ == 0) return Fail(ChunkFault::kMalformed);
  if (c == '\r') {
    state_ = State::kSizeEnd;
  } else if (c == '\n') {
    Fail(ChunkFault::kBareLineFeed);
  } else {
    state_ = State::kBeforeSemicolon;
    TakeExtension(c);
  }
}

void ChunkDecoder::EndSize(char c) {
  if (c != '\n') return Fail(ChunkFault::kMalformed);
  if (left_ > max_body_ - body_) return Fail(ChunkFault::kBodyTooLarge);
  body_ += left_;
  state_ = left_ == 0 ? State::kField : State::kData;
}

// ;name, ;name=token or ;name="quoted text", with blanks around ';' and '='.
void ChunkDecoder::TakeExtension(char c) {
  if (++beside_ > max_beside_) return Fail(ChunkFault::kTooMuchBeside);
  if (c == '\n') return Fail(ChunkFault::kBareLineFeed);
  State next = State::kDone;  // what no state here leads to
  switch (state_) {
    case State::kBeforeSemicolon:
      next = IsBlank(c) ? state_ : AfterValue(c, false);
      break;
    case State::kBeforeName:
      next = IsBlank(c) ? state_ : IsTokenChar(c) ? State::kName : next;
      break;
    case State::kName:
    case State::kAfterName:
      if (IsTokenChar(c) && state_ == State::kName) return;
      next = c == '='     ? State::kBeforeValue
             : IsBlank(c) ? State::kAfterName
                          : AfterValue(c, state_ == State::kName);
      break;
    case State::kBeforeValue:
      next = IsBlank(c)       ? state_
             : c == '"'       ? State::kQuoted
             : IsTokenChar(c) ? State::kToken
                              : next;
      break;
    case State::kToken:
      next = IsTokenChar(c) ? state_ : AfterValue(c, true);
      break;
    case State::kAfterQuoted:
      next = AfterValue(c, true);
      break;
    case State::kQuoted:
      next = c == '"'    ? State::kAfterQuoted
             : c == '\\' ? State::kEscaped
             : IsText(c) ? state_
                         : next;
      break;
    case State::kEscaped:
      next = IsText(c) ? State::kQuoted : next;
      break;
    default:
      break;
  }
  if (next == State::kDone) return Fail(ChunkFault::kMalformed);
  state_ = next;
}

// Another extension, or the end of the line; kDone: neither.
ChunkDecoder::State ChunkDecoder::AfterValue(char c, bool may_end) {
  if (c == ';') return State::kBeforeName;
  if (may_end && IsBlank(c)) return State::kBeforeSemicolon;
  return may_end && c == '\r' ? State::kSizeEnd : State::kDone;
}

void ChunkDecoder::TakeTrailer(char c) {
  if (++beside_ > max_beside_) return Fail(ChunkFault::kTooMuchBeside);
  const bool ends_line = state_ == State::kFieldEnd || state_ == State::kEnd;
  if (c == '\n' && !ends_line) return Fail(ChunkFault::kBareLineFeed);
  switch (state_) {
    case State::kField:
      if (IsBlank(c)) return Fail(ChunkFault::kFolded);
      if (c == '\r') return Enter(State::kEnd);
      return IsTokenChar(c) ? Enter(State::kFieldName) : Fail(ChunkFault::kMalformed);
    case State::kFieldName:
      if (c == ':') return Enter(State::kFieldValue);
      return IsTokenChar(c) ? Enter(State::kFieldName) : Fail(ChunkFault::kMalformed);
    case State::kFieldValue:
      if (c == '\r') return Enter(State::kFieldEnd);
      return IsText(c) ? Enter(State::kFieldValue) : Fail(ChunkFault::kMalformed);
    case State::kFieldEnd:
      return Expect(c, '\n', State::kField);
    default:
      return Expect(c, '\n', State::kDone);
  }
}

}  // namespace baiwan::net
