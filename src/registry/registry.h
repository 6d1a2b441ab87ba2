// The registry: who is where, kept alive by leases, and which cell owns which partition.
//
// A service registers under role, cell and name, and repeats that to renew its lease. The same name
// coming back, from a new process perhaps at a new address, replaces its own lease; a *different*
// identity that claims a host and port under lease is refused, and so is a process that has been
// replaced by a later one, or two would take turns for ever. What is not
// renewed is gone after `lease`.
//
// Which of two processes is the later one no clock says: it is the one that came to a lease that
// the other held. The lease remembers whom it has replaced. A registry that has just started knows
// that no more; until it has settled, who was told that he is replaced is not taken.
//
// A service that was proved to belong to the deployment takes the place of one that was not, under
// its name or at its address, and never the other way round.
//
// Leases say who can be reached, never who owns what: ownership stays where the placement table
// puts it, and nothing changes it for one lease time after a registry has started, since until then
// it does not know who lives. For the same reason the list is not `settled` before: who is missing
// in it may just not have come back yet.
//
// Pure: time comes in, and must not go back. One thread. Failure: a RegisterError or MoveError, and
// nothing has changed. Bounds: `max_services`; names and the like see Check.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "placement/placement.h"
#include "registry/directory.h"

namespace baiwan::registry {

struct RegistryOptions {
  Nanos lease = 10 * kSecond;
  std::size_t max_services = 10'000;
  std::size_t max_history = 10'000;  // removals kept for those who ask what has changed
  std::size_t max_replaced = 64;     // processes of one name that are known to be replaced
};

enum class RegisterError : std::uint8_t {
  kNone = 0,
  kBadRole,
  kBadName,  // empty, longer than 64 bytes, or not of letters, digits and "-._"
  kBadCell,
  kBadEndpoint,  // port 0; a host that is no address and no name as DNS has them
                 // (base/transport.h), or one that stands for every address
  kBadMeta,   // more than 16 entries, a key that is no name, a value over 256 printable bytes
  kUnproved,  // under that name or address somebody is registered who has proved himself
  kTaken,     // that host and port belong to somebody else
  kReplaced,  // a later process of this name is registered
  kFull,
  // Of a process that serves a store, see claims.h: it must end.
  kStoreCopy,
  kStoreServed,
  kStoreReplaced,
};
const char* Message(RegisterError error);
// Whether a service is properly described.
RegisterError Check(const Service& service);

enum class MoveError : std::uint8_t {
  kNone = 0,
  kSettling,  // less than a lease time since the start
  kBadPartition,
  kBadCell,
  kOwnedAlready,
};
const char* Message(MoveError error);

class Registry {
 public:
  struct Lease {
    Service service;
    Nanos registered = 0;       // this incarnation
    Nanos renewed = 0;          // the last time
    std::uint64_t changed = 0;  // the revision that brought it as it is
    bool proved = true;
    std::deque<Incarnation> replaced;  // by this process and those before it, the last ones

    bool Replaced(const Service& service) const;
  };

  Registry(const RegistryOptions& options, placement::PlacementTable table, Nanos now);

  // Whether a store may be served for a cell.
  RegisterError Claim(CellId cell, const StoreClaim& claim, Nanos now);
  // Registers or renews; and with it the claim of the store that the service is of.
  RegisterError Register(const Service& service, Nanos now, bool proved = true);
  // True if it was there. An incarnation other than 0 removes only itself, not its successor.
  bool Deregister(const ServiceKey& key, Incarnation incarnation, Nanos now);
  // Forgets what was not renewed in time. To be called now and then.
  void Expire(Nanos now);

  const std::map<ServiceKey, Lease>& leases() const { return leases_; }
  std::vector<Service> List() const;
  // Who has this host and port, or null.
  const Lease* HolderOf(const Endpoint& endpoint) const;
  // Rises with every change of the list, of settled() and of the table.
  std::uint64_t revision() const { return revision_; }
  bool settled() const { return settled_; }
  Nanos lease() const { return options_.lease; }
  // Of memory that all of it takes, about.
  std::size_t bytes() const { return bytes_; }

  // What has changed since a revision: first forget `removed`, then take `services`. If that is not
  // known any more (or `after` is 0), everything, and `full` says so.
  struct Changes {
    bool full = false;
    std::vector<const Lease*> services;
    std::vector<ServiceKey> removed;
  };
  Changes Since(std::uint64_t after) const;

  const placement::PlacementTable& table() const { return table_; }
  // Whether a partition may be given to another cell now.
  MoveError CheckMove(PartitionId partition, CellId to) const;
  // Takes over a newer table, which must have been made durable before (I6). False if it is not
  // newer, or contradicts this one.
  bool Adopt(const placement::PlacementTable& newer);

 private:
  using Address = std::pair<std::string, std::uint16_t>;
  // Keys in the order of their last renewal: leases are equally long, so the first expires first.
  using Order = std::list<ServiceKey>;
  struct Removal {
    std::uint64_t revision;
    ServiceKey key;
  };

  static Address AddressOf(const Endpoint& endpoint);
  static std::size_t BytesOf(const Service& service);
  void Touch(const ServiceKey& key);
  void Remove(const ServiceKey& key);

  const RegistryOptions options_;
  const Nanos started_;
  placement::PlacementTable table_;
  std::map<ServiceKey, Lease> leases_;
  std::map<Address, ServiceKey> holders_;
  Claims claims_;
  Order order_;
  std::map<ServiceKey, Order::iterator> places_;
  std::deque<Removal> removals_;
  std::uint64_t revision_ = 1;
  std::uint64_t forgotten_ = 0;  // removals up to this revision are not in removals_ any more
  bool settled_ = false;
  std::size_t bytes_ = 0;
};

}  // namespace baiwan::registry
