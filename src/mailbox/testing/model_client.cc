#include "mailbox/testing/model_client.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"

namespace baiwan::mailbox::testing {

Submission Content::As(UserId sender, Seq send_id) const {
  const UserId to = is_void ? 0 : receiver;
  return {send_id, to, body, MessageChecksum(sender, to, send_id, body), is_void};
}

bool Content::Is(const wire::Message& stored) const {
  if (is_void) return stored.kind == wire::Kind::kVoid;
  return stored.kind == wire::Kind::kText && stored.peer == receiver && stored.body == body;
}

ModelClient::ModelClient(std::uint64_t seed, UserId user, std::vector<UserId> friends, Seq total,
                         double voids, std::uint32_t max_body)
    : seed_(seed),
      user_(user),
      friends_(std::move(friends)),
      total_(friends_.empty() ? 0 : total),
      voids_(voids),
      max_body_(max_body) {}

Content ModelClient::ContentOf(Seq send_id) const {
  Rng rng(Mix(seed_, user_, send_id));
  const Seq last = total_ - std::min<Seq>(total_, friends_.size());
  Content c;
  if (send_id > last && send_id <= total_) {
    c.receiver = friends_[send_id - last - 1];
  } else if (rng.Chance(voids_)) {
    c.is_void = true;
    return c;
  } else {
    c.receiver = friends_[rng.Below(friends_.size())];
  }
  c.body.resize(rng.Below(max_body_ + 1));
  for (char& b : c.body) b = static_cast<char>('a' + rng.Below(26));
  return c;
}

Content ModelClient::OtherContent(Seq send_id, Rng& rng) const {
  Content c = ContentOf(send_id);
  if (c.is_void || rng.Chance(0.3)) {
    c.is_void = !c.is_void;
    c.receiver = c.is_void ? 0 : friends_[rng.Below(friends_.size())];
    c.body = c.is_void ? "" : "x";
  } else if (c.body.size() < max_body_) {
    c.body += "!";
  } else {
    c.body[0] = '!';
  }
  return c;
}

std::string ModelClient::Shown(const Counters& c, bool acks_may_fall) {
  std::string wrong;
  const auto fell = [&](const char* name, Seq before, Seq now) {
    if (now < before) {
      wrong = std::string(name) + " shown to user " + std::to_string(user_) + " fell from " +
              std::to_string(before) + " to " + std::to_string(now);
    }
  };
  fell("SendId", shown_.send_id, c.send_id);
  if (!acks_may_fall) fell("SendAckId", shown_.send_ack_id, c.send_ack_id);
  fell("ReceiveId", shown_.receive_id, c.receive_id);
  fell("ClientReceiveId", shown_.client_receive_id, c.client_receive_id);
  shown_.send_id = std::max(shown_.send_id, c.send_id);
  shown_.send_ack_id = std::max(shown_.send_ack_id, c.send_ack_id);
  shown_.receive_id = std::max(shown_.receive_id, c.receive_id);
  shown_.client_receive_id = std::max(shown_.client_receive_id, c.client_receive_id);
  return wrong;
}

}  // namespace baiwan::mailbox::testing
