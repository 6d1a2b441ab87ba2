// Reading and writing bytes by position: the only place that knows about byte order.
//
// A Writer appends to a std::string that the caller owns. A Reader walks over a view and never
// reads past its end: after the first field that does not fit, ok() is false and every further
// field is zero or empty, so a decoder checks once, at the end. Integers are little endian;
// varints are LEB128 as in protobuf, at most ten bytes. Keys use big endian so that they sort.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace baiwan {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void U8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void U16(std::uint16_t v) { Raw(&v, sizeof v); }
  void U32(std::uint32_t v) { Raw(&v, sizeof v); }
  void U64(std::uint64_t v) { Raw(&v, sizeof v); }
  void U16Be(std::uint16_t v) { U16(__builtin_bswap16(v)); }
  void U32Be(std::uint32_t v) { U32(__builtin_bswap32(v)); }
  void U64Be(std::uint64_t v) { U64(__builtin_bswap64(v)); }
  void Varint(std::uint64_t v) {
    char bytes[10];
    int n = 0;
    while (v >= 0x80) {
      bytes[n++] = static_cast<char>(v | 0x80);
      v >>= 7;
    }
    bytes[n++] = static_cast<char>(v);
    out_.append(bytes, n);
  }
  void Bytes(std::string_view v) { out_.append(v); }
  // A length as varint, then the bytes.
  void Sized(std::string_view v) {
    Varint(v.size());
    Bytes(v);
  }
  std::size_t size() const { return out_.size(); }

 private:
  void Raw(const void* p, std::size_t n) { out_.append(static_cast<const char*>(p), n); }

  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}

  std::uint8_t U8() { return Raw<std::uint8_t>(); }
  std::uint16_t U16() { return Raw<std::uint16_t>(); }
  std::uint32_t U32() { return Raw<std::uint32_t>(); }
  std::uint64_t U64() { return Raw<std::uint64_t>(); }
  std::uint16_t U16Be() { return __builtin_bswap16(U16()); }
  std::uint32_t U32Be() { return __builtin_bswap32(U32()); }
  std::uint64_t U64Be() { return __builtin_bswap64(U64()); }
  std::uint64_t Varint() {
    std::uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ >= data_.size()) return Fail();
      const auto byte = static_cast<std::uint8_t>(data_[at_++]);
      if (shift == 63 && byte > 1) return Fail();
      v |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return v;
    }
    return Fail();
  }
  std::string_view Bytes(std::size_t n) {
    if (data_.size() - at_ < n) {
      Fail();
      return {};
    }
    const auto v = data_.substr(at_, n);
    at_ += n;
    return v;
  }
  std::string_view Sized() {
    const auto n = Varint();
    if (n > data_.size()) {
      Fail();
      return {};
    }
    return Bytes(static_cast<std::size_t>(n));
  }

  bool ok() const { return ok_; }
  bool done() const { return at_ == data_.size(); }
  std::size_t position() const { return at_; }
  std::size_t left() const { return data_.size() - at_; }

 private:
  template <class T>
  T Raw() {
    T v{};
    if (data_.size() - at_ < sizeof v) {
      Fail();
      return v;
    }
    std::memcpy(&v, data_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }
  std::uint64_t Fail() {
    ok_ = false;
    at_ = data_.size();
    return 0;
  }

  std::string_view data_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big endian machines are not supported");

}  // namespace baiwan
