// HTTP/1.1 messages out of bytes (RFC 9112), one at a time, without I/O and without a clock.
//
// A parser is fed with everything that is not used yet and says how much of it it used. A request
// that is there whole is not copied: its views point into what was fed. Bytes may come in any
// pieces; the result is the same. Whatever two HTTP implementations might read differently (two
// lengths, a length and a transfer coding, folded lines, bare line feeds) is refused, because
// requests are smuggled through such gaps.
//
// Threads: one. Failure: state() is kFailed and fault() says why; the parser can only be destroyed
// then, as there is no telling where the next message begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "net/http.h"
#include "net/http_faults.h"

namespace baiwan::net {

enum class HttpParseState : std::uint8_t {
  kHead,   // the head is not complete
  kBody,   // the head is, the body is not
  kReady,  // the message is there: see request() or response()
  kFailed,
};

class RequestParser {
 public:
  // Bytes: see HttpLimits.
  RequestParser(std::size_t max_head, std::size_t max_body);
  ~RequestParser();

  // Takes bytes of `data` and returns how many. Stops after one whole request. Give it again what
  // it did not use, with more behind it. Not to be called once kReady or kFailed.
  std::size_t Put(std::string_view data);
  HttpParseState state() const;
  // Once kReady: views into the `data` of the last Put, or into the parser itself, until Next.
  const HttpRequest& request() const;
  const HttpFault& fault() const;  // once kFailed
  bool http10() const;             // once the head is there
  // True once for a request that announced its body with "Expect: 100-continue" and waits.
  bool TakeContinue();
  bool begun() const;              // bytes of a request have been seen
  std::size_t held_bytes() const;  // memory kept for an incomplete request
  void Next();                     // forgets the request and waits for another

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  ResponseParser(std::size_t max_head, std::size_t max_body);
  ~ResponseParser();

  // Before each response. A response to HEAD has no body.
  void Begin(bool to_head);
  // As RequestParser::Put. Answers with status 1xx are skipped, but 101, after which everything
  // belongs to another protocol.
  std::size_t Put(std::string_view data);
  // The connection ended: completes a body that lasts until then, and fails anything else.
  void PutEof();
  HttpParseState state() const;
  HttpResponse& response();        // once kReady
  const HttpFault& fault() const;  // once kFailed
  bool keep_alive() const;         // once kReady

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace baiwan::net
