// The text of HTTP/1.1 answers and requests, written straight into an output buffer.
//
// Pure. Fields from callers that hold CR, LF or NUL are left out: they would let a value become a
// field, or a message, of its own.
#pragma once

#include <string>
#include <string_view>

#include "net/http.h"

namespace baiwan::net {

// The reason phrase of a status (RFC 9110, section 15), or "Unknown".
std::string_view ReasonPhrase(int status);

struct AnswerForm {
  bool http10 = false;     // the request was HTTP/1.0
  bool keep_alive = true;  // the connection stays
  bool head_only = false;  // the request was HEAD: the length is told, the body is not sent
};
void AppendAnswer(std::string& out, const AnswerForm& form, int status,
                  std::string_view content_type, std::string_view body, const Headers& extra);

// {"error":"<code>","message":"<message>"}; both are plain ASCII without quotes.
std::string ErrorBody(std::string_view code, std::string_view message);

// A request with a Host field and, unless it is a GET or HEAD without a body, a length.
void AppendRequest(std::string& out, std::string_view method, std::string_view target,
                   const Endpoint& host, const Headers& extra, std::string_view body);

}  // namespace baiwan::net
