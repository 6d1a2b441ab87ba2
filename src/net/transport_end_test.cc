// How connections end: closing, breaking, being destroyed inside callbacks.
#include <vector>

#include "net/testing/transport_fixture.h"

namespace baiwan::net {
namespace {

class StreamEnd : public TransportTest {};
BAIWAN_ON_BOTH_BACKENDS(StreamEnd);

TEST_P(StreamEnd, APeerThatClosesGivesEof) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  client.Send("last words");
  client.Close();
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
  EXPECT_EQ(server.received, "last words");
  server.stream->Write("nobody hears this");
  EXPECT_EQ(server.stream->unsent(), 0u);
  server.stream->Output().append("nor this");
  EXPECT_EQ(server.stream->unsent(), 0u);
  RunFor(5 * kMillisecond);
}

struct AnswerAtTurnEnd : TurnHook {
  Peer* server = nullptr;
  void OnTurnEnd() override {
    if (server->received.empty() || !server->stream) return;
    server->stream->Write("answer to " + server->received);
    server->received.clear();
  }
};

TEST_P(StreamEnd, WhoHalfClosesStillGetsTheAnswer) {
  Peer server;
  AnswerAtTurnEnd hook;
  hook.server = &server;
  server.on_closed = [&] { server.stream.reset(); };
  loop->AddTurnHook(&hook);
  ListenFor(server);
  RawSocket client(listener->local());
  client.Send("a question");
  shutdown(client.fd, SHUT_WR);
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
  std::string got;
  ASSERT_TRUE(RunUntil([&] { return got += client.Read(), client.end.has_value(); }));
  EXPECT_EQ(got, "answer to a question");
  EXPECT_EQ(*client.end, 0);
  loop->RemoveTurnHook(&hook);
}

TEST_P(StreamEnd, ALargeAnswerToAHalfClosedPeerArrivesWhole) {
  Peer server;
  server.on_data = [&](std::string_view data) {
    server.stream->Write(std::string(20 << 20, 'x'));
    return data.size();
  };
  server.on_closed = [&] { server.stream.reset(); };
  ListenFor(server);
  RawSocket client(listener->local());
  client.Send("?");
  shutdown(client.fd, SHUT_WR);
  RunFor(20 * kMillisecond);
  EXPECT_FALSE(server.closed.has_value()) << "not before it is sent";
  std::size_t got = 0;
  ASSERT_TRUE(RunUntil([&] { return got += client.Read().size(), client.end.has_value(); }));
  EXPECT_EQ(got, 20u << 20);
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
}

TEST_P(StreamEnd, AConnectionThatBreaksGivesReset) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  client.Reset();
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kReset);
}

TEST_P(StreamEnd, WritingIntoABrokenConnectionGivesResetOnce) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  client.Close();  // it will answer what is written with a reset
  for (int i = 0; i < 50 && !server.closed; ++i) {
    server.stream->Write("anybody there?");
    loop->RunOnce(kMillisecond);
  }
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
}

TEST_P(StreamEnd, ClosingAfterFlushSendsEverythingFirst) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->Write(std::string(20 << 20, 'x'));
  server.stream->CloseAfterFlush();
  server.stream->Write("ignored");
  std::size_t got = 0;
  for (int i = 0; i < 20; ++i) {
    got += client.Read(100'000).size();
    loop->RunOnce(kMillisecond);
  }
  EXPECT_FALSE(server.closed.has_value());
  ASSERT_TRUE(RunUntil([&] { return got += client.Read().size(), client.end.has_value(); }));
  EXPECT_EQ(got, 20u << 20);
  EXPECT_EQ(*client.end, 0);
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
}

TEST_P(StreamEnd, ClosingAfterFlushWithNothingToSendStillTells) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->CloseAfterFlush();
  EXPECT_FALSE(server.closed.has_value()) << "not inside the call";
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
}

TEST_P(StreamEnd, WhoIsStillSendingWhenWeCloseGetsTheWholeAnswer) {
  Peer server;
  server.on_data = [&](std::string_view) {
    server.stream->Write("too large");
    server.stream->CloseAfterFlush();
    return std::size_t{0};
  };
  server.on_closed = [&] { server.stream.reset(); };
  ListenFor(server);
  RawSocket client(listener->local());
  const std::string chunk(100'000, 'x');
  for (int i = 0; i < 50; ++i) {
    EXPECT_GE(client.Send(chunk, MSG_DONTWAIT), -1);
    loop->RunOnce(0);
  }
  std::string got;
  ASSERT_TRUE(RunUntil([&] { return got += client.Read(), client.end.has_value(); }));
  EXPECT_EQ(got, "too large");
  EXPECT_EQ(*client.end, 0) << "closed in good order, not reset";
  EXPECT_EQ(server.calls, 1) << "nothing more is handed over";
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kEof);
}

TEST_P(StreamEnd, APeerThatTakesNothingCannotHoldAClosingStreamForever) {
  LoopOptions options;
  options.flush_timeout = 100 * kMillisecond;
  Start(options);
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->Write(std::string(20 << 20, 'x'));
  const Nanos start = loop->clock().Monotonic();
  server.stream->CloseAfterFlush();
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kTimeout);
  EXPECT_GE(loop->clock().Monotonic() - start, 100 * kMillisecond);
}

TEST_P(StreamEnd, APausedStreamTellsTheEndAfterWhatHadArrived) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  client.Send("before the end");
  server.stream->PauseReading();
  RunFor(5 * kMillisecond);
  client.Close();
  RunFor(5 * kMillisecond);
  EXPECT_FALSE(server.closed.has_value());
  server.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(server.received, "before the end");
  EXPECT_EQ(*server.closed, NetError::kEof);
}

TEST_P(StreamEnd, AStreamMayBeDestroyedInsideItsOwnOnData) {
  Peer client, server;
  ConnectPair(client, server);
  server.on_data = [&](std::string_view data) {
    server.stream->Write("unsent, and stays so");
    server.stream.reset();
    return data.size() / 2;
  };
  client.stream->Write("bye");
  ASSERT_TRUE(RunUntil([&] { return client.closed.has_value(); }));
  EXPECT_EQ(client.received, "");
  EXPECT_FALSE(server.closed.has_value()) << "the owner knows";
}

TEST_P(StreamEnd, AStreamMayBeDestroyedInsideOnWritableAndOnClosed) {
  Peer client, server;
  ConnectPair(client, server);
  server.stream->SetLimits({1 << 20, 1000, 500});
  server.on_writable = [&] { server.stream.reset(); };
  server.stream->Write(std::string(2000, 'x'));
  client.on_closed = [&] { client.stream.reset(); };
  ASSERT_TRUE(RunUntil([&] { return !client.stream; }));
  EXPECT_EQ(server.writable, 1);
  EXPECT_EQ(client.received.size(), 2000u);
}

TEST_P(StreamEnd, StreamsMayDestroyEachOtherInsideCallbacks) {
  std::vector<std::unique_ptr<Peer>> servers;
  bool destroyed = false;
  int calls_after = 0;
  Listen([&](auto stream) {
    servers.push_back(std::make_unique<Peer>());
    servers.back()->on_data = [&](std::string_view data) {
      if (std::exchange(destroyed, true)) ++calls_after;
      for (const auto& server : servers) server->stream.reset();
      return data.size();
    };
    servers.back()->Own(std::move(stream));
  });
  std::vector<std::unique_ptr<RawSocket>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<RawSocket>(listener->local()));
  ASSERT_TRUE(RunUntil([&] { return servers.size() == 20; }));
  for (const auto& client : clients) client->Send("all at once");
  ASSERT_TRUE(RunUntil([&] { return destroyed; }));
  RunFor(5 * kMillisecond);
  EXPECT_EQ(calls_after, 0);
}

TEST_P(StreamEnd, AStreamMayBeDestroyedWhileItsSendIsUnderWay) {
  Peer server;
  ListenFor(server);
  for (int i = 0; i < 20; ++i) {
    RawSocket client(listener->local());
    ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
    server.stream->Write(std::string(8 << 20, 'x'));
    loop->RunOnce(0);
    loop->RunOnce(0);
    server.stream.reset();
    loop->RunOnce(0);
  }
}

TEST_P(StreamEnd, AListenerMayRefuseOrEndInsideOnAccept) {
  int accepted = 0;
  Listen([&](std::unique_ptr<ByteStream> stream) {
    stream.reset();
    if (++accepted == 3) listener.reset();
  });
  const Endpoint at = listener->local();
  std::vector<std::unique_ptr<RawSocket>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<RawSocket>(at));
  ASSERT_TRUE(RunUntil([&] { return !listener; }));
  EXPECT_EQ(accepted, 3);
  RawSocket late(at);
  EXPECT_FALSE(late.connected) << "nobody listens any more";
  EXPECT_TRUE(RunUntil([&] {
    for (const auto& client : clients) client->Read();
    return clients[0]->end && clients[1]->end && clients[2]->end;
  }));
}

TEST_P(StreamEnd, ALoopMayGoBeforeItsStreams) {
  Peer client, server;
  ConnectPair(client, server);
  client.stream->Write(std::string(8 << 20, 'x'));
  loop->RunOnce(0);
  loop->transport().Connect(listener->local(), kSecond, [](auto) { FAIL() << "called"; });
  loop->After(0, [] { FAIL() << "called"; });
  loop.reset();
  client.stream->Write("ignored");
  client.stream->PauseReading();
  client.stream->CloseAfterFlush();
  EXPECT_EQ(client.stream->unsent(), 0u);
  EXPECT_FALSE(client.closed.has_value());
  client.stream.reset();
  listener.reset();
}

}  // namespace
}  // namespace baiwan::net
