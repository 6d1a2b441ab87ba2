#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "fleet/journey.h"

namespace baiwan::fleet {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

json ToJson(const Task& task) {
  json out = {{"host", task.host},         {"state", NameOf(task.state)},
              {"attempts", task.attempts}, {"interruptions", task.interruptions},
              {"began_ms", task.began_ms}, {"ended_ms", task.ended_ms},
              {"cuts", task.cuts},         {"tried_ms", task.tried_ms},
              {"cut_ms", task.cut_ms}};
  if (task.failure != Failure{}) {
    out["failure"] = {{"why", task.failure.why},           {"command", task.failure.command},
                      {"log_tail", task.failure.log_tail}, {"final", task.failure.final},
                      {"refused", task.failure.refused},   {"cut", task.failure.cut},
                      {"reached", task.failure.reached}};
  }
  return out;
}

// Throws what is wrong; caught below.
Task TaskFrom(const json& in) {
  Task task;
  task.host = in.at("host").get<std::string>();
  const auto state = in.at("state").get<std::string>();
  bool known = false;
  for (const State s :
       {State::kNotBegun, State::kUnderWay, State::kDone, State::kFailed, State::kSkipped}) {
    if (state != NameOf(s)) continue;
    task.state = s;
    known = true;
  }
  if (!known) throw std::invalid_argument("unknown state '" + state + "'");
  task.attempts = in.at("attempts").get<std::uint32_t>();
  task.interruptions = in.at("interruptions").get<std::uint32_t>();
  task.began_ms = in.at("began_ms").get<std::int64_t>();
  task.ended_ms = in.at("ended_ms").get<std::int64_t>();
  task.cuts = in.value("cuts", task.cuts);
  task.tried_ms = in.value("tried_ms", task.tried_ms);
  task.cut_ms = in.value("cut_ms", task.cut_ms);
  if (const auto failure = in.find("failure"); failure != in.end()) {
    task.failure = {failure->at("why").get<std::string>(),
                    failure->at("command").get<std::string>(),
                    failure->at("log_tail").get<std::string>(),
                    failure->at("final").get<bool>(),
                    failure->value("refused", false),
                    failure->value("cut", false),
                    failure->value("reached", false)};
  }
  return task;
}

json ToJson(const Notice& notice) {
  return {{"at_ms", notice.at_ms}, {"kind", notice.kind},   {"over", notice.over},
          {"text", notice.text},   {"hosts", notice.hosts}, {"values", notice.values}};
}

Notice NoticeFrom(const json& in) {
  Notice notice;
  in.at("at_ms").get_to(notice.at_ms);
  in.at("kind").get_to(notice.kind);
  in.at("over").get_to(notice.over);
  in.at("text").get_to(notice.text);
  in.at("hosts").get_to(notice.hosts);
  in.at("values").get_to(notice.values);
  return notice;
}

json ToJson(const stress::TimelineEvent& event) {
  return {{"at_ms", event.at_ms}, {"until_ms", event.until_ms}, {"kind", event.kind},
          {"who", event.who},     {"what", event.what},         {"bad", event.bad}};
}

stress::TimelineEvent EventFrom(const json& in) {
  stress::TimelineEvent event;
  in.at("at_ms").get_to(event.at_ms);
  in.at("until_ms").get_to(event.until_ms);
  in.at("kind").get_to(event.kind);
  in.at("who").get_to(event.who);
  in.at("what").get_to(event.what);
  in.at("bad").get_to(event.bad);
  return event;
}

Journey JourneyFrom(const json& in) {
  if (in.at("version").get<int>() != kVersion) {
    throw std::invalid_argument("written by another version of this program");
  }
  Journey journey;
  journey.run = in.at("run").get<std::string>();
  journey.max_attempts = in.at("max_attempts").get<std::uint32_t>();
  journey.retry_after_ms = in.at("retry_after_ms").get<std::int64_t>();
  journey.began_ms = in.at("began_ms").get<std::int64_t>();
  journey.deadline_ms = in.at("deadline_ms").get<std::int64_t>();
  journey.gave_up = in.at("gave_up").get<std::string>();
  if (const auto notices = in.find("notices"); notices != in.end()) {
    for (const json& notice : *notices) journey.notices.push_back(NoticeFrom(notice));
  }
  if (const auto events = in.find("events"); events != in.end()) {
    for (const json& event : *events) journey.events.push_back(EventFrom(event));
  }
  journey.cut_limit_ms = in.value("cut_limit_ms", journey.cut_limit_ms);
  journey.back_limit_ms = in.value("back_limit_ms", journey.back_limit_ms);
  const json& steps = in.at("steps");
  if (steps.size() != kSteps) throw std::invalid_argument("not all steps are there");
  for (std::size_t i = 0; i < kSteps; ++i) {
    const auto name = steps.at(i).at("step").get<std::string>();
    if (name != NameOf(static_cast<Step>(i))) {
      throw std::invalid_argument("'" + name + "' is not the step that comes here");
    }
    for (const json& task : steps.at(i).at("hosts")) journey.steps[i].push_back(TaskFrom(task));
  }
  return journey;
}

}  // namespace

std::string ToJson(const Journey& journey) {
  json steps = json::array();
  for (std::size_t i = 0; i < kSteps; ++i) {
    json hosts = json::array();
    for (const Task& task : journey.steps[i]) hosts.push_back(ToJson(task));
    steps.push_back({{"step", NameOf(static_cast<Step>(i))}, {"hosts", std::move(hosts)}});
  }
  json notices = json::array();
  for (const Notice& notice : journey.notices) notices.push_back(ToJson(notice));
  json events = json::array();
  for (const stress::TimelineEvent& event : journey.events) events.push_back(ToJson(event));
  const json out = {{"version", kVersion},
                    {"run", journey.run},
                    {"max_attempts", journey.max_attempts},
                    {"retry_after_ms", journey.retry_after_ms},
                    {"began_ms", journey.began_ms},
                    {"deadline_ms", journey.deadline_ms},
                    {"gave_up", journey.gave_up},
                    {"cut_limit_ms", journey.cut_limit_ms},
                    {"back_limit_ms", journey.back_limit_ms},
                    {"notices", std::move(notices)},
                    {"events", std::move(events)},
                    {"steps", std::move(steps)}};
  // Logs may hold anything, also what is not UTF-8.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Journey, std::string> JourneyFromJson(std::string_view text) {
  try {
    return JourneyFrom(json::parse(text));
  } catch (const std::exception& error) {
    return fmt::format("no state of a journey: {}", error.what());
  }
}

std::optional<std::string> SaveJourney(const std::string& path, const Journey& journey) {
  return ReplaceFile(path, ToJson(journey));
}

Result<Journey, std::string> LoadJourney(const std::string& path) {
  const auto text = ReadFile(path, 64 << 20);
  if (!text) return Result<Journey, std::string>::Failure(text.error());
  auto journey = JourneyFromJson(*text);
  if (!journey) return path + ": " + journey.error();
  return journey;
}

}  // namespace baiwan::fleet
