#include "stress/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace baiwan::stress {
namespace {

using Json = nlohmann::ordered_json;

Json LatencyJson(const std::optional<RunLatency>& latency) {
  if (!latency) return nullptr;
  return {
      {"p50", latency->p50}, {"p99", latency->p99}, {"p999", latency->p999}, {"max", latency->max}};
}

Json MapJson(const std::map<std::string, double>& map) {
  Json json = Json::object();
  for (const auto& [name, value] : map) json[name] = value;
  return json;
}

Json OptionsJson(const RunOptions& o) {
  const WorkloadSpec& s = o.spec;
  return {{"seed", s.seed},
          {"cells", s.cells},
          {"users_per_cell", s.users_per_cell},
          {"friends_in_cell", s.friends_in_cell},
          {"friends_cross", s.friends_cross},
          {"messages_per_friend", s.messages_per_friend},
          {"rounds", s.rounds},
          {"body_bytes", s.body_bytes},
          {"partitions", s.partitions},
          {"text", s.text},
          {"protocol", o.protocol},
          {"layout", o.layout},
          {"concurrency", o.concurrency},
          {"messages_per_frame", o.messages_per_frame},
          {"in_flight", o.in_flight},
          {"rate", o.rate}};
}

Json OfferJson(const RunResult& r) {
  const RunOffer& o = r.offer;
  const bool open = o.planned_per_s > 0;
  return {{"planned_per_s", open ? Json(o.planned_per_s) : Json(nullptr)},
          {"offered_per_s", open ? Json(o.offered_per_s) : Json(nullptr)},
          {"reached_per_s", r.rate_per_s},
          {"loop_lag_p99_ms", o.loop_lag_p99_ms},
          {"loop_lag_max_ms", o.loop_lag_max_ms},
          {"valid", o.valid},
          {"reason", o.reason}};
}

Json SteadyJson(const std::optional<RunSteady>& s) {
  if (!s) return nullptr;
  return {{"rate_per_s", s->rate_per_s},           {"seconds", s->seconds},
          {"begins_apart_s", s->begins_apart_s},   {"ends_apart_s", s->ends_apart_s},
          {"first_to_finish", s->first_to_finish}, {"last_to_finish", s->last_to_finish}};
}

// Reads fields of objects into what they are for; a field of another type is an error, named once.
class Reader {
 public:
  template <class T>
  void Get(const Json& object, const char* name, T* value) {
    const auto it = object.find(name);
    if (it == object.end() || it->is_null()) return;
    if constexpr (std::is_same_v<T, std::string>) {
      if (it->is_string()) return void(*value = it->get<T>());
    } else if constexpr (std::is_same_v<T, bool>) {
      if (it->is_boolean()) return void(*value = it->get<T>());
    } else if constexpr (std::is_floating_point_v<T>) {
      if (it->is_number()) return void(*value = it->get<T>());
    } else if constexpr (std::is_unsigned_v<T>) {
      if (it->is_number_unsigned() && it->get<std::uint64_t>() <= std::numeric_limits<T>::max()) {
        return void(*value = it->get<T>());
      }
    } else {
      if (it->is_number_integer()) return void(*value = it->get<T>());
    }
    Wrong(name);
  }
  void GetMap(const Json& object, const char* name, std::map<std::string, double>* map) {
    const Json& from = Object(object, name);
    for (const auto& [key, value] : from.items()) {
      if (!value.is_number()) return Wrong(name);
      (*map)[key] = value.get<double>();
    }
  }
  // An empty one if it is not there.
  const Json& Object(const Json& object, const char* name) {
    const auto it = object.find(name);
    if (it == object.end() || it->is_null()) return empty_;
    if (it->is_object()) return *it;
    Wrong(name);
    return empty_;
  }
  void GetLatency(const Json& object, const char* name, std::optional<RunLatency>* latency) {
    const Json& from = Object(object, name);
    if (from.empty()) return;
    RunLatency& l = latency->emplace();
    Get(from, "p50", &l.p50);
    Get(from, "p99", &l.p99);
    Get(from, "p999", &l.p999);
    Get(from, "max", &l.max);
  }
  void Wrong(const char* name) {
    if (error_.empty()) error_ = fmt::format("\"{}\" is not of the type it should be", name);
  }
  const std::string& error() const { return error_; }

 private:
  const Json empty_ = Json::object();
  std::string error_;
};

void ReadMessages(Reader& in, const Json& json, RunMessages* m) {
  in.Get(json, "sent", &m->sent);
  in.Get(json, "stored", &m->stored);
  in.Get(json, "delivered", &m->delivered);
  in.Get(json, "acknowledged", &m->acknowledged);
  in.Get(json, "verified", &m->verified);
  in.Get(json, "lost", &m->lost);
  in.Get(json, "duplicated", &m->duplicated);
  in.Get(json, "reordered", &m->reordered);
  in.Get(json, "altered", &m->altered);
  in.Get(json, "foreign", &m->foreign);
  in.Get(json, "counter", &m->counter);
}

void ReadOptions(Reader& in, const Json& json, RunOptions* o) {
  WorkloadSpec& s = o->spec;
  in.Get(json, "seed", &s.seed);
  in.Get(json, "cells", &s.cells);
  in.Get(json, "users_per_cell", &s.users_per_cell);
  in.Get(json, "friends_in_cell", &s.friends_in_cell);
  in.Get(json, "friends_cross", &s.friends_cross);
  in.Get(json, "messages_per_friend", &s.messages_per_friend);
  in.Get(json, "rounds", &s.rounds);
  in.Get(json, "body_bytes", &s.body_bytes);
  in.Get(json, "partitions", &s.partitions);
  in.Get(json, "text", &s.text);
  in.Get(json, "protocol", &o->protocol);
  in.Get(json, "layout", &o->layout);
  in.Get(json, "concurrency", &o->concurrency);
  in.Get(json, "messages_per_frame", &o->messages_per_frame);
  in.Get(json, "in_flight", &o->in_flight);
  in.Get(json, "rate", &o->rate);
}

void ReadOffer(Reader& in, const Json& json, RunOffer* o) {
  in.Get(json, "planned_per_s", &o->planned_per_s);
  in.Get(json, "offered_per_s", &o->offered_per_s);
  in.Get(json, "loop_lag_p99_ms", &o->loop_lag_p99_ms);
  in.Get(json, "loop_lag_max_ms", &o->loop_lag_max_ms);
  in.Get(json, "valid", &o->valid);
  in.Get(json, "reason", &o->reason);
}

void ReadSteady(Reader& in, const Json& json, std::optional<RunSteady>* steady) {
  if (json.empty()) return;
  RunSteady& s = steady->emplace();
  in.Get(json, "rate_per_s", &s.rate_per_s);
  in.Get(json, "seconds", &s.seconds);
  in.Get(json, "begins_apart_s", &s.begins_apart_s);
  in.Get(json, "ends_apart_s", &s.ends_apart_s);
  in.Get(json, "first_to_finish", &s.first_to_finish);
  in.Get(json, "last_to_finish", &s.last_to_finish);
}

void ReadMachine(Reader& in, const Json& json, RunMachine* m) {
  in.Get(json, "cpus", &m->cpus);
  in.Get(json, "cpu", &m->cpu);
  in.Get(json, "memory_mib", &m->memory_mib);
  in.Get(json, "system", &m->system);
  in.Get(json, "steal_share", &m->steal_share);
}

Json CostJson(const std::optional<RunCost>& cost) {
  if (!cost) return nullptr;
  Json items = Json::array();
  for (const RunCost::Item& i : cost->items) {
    items.push_back({{"item", i.item},
                     {"quantity", i.quantity},
                     {"unit", i.unit},
                     {"each", i.each},
                     {"cost", i.cost}});
  }
  return {{"currency", cost->currency},
          {"prices", cost->prices},
          {"hours", cost->hours},
          {"total", cost->total},
          {"items", items}};
}

void ReadCost(Reader& in, const Json& json, std::optional<RunCost>* cost) {
  if (json.empty()) return;
  RunCost& c = cost->emplace();
  in.Get(json, "currency", &c.currency);
  in.Get(json, "prices", &c.prices);
  in.Get(json, "hours", &c.hours);
  in.Get(json, "total", &c.total);
  const auto items = json.find("items");
  if (items == json.end() || !items->is_array()) return;
  for (const Json& item : *items) {
    if (!item.is_object()) return in.Wrong("items");
    RunCost::Item& i = c.items.emplace_back();
    in.Get(item, "item", &i.item);
    in.Get(item, "quantity", &i.quantity);
    in.Get(item, "unit", &i.unit);
    in.Get(item, "each", &i.each);
    in.Get(item, "cost", &i.cost);
  }
}

Json HostsJson(const std::vector<RunHost>& hosts) {
  Json all = Json::array();
  for (const RunHost& h : hosts) {
    all.push_back({{"name", h.name},
                   {"hosts", h.hosts},
                   {"cpus", h.cpus},
                   {"busy", h.busy},
                   {"steal", h.steal},
                   {"memory_mib", h.memory_mib},
                   {"memory_left_mib", h.memory_left_mib},
                   {"disk_mib", h.disk_mib},
                   {"disk_left_mib", h.disk_left_mib},
                   {"disk_host", h.disk_host},
                   {"exceeded", MapJson(h.exceeded)}});
  }
  return all;
}

void ReadHosts(Reader& in, const Json& json, std::vector<RunHost>* hosts) {
  const auto all = json.find("hosts");
  if (all == json.end()) return;
  if (!all->is_array()) return in.Wrong("hosts");
  for (const Json& host : *all) {
    if (!host.is_object()) return in.Wrong("hosts");
    RunHost& h = hosts->emplace_back();
    in.Get(host, "name", &h.name);
    in.Get(host, "hosts", &h.hosts);
    in.Get(host, "cpus", &h.cpus);
    in.Get(host, "busy", &h.busy);
    in.Get(host, "steal", &h.steal);
    in.Get(host, "memory_mib", &h.memory_mib);
    in.Get(host, "memory_left_mib", &h.memory_left_mib);
    in.Get(host, "disk_mib", &h.disk_mib);
    in.Get(host, "disk_left_mib", &h.disk_left_mib);
    in.Get(host, "disk_host", &h.disk_host);
    in.GetMap(host, "exceeded", &h.exceeded);
  }
}

Json TimelineJson(const std::vector<TimelineEvent>& events) {
  Json all = Json::array();
  for (const TimelineEvent& e : events) {
    all.push_back({{"at_ms", e.at_ms},
                   {"until_ms", e.until_ms},
                   {"kind", e.kind},
                   {"who", e.who},
                   {"what", e.what},
                   {"bad", e.bad}});
  }
  return all;
}

void ReadTimeline(Reader& in, const Json& json, std::vector<TimelineEvent>* events) {
  const auto all = json.find("timeline");
  if (all == json.end()) return;
  if (!all->is_array()) return in.Wrong("timeline");
  for (const Json& one : *all) {
    if (!one.is_object()) return in.Wrong("timeline");
    TimelineEvent& e = events->emplace_back();
    in.Get(one, "at_ms", &e.at_ms);
    in.Get(one, "until_ms", &e.until_ms);
    in.Get(one, "kind", &e.kind);
    in.Get(one, "who", &e.who);
    in.Get(one, "what", &e.what);
    in.Get(one, "bad", &e.bad);
  }
}

void ReadTexts(const Json& json, const char* name, std::vector<std::string>* texts) {
  const auto it = json.find(name);
  if (it == json.end() || !it->is_array()) return;
  for (const Json& text : *it) {
    if (text.is_string()) texts->push_back(text.get<std::string>());
  }
}

double Millis(Nanos nanos) { return static_cast<double>(nanos) / kMillisecond; }

}  // namespace

RunLatency LatencyOf(const Histogram& h) {
  return {Millis(h.Quantile(0.5)), Millis(h.Quantile(0.99)), Millis(h.Quantile(0.999)),
          Millis(h.max())};
}

std::optional<WorstHosts> WorstOf(const std::vector<RunHost>& hosts) {
  if (hosts.empty()) return std::nullopt;
  const auto worst = [&](auto badness) {
    return &*std::max_element(hosts.begin(), hosts.end(), [&](const RunHost& a, const RunHost& b) {
      return badness(a) < badness(b);
    });
  };
  return WorstHosts{worst([](const RunHost& h) { return h.busy; }),
                    worst([](const RunHost& h) { return h.steal; }),
                    worst([](const RunHost& h) { return -h.memory_left(); }),
                    worst([](const RunHost& h) { return -h.disk_left(); })};
}

std::string ToJson(const RunResult& r) {
  const RunMessages& m = r.messages;
  const RunPhases& p = r.phase_seconds;
  const Json json = {
      {"version", r.version},
      {"name", r.name},
      {"users", r.users},
      {"relations", r.relations},
      {"cells", r.cells},
      {"messages",
       {{"sent", m.sent},
        {"stored", m.stored},
        {"delivered", m.delivered},
        {"acknowledged", m.acknowledged},
        {"verified", m.verified},
        {"lost", m.lost},
        {"duplicated", m.duplicated},
        {"reordered", m.reordered},
        {"altered", m.altered},
        {"foreign", m.foreign},
        {"counter", m.counter}}},
      {"phase_seconds",
       {{"generate", p.generate},
        {"import", p.import},
        {"start", p.start},
        {"run", p.run},
        {"verify", p.verify}}},
      {"rate_per_s", r.rate_per_s},
      {"steady", SteadyJson(r.steady)},
      {"load", OfferJson(r)},
      {"cpu_us_per_message",
       {{"total", r.cpu_us_per_message},
        {"by_process", MapJson(r.cpu_us_by_process)},
        {"by_role", r.cpu_us_by_role ? MapJson(*r.cpu_us_by_role) : Json(nullptr)}}},
      {"latency_ms",
       {{"valid", r.offer.valid},
        {"stored", LatencyJson(r.latency_stored)},
        {"delivered", LatencyJson(r.latency_delivered)}}},
      {"peak_rss_mib",
       {{"total", r.peak_rss_mib}, {"by_process", MapJson(r.peak_rss_mib_by_process)}}},
      {"disk_bytes", r.disk_bytes},
      {"resent_share", r.resent_share},
      {"options", OptionsJson(r.options)},
      {"revision", r.revision},
      {"date", r.date},
      {"machine",
       {{"cpus", r.machine.cpus},
        {"cpu", r.machine.cpu},
        {"memory_mib", r.machine.memory_mib},
        {"system", r.machine.system},
        {"steal_share", r.machine.steal_share}}},
      {"hosts", HostsJson(r.hosts)},
      {"warnings", r.warnings},
      {"began_ms", r.began_ms},
      {"timeline", TimelineJson(r.timeline)},
      {"exit_code", r.exit_code},
      {"cost", CostJson(r.cost)},
      {"problems", r.problems},
  };
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<RunResult, std::string> ResultFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::string("it is no JSON object");
  RunResult r;
  Reader in;
  in.Get(json, "version", &r.version);
  if (in.error().empty() && r.version != kResultVersion) {
    return fmt::format("it is of version {}, and this program reads version {}", r.version,
                       kResultVersion);
  }
  in.Get(json, "users", &r.users);
  in.Get(json, "relations", &r.relations);
  in.Get(json, "cells", &r.cells);
  ReadMessages(in, in.Object(json, "messages"), &r.messages);
  const Json& phases = in.Object(json, "phase_seconds");
  in.Get(phases, "generate", &r.phase_seconds.generate);
  in.Get(phases, "import", &r.phase_seconds.import);
  in.Get(phases, "start", &r.phase_seconds.start);
  in.Get(phases, "run", &r.phase_seconds.run);
  in.Get(phases, "verify", &r.phase_seconds.verify);
  in.Get(json, "rate_per_s", &r.rate_per_s);
  ReadSteady(in, in.Object(json, "steady"), &r.steady);
  ReadOffer(in, in.Object(json, "load"), &r.offer);
  const Json& cpu = in.Object(json, "cpu_us_per_message");
  in.Get(cpu, "total", &r.cpu_us_per_message);
  in.GetMap(cpu, "by_process", &r.cpu_us_by_process);
  if (const auto it = cpu.find("by_role"); it != cpu.end() && !it->is_null()) {
    in.GetMap(cpu, "by_role", &r.cpu_us_by_role.emplace());
  }
  const Json& latency = in.Object(json, "latency_ms");
  in.GetLatency(latency, "stored", &r.latency_stored);
  in.GetLatency(latency, "delivered", &r.latency_delivered);
  const Json& rss = in.Object(json, "peak_rss_mib");
  in.Get(rss, "total", &r.peak_rss_mib);
  in.GetMap(rss, "by_process", &r.peak_rss_mib_by_process);
  in.Get(json, "disk_bytes", &r.disk_bytes);
  in.Get(json, "resent_share", &r.resent_share);
  ReadOptions(in, in.Object(json, "options"), &r.options);
  in.Get(json, "revision", &r.revision);
  in.Get(json, "date", &r.date);
  ReadMachine(in, in.Object(json, "machine"), &r.machine);
  in.Get(json, "exit_code", &r.exit_code);
  in.Get(json, "name", &r.name);
  ReadCost(in, in.Object(json, "cost"), &r.cost);
  ReadHosts(in, json, &r.hosts);
  ReadTexts(json, "warnings", &r.warnings);
  in.Get(json, "began_ms", &r.began_ms);
  ReadTimeline(in, json, &r.timeline);
  ReadTexts(json, "problems", &r.problems);
  if (!in.error().empty()) return in.error();
  return r;
}

Result<RunResult, std::string> ReadResult(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text) return text.error();
  auto result = ResultFromJson(*text);
  if (!result) return "cannot use " + path + ": " + result.error();
  return result;
}

}  // namespace baiwan::stress
