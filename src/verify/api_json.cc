#include "verify/api_json.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace baiwan::verify {
namespace {

using nlohmann::json;

// A number, or one in a string, as ids are written.
bool Number(const json& object, const char* name, std::uint64_t* out) {
  const auto found = object.find(name);
  if (found == object.end()) return false;
  if (found->is_number_unsigned()) {
    *out = found->get<std::uint64_t>();
    return true;
  }
  if (!found->is_string()) return false;
  const auto& text = found->get_ref<const std::string&>();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

int Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool FromBase64(std::string_view text, std::string* out) {
  out->clear();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const int digit = Digit(c);
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out->push_back(static_cast<char>(bits >> have & 0xFF));
  }
  return true;
}

bool ReadMessage(const json& object, ApiMessage* m) {
  if (!object.is_object() || !Number(object, "seq", &m->seq) ||
      !Number(object, "send_id", &m->send_id) || !Number(object, "sender", &m->sender) ||
      !Number(object, "receiver", &m->receiver)) {
    return false;
  }
  const auto is_void = object.find("void");
  m->is_void = is_void != object.end() && is_void->is_boolean() && is_void->get<bool>();
  if (const auto text = object.find("body"); text != object.end() && text->is_string()) {
    m->body = text->get_ref<const std::string&>();
    return true;
  }
  const auto encoded = object.find("body_base64");
  return encoded != object.end() && encoded->is_string() &&
         FromBase64(encoded->get_ref<const std::string&>(), &m->body);
}

}  // namespace

bool ParsePage(std::string_view text, ApiPage* page, std::string* why) {
  page->messages.clear();
  const json object = json::parse(text, nullptr, false);
  const auto messages = object.is_object() ? object.find("messages") : object.end();
  if (!object.is_object() || messages == object.end() || !messages->is_array() ||
      !Number(object, "next", &page->next)) {
    *why = "the answer is no page of messages";
    return false;
  }
  for (const json& message : *messages) {
    page->messages.emplace_back();
    if (!ReadMessage(message, &page->messages.back())) {
      *why = "a message in the answer lacks a field, or has one of another kind";
      return false;
    }
  }
  return true;
}

bool ParseUser(std::string_view text, ApiUser* user, std::string* why) {
  const json object = json::parse(text, nullptr, false);
  user->friends.clear();
  *why = "the answer is no user's counters and friends";
  if (!object.is_object() || !Number(object, "SendId", &user->send_id) ||
      !Number(object, "SendAckId", &user->send_ack_id) ||
      !Number(object, "ReceiveId", &user->receive_id) ||
      !Number(object, "ClientReceiveId", &user->client_receive_id)) {
    return false;
  }
  const auto friends = object.find("friends");
  if (friends == object.end() || !friends->is_array()) return false;
  for (const json& id : *friends) {
    UserId number = 0;
    if (!Number(json{{"id", id}}, "id", &number)) return false;
    user->friends.push_back(number);
  }
  return true;
}

bool ParseServers(std::string_view text, std::map<CellId, Endpoint>* gateways) {
  const json list = json::parse(text, nullptr, false);
  if (!list.is_array()) return false;
  for (const json& server : list) {
    if (!server.is_object()) return false;
    const auto type = server.find("srvtype");
    const auto host = server.find("host");
    std::uint64_t port = 0;
    std::uint64_t cell = 0;
    if (type == server.end() || *type != "gw" || host == server.end() || !host->is_string()) {
      continue;
    }
    if (!Number(server, "port", &port) || !Number(server, "rg", &cell) || port == 0 ||
        port > 0xFFFF || cell >= kMaxCells) {
      continue;
    }
    (*gateways)[static_cast<CellId>(cell)] = {host->get<std::string>(),
                                              static_cast<std::uint16_t>(port)};
  }
  return true;
}

}  // namespace baiwan::verify
