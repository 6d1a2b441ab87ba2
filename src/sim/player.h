// A device of a simulated user: speaks the frames of proto/client.proto over a WebSocket, and
// follows a client's rules.
//
//   - it numbers its messages 1, 2, 3 …, sends them in a somewhat shuffled order within the window,
//     and some of them more than once;
//   - after a reconnect it goes on behind the SendId of the welcome; what a refusal left unknown it
//     repeats after the time it was told; otherwise it repeats nothing;
//   - it keeps the highest counter that it was ever told, and its place in the inbox, in a notebook
//     that survives its crashes, and complains there of whatever must not be: a counter that went
//     back, a push out of order or with other bytes, a refusal without a reason;
//   - where its store is known to have lost something it starts over: it goes on behind the SendId
//     that it is told, and reads the inbox from the start.
//
// One device of a user sends at a time; now and then another one takes over. All of them read.
//
// Now and then it does what a good client does not: a message to a stranger or one that is too
// long, other content under a number that is stored, a number beyond the window or 0. Threads: the
// loop of its node. Failure: a complaint, see Notebook::wrong.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/websocket.h"
#include "sim/node.h"
#include "sim/workload.h"
#include "wire/client.pb.h"

namespace baiwan::sim {

// What a user remembers whatever happens to the device.
struct Notebook {
  UserId user = 0;
  Seq submitted = 0;  // the highest send id ever given out
  // The highest that it was told; each may never be less in the store again.
  Seq send_id = 0;
  Seq send_ack_id = 0;
  Seq receive_id = 0;
  std::vector<Seq> read_up_to;                   // each device's place in the inbox
  std::size_t sender = 0;                        // the device that sends
  std::vector<std::pair<UserId, Seq>> received;  // by receive id - 1: sender, send id
  std::uint64_t connects = 0;
  std::uint64_t refusals = 0;
  std::uint64_t losses = 0;  // how many of Stage::losses this book knows of
  bool gave_up = false;      // was refused for good, as whoever is hit may be
  std::string wrong;         // the first complaint
};

// What all clients of a run share.
struct Stage {
  const Workload& workload;
  std::map<UserId, Notebook> notebooks;
  bool may_send = true;
  bool away = false;                   // all clients have left
  Nanos max_tick = 60 * kMillisecond;  // between two looks of a client at what there is to do
  // How often a user's store is known to have lost something of his.
  std::map<UserId, std::uint64_t> losses;
  // Whose records are hit by a mishap of the disk: they, and whoever writes to them, may be refused
  // for good. They may never be shown anything wrong.
  std::set<UserId> hit;
  // What they lack comes back, as far as anybody has it: all stores agree in the end, theirs too.
  bool comes_back = false;

  std::uint64_t LossesOf(UserId user) const {
    const auto at = losses.find(user);
    return at == losses.end() ? 0 : at->second;
  }
  // Nothing keeps this user from sending everything, or from reading all that will ever come.
  bool MustFinish(UserId user) const;
  bool MustRead(UserId user) const;
};

class Player final : public net::WsHandler {
 public:
  Player(Node& node, Stage& stage, UserId user, Endpoint gateway, std::size_t device);
  ~Player() override;

  void OnMessage(bool is_text, std::string_view data) override;
  void OnClosed(std::uint16_t code, std::string_view reason) override;

 private:
  void Tick();
  void Dial();
  void Connected(std::unique_ptr<net::WebSocket> socket);
  void Reconnect(Nanos after);
  void SendSome();
  void AddSubmit(wire::ClientFrame& frame, Seq n);
  void AddMischief(wire::ClientFrame& frame, Seq n);
  void Send(const wire::ClientFrame& frame);

  void OnWelcome(const wire::Welcome& welcome);
  void StartOver(const wire::Counters& counters);
  void OnRefusal(const wire::Refusal& refusal);
  bool MayBeRefusedForGood(const wire::Refusal& refusal) const;
  void OnPush(const wire::BoxMessage& push);
  void Told(Seq stored, Seq delivered);
  void Complain(const std::string& what);

  Node& node_;
  Stage& stage_;
  const UserId user_;
  const std::size_t device_;
  const Endpoint gateway_;
  Notebook& book_;
  Rng rng_;
  std::unique_ptr<net::WebSocket> socket_;
  bool dialing_ = false;
  bool welcome_ = false;
  Nanos dial_at_ = 0;
  Nanos welcome_by_ = 0;
  std::uint64_t losses_ = 0;  // that were known when this connection began
  Seq known_send_id_ = 0;     // of the book, when this connection asked for its welcome
  Seq known_receive_id_ = 0;
  Seq next_ = 1;                // the lowest send id that this connection has not sent
  std::map<Seq, Nanos> again_;  // to be sent again, and when
  Seq window_end_ = 0;
  Seq pushed_ = 0;                                   // by this connection
  std::set<std::pair<Seq, wire::Reason>> deserved_;  // refusals, by mischief
};

// A node full of them.
class PlayerProgram final : public Program {
 public:
  PlayerProgram(Node& node, Stage& stage, const std::vector<UserId>& users, const Endpoint& gateway,
                int devices);

 private:
  std::vector<std::unique_ptr<Player>> players_;
};

}  // namespace baiwan::sim
