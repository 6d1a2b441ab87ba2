// The client of one user in a model world: submits everything it has to, in any order within the
// window, repeats itself, tries what must be refused, and goes on from the counters it is shown.
//
// What it sends under a number is a pure function of (seed, user, number), so that everybody can
// tell what must stand in the boxes.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "mailbox/user.h"
#include "wire/message.h"

namespace baiwan::mailbox::testing {

struct Content {
  UserId receiver = 0;
  std::string body;
  bool is_void = false;

  Submission As(UserId sender, Seq send_id) const;
  bool Is(const wire::Message& stored) const;
};

class ModelClient {
 public:
  // Its last messages, one to each friend, it keeps back until `hold_back` is over.
  ModelClient(std::uint64_t seed, UserId user, std::vector<UserId> friends, Seq total, double voids,
              std::uint32_t max_body);

  UserId user() const { return user_; }
  Seq total() const { return total_; }
  const Counters& shown() const { return shown_; }
  Content ContentOf(Seq send_id) const;
  // Something else than ContentOf(send_id).
  Content OtherContent(Seq send_id, Rng& rng) const;

  // What it is told. Returns what is wrong with it: counters never fall.
  std::string Shown(const Counters& counters, bool acks_may_fall);

 private:
  std::uint64_t seed_;
  UserId user_;
  std::vector<UserId> friends_;
  Seq total_;
  double voids_;
  std::uint32_t max_body_;
  Counters shown_;
};

}  // namespace baiwan::mailbox::testing
