#include "net/ws_handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/bytes.h"

namespace baiwan::net {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// Sixteen bytes in base64: 22 characters that matter and two for padding.
bool IsKey(std::string_view key) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.substr(22) == "==" &&
         key.substr(0, 22).find_first_not_of(kAlphabet) == std::string_view::npos;
}

bool Contains(std::string_view text, std::string_view lower) {
  std::string small(text);
  for (char& c : small) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return small.find(lower) != std::string::npos;
}

}  // namespace

std::string WsAcceptKey(std::string_view key) {
  std::string text(key);
  text.append(kGuid);
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return Base64({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::string WsKey(std::uint64_t high, std::uint64_t low) {
  std::string bytes;
  Writer writer(bytes);
  writer.U64(high);
  writer.U64(low);
  return Base64(bytes);
}

WsRefusal CheckWsRequest(const HttpRequest& request) {
  if (request.method != "GET") return {400, "a WebSocket handshake is a GET"};
  if (!request.wants_websocket) return {400, "this address speaks WebSocket only"};
  if (!request.body.empty()) return {400, "a WebSocket handshake has no body"};
  if (request.Header("Sec-WebSocket-Version") != "13") return {426, "WebSocket version 13 only"};
  if (!IsKey(request.Header("Sec-WebSocket-Key"))) return {400, "Sec-WebSocket-Key is not valid"};
  return {};
}

Headers WsRequestFields(const std::string& key) {
  return {{"Upgrade", "websocket"},
          {"Connection", "Upgrade"},
          {"Sec-WebSocket-Version", "13"},
          {"Sec-WebSocket-Key", key}};
}

void AppendWsAccept(std::string& out, std::string_view key) {
  out.append(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ");
  out.append(WsAcceptKey(key)).append("\r\n\r\n");
}

bool IsWsAccepted(const HttpResponse& response, std::string_view key) {
  return response.status == 101 && Contains(response.Header("Upgrade"), "websocket") &&
         Contains(response.Header("Connection"), "upgrade") &&
         response.Header("Sec-WebSocket-Accept") == WsAcceptKey(key) &&
         response.Header("Sec-WebSocket-Extensions").empty() &&
         response.Header("Sec-WebSocket-Protocol").empty();
}

}  // namespace baiwan::net
