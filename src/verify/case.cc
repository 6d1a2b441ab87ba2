#include "verify/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "stress/graph_text.h"
#include "stress/ledger.h"

namespace baiwan::verify {
namespace {

void ReadLedger(const std::string& path, const Population& people, std::vector<Told>& told,
                VerifyReport* report) {
  const auto ledger = stress::ReadLedger(path);
  if (!ledger) return report->errors.push_back(ledger.error());
  if (ledger->damaged > 0) {
    report->errors.push_back(
        fmt::format("ledger {}: {} records are damaged: what these users were told is not known",
                    path, ledger->damaged));
  }
  std::uint64_t strangers = 0;
  for (const stress::Ledger::Entry& entry : ledger->entries) {
    const Population::Number n = people.Find(entry.user);
    if (n == Population::kNobody) {
      ++strangers;
      continue;
    }
    told[n].send_id = std::max(told[n].send_id, entry.send_id);
    told[n].send_ack_id = std::max(told[n].send_ack_id, entry.send_ack_id);
  }
  if (strangers > 0) {
    report->errors.push_back(
        fmt::format("ledger {} is of another test: {} of its users are not in the friend graph",
                    path, strangers));
  }
}

}  // namespace

bool Prepare(const VerifyOptions& options, Case* made, VerifyReport* report) {
  const std::size_t errors = report->errors.size();
  if (options.graph_file.empty()) {
    if (const auto wrong = stress::Validate(options.spec)) report->errors.push_back(*wrong);
    if (report->errors.size() > errors) return false;
    made->people = Population::Generate(options.spec, std::max(options.threads, 1u));
  } else {
    auto graph = stress::ReadGraphText(options.graph_file);
    if (!graph) return report->errors.push_back(graph.error()), false;
    made->people = Population(std::move(*graph));
  }
  made->books = std::make_unique<Books>(options.spec, made->people);
  report->expected_messages = stress::MessagesOf(options.spec, made->people.relations());
  report->complete = options.expect_complete;
  if (!options.ledgers.empty()) made->told.resize(made->people.users());
  for (const std::string& path : options.ledgers) {
    ReadLedger(path, made->people, made->told, report);
  }
  return true;
}

void CountUsers(const Case& made, const Census& census, VerifyReport* report) {
  for (Population::Number n = 0; n < made.people.users(); ++n) {
    if (census.homes[n] == Census::kNowhere) continue;
    ++report->users;
    report->relations += made.people.friends(n).size();
    report->sent += made.books->users[n].sent;
  }
  for (const RelationBook& relation : made.books->relations) {
    report->acknowledged += relation.acked;
    report->distinct += std::max(relation.sent, relation.received);
  }
}

}  // namespace baiwan::verify
