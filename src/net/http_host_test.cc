#include "net/http_host.h"

#include <gtest/gtest.h>

namespace baiwan::net {
namespace {

const std::string kLocal = "10.0.0.1";
const std::vector<std::string> kNames = {"chat.example.com", "192.0.2.7"};

Foreign Ask(const std::string& host, std::string_view origin = {}, std::string_view site = {}) {
  HttpRequest request;
  request.host = host;
  if (!origin.empty()) request.headers.emplace_back("oRIGIN", origin);
  if (!site.empty()) request.headers.emplace_back("sec-fetch-SITE", site);
  return IsForeign(request, kLocal, kNames);
}

TEST(HttpHost, ItsOwnAddressesAndNamesAreOurs) {
  for (const char* host :
       {"", "localhost", "LOCALHOST:9500", "a.localhost", "127.0.0.1:21000", "127.9.9.9", "[::1]:1",
        "[::ffff:127.0.0.1]", "10.0.0.1", "10.0.0.1:9500", "[::ffff:10.0.0.1]", "h", "gw-1:9500",
        "chat.example.com", "Chat.Example.COM.:443", "192.0.2.7:80"}) {
    EXPECT_EQ(Ask(host), Foreign::kNo) << host;
  }
  for (const char* host :
       {"evil.example", "evil.example:9500", "10.0.0.2", "8.8.8.8:9500", "[2001:db8::1]",
        "127.0.0.1.evil.example", "localhost.evil.example", "chat.example.com.evil.example",
        "xchat.example.com", "example.com", "evillocalhost.x", "1.2.3", "a b"}) {
    EXPECT_EQ(Ask(host), Foreign::kHost) << host;
  }
}

TEST(HttpHost, PagesOfOtherSitesAreForeign) {
  EXPECT_EQ(Ask("127.0.0.1:9500", "http://127.0.0.1:9500"), Foreign::kNo);
  EXPECT_EQ(Ask("h", "http://h"), Foreign::kNo);
  EXPECT_EQ(Ask("h", "https://H:443"), Foreign::kNo);
  EXPECT_EQ(Ask("h:80", "http://h"), Foreign::kNo);
  EXPECT_EQ(Ask("h:9500", "https://chat.example.com"), Foreign::kNo) << "one of our names";
  for (const char* origin :
       {"http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:3000",
        "https://127.0.0.1", "http://localhost:9500", "file://", "chrome-extension://abc",
        "http://", "http://127.0.0.1:9500.evil.example", "http://u@127.0.0.1:9500",
        "127.0.0.1:9500", "http://127.0.0.1:9500/x", "http://127.0.0.1:9500 http://evil.example"}) {
    EXPECT_EQ(Ask("127.0.0.1:9500", origin), Foreign::kPage) << origin;
  }
  EXPECT_EQ(Ask("", "http://127.0.0.1"), Foreign::kPage) << "there is nothing that it could be";
}

TEST(HttpHost, WhatABrowserSaysOfARequestCounts) {
  for (const char* site : {"same-origin", "none", "None"}) {
    EXPECT_EQ(Ask("h", {}, site), Foreign::kNo) << site;
    EXPECT_EQ(Ask("h", "http://h", site), Foreign::kNo) << site;
  }
  for (const char* site : {"cross-site", "same-site", "something-new"}) {
    EXPECT_EQ(Ask("h", {}, site), Foreign::kPage) << site;
    EXPECT_EQ(Ask("h", "http://h", site), Foreign::kPage) << site;
    EXPECT_EQ(Ask("h", "https://chat.example.com", site), Foreign::kNo) << site;
  }
  HttpRequest twice;
  twice.host = "h";
  twice.headers = {{"Origin", "http://h"}, {"Origin", "http://evil.example"}};
  EXPECT_EQ(IsForeign(twice, kLocal, kNames), Foreign::kPage);
}

}  // namespace
}  // namespace baiwan::net
