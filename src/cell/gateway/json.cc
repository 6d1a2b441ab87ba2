#include "cell/gateway/json.h"

#include <openssl/evp.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

void AppendNumber(std::uint64_t v, std::string* out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
  out->append(digits, end);
}

void AppendField(std::string_view name, std::uint64_t v, std::string* out) {
  out->append(name);
  AppendNumber(v, out);
}

// A whole number 1 … max of a JSON object; ids may also come as decimal strings, as the source
// writes them.
Result<std::uint64_t, std::string> Number(const nlohmann::json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end()) return std::string(name) + " is missing";
  if (it->is_number_unsigned()) return it->get<std::uint64_t>();
  if (it->is_string()) {
    const auto& text = it->get_ref<const std::string&>();
    std::uint64_t v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error == std::errc{} && end == text.data() + text.size()) return v;
  }
  return std::string(name) + " is not a whole number of at most 64 bits";
}

Result<wire::Submit, std::string> ParseMessage(const nlohmann::json& object) {
  if (!object.is_object()) return std::string("a message is a JSON object");
  wire::Submit submit;
  const auto send_id = Number(object, "send_id");
  if (!send_id) return send_id.error();
  submit.set_send_id(*send_id);
  const auto is_void = object.find("void");
  if (is_void != object.end()) {
    if (!is_void->is_boolean()) return std::string("void is true or false");
    submit.set_is_void(is_void->get<bool>());
    if (submit.is_void()) return submit;
  }
  const auto peer = Number(object, "friend");
  if (!peer) return peer.error();
  submit.set_friend_(*peer);
  const auto body = object.find("body");
  const auto base64 = object.find("body_base64");
  if ((body == object.end()) == (base64 == object.end())) {
    return std::string("a message has either a body or a body_base64");
  }
  if (body != object.end()) {
    if (!body->is_string()) return std::string("body is a string");
    submit.set_body(body->get<std::string>());
  } else if (!base64->is_string() ||
             !Base64Decode(base64->get_ref<const std::string&>(), submit.mutable_body())) {
    return std::string("body_base64 is a string in base64");
  }
  return submit;
}

}  // namespace

void AppendUserJson(const wire::UserInfo& user, std::string* out) {
  const wire::Counters& c = user.counters();
  AppendField("{\"SendId\":", c.send_id(), out);
  AppendField(",\"ReceiveId\":", c.receive_id(), out);
  AppendField(",\"SendAckId\":", c.send_ack_id(), out);
  AppendField(",\"ClientReceiveId\":", c.client_receive_id(), out);
  out->append(",\"friends\":[");
  bool first = true;
  for (const std::uint64_t f : user.friends()) {
    AppendField(first ? "\"" : ",\"", f, out);
    out->push_back('"');
    first = false;
  }
  out->append("]}");
}

void AppendPageJson(const wire::BoxPage& page, std::string* out) {
  out->append("{\"messages\":[");
  bool first = true;
  for (const wire::BoxMessage& m : page.messages()) {
    AppendField(first ? "{\"seq\":" : ",{\"seq\":", m.seq(), out);
    first = false;
    AppendField(",\"send_id\":", m.send_id(), out);
    AppendField(",\"sender\":\"", m.sender(), out);
    AppendField("\",\"receiver\":\"", m.receiver(), out);
    if (IsUtf8(m.body())) {
      out->append("\",\"body\":");
      AppendJsonString(m.body(), out);
    } else {
      out->append("\",\"body_base64\":\"");
      out->append(Base64(m.body()));
      out->push_back('"');
    }
    AppendField(",\"timestamp\":", m.timestamp_ms(), out);
    if (m.is_void()) out->append(",\"void\":true");
    out->push_back('}');
  }
  AppendField("],\"next\":", page.next(), out);
  out->push_back('}');
}

void AppendRefusalJson(const wire::Refusal& refusal, std::string* out) {
  out->append("{\"error\":\"");
  out->append(CodeOf(refusal.reason()));
  out->append("\",\"message\":");
  AppendJsonString(refusal.detail().empty() ? Describe(refusal.reason()) : refusal.detail().c_str(),
                   out);
  if (refusal.send_id() > 0) AppendField(",\"send_id\":", refusal.send_id(), out);
  if (refusal.window_end() > 0) AppendField(",\"window_end\":", refusal.window_end(), out);
  out->push_back('}');
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          static constexpr char kHex[] = "0123456789abcdef";
          out->append("\\u00");
          out->push_back(kHex[(c >> 4) & 15]);
          out->push_back(kHex[c & 15]);
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

// The well-formed sequences of the Unicode standard, table 3-7.
bool IsUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  const auto tail = [&](int n, unsigned char low, unsigned char high) {
    if (end - p <= n || p[1] < low || p[1] > high) return false;
    for (int i = 2; i <= n; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
    }
    p += n + 1;
    return true;
  };
  while (p < end) {
    const unsigned char c = *p;
    if (c < 0x80) {
      ++p;
    } else if (c >= 0xC2 && c <= 0xDF) {
      if (!tail(1, 0x80, 0xBF)) return false;
    } else if (c >= 0xE0 && c <= 0xEF) {
      if (!tail(2, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF)) return false;
    } else if (c >= 0xF0 && c <= 0xF4) {
      if (!tail(3, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF)) return false;
    } else {
      return false;
    }
  }
  return true;
}

std::string Base64(std::string_view data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(data.data()),
                                static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

bool Base64Decode(std::string_view text, std::string* out) {
  if (text.size() % 4 != 0 || text.size() > (1U << 30)) return false;
  out->assign(text.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out->data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return false;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out->resize(static_cast<std::size_t>(n) - padding);
  return true;
}

Result<std::vector<wire::Submit>, std::string> ParseMessages(std::string_view body,
                                                             std::size_t max) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_discarded()) return std::string("the body is not JSON");
  std::vector<wire::Submit> submits;
  const auto many = json.is_object() ? json.find("messages") : json.end();
  if (many == json.end()) {
    const auto one = ParseMessage(json);
    if (!one) return one.error();
    submits.push_back(*one);
    return submits;
  }
  if (!many->is_array() || many->empty()) return std::string("messages is a list of messages");
  if (many->size() > max) return "at most " + std::to_string(max) + " messages in one request";
  for (const auto& object : *many) {
    const auto one = ParseMessage(object);
    if (!one) return "messages[" + std::to_string(submits.size()) + "]: " + one.error();
    submits.push_back(*one);
  }
  return submits;
}

Result<Seq, std::string> ParseCursor(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return std::string("the body is not a JSON object");
  return Number(json, "read_up_to");
}

}  // namespace baiwan::cell
