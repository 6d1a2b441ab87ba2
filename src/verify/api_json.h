// The answers of the public interface, as the verifier needs them. Pure; a JSON library stays
// behind this header. Failure: false, and a sentence.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/transport.h"

namespace baiwan::verify {

struct ApiMessage {
  Seq seq = 0;
  Seq send_id = 0;
  UserId sender = 0;
  UserId receiver = 0;
  bool is_void = false;
  std::string body;
};
struct ApiPage {
  std::vector<ApiMessage> messages;
  Seq next = 0;
};
bool ParsePage(std::string_view json, ApiPage* page, std::string* why);

struct ApiUser {
  Seq send_id = 0;
  Seq send_ack_id = 0;
  Seq receive_id = 0;
  Seq client_receive_id = 0;
  std::vector<UserId> friends;
};
bool ParseUser(std::string_view json, ApiUser* user, std::string* why);

// The gateways in a registry's list, by cell; false if this is no such list.
bool ParseServers(std::string_view json, std::map<CellId, Endpoint>* gateways);

}  // namespace baiwan::verify
