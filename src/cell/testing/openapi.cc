#include "cell/testing/openapi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <regex>

namespace baiwan::cell {
namespace {

using nlohmann::json;

constexpr const char* kMethods[] = {"get", "put", "post", "delete"};

json ReadYaml(const std::string& file) {
  const std::string command =
      "python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), "
      "sys.stdout)' '" +
      file + "'";
  std::string text;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << "python3 with its yaml module has to read " << file;
  json read = json::parse(text, nullptr, false);
  EXPECT_TRUE(read.is_object()) << file;
  return read;
}

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool HasType(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return false;
}

}  // namespace

OpenApi::OpenApi(const std::string& file) : file_(ReadYaml(file)) {
  if (!file_.is_object()) return;
  for (const auto& [path, methods] : file_["paths"].items()) {
    for (const char* method : kMethods) {
      if (methods.contains(method)) operations_.push_back({path, Upper(method), methods[method]});
    }
  }
}

const OpenApi::Operation& OpenApi::Find(std::string_view method, std::string_view path) const {
  for (const Operation& op : operations_) {
    if (op.method == method && op.path == path) return op;
  }
  ADD_FAILURE() << method << " " << path << " is not described";
  return operations_.front();
}

const json& OpenApi::Resolve(const json& maybe) const {
  if (!maybe.is_object() || !maybe.contains("$ref")) return maybe;
  const std::string to = maybe["$ref"].get<std::string>().substr(1);
  return Resolve(file_.at(json::json_pointer(to)));
}

std::string OpenApi::Target(const Operation& op,
                            const std::map<std::string, std::string>& instead) const {
  std::string target = op.path;
  std::string query;
  for (const json& reference : op.what.value("parameters", json::array())) {
    const json& parameter = Resolve(reference);
    const std::string name = parameter["name"];
    const auto given = instead.find(name);
    const std::string value =
        given != instead.end() ? given->second : parameter.value("example", "");
    if (parameter["in"] == "path") {
      const std::string part = "{" + name + "}";
      EXPECT_NE(target.find(part), std::string::npos) << op.path << " has no " << part;
      target.replace(target.find(part), part.size(), value);
    } else if (parameter.value("required", false) || given != instead.end()) {
      query += query.empty() ? "?" : "&";
      query.append(name).append("=").append(value);
    }
  }
  EXPECT_EQ(target.find('{'), std::string::npos) << target << ": a part is not described";
  return target + query;
}

std::vector<std::string> OpenApi::Bodies(const Operation& op) const {
  if (!op.what.contains("requestBody")) return {""};
  const json& content = Resolve(op.what["requestBody"])["content"]["application/json"];
  std::vector<std::string> bodies;
  for (const auto& [name, example] : content["examples"].items()) {
    const auto wrong = Wrong(content["schema"], example["value"], name);
    EXPECT_TRUE(wrong.empty()) << wrong.front();
    bodies.push_back(example["value"].dump());
  }
  EXPECT_FALSE(bodies.empty()) << op.path << ": no example of a body";
  return bodies;
}

int OpenApi::GoodStatus(const Operation& op) const {
  return std::stoi(op.what["responses"].begin().key());  // the lowest: JSON objects are sorted
}

void OpenApi::Check(const Operation& op, const net::HttpResponse& response) {
  const std::string status = std::to_string(response.status);
  const std::string where = op.method + " " + op.path + " " + status;
  if (!op.what["responses"].contains(status)) {
    ADD_FAILURE() << where << " is not described: " << response.body;
    return;
  }
  seen_.insert(where);
  const json& described = Resolve(op.what["responses"][status]);
  const json headers = described.value("headers", json::object());
  for (const auto& [name, header] : headers.items()) {
    EXPECT_FALSE(response.Header(name).empty()) << where << " has no " << name;
  }
  if (!described.contains("content")) return;
  const std::string type(response.Header("Content-Type"));
  if (!described["content"].contains(type)) {
    ADD_FAILURE() << where << ": content of type '" << type << "' is not described";
    return;
  }
  const bool is_json = type == "application/json";
  const json body = is_json ? json::parse(response.body, nullptr, false) : json(response.body);
  EXPECT_FALSE(body.is_discarded()) << where << ": " << response.body;
  for (const std::string& wrong : Wrong(described["content"][type]["schema"], body, where)) {
    ADD_FAILURE() << wrong << ": " << response.body.substr(0, 1000);
  }
}

std::set<std::string> OpenApi::Unseen() const {
  std::set<std::string> unseen;
  for (const Operation& op : operations_) {
    for (const auto& [status, what] : op.what["responses"].items()) {
      const std::string one = op.method + " " + op.path + " " + status;
      if (seen_.count(one) == 0) unseen.insert(one);
    }
  }
  return unseen;
}

std::vector<std::string> OpenApi::Wrong(const json& reference, const json& value,
                                        const std::string& where) const {
  static const std::set<std::string> kKnown = {
      "type",    "enum",  "pattern",  "minimum", "maximum", "required",    "properties",
      "items",   "oneOf", "minItems", "format",  "default", "description", "additionalProperties",
      "maxItems"};
  const json& schema = Resolve(reference);
  std::vector<std::string> wrong;
  for (const auto& [keyword, meaning] : schema.items()) {
    if (kKnown.count(keyword) != 0) continue;
    wrong.push_back(fmt::format("{}: what does {} mean?", where, keyword));
  }
  if (schema.contains("oneOf")) {
    const auto& choices = schema["oneOf"];
    const auto fitting = std::count_if(choices.begin(), choices.end(), [&](const json& choice) {
      return Wrong(choice, value, where).empty();
    });
    if (fitting != 1) wrong.push_back(where + " fits " + std::to_string(fitting) + " choices");
    return wrong;
  }
  const std::string type = schema.value("type", "");
  if (!HasType(value, type)) {
    wrong.push_back(where + " is not of type " + type);
    return wrong;
  }
  if (schema.contains("enum")) {
    const auto& all = schema["enum"];
    if (std::find(all.begin(), all.end(), value) == all.end()) {
      wrong.push_back(where + " has a value that is not listed");
    }
  }
  if (schema.contains("pattern") &&
      !std::regex_search(value.get<std::string>(),
                         std::regex(schema["pattern"].get<std::string>())))
    wrong.push_back(where + " does not look like " + schema["pattern"].get<std::string>());
  if (value.is_number()) {
    if (schema.contains("minimum") && value < schema["minimum"])
      wrong.push_back(where + " is small");
    if (schema.contains("maximum") && value > schema["maximum"])
      wrong.push_back(where + " is large");
  }
  if (type == "array") {
    if (value.size() < schema.value("minItems", 0U)) wrong.push_back(where + " is short");
    for (std::size_t i = 0; i < value.size(); ++i) {
      const auto inner = Wrong(schema["items"], value[i], where + "[" + std::to_string(i) + "]");
      wrong.insert(wrong.end(), inner.begin(), inner.end());
    }
  }
  if (type == "object") WrongObject(schema, value, where, &wrong);
  return wrong;
}

void OpenApi::WrongObject(const json& schema, const json& value, const std::string& where,
                          std::vector<std::string>* wrong) const {
  for (const json& name : schema.value("required", json::array())) {
    if (!value.contains(name.get<std::string>())) {
      wrong->push_back(where + " has no " + name.get<std::string>());
    }
  }
  const json properties = schema.value("properties", json::object());
  const json others = schema.value("additionalProperties", json(true));
  for (const auto& [name, field] : value.items()) {
    const std::string inside = fmt::format("{}.{}", where, name);
    std::vector<std::string> inner;
    if (properties.contains(name)) {
      inner = Wrong(properties[name], field, inside);
    } else if (others.is_object()) {
      inner = Wrong(others, field, inside);
    } else if (others == false) {
      inner.push_back(inside + " is not described");
    }
    wrong->insert(wrong->end(), inner.begin(), inner.end());
  }
}

}  // namespace baiwan::cell
