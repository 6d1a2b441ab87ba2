// The opening handshake of a WebSocket (RFC 6455, section 4), as text.
//
// Pure, but for the nonce that the caller brings.
#pragma once

#include <string>
#include <string_view>

#include "net/http.h"

namespace baiwan::net {

// Sec-WebSocket-Accept for a Sec-WebSocket-Key: base64(SHA-1(key + the RFC's GUID)).
std::string WsAcceptKey(std::string_view key);
// Sec-WebSocket-Key out of 16 bytes. It proves nothing but that the other side speaks WebSocket,
// so any fresh bytes do.
std::string WsKey(std::uint64_t high, std::uint64_t low);

// Why a request is no proper handshake: an HTTP status and a sentence; status 0 if it is one.
struct WsRefusal {
  int status = 0;
  const char* message = "";
};
WsRefusal CheckWsRequest(const HttpRequest& request);

// The fields that a client's request has beside Host.
Headers WsRequestFields(const std::string& key);
void AppendWsAccept(std::string& out, std::string_view key);
// Whether a 101 answers the request that had `key`.
bool IsWsAccepted(const HttpResponse& response, std::string_view key);

}  // namespace baiwan::net
