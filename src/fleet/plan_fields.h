// Every value of a plan, once: its key, its range, and the comment above it. What declares, reads
// and writes plans walks through this one list.
#pragma once

#include "fleet/plan.h"

namespace baiwan::fleet::plan_internal {

inline constexpr std::uint64_t kMiB = 1 << 20;

// `Visitor` has Text, Choice, List, Words, Flag, Number, Bytes, Time and Money, each (key, value,
// comment, …).
template <class Visitor, class Plan>
void VisitWorkload(Visitor& v, Plan& p) {
  auto& w = p.workload;
  v.Number("workload.friends_in_cell", w.friends_in_cell,
           "Friends in a user's own cell, on average.", 0, stress::kMaxFriends);
  v.Number("workload.friends_cross", w.friends_cross, "Friends in all other cells together.", 0,
           stress::kMaxFriends);
  v.Number("workload.messages_per_friend", w.messages_per_friend, "Messages to each, a round.", 1,
           stress::kMaxMessagesPerFriend);
  v.Number("workload.rounds", w.rounds, "How often all of it.", 1, 1'000'000);
  v.Number("workload.body_bytes", w.body_bytes, "Bytes of a message.", 0, stress::kMaxBodyBytes);
  v.Number("workload.seed", w.seed, "Of the friend graph and of every message.", 0, INT64_MAX);
  v.Number("workload.partitions", w.partitions,
           "Blocks of users that can be moved between cells; at least one for each cell.", 1,
           kMaxPartitions);
  v.Choice("load.protocol", p.load.protocol, "How the load clients talk.", {"ws", "http"});
  v.Number("load.concurrency", p.load.concurrency, "Users of each cell that play at a time.", 1,
           1'000'000);
  v.Number("load.in_flight", p.load.in_flight, "Messages of a user that are not yet stored.", 1,
           1024);
  v.Number("load.messages_per_frame", p.load.messages_per_frame, "At most.", 1, 1024);
  v.Number("load.rate", p.load.rate,
           "Messages a second of all cells together; 0: as fast as they are stored.", 0,
           1'000'000'000);
}

template <class Visitor, class Plan>
void VisitHosts(Visitor& v, Plan& p) {
  v.Number("hosts.count", p.hosts.count, "Workers; the control host comes on top.", 1, kMaxHosts);
  v.Number("hosts.users_per_host", p.hosts.users_per_host,
           "Users on each worker (with layout role: on each that has logic).", 1,
           stress::kMaxUsersPerCell);
  v.Text("hosts.type", p.hosts.type,
         "What the provider calls this kind of host; empty where it has only one.");
  v.Choice("hosts.architecture", p.hosts.architecture, "Of their processors, and of the package.",
           {"x86_64", "aarch64"});
  v.Range("network.vpc", p.network.vpc, "All addresses of the run.");
  v.List("network.subnets", p.network.subnets, "Parts of it.");
  v.Address("network.control", p.network.control,
            "The control host, the only one that reaches the outside.");
  v.Address("network.workers_from", p.network.workers_from,
            "The first worker; the others follow it one by one.");
  v.Choice("roles.layout", p.roles.layout,
           "cell: a whole cell on each worker. role: each worker has one role; say below how many.",
           {"cell", "role"});
  v.Number("roles.gateway", p.roles.gateway, "Workers with gateways.", 0, kMaxHosts);
  v.Number("roles.logic", p.roles.logic,
           "Workers with logic, store and load client; one cell each.", 0, kMaxHosts);
  v.Number("roles.relay", p.roles.relay, "Workers with relays.", 0, kMaxHosts);
}

template <class Visitor, class Plan>
void VisitPorts(Visitor& v, Plan& p) {
  const auto port = [&v](const char* key, auto& value, const char* what) {
    v.Number(key, value, what, 1, 65'535);
  };
  port("ports.gateway", p.ports.gateway,
       "Clients. Further cells of a process take the following ports, of each role.");
  port("ports.relay", p.ports.relay, "Relays of other cells.");
  port("ports.logic", p.ports.logic, "Gateway and relay on other hosts.");
  port("ports.registry", p.ports.registry, "On the control host.");
  port("ports.monitor", p.ports.monitor, "On the control host.");
  port("ports.ops", p.ports.ops, "/metrics of logic and relay where there is no gateway.");
  port("ports.load", p.ports.load, "/metrics of load clients.");
}

template <class Visitor, class Plan>
void VisitNetns(Visitor& v, Plan& p) {
  v.Choice("netns.init", p.netns.init,
           "Process 1 of a host: runit, or systemd as on most machines that are not tests.",
           {"runit", "systemd"});
}

template <class Visitor, class Plan>
void VisitAws(Visitor& v, Plan& p) {
  v.Text("aws.region", p.aws.region, "Empty: what the AWS settings of the operator say.");
  v.Text("aws.zone", p.aws.zone, "Empty: EC2 chooses one for all hosts.");
  v.Text("aws.operator_cidr", p.aws.operator_cidr,
         "Who may reach the control host by ssh, like 198.51.100.7/32; needed.");
  v.Text(
      "aws.ssh_config", p.aws.ssh_config,
      "An ssh_config file for the operator's way to the control host: a bastion, Session Manager.");
  v.Text("aws.image", p.aws.image, "Empty: the newest Debian 12.");
  v.Text("aws.bucket", p.aws.bucket,
         "Gets the package, as one more source for workers; empty: none.");
  v.Text("aws.instance_profile", p.aws.instance_profile,
         "With which the control host may start a lost worker again.");
  v.Text("aws.scheduler_role", p.aws.scheduler_role,
         "ARN of a role that ends instances after their deadline; empty: they end themselves.");
  v.Text("aws.endpoint_url", p.aws.endpoint_url, "Of an emulation, for tests.");
  v.Text("aws.prices", p.aws.prices, "A price list; empty: the one beside the provider.");
  v.Number("aws.disk_gb", p.aws.disk_gb, "Of each host.", 8, 1024);
  v.Flag("aws.spot", p.aws.spot, "Cheaper, and taken back when others pay more.");
  v.Flag("aws.placement_group", p.aws.placement_group, "Near each other, in one zone.");
}

template <class Visitor, class Plan>
void VisitService(Visitor& v, Plan& p) {
  v.Text("service.folder", p.service.folder,
         "Another service than the chat backend: files for every host, to {folder}/service.");
  v.Words(
      "service.serve", p.service.serve,
      "Its command on each worker, in the foreground; empty: the chat backend. {address}, {next} "
      "(worker), {control}, {name} and {folder} are filled in.");
  v.Words("service.ready", p.service.ready,
          "Asks on each worker whether it serves: 0 is yes, else it is asked again; empty: who has "
          "stood for two seconds is taken to serve.");
  v.Words("service.load", p.service.load, "What puts load on it, on each worker, until done.");
  v.Words("service.verify", p.service.verify,
          "Checks each worker when all have stopped: 0 is good; empty: nothing to check.");
}

template <class Visitor, class Plan>
void VisitLosses(Visitor& v, Plan& p) {
  const Nanos day = Nanos{24} * 3600 * kSecond;
  v.Time("limits.cut", p.limits.cut,
         "A host that is there and cannot be reached ends the run after so long; its users play on "
         "meanwhile.",
         0, day);
  v.Time("limits.host_back", p.limits.host_back,
         "So long a host that was lost, with its disk kept, may take to be back.", 30 * kSecond,
         day);
  v.Time("limits.control_cut", p.limits.control_cut,
         "So long the operator may hear nothing of the control host.", 15 * kSecond, day);
  v.Time("limits.control_gone", p.limits.control_gone,
         "Likewise, where its provider says that it is gone.", 5 * kSecond, day);
}

template <class Visitor, class Plan>
void VisitPlan(Visitor& v, Plan& p) {
  v.Text("run", p.run, "Tags everything that is made, and is how `down` finds it: a-z, 0-9 and -.");
  v.Text("provider", p.provider, "Where the hosts come from: netns (this machine) or aws.");
  v.Time("deadline", p.deadline, "Everything is destroyed by then, finished or not.", 60 * kSecond,
         Nanos{7} * 24 * 3600 * kSecond);
  v.Money("budget", p.budget, "What it may cost at most; 0.00 USD: no limit.");
  VisitHosts(v, p);
  VisitPorts(v, p);
  VisitWorkload(v, p);
  v.Bytes("limits.memory", p.limits.memory, "That all processes of a host may use together.",
          128 * kMiB, kMiB * 1024 * 1024);
  v.Number("limits.open_files", p.limits.open_files, "Of a process.", 1024, 1'048'576);
  v.Time("limits.monitor_interval", p.limits.monitor_interval,
         "Between two looks at every process.", 100 * kMillisecond, 3600 * kSecond);
  v.Number("limits.attempts", p.limits.attempts,
           "How often a step is tried on a host before it is given up.", 1, 20);
  v.Time("limits.silence", p.limits.silence,
         "Hosts end themselves when nothing was heard of the controller for so long; 0s: never.", 0,
         Nanos{7} * 24 * 3600 * kSecond);
  VisitLosses(v, p);
  VisitNetns(v, p);
  VisitAws(v, p);
  VisitService(v, p);
}

}  // namespace baiwan::fleet::plan_internal
