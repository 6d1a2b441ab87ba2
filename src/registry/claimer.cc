#include "registry/claimer.h"

#include <fmt/format.h>

#include "registry/json.h"

namespace baiwan::registry {
namespace {

constexpr Nanos kTimeout = 3 * kSecond;  // of one request
constexpr Nanos kAgain = 50 * kMillisecond;

}  // namespace

Claimer::Claimer(NodeContext& node, const Endpoint& registry, Membership member,
                 const std::vector<std::pair<CellId, StoreClaim>>& claims)
    : node_(node),
      member_(std::move(member)),
      http_(net::HttpClient::Create(node, registry)),
      claims_(claims.begin(), claims.end()) {}

Claimer::~Claimer() {
  node_.loop.Cancel(deadline_);
  node_.loop.Cancel(again_);
}

void Claimer::Start(Nanos within, DoneFn done) {
  done_ = std::move(done);
  deadline_ = node_.loop.After(within, [this] { Finish(Claiming::kUnreachable, 0, {}); });
  Ask();
}

void Claimer::Ask() {
  if (claims_.empty()) {
    again_ = node_.loop.After(0, [this] { Finish(Claiming::kGranted, 0, {}); });
    return;
  }
  const auto& [cell, claim] = claims_.front();
  const std::string path = fmt::format("/v1/claims/{}", cell);
  const std::string body = ClaimToJson(claim);
  net::Headers proof;
  if (!member_.secret.empty()) {
    proof.emplace_back(kProofHeader, ProveRequest(member_, prove_to_, "PUT", path, body));
  }
  http_->Request(
      "PUT", path, body, proof, kTimeout,
      [this](const Result<net::HttpResponse, NetError>& response) { Answered(response); });
}

void Claimer::Answered(const Result<net::HttpResponse, NetError>& response) {
  if (response && response->status == 200) {
    claims_.pop_front();
    return Ask();
  }
  if (response && response->status == 401 && !member_.secret.empty()) {
    const std::uint64_t registry = RegistryIn(response->body);
    if (registry != 0 && std::exchange(prove_to_, registry) != registry) return Ask();
  }
  if (response && response->status < 500) {
    return Finish(Claiming::kRefused, claims_.front().first, response->body);
  }
  again_ = node_.loop.After(kAgain, [this] { Ask(); });
}

void Claimer::Finish(Claiming outcome, CellId cell, const std::string& why) {
  if (!done_) return;
  const DoneFn done = std::exchange(done_, nullptr);
  done(outcome, cell, std::string(why));
}

}  // namespace baiwan::registry
