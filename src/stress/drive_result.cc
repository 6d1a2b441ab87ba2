#include "stress/drive_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace baiwan::stress {
namespace {

using nlohmann::json;
using Counts = std::map<std::string, std::uint64_t>;

constexpr int kVersion = 3;

// What every form of a result has, in one list each.
struct Number {
  const char* name;
  std::uint64_t DriveResult::*field;
};
// What is known of users and messages: the highest of several lives.
constexpr Number kKnown[] = {
    {"users", &DriveResult::users},
    {"users_started", &DriveResult::users_started},
    {"users_stored", &DriveResult::users_stored},
    {"users_finished", &DriveResult::users_finished},
    {"users_failed", &DriveResult::users_failed},
    {"messages", &DriveResult::messages},
    {"stored", &DriveResult::stored},
    {"delivered", &DriveResult::delivered},
};
// What was done: the sum of several lives.
constexpr Number kDone[] = {
    {"submitted", &DriveResult::submitted},           {"repeated", &DriveResult::repeated},
    {"presumed_lost", &DriveResult::presumed_lost},   {"connects", &DriveResult::connects},
    {"disconnects", &DriveResult::disconnects},       {"polls", &DriveResult::polls},
    {"behind_ledger", &DriveResult::behind_ledger},   {"scheduled", &DriveResult::scheduled},
    {"scheduled_late", &DriveResult::scheduled_late}, {"offered", &DriveResult::offered},
};
// When something began: the first of all; and when it ended: the last.
constexpr Number kBegins[] = {
    {"first_submit_ms", &DriveResult::first_submit_ms},
    {"first_due_ms", &DriveResult::first_due_ms},
};
constexpr Number kEnds[] = {
    {"last_ack_ms", &DriveResult::last_ack_ms},
    {"last_offer_ms", &DriveResult::last_offer_ms},
};
struct ByName {
  const char* name;
  Counts DriveResult::*field;
};
constexpr ByName kByName[] = {
    {"refused", &DriveResult::refused},
    {"failures", &DriveResult::failures},
    {"downs", &DriveResult::downs},
    {"exhausted", &DriveResult::exhausted},
    {"began_without", &DriveResult::began_without},
};
struct Text {
  const char* name;
  std::string DriveResult::*field;
};
constexpr Text kTexts[] = {
    {"first_failure", &DriveResult::first_failure},
    {"broken", &DriveResult::broken},
};
struct Latency {
  const char* name;
  Histogram DriveResult::*field;
};
constexpr Latency kLatencies[] = {
    {"stored_latency", &DriveResult::stored_latency},
    {"delivered_latency", &DriveResult::delivered_latency},
    {"loop_lag", &DriveResult::loop_lag},
};

// {"max_ns":…,"buckets":[[index,count],…]}: those that are not empty.
json ToJson(const Histogram& histogram) {
  json buckets = json::array();
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (histogram.bucket(i) > 0) buckets.push_back({i, histogram.bucket(i)});
  }
  return {{"max_ns", histogram.max()}, {"buckets", std::move(buckets)}};
}

// The field of an object; null if it is not there or not a whole number from 0 on.
const json* Whole(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_unsigned() ? &*it : nullptr;
}

bool FromJson(const json& object, Histogram* out) {
  if (!object.is_object()) return false;
  const json* max = Whole(object, "max_ns");
  const auto buckets = object.find("buckets");
  if (max == nullptr || buckets == object.end() || !buckets->is_array()) return false;
  if (max->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
  const auto max_nanos = max->get<Nanos>();
  for (const json& b : *buckets) {
    if (!b.is_array() || b.size() != 2 || !b[0].is_number_unsigned() ||
        !b[1].is_number_unsigned() || b[0].get<std::uint64_t>() >= Histogram::kBuckets) {
      return false;
    }
    out->Restore(b[0].get<std::size_t>(), b[1].get<std::uint64_t>(), max_nanos);
  }
  return true;
}

bool FromJson(const json& object, Counts* out) {
  if (!object.is_object()) return false;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_number_unsigned()) return false;
    (*out)[key] = value.get<std::uint64_t>();
  }
  return true;
}

// [[ms,delivered],…]
json ToJson(const Progress& progress) {
  json samples = json::array();
  for (const Progress::Sample& s : progress.samples()) samples.push_back({s.ms, s.delivered});
  return samples;
}

bool FromJson(const json& samples, Progress* out) {
  if (!samples.is_array()) return false;
  for (const json& s : samples) {
    if (!s.is_array() || s.size() != 2 || !s[0].is_number_unsigned() || !s[1].is_number_unsigned())
      return false;
    out->Add({s[0].get<std::uint64_t>(), s[1].get<std::uint64_t>()});
  }
  return true;
}

void Add(const Counts& from, Counts* to) {
  for (const auto& [name, count] : from) (*to)[name] += count;
}

}  // namespace

std::string DriveResult::ToJson() const {
  json object = {{"version", kVersion}, {"planned_rate", planned_rate}};
  for (const Number& n : kKnown) object[n.name] = this->*n.field;
  for (const Number& n : kDone) object[n.name] = this->*n.field;
  for (const Number& n : kBegins) object[n.name] = this->*n.field;
  for (const Number& n : kEnds) object[n.name] = this->*n.field;
  for (const Text& t : kTexts) object[t.name] = this->*t.field;
  for (const ByName& b : kByName) object[b.name] = this->*b.field;
  for (const Latency& l : kLatencies) object[l.name] = stress::ToJson(this->*l.field);
  object["progress"] = stress::ToJson(progress);
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<DriveResult, std::string> DriveResult::FromJson(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return std::string("is not the result of a load client");
  const json* version = Whole(object, "version");
  if (version == nullptr || *version != kVersion) {
    return fmt::format("is a load client's result of another version than {}", kVersion);
  }
  DriveResult out;
  const auto wrong = [](const char* name) {
    return fmt::format("has no good \"{}\": the result of a load client is damaged", name);
  };
  const auto number = [&](const Number& n) {
    const json* field = Whole(object, n.name);
    if (field != nullptr) out.*n.field = field->get<std::uint64_t>();
    return field != nullptr;
  };
  const char* bad = nullptr;
  const auto numbers = [&](const auto& list) {
    for (const Number& n : list) bad = bad == nullptr && !number(n) ? n.name : bad;
  };
  numbers(kKnown);
  numbers(kDone);
  numbers(kBegins);
  numbers(kEnds);
  if (bad != nullptr) return wrong(bad);
  for (const ByName& b : kByName) {
    const auto it = object.find(b.name);
    if (it == object.end() || !stress::FromJson(*it, &(out.*b.field))) return wrong(b.name);
  }
  for (const Latency& l : kLatencies) {
    const auto it = object.find(l.name);
    if (it == object.end() || !stress::FromJson(*it, &(out.*l.field))) return wrong(l.name);
  }
  const auto samples = object.find("progress");
  if (samples == object.end() || !stress::FromJson(*samples, &out.progress)) {
    return wrong("progress");
  }
  for (const Text& t : kTexts) {
    const auto it = object.find(t.name);
    if (it == object.end() || !it->is_string()) return wrong(t.name);
    out.*t.field = it->get<std::string>();
  }
  const auto rate = object.find("planned_rate");
  if (rate == object.end() || !rate->is_number()) return wrong("planned_rate");
  out.planned_rate = rate->get<double>();
  return out;
}

namespace {

// What both ways of putting results together do alike.
void AddDone(const DriveResult& from, DriveResult* to) {
  for (const Number& n : kDone) to->*n.field += from.*n.field;
  for (const ByName& b : kByName) Add(from.*b.field, &(to->*b.field));
  for (const Latency& l : kLatencies) (to->*l.field).Merge(from.*l.field);
  for (const Number& n : kBegins) {
    const std::uint64_t theirs = from.*n.field;
    std::uint64_t& ours = to->*n.field;
    if (theirs != 0 && (ours == 0 || theirs < ours)) ours = theirs;
  }
  for (const Number& n : kEnds) to->*n.field = std::max(to->*n.field, from.*n.field);
}

}  // namespace

void DriveResult::Merge(const DriveResult& other) {
  for (const Number& n : kKnown) this->*n.field += other.*n.field;
  AddDone(other, this);
  planned_rate += other.planned_rate;
  for (const Text& t : kTexts) {
    if ((this->*t.field).empty()) this->*t.field = other.*t.field;
  }
}

void DriveResult::Continue(const DriveResult& earlier) {
  for (const Number& n : kKnown) this->*n.field = std::max(this->*n.field, earlier.*n.field);
  AddDone(earlier, this);
  planned_rate = std::max(planned_rate, earlier.planned_rate);
  Progress both = earlier.progress;
  for (const Progress::Sample& s : progress.samples()) both.Add(s);
  progress = std::move(both);
  if (!earlier.first_failure.empty()) first_failure = earlier.first_failure;
  if (broken.empty()) broken = earlier.broken;
}

}  // namespace baiwan::stress
