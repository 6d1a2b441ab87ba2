// What can be wrong with an HTTP message, and how each of it is answered.
//
// Constants; any thread. A fault of a response that we asked for is never sent: its status is the
// one that a proxy would give.
#pragma once

#include "net/http_chunks.h"

namespace baiwan::net {

// How a message is refused: an HTTP status, a code for programs and a sentence for people.
struct HttpFault {
  int status = 0;
  const char* code = "";
  const char* message = "";
};

inline constexpr HttpFault kBadRequest{400, "bad_request", "this is not an HTTP/1.1 request"};
inline constexpr HttpFault kLoneLineFeed{400, "bad_request", "a line ends in LF without CR"};
inline constexpr HttpFault kBadTarget{400, "bad_request", "the request target is not valid"};
inline constexpr HttpFault kBadField{400, "bad_request", "a header field is not valid"};
inline constexpr HttpFault kFoldedField{400, "bad_request",
                                        "a header field is folded over two lines"};
inline constexpr HttpFault kBadHost{400, "bad_request", "HTTP/1.1 needs exactly one Host field"};
inline constexpr HttpFault kBadHostName{400, "bad_request",
                                        "the host is neither an address nor a name"};
inline constexpr HttpFault kBadLength{400, "bad_request",
                                      "more than one length, or one that is no number"};
inline constexpr HttpFault kBadChunk{400, "bad_request", "the chunked body is malformed"};
inline constexpr HttpFault kBadCoding{501, "not_implemented",
                                      "the only transfer coding here is chunked"};
inline constexpr HttpFault kBadVersion{505, "http_version_not_supported", "HTTP/1.0 and 1.1 only"};
inline constexpr HttpFault kBodyTooLarge{413, "content_too_large", "the body is too large"};
inline constexpr HttpFault kTargetTooLong{414, "uri_too_long", "the request line is too long"};
inline constexpr HttpFault kHeadTooLarge{431, "header_fields_too_large",
                                         "the header fields are too large"};
inline constexpr HttpFault kExpectation{417, "expectation_failed",
                                        "the only expectation is 100-continue"};
inline constexpr HttpFault kBadResponse{502, "bad_response", "this is not an HTTP/1.1 response"};
inline constexpr HttpFault kCutOff{502, "bad_response", "the connection ended inside the response"};

const HttpFault& FaultOf(ChunkFault fault);

}  // namespace baiwan::net
