// An OpenAPI file, and whether answers agree with it.
//
// Read by python3 with its yaml module, which `./dev test` installs. Knows the keywords that our
// files use; another one fails the test, so that nothing in a schema goes unchecked unnoticed.
// Disagreements are reported to GoogleTest.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "net/http.h"

namespace baiwan::cell {

class OpenApi {
 public:
  struct Operation {
    std::string path;    // with its variable parts in braces
    std::string method;  // in capitals
    nlohmann::json what;
  };

  explicit OpenApi(const std::string& file);

  const std::vector<Operation>& operations() const { return operations_; }
  const Operation& Find(std::string_view method, std::string_view path) const;
  // The path with the examples of its parameters, but for those given here by name.
  std::string Target(const Operation& op,
                     const std::map<std::string, std::string>& instead = {}) const;
  // The request bodies given as examples; one empty one if there are none.
  std::vector<std::string> Bodies(const Operation& op) const;
  // The status that an example is answered with.
  int GoodStatus(const Operation& op) const;

  // Status, content type, header fields and body are as described for `op`.
  void Check(const Operation& op, const net::HttpResponse& response);
  // What is described and was never seen by Check: "GET /path 200".
  std::set<std::string> Unseen() const;

 private:
  const nlohmann::json& Resolve(const nlohmann::json& maybe_reference) const;
  std::vector<std::string> Wrong(const nlohmann::json& schema, const nlohmann::json& value,
                                 const std::string& where) const;
  void WrongObject(const nlohmann::json& schema, const nlohmann::json& value,
                   const std::string& where, std::vector<std::string>* wrong) const;

  nlohmann::json file_;
  std::vector<Operation> operations_;
  std::set<std::string> seen_;
};

}  // namespace baiwan::cell
