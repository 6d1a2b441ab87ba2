"""The test network of one run. All of it lies in namespaces: the machine's own gets no address, no
route and no interface, since each veth pair is made in the router's namespace with its other end
in the host's.

                     203.0.113.0/24                  br-control   ── control
  [_outside] eth0 ──────────────────── [_router]  ──
                                                     br-workers   ── w-0 w-1 …

Names are bw.RUN.HOST. Neither a run nor a host has a dot or an underscore in its name, so the names
of two runs, and of hosts and our own namespaces, never meet.
"""

import json

from machine import namespace_names
from request import INTERNET

ROUTER = "_router"
OUTSIDE = "_outside"
OUTSIDE_ADDRESS = INTERNET.network_address + 254
_ROUTER_ADDRESS = INTERNET.network_address + 1
_FIRST_PUBLIC = 10
TBF_BURST_BYTES = 128 << 10  # a whole segment of segmentation offload must fit


def prefix_of(run):
    return f"bw.{run}."


def namespace(run, host):
    return prefix_of(run) + host


def public_addresses(request):
    """{host name: the address under which the outside sees it}."""
    hosts = [h for h in request.hosts if h.outside]
    return {h.name: INTERNET.network_address + _FIRST_PUBLIC + i for i, h in enumerate(hosts)}


def router_port(host):
    return f"v{int(host.address):08x}"


def card_address(address):
    """The same in every life of a host: its neighbours remember it."""
    return "02:00:" + ":".join(f"{b:02x}" for b in address.packed)


def neighbour(address, device):
    """A line that says where an address is, for good. What is not asked for does not count: the kernel
    has one table of 1,024 learned neighbours for all namespaces, and forty hosts that all talk to each
    other would fill it, so that nobody on the machine gets a connection any more."""
    return f"neigh replace {address} lladdr {card_address(address)} dev {device} nud permanent"


def remove_namespaces(shell, names):
    if names:
        shell.run(["ip", "-batch", "-"], "".join(f"netns del {n}\n" for n in names))


def build_base(shell, request):
    """Router, bridges and the outside; what an interrupted attempt left is replaced."""
    router, outside = namespace(request.run, ROUTER), namespace(request.run, OUTSIDE)
    old = [n for n in namespace_names(prefix_of(request.run)) if n in (router, outside)]
    remove_namespaces(shell, old)
    shell.run(["ip", "-batch", "-"], f"netns add {router}\nnetns add {outside}\n")
    lines = ["link set dev lo up", f"link add name outside type veth peer name eth0 netns {outside}"]
    lines.append(f"addr add {_ROUTER_ADDRESS}/{INTERNET.prefixlen} dev outside")
    lines += [f"addr add {a}/32 dev outside" for a in public_addresses(request).values()]
    for name, subnet in request.subnets.items():
        lines.append(f"link add name br-{name} address {card_address(request.gateway(name))} type bridge")
        lines.append(f"addr add {request.gateway(name)}/{subnet.prefixlen} dev br-{name}")
        lines.append(f"link set dev br-{name} up")
    lines.append("link set dev outside up")
    _settings(shell, router, {"net.ipv4.ip_forward": 1, "net.ipv6.conf.default.disable_ipv6": 1})
    shell.run(["ip", "-n", router, "-batch", "-"], "\n".join(lines) + "\n")
    own = f"addr add {OUTSIDE_ADDRESS}/{INTERNET.prefixlen} dev eth0\n"
    shell.run(["ip", "-n", outside, "-batch", "-"], "link set dev lo up\nlink set dev eth0 up\n" + own)
    # Between two hosts of one bridge no packet takes the way through the router's firewall: the
    # hosts' own rules decide, and the processor does not pay twice.
    _settings(shell, router, {"net.bridge.bridge-nf-call-iptables": 0}, missing_is_good=True)
    inside(shell, router, ["nft", "-f", "-"], router_rules(request))


def _settings(shell, name, settings, missing_is_good=False):
    script = "".join(
        f"{'[ ! -e /proc/sys/%s ] || ' % _path(k) if missing_is_good else ''}"
        f"echo {v} > /proc/sys/{_path(k)}\n"
        for k, v in settings.items()
    )
    inside(shell, name, ["sh", "-e"], script)


def _path(setting):
    return setting.replace(".", "/")


def inside(shell, name, argv, text="", host=""):
    return shell.run(["nsenter", f"--net=/run/netns/{name}", *argv], text, host)


def router_rules(request):
    public = public_addresses(request)
    doors = [(public[h.name], h.address) for h in request.hosts if h.outside]
    incoming = "".join(f"    ip daddr {p} tcp dport 22 dnat to {a}\n" for p, a in doors)
    outgoing = "".join(f"    ip saddr {a} oifname outside snat to {p}\n" for p, a in doors)
    ssh = "".join(f"    iifname outside ip daddr {a} tcp dport 22 accept\n" for _, a in doors)
    out = "".join(f"    ip saddr {a} oifname outside accept\n" for _, a in doors)
    within = f'iifname != "outside" ip saddr {request.vpc}'
    return f"""table inet firewall {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iifname lo accept
    ct state established,related accept
    {within} accept
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    {within} ip daddr {request.vpc} accept
{ssh}{out}  }}
}}
table ip translation {{
  chain incoming {{
    type nat hook prerouting priority -100;
{incoming}  }}
  chain outgoing {{
    type nat hook postrouting priority 100;
{outgoing}  }}
}}
"""


def host_rules(request, host):
    """What a security group is in a cloud. Workers need no memory of connections: all their peers
    are within, and a host that tracks none has no table of them to fill."""
    outside = "    ct state established,related accept\n    tcp dport 22 accept\n"
    return f"""table inet firewall {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iifname lo accept
    ip saddr {request.vpc} accept
{outside if host.outside else ""}  }}
}}
"""


def connect(shell, request, hosts):
    """Gives each of these hosts, none of which runs, a fresh namespace with eth0 on its bridge."""
    router = namespace(request.run, ROUTER)
    links = json.loads(shell.run(["ip", "-n", router, "-json", "link", "show", "type", "veth"]) or "[]")
    ports = {link["ifname"] for link in links}
    existing = set(namespace_names(prefix_of(request.run)))
    # The port first: with its namespace a pair goes too, but only some time later.
    lines = [f"link del dev {p}" for p in map(router_port, hosts) if p in ports]
    if lines:
        shell.run(["ip", "-n", router, "-batch", "-"], "\n".join(lines) + "\n")
    names = [namespace(request.run, h.name) for h in hosts]
    remove_namespaces(shell, [n for n in names if n in existing])
    shell.run(["ip", "-batch", "-"], "".join(f"netns add {n}\n" for n in names))
    lines = []
    for host, name in zip(hosts, names):
        port = router_port(host)
        card = f"address {card_address(host.address)} netns {name}"
        lines.append(f"link add name {port} type veth peer name eth0 {card}")
        lines.append(f"link set dev {port} master br-{host.subnet} up")
        lines.append(neighbour(host.address, f"br-{host.subnet}"))
    shell.run(["ip", "-n", router, "-batch", "-"], "\n".join(lines) + "\n")
    if request.rate_mbit:
        lines = [rate_line(router_port(h), request.rate_mbit) for h in hosts]
        shell.run(["tc", "-n", router, "-batch", "-"], "\n".join(lines) + "\n")


def rate_line(device, rate_mbit):
    bits = int(rate_mbit * 1_000_000)
    return f"qdisc add dev {device} root tbf rate {bits}bit burst {TBF_BURST_BYTES} latency 50ms"


def host_links(request, host):
    """The lines for `ip -batch` in the host's own namespace: what DHCP would tell it."""
    gateway = request.gateway(host.subnet)
    near = [h.address for h in request.hosts if h.subnet == host.subnet and h is not host]
    return [
        "link set dev lo up",
        "link set dev eth0 up",
        f"addr add {host.address}/{request.prefix(host.subnet)} dev eth0",
        f"route add default via {gateway}" if host.outside else f"route add {request.vpc} via {gateway}",
        *(neighbour(address, "eth0") for address in [gateway, *near]),
    ]
