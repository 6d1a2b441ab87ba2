"""What a host is told at its first boot: its user data, a cloud-config for cloud-init (in JSON, which is
YAML too). It is read as root of the host only, before sshd starts.

A host gets: its own key, signed (keys.py); whom to let in; the kernel settings; the dead man's switch,
which ends the host (and so, by its shutdown behaviour, the instance) at the deadline or when the
heartbeat is too old, whatever becomes of the controller. `outside` hosts also get the run's keys and
a seat of the provider (states.py), and pass Debian packages on to the others, which have no way out.
"""

import json
import pathlib

from errors import ProviderError

MAX_BYTES = 16384  # the limit of EC2
HEARTBEAT = "/run/heartbeat"
BOOTED = "/var/lib/baiwan/booted"  # written when all is done; its lines are warnings
CONTROL = {"ssh_key": "/root/.ssh/id_ed25519", "known_hosts": "/root/.ssh/known_hosts"}
SEAT_STATE = "/var/lib/baiwan/provider"
PROXY_PORT = 3142
EVERYWHERE = ("aria2", "ca-certificates", "rsync", "ethtool")
OUTSIDE_ONLY = ("ansible-core", "python3-boto3", "apt-cacher-ng", "opentracker")
_KERNEL = pathlib.Path(__file__).resolve().parent.parent.parent / "kernel.conf"
_HERE = pathlib.Path(__file__).resolve().parent

_SSHD = """HostKey /etc/ssh/baiwan_host_key
HostCertificate /etc/ssh/baiwan_host_key-cert.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 200
MaxSessions 100
"""

_SSH = """Host *
  IdentityFile /root/.ssh/id_ed25519
  StrictHostKeyChecking yes
  ConnectTimeout 10
"""

_SERVICE = """[Unit]
Description=Ends this host at its deadline or without a heartbeat

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/baiwan-deadman
"""

_TIMER = """[Unit]
Description=Looks every few seconds whether this host may go on

[Timer]
OnBootSec=5
OnUnitActiveSec=PAUSE
AccuracySec=1

[Install]
WantedBy=timers.target
"""


def build(request, host, fleet, keys, end, region):
    """The text; `end` is when the host's time is over, in seconds since 1970."""
    private, public, certificate = keys.host_key(host.name, [host.name, str(host.address)])
    files = [
        _file("/etc/ssh/baiwan_host_key", private, "0600"),
        _file("/etc/ssh/baiwan_host_key.pub", public),
        _file("/etc/ssh/baiwan_host_key-cert.pub", certificate),
        _file("/etc/ssh/sshd_config.d/10-baiwan.conf", _SSHD),
        _file("/root/.ssh/authorized_keys", keys.public(keys.login) + "\n", "0600"),
        _file("/etc/sysctl.d/90-baiwan.conf", kernel_settings()),
        _file("/etc/systemd/system.conf.d/90-baiwan.conf", "[Manager]\nDefaultLimitNOFILE=1048576\n"),
        _file("/etc/baiwan/deadman", f"{end} {request.heartbeat_s}\n"),
        _file("/usr/local/sbin/baiwan-deadman", _script("deadman.sh"), "0755"),
        _file("/usr/local/sbin/baiwan-boot", _script("boot.sh"), "0755"),
        _file("/etc/systemd/system/baiwan-deadman.service", _SERVICE),
        _file("/etc/systemd/system/baiwan-deadman.timer", _TIMER.replace("PAUSE", _pause(request))),
        {**_file("/etc/hosts", _names(request)), "append": True},
    ]
    files += _outside(request, fleet, keys, region) if host.outside else _inside(request)
    packages = EVERYWHERE + (OUTSIDE_ONLY if host.outside else ())
    if not request.outside:
        packages = ()  # no way to any
    text = "#cloud-config\n" + json.dumps({
        "hostname": host.name,
        "preserve_hostname": False,
        "manage_etc_hosts": False,
        "disable_root": False,
        "ssh_pwauth": False,
        "write_files": files,
        "runcmd": [["/usr/local/sbin/baiwan-boot", *packages]],
    })  # fmt: skip
    if len(text.encode()) > MAX_BYTES:
        size = f"{len(text.encode())} bytes of boot data, EC2 takes {MAX_BYTES}"
        raise ProviderError(f"{size}: fewer or shorter names of hosts", host.name, "boot data")
    return text


def _file(path, content, permissions="0644"):
    return {"path": path, "content": content, "permissions": permissions, "owner": "root:root"}


def _script(name):
    """Without its comments: user data is short."""
    lines = (_HERE / name).read_text().splitlines()
    return "\n".join(x for n, x in enumerate(lines) if n == 0 or not x.lstrip().startswith("#")) + "\n"


def _pause(request):
    """Often enough that a heartbeat's end is seen in time."""
    return str(max(1, min(10, (request.heartbeat_s or 20) // 2)))


def kernel_settings():
    lines = (line.strip() for line in _KERNEL.read_text().splitlines())
    return "".join(f"{line}\n" for line in lines if line and line[0] not in "#;")


def _names(request):
    return "".join(f"{h.address} {h.name}\n" for h in request.hosts)


def _outside(request, fleet, keys, region):
    folder = f"{SEAT_STATE}/keys"
    login, signer = keys.login.read_text(), keys.signer.read_text()
    seat = {"run": request.run, "state": SEAT_STATE, "region": region}
    return [
        _file(CONTROL["ssh_key"], login, "0600"),
        _file(CONTROL["known_hosts"], keys.known_hosts_line(), "0600"),
        _file("/root/.ssh/config", _SSH, "0600"),
        _file("/etc/baiwan/provider.json", json.dumps(seat), "0600"),
        _file(f"{SEAT_STATE}/aws.json", json.dumps({"run": request.run, "fleet": fleet}), "0600"),
        _file(f"{folder}/{keys.login.name}", login, "0600"),
        _file(f"{folder}/{keys.login.name}.pub", keys.public(keys.login) + "\n", "0600"),
        _file(f"{folder}/{keys.signer.name}", signer, "0600"),
        _file(f"{folder}/{keys.signer.name}.pub", keys.public(keys.signer) + "\n", "0600"),
    ]


def _inside(request):
    if not request.outside:
        return []
    line = f'Acquire::http::Proxy "http://{request.outside[0].address}:{PROXY_PORT}";\n'
    return [_file("/etc/apt/apt.conf.d/90-baiwan-proxy", line)]
