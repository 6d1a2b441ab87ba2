#include "cell/gateway/json.h"

#include <google/protobuf/util/json_util.h>
#include <openssl/evp.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "cell/logic/logic.h"
#include "net/utf8.h"

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

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
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
    if (net::IsUtf8(m.body())) {
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
  if (page.life() > 0) AppendField(",\"life\":", page.life(), out);
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
  if (refusal.reason() == wire::REASON_BEYOND_END) {
    AppendField(",\"end\":", refusal.end(), out);
    AppendField(",\"life\":", refusal.life(), out);
  }
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

void AppendResultsJson(Seq stored, const std::vector<wire::Refusal>& refused, std::string* out) {
  AppendField("{\"stored\":", stored, out);
  if (!refused.empty()) {
    // The first one's fields stand at the top as well, as in the answer to a single message.
    std::string first;
    AppendRefusalJson(refused.front(), &first);
    out->push_back(',');
    out->append(first, 1, first.size() - 2);
    out->append(",\"refused\":[");
    for (const wire::Refusal& refusal : refused) {
      if (&refusal != &refused.front()) out->push_back(',');
      AppendRefusalJson(refusal, out);
    }
    out->push_back(']');
  }
  out->push_back('}');
}

std::string Base64(std::string_view data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(data.data()),
                                static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

// Strict: one spelling for each value, so no spaces, full padding, and no bits left over.
bool Base64Decode(std::string_view text, std::string* out) {
  out->clear();
  if (text.size() % 4 != 0) return false;
  if (text.empty()) return true;
  const std::size_t padding = text.substr(text.size() - 2) == "==" ? 2 : text.back() == '=' ? 1 : 0;
  out->reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const int digit = Base64Digit(c);
    if (digit < 0) return false;
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFF;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out->push_back(static_cast<char>(bits >> held & 0xFF));
  }
  return (bits & ((1U << held) - 1)) == 0;
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

// Protobuf's own reader takes more than JSON: single quotes, bare keys, commas too many. Others
// who read the same text do not.
bool ParseClientFrame(std::string_view text, wire::ClientFrame* frame) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  return nlohmann::json::accept(text) &&
         google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, frame, options)
             .ok();
}

Result<Seq, std::string> ParseCursor(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return std::string("the body is not a JSON object");
  return Number(json, "read_up_to");
}

}  // namespace baiwan::cell
