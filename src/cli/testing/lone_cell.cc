#include "cli/testing/lone_cell.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "net/sockets.h"

namespace baiwan::cli {

LoneCell::LoneCell() : secret_(folder_.path() + "/link.secret"), http_(net::FreeLoopbackPort()) {
  std::ofstream(secret_) << "a secret of this test alone";
  std::filesystem::permissions(secret_, std::filesystem::perms::owner_read);
}

std::vector<std::string> LoneCell::Arguments(std::vector<std::string> words,
                                             std::vector<std::string> settings) const {
  settings.insert(settings.end(), {"link.secret_file=" + secret_, "store.path=" + store(),
                                   fmt::format("gateway.http=127.0.0.1:{}", http_),
                                   "relay.listen=127.0.0.1:0", "registry.endpoint=127.0.0.1:1"});
  for (std::string& setting : settings) {
    words.emplace_back("--set");
    words.push_back(std::move(setting));
  }
  return words;
}

}  // namespace baiwan::cli
