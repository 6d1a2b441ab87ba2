// A process that starts again with its clock set back takes the place of its former life at once.
#include <gtest/gtest.h>

#include "cell/host.h"
#include "net/http.h"
#include "registry/server.h"
#include "sim/world.h"

namespace baiwan::sim {
namespace {

constexpr std::uint16_t kRegistryPort = 8089;

struct RegistryNode final : Program {
  RegistryNode(Node& node, const placement::PlacementTable& table)
      : server(node.context(), {}, table, [](net::HttpExchange&) { return false; }),
        http(std::move(
            *net::HttpServer::Listen(node.context(), {node.ip(), kRegistryPort}, server, {}))) {}
  registry::RegistryServer server;
  std::unique_ptr<net::HttpServer> http;
};

struct GatewayNode final : Program {
  explicit GatewayNode(std::unique_ptr<cell::CellHost> made) : host(std::move(made)) {}
  std::unique_ptr<cell::CellHost> host;
};

TEST(ClockBack, AGatewayThatStartsAgainIsRegisteredAtOnce) {
  World world(1);
  const placement::PlacementTable table(1);
  Node& registry = world.AddNode(
      "registry", [&](Node& node) { return std::make_unique<RegistryNode>(node, table); });
  Node& gateway = world.AddNode("gateway", [&](Node& node) -> std::unique_ptr<Program> {
    cell::HostOptions options;
    options.name = "gateway-0";
    options.logic = options.relay = false;
    options.http = {node.ip(), 9500};
    options.registry = {registry.ip(), kRegistryPort};
    auto host = cell::CellHost::Create(node.context(), options, table, nullptr);
    EXPECT_TRUE(host.ok());
    return std::make_unique<GatewayNode>(std::move(*host));
  });
  const auto registered = [&] {
    const auto& leases = static_cast<RegistryNode*>(registry.program())->server.registry().leases();
    return leases.empty() ? Incarnation{0} : leases.begin()->second.service.incarnation;
  };
  ASSERT_EQ(world.RunUntil([&] { return registered() != 0; }, 5 * kSecond), Ran::kHolds);
  const Incarnation before = registered();
  world.Crash(gateway);
  gateway.clock().JumpWall(-3'600'000);
  world.Restart(gateway, 100 * kMillisecond);
  EXPECT_EQ(world.RunUntil([&] { return registered() != before; }, 2 * kSecond), Ran::kHolds)
      << "it waits for the lease of its former life to run out";
  EXPECT_NE(registered(), 0U);
}

}  // namespace
}  // namespace baiwan::sim
