// The chunked transfer coding (RFC 9112, section 7.1), byte by byte.
//
// Everything in it is held to the grammar, extensions and trailers too, although nobody here wants
// them: where two readers see different chunks, requests are smuggled. A trailer is dropped,
// whatever its fields are called.
//
// Pure. Failure: fault(), after which nothing more can be put in. Bounds: the body, and the bytes
// of all extensions and trailers together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace baiwan::net {

enum class ChunkFault : std::uint8_t {
  kNone,
  kMalformed,
  kBareLineFeed,  // a line ends in LF without CR
  kFolded,        // a field of the trailer goes on in the next line
  kBodyTooLarge,
  kTooMuchBeside,  // extensions and trailers
};

class ChunkDecoder {
 public:
  ChunkDecoder() = default;
  ChunkDecoder(std::size_t max_body, std::size_t max_beside)
      : max_body_(max_body), max_beside_(max_beside) {}

  // Takes bytes up to the end of the body, which goes behind `body`; says how many.
  std::size_t Put(std::string_view data, std::string* body);
  bool done() const { return state_ == State::kDone; }
  ChunkFault fault() const { return fault_; }

 private:
  enum class State : std::uint8_t {
    kSize,
    kBeforeSemicolon,  // of an extension
    kBeforeName,
    kName,
    kAfterName,
    kBeforeValue,
    kToken,
    kQuoted,
    kEscaped,
    kAfterQuoted,
    kSizeEnd,  // after CR
    kData,
    kDataCr,
    kDataLf,
    kField,  // at the begin of a line of the trailer
    kFieldName,
    kFieldValue,
    kFieldEnd,
    kEnd,
    kDone,
  };

  void Take(char c);
  void TakeSize(char c);
  void TakeExtension(char c);
  void TakeTrailer(char c);
  static State AfterValue(char c, bool may_end);
  void Expect(char c, char wanted, State next);
  void Enter(State next) { state_ = next; }
  void EndSize(char c);
  void Fail(ChunkFault fault) {
    if (fault_ == ChunkFault::kNone) fault_ = fault;
  }

  std::size_t max_body_ = 0;
  std::size_t max_beside_ = 0;
  State state_ = State::kSize;
  ChunkFault fault_ = ChunkFault::kNone;
  int digits_ = 0;
  std::uint64_t left_ = 0;    // of this chunk's data
  std::uint64_t body_ = 0;    // bytes of all chunks so far
  std::uint64_t beside_ = 0;  // bytes of extensions and trailers
};

}  // namespace baiwan::net
