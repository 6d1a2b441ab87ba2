#include "net/link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "net/link_connection.h"
#include "net/newcomers.h"

namespace baiwan::net {
namespace {

// ---- the side that connects

class DialedLink final : public LinkConnection {
 public:
  DialedLink(NodeContext& node, const Endpoint& to, std::unique_ptr<LinkSettings> settings,
             LinkHandler* handler)
      : LinkConnection(node, *settings, LinkSide::kDialer, handler),
        owned_settings_(std::move(settings)),
        to_(to) {
    Dial();
  }
  ~DialedLink() override { node_.loop.Cancel(retry_); }

  const Endpoint& peer() const override { return to_; }

 private:
  void Dial() {
    node_.transport.Connect(
        to_, settings_.limits.connect_timeout,
        [this, alive = lifetime_.token()](Result<std::unique_ptr<ByteStream>, NetError> got) {
          if (!*alive) return;
          if (!got) return Ended();
          Begin(std::move(*got));
        });
  }

  // Exponential backoff with full jitter: any time up to a bound that doubles, so that the many
  // links of a peer that comes back do not all knock at once.
  void Ended() override {
    const Nanos bound = std::min(settings_.limits.backoff_max,
                                 settings_.limits.backoff_first << std::min(failures_, 20));
    ++failures_;
    const auto delay = node_.rng.Below(static_cast<std::uint64_t>(std::max<Nanos>(bound, 1)));
    retry_ = node_.loop.After(static_cast<Nanos>(delay), [this] {
      retry_ = 0;
      Dial();
    });
  }

  bool Proved() override {
    failures_ = 0;
    logged_ = LinkFault{};
    return true;
  }

  // The same fault again and again is one line.
  bool MayLog(LinkFault fault) override { return std::exchange(logged_, fault) != fault; }

  const std::unique_ptr<LinkSettings> owned_settings_;
  const Endpoint to_;
  int failures_ = 0;  // connections in a row that did not come up, or broke
  LinkFault logged_{};
  TimerId retry_ = 0;
};

// ---- the side that listens

class AcceptedLinks;

class AcceptedLink final : public LinkConnection, public Newcomer {
 public:
  AcceptedLink(NodeContext& node, AcceptedLinks& links, const LinkSettings& settings,
               LinkHandler* handler, std::unique_ptr<ByteStream> stream)
      : LinkConnection(node, settings, LinkSide::kListener, handler),
        links_(links),
        peer_(stream->peer()) {
    Begin(std::move(stream));
  }

  const Endpoint& peer() const override { return peer_; }
  void GiveWay() override { Down(NetError::kOther); }

  std::size_t index = 0;  // in AcceptedLinks

 private:
  void Ended() override;
  bool Proved() override;
  bool MayLog(LinkFault fault) override;

  AcceptedLinks& links_;
  const Endpoint peer_;
};

class AcceptedLinks final : public LinkListener {
 public:
  AcceptedLinks(NodeContext& node, LinkSettings settings, LinkHandler* handler,
                std::uint32_t max_links)
      : node_(node),
        settings_(std::move(settings)),
        handler_(handler),
        max_links_(max_links),
        handshakes_(settings_.limits.max_handshakes) {}

  Result<bool, NetError> Listen(const Endpoint& at) {
    auto listener = node_.transport.Listen(
        at, [this](std::unique_ptr<ByteStream> stream) { Accept(std::move(stream)); });
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
    return true;
  }

  const Endpoint& local() const override { return listener_->local(); }

  void Remove(AcceptedLink* link) {
    const std::size_t index = link->index;
    const std::unique_ptr<AcceptedLink> gone = std::move(links_[index]);
    if (index + 1 < links_.size()) {
      links_[index] = std::move(links_.back());
      links_[index]->index = index;
    }
    links_.pop_back();
  }

  bool Proved(AcceptedLink* link) {
    handshakes_.Leave(*link);
    if (links_.size() - handshakes_.size() <= max_links_) return true;
    if (MayLog())
      node_.log.Warn("link from {}: {} links are enough", link->peer().ToString(), max_links_);
    return false;
  }

  // Strangers may knock as often as they like, and get one line a second at most.
  bool MayLog() {
    const Nanos now = node_.clock.Monotonic();
    if (logged_ && now - last_line_ < kSecond) return false;
    logged_ = true;
    last_line_ = now;
    return true;
  }

 private:
  void Accept(std::unique_ptr<ByteStream> stream) {
    links_.push_back(
        std::make_unique<AcceptedLink>(node_, *this, settings_, handler_, std::move(stream)));
    links_.back()->index = links_.size() - 1;
    if (!handshakes_.Join(*links_.back()) && MayLog()) {
      node_.log.Warn("more than {} link handshakes at a time: the oldest are ended",
                     settings_.limits.max_handshakes);
    }
  }

  NodeContext& node_;
  const LinkSettings settings_;
  LinkHandler* const handler_;
  const std::uint32_t max_links_;
  bool logged_ = false;
  Nanos last_line_ = 0;
  std::unique_ptr<Listener> listener_;
  Newcomers handshakes_;
  std::vector<std::unique_ptr<AcceptedLink>> links_;
};

void AcceptedLink::Ended() { links_.Remove(this); }
bool AcceptedLink::Proved() { return links_.Proved(this); }
bool AcceptedLink::MayLog(LinkFault) { return links_.MayLog(); }

}  // namespace

std::unique_ptr<Link> DialLink(NodeContext& node, const Endpoint& to, const LinkIdentity& self,
                               std::string secret, LinkHandler* handler, const LinkLimits& limits) {
  auto settings = std::make_unique<LinkSettings>();
  *settings = {self, std::move(secret), limits};
  return std::make_unique<DialedLink>(node, to, std::move(settings), handler);
}

Result<std::unique_ptr<LinkListener>, NetError> LinkListener::Listen(
    NodeContext& node, const Endpoint& at, const LinkIdentity& self, std::string secret,
    LinkHandler* handler, const LinkLimits& limits, std::uint32_t max_links) {
  auto links = std::make_unique<AcceptedLinks>(node, LinkSettings{self, std::move(secret), limits},
                                               handler, max_links);
  if (auto listening = links->Listen(at); !listening) return listening.error();
  return std::unique_ptr<LinkListener>(std::move(links));
}

}  // namespace baiwan::net
