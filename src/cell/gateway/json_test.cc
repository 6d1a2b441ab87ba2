#include "cell/gateway/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string AllBytes() {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  return all;
}

TEST(GatewayJson, WritesTheSourcesUser) {
  wire::UserInfo user;
  std::string out;
  AppendUserJson(user, &out);
  EXPECT_EQ(out, R"({"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":[]})");
  user.mutable_counters()->set_send_id(18'446'744'073'709'551'615ULL);
  user.mutable_counters()->set_receive_id(2);
  user.mutable_counters()->set_send_ack_id(3);
  user.mutable_counters()->set_client_receive_id(1);
  user.add_friends(2);
  user.add_friends(17);
  out.clear();
  AppendUserJson(user, &out);
  EXPECT_EQ(out, R"({"SendId":18446744073709551615,"ReceiveId":2,"SendAckId":3,)"
                 R"("ClientReceiveId":1,"friends":["2","17"]})");
}

// Every body comes back as it was, as text where it is text.
TEST(GatewayJson, APageHoldsAnyBytes) {
  const std::string bodies[] = {"",
                                "plain",
                                "\"quoted\" \\ \b\f\n\r\t\x7f and \x01\x1f",
                                std::string("nul \0 in it", 11),
                                "百万 ключ 🙂 é",
                                "\xEF\xBF\xBF\xF4\x8F\xBF\xBF",  // U+FFFF, U+10FFFF
                                AllBytes(),
                                "\x80",
                                "\xC0\xAF",          // overlong
                                "\xE0\x9F\xBF",      // overlong
                                "\xED\xA0\x80",      // half of a surrogate pair
                                "\xF4\x90\x80\x80",  // above U+10FFFF
                                "\xF0\x9F\x99",      // cut off
                                "\xFF\xFE"};
  const bool is_text[] = {true,  true,  true,  true,  true,  true,  false,
                          false, false, false, false, false, false, false};
  wire::BoxPage page;
  for (const std::string& body : bodies) page.add_messages()->set_body(body);
  page.mutable_messages(0)->set_seq(5);
  page.mutable_messages(0)->set_sender(7);
  page.mutable_messages(0)->set_is_void(true);
  page.set_next(99);
  std::string out;
  AppendPageJson(page, &out);
  const json read = json::parse(out);  // throws if it is not JSON, or not UTF-8
  EXPECT_EQ(read["next"], 99);
  EXPECT_EQ(read["messages"][0]["seq"], 5);
  EXPECT_EQ(read["messages"][0]["sender"], "7");
  EXPECT_EQ(read["messages"][0]["void"], true);
  EXPECT_FALSE(read["messages"][1].contains("void"));
  for (std::size_t i = 0; i < std::size(bodies); ++i) {
    const json& message = read["messages"][i];
    EXPECT_EQ(message.contains("body"), is_text[i]) << i;
    EXPECT_EQ(message.contains("body_base64"), !is_text[i]) << i;
    std::string body;
    if (is_text[i]) {
      body = message.value("body", "");
    } else {
      EXPECT_TRUE(Base64Decode(message.value("body_base64", ""), &body)) << i;
    }
    EXPECT_EQ(body, bodies[i]) << i;
  }
}

TEST(GatewayJson, Base64HasOneSpelling) {
  std::string out;
  for (const auto& [data, text] : {std::pair<std::string, std::string>{"", ""},
                                   {"f", "Zg=="},
                                   {"fo", "Zm8="},
                                   {"foo", "Zm9v"},
                                   {"foob", "Zm9vYg=="}}) {  // RFC 4648, section 10
    EXPECT_EQ(Base64(data), text);
    ASSERT_TRUE(Base64Decode(text, &out)) << text;
    EXPECT_EQ(out, data);
  }
  for (std::size_t length = 0; length < 300; ++length) {
    const std::string data = (AllBytes() + AllBytes()).substr(length % 7, length);
    ASSERT_TRUE(Base64Decode(Base64(data), &out));
    EXPECT_EQ(out, data);
  }
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zg===", "====", "=", "Z===", "Zg=g", "Zh==", "Zm9=", "Zm9v\n",
        " Zm9v   ", "Zm9v\n\n\n\n", "Zm-_", "Zm9vZg==Zm9v", "----", "\xC3\xA9zz"}) {
    EXPECT_FALSE(Base64Decode(bad, &out)) << bad;
  }
}

TEST(GatewayJson, ARefusalSaysWhatAClientCanUse) {
  wire::Refusal refusal;
  refusal.set_reason(wire::REASON_WINDOW);
  refusal.set_send_id(2000);
  refusal.set_window_end(1024);
  std::string out;
  AppendRefusalJson(refusal, &out);
  const json read = json::parse(out);
  EXPECT_EQ(read["error"], "window");
  EXPECT_EQ(read["send_id"], 2000);
  EXPECT_EQ(read["window_end"], 1024);
  EXPECT_FALSE(read.value("message", "").empty());
  out.clear();
  refusal.Clear();
  refusal.set_reason(wire::REASON_NOT_FOUND);
  refusal.set_detail("a \"detail\"\n");
  AppendRefusalJson(refusal, &out);
  EXPECT_EQ(json::parse(out), (json{{"error", "not_found"}, {"message", "a \"detail\"\n"}}));
}

TEST(GatewayJson, SeveralResultsAreOneObject) {
  std::string out;
  AppendResultsJson(7, {}, &out);
  EXPECT_EQ(out, "{\"stored\":7}");
  std::vector<wire::Refusal> refused(2);
  refused[0].set_reason(wire::REASON_NOT_FRIEND);
  refused[0].set_send_id(8);
  refused[1].set_reason(wire::REASON_BODY_TOO_LARGE);
  refused[1].set_send_id(9);
  out.clear();
  AppendResultsJson(7, refused, &out);
  const json read = json::parse(out);
  EXPECT_EQ(read["stored"], 7);
  EXPECT_EQ(read["error"], "not_friend");
  EXPECT_EQ(read["send_id"], 8);
  EXPECT_EQ(read["refused"].size(), 2u);
  EXPECT_EQ(read["refused"][1]["error"], "body_too_large");
}

TEST(GatewayJson, ReadsMessages) {
  auto one = ParseMessages(R"({"send_id":1,"friend":"2","body":"é\u0000\ud83d\ude42"})", 10);
  ASSERT_TRUE(one.ok()) << one.error();
  ASSERT_EQ(one->size(), 1u);
  EXPECT_EQ((*one)[0].send_id(), 1u);
  EXPECT_EQ((*one)[0].friend_(), 2u);
  EXPECT_EQ((*one)[0].body(), std::string("é\0🙂", 7));
  auto many = ParseMessages(
      R"({"messages":[{"send_id":3,"friend":4,"body_base64":"/wA="},{"send_id":4,"void":true}]})",
      2);
  ASSERT_TRUE(many.ok()) << many.error();
  ASSERT_EQ(many->size(), 2u);
  EXPECT_EQ((*many)[0].body(), std::string("\xFF\0", 2));
  EXPECT_TRUE((*many)[1].is_void());
}

TEST(GatewayJson, RefusesWhatIsNoMessage) {
  const auto message = [](const std::string& fields) { return "{" + fields + "}"; };
  const std::string bad[] = {
      "",
      " ",
      "null",
      "1",
      "[]",
      "{",
      "{}",
      "nonsense",
      "{\"messages\":[]}",
      "{\"messages\":{}}",
      "{\"messages\":[1]}",
      "{\"messages\":[{}]}",
      "{\"send_id\":1,\"friend\":2,\"body\":\"\xFF\"}",  // not UTF-8
      "{\"send_id\":1,\"friend\":2,\"body\":\"\\ud800\"}",
      "{\"send_id\":1,\"friend\":2,\"body\":\"x\"} trailing",
      "\xEF\xBB\xBF{",
      message(R"("friend":2,"body":"x")"),
      message(R"("send_id":1,"body":"x")"),
      message(R"("send_id":1,"friend":2)"),
      message(R"("send_id":1,"friend":2,"body":1)"),
      message(R"("send_id":1,"friend":2,"body":null)"),
      message(R"("send_id":1,"friend":2,"body":"x","body_base64":"")"),
      message(R"("send_id":1,"friend":2,"body_base64":"x")"),
      message(R"("send_id":1,"friend":2,"body_base64":7)"),
      message(R"("send_id":1,"friend":2,"body":"x","void":1)"),
      message(R"("send_id":-1,"friend":2,"body":"x")"),
      message(R"("send_id":1.5,"friend":2,"body":"x")"),
      message(R"("send_id":1e3,"friend":2,"body":"x")"),
      message(R"("send_id":18446744073709551616,"friend":2,"body":"x")"),
      message(R"("send_id":1e400,"friend":2,"body":"x")"),
      message(R"("send_id":true,"friend":2,"body":"x")"),
      message(R"("send_id":"","friend":2,"body":"x")"),
      message(R"("send_id":" 1","friend":2,"body":"x")"),
      message(R"("send_id":"+1","friend":2,"body":"x")"),
      message(R"("send_id":"99999999999999999999","friend":2,"body":"x")"),
  };
  for (const std::string& body : bad) {
    const auto read = ParseMessages(body, 10);
    EXPECT_FALSE(read.ok()) << body;
    if (!read) {
      EXPECT_FALSE(read.error().empty());
    }
  }
  const auto too_many =
      ParseMessages(R"({"messages":[{"send_id":1,"void":true},{"send_id":2,"void":true}]})", 1);
  ASSERT_FALSE(too_many.ok());
  EXPECT_THAT(too_many.error(), HasSubstr("at most 1 "));
}

TEST(GatewayJson, HostileJsonIsOnlyRefused) {
  const std::string deep(1 << 20, '[');
  EXPECT_FALSE(ParseMessages(deep, 10).ok());
  EXPECT_FALSE(ParseMessages(deep + std::string(1 << 20, ']'), 10).ok());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(ParseMessages(objects, 10).ok());
  EXPECT_FALSE(ParseMessages(objects + "1" + std::string(100'000, '}'), 10).ok());
  const std::string digits(100'000, '9');
  EXPECT_FALSE(ParseMessages(R"({"send_id":)" + digits + "}", 10).ok());
  EXPECT_FALSE(ParseMessages(R"({"send_id":")" + digits + "\"}", 10).ok());
  EXPECT_FALSE(ParseMessages(std::string("{\"send_id\":1,\0\"friend\":2}", 23), 10).ok());
  EXPECT_FALSE(ParseCursor(deep).ok());
}

TEST(GatewayJson, ReadsACursor) {
  EXPECT_EQ(*ParseCursor(R"({"read_up_to":5})"), 5u);
  EXPECT_EQ(*ParseCursor(R"({"read_up_to":"6"})"), 6u);
  for (const char* bad : {"", "5", "[5]", "{}", R"({"read_up_to":-5})", R"({"read_up_to":null})",
                          R"({"read_up_to":5.0})"}) {
    EXPECT_FALSE(ParseCursor(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace baiwan::cell
