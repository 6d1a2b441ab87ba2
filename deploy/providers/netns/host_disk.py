"""The disk of one host: a folder that outlives the host's processes, as a cloud's disk outlives an
instance that is stopped.

  DISK/root        the host's root: plain folders, and where the rest is mounted
  DISK/usr, etc    upper and work folders of the overlays over the machine's own /usr and /etc
  DISK/boot.json   what the host does when it starts; DISK/booted.json what it found then
  DISK/console.log what it wrote before its services ran, and theirs if they have no log

Nothing private of the machine is seen inside: homes, keys, logs, services are the host's own.
"""

import json
import os
import pathlib
import shutil
import uuid

from request import INTERNET

MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HEARTBEAT = "/run/heartbeat"
# What a host that is outside has, by its own paths.
CONTROL = {"ssh_key": "/root/.ssh/id_ed25519", "known_hosts": "/root/.ssh/known_hosts"}
_FOLDERS = (
    "dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp",
    "usr", "var/cache", "var/lib", "var/log", "var/spool", "var/tmp",
)  # fmt: skip
# Folders of the machine's /etc that a host starts without.
_OPAQUE = ("ssh", "service", "profile.d", "sudoers.d", "cron.d", "cron.daily", "ansible")

_SSHD = """# Made for the run: root only, by the run's key only.
Port 22
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
# Forty forks of one controller at once are no attack here.
MaxStartups 200
MaxSessions 100
AcceptEnv LANG LC_*
SetEnv PATH={path}
Subsystem sftp internal-sftp
"""

_SSH = """Host *
  IdentityFile /root/.ssh/id_ed25519
  StrictHostKeyChecking yes
  ConnectTimeout 10
"""

# For systemd; %s is the command.
_UNIT = """[Unit]
Description=%s
DefaultDependencies=no
StartLimitIntervalSec=0

[Service]
ExecStart=%s
KillMode=process
Restart=always
RestartSec=1
LimitNOFILE=infinity
"""
_UNIT_NAMES = {"sshd": "ssh"}  # as Debian has it, which also knows it as sshd
# What would change the kernel's settings or wait for devices.
_MASKED = ("systemd-sysctl.service", "systemd-udevd.service", "systemd-udev-trigger.service",
           "dev-hugepages.mount", "dev-mqueue.mount", "sys-fs-fuse-connections.mount",
           "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
           "proc-sys-fs-binfmt_misc.automount", "systemd-journal-flush.service")  # fmt: skip

_SSHD_RUN = """#!/bin/sh
mkdir -p -m 0755 /run/sshd
exec /usr/sbin/sshd -D -E /var/log/sshd.log -f /etc/ssh/sshd_config
"""

# Ends the host like a pulled plug: when process 1 ends, the kernel ends all others.
_DEADMAN_RUN = """#!/bin/sh
# The host ends when its time is over, or when the controller has not touched the heartbeat.
read -r end silence < /run/deadman
pause=$silence
[ "$pause" -gt 0 ] && pause=$((silence / 2))
[ "$pause" -gt 10 ] && pause=10
while read -r up rest < /proc/uptime; do
  now=${up%%.*}
  left=$((end - now))
  if [ "$left" -le 0 ]; then reason="its time is over"; break; fi
  if [ "$silence" -gt 0 ]; then
    seen=$(stat -c %Y HEARTBEAT 2>/dev/null || echo 0)
    if [ $(($(date +%s) - seen)) -gt "$silence" ]; then reason="no heartbeat"; break; fi
    [ "$pause" -gt "$left" ] || left=$pause
  fi
  sleep "$left"
done
echo "$(date -u +%FT%TZ) the host ends: $reason" >> /var/log/deadman.log
END
sleep 5
""".replace("HEARTBEAT", HEARTBEAT)
_END = {"runit": "kill -TERM 1", "systemd": "systemctl poweroff --force --force"}


def prepare(disk, request, host, key_text, keygen):
    """Makes the disk unless it is there and whole; brings what may have changed up to date.
    Returns whether it was kept."""
    disk = pathlib.Path(disk)
    kept = (disk / "made").exists()
    if not kept:
        shutil.rmtree(disk, ignore_errors=True)
        _make(disk, host, request.init, key_text, keygen)
    etc = disk / "etc" / "upper"
    lines = ["127.0.0.1 localhost"] + [f"{h.address} {h.name}" for h in request.hosts]
    (etc / "hosts").write_text("\n".join(lines) + "\n")
    (disk / "made").touch()
    return kept


def _make(disk, host, init, key_text, keygen):
    root, etc = disk / "root", disk / "etc" / "upper"
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    for name, target in MERGED.items():
        if os.path.lexists(f"/{name}"):
            (root / name).symlink_to(target)
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    (root / "var/tmp").chmod(0o1777)
    (root / "root").chmod(0o700)
    for kind in ("usr", "etc"):
        (disk / kind / "upper").mkdir(parents=True)
        (disk / kind / "work").mkdir()
    for folder in _OPAQUE:
        (etc / folder).mkdir()
        os.setxattr(etc / folder, "trusted.overlay.opaque", b"y")
    _write_etc(etc, host)
    services = {"sshd": _SSHD_RUN, "deadman": _DEADMAN_RUN.replace("END", _END[init])}
    if init == "systemd":
        _units(etc, services)
    else:
        for name, text in services.items():
            _service(etc, name, text)
    keygen(etc / "ssh" / "ssh_host_ed25519_key", host.name)
    _write_home(root / "root", key_text)


def _write_etc(etc, host):
    (etc / "hostname").write_text(host.name + "\n")
    (etc / "resolv.conf").write_text(f"# No names but those of /etc/hosts; {INTERNET} is outside.\n")
    (etc / "environment").write_text(f"PATH={PATH}\n")
    (etc / "profile").write_text(f"export PATH={PATH}\n")
    (etc / "bash.bashrc").write_text("PS1='\\h:\\w\\$ '\n")
    (etc / "motd").write_text("")
    (etc / "fstab").write_text("")
    names = [line.split(":")[0] for line in pathlib.Path("/etc/passwd").read_text().splitlines()]
    (etc / "shadow").write_text("".join(f"{n}:*:19000:0:99999:7:::\n" for n in names))
    (etc / "shadow").chmod(0o600)
    for other in ("shadow-", "gshadow", "gshadow-"):
        (etc / other).write_text("")
        (etc / other).chmod(0o600)
    text = _SSHD.format(address=host.address, path=PATH)
    (etc / "ssh" / "sshd_config").write_text(text)


def _service(etc, name, text):
    folder = etc / "service" / name
    folder.mkdir()
    (folder / "run").write_text(text)
    (folder / "run").chmod(0o755)
    # What runit keeps about a service lies in memory and begins anew with the host.
    (folder / "supervise").symlink_to(f"/run/runit/{name}")


def _units(etc, services):
    """Of the machine's units only those that Debian's packages want by themselves."""
    (etc / "machine-id").write_text(uuid.uuid4().hex + "\n")
    folder = etc / "systemd"
    wants = folder / "system" / "multi-user.target.wants"
    wants.mkdir(parents=True)
    os.setxattr(folder, "trusted.overlay.opaque", b"y")
    (folder / "journald.conf").write_text("[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n")
    (folder / "system" / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for name in _MASKED:
        (folder / "system" / name).symlink_to("/dev/null")
    for name, text in services.items():
        script = folder / f"{name}.run"
        script.write_text(text)
        script.chmod(0o755)
        unit = _UNIT_NAMES.get(name, name) + ".service"
        (folder / "system" / unit).write_text(_UNIT % (name, f"/etc/systemd/{name}.run"))
        (wants / unit).symlink_to(f"../{unit}")
    (folder / "system" / "sshd.service").symlink_to("ssh.service")


def _write_home(home, key_text):
    (home / ".bashrc").write_text("")
    (home / ".profile").write_text("")
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_text(key_text)
    (ssh / "authorized_keys").chmod(0o600)


def give_keys(disk, private_key, known_hosts):
    """A host with a door to the outside is where the run is driven from: it reaches all others."""
    ssh = pathlib.Path(disk) / "root" / "root" / ".ssh"
    for name, text in (("id_ed25519", private_key), ("known_hosts", known_hosts), ("config", _SSH)):
        fresh = ssh / f"{name}.new"  # the host may be running, and reading
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
        fresh.replace(ssh / name)


def host_key(disk):
    text = (pathlib.Path(disk) / "etc/upper/ssh/ssh_host_ed25519_key.pub").read_text()
    return " ".join(text.split()[:2])


def write_boot(disk, document):
    path = pathlib.Path(disk)
    (path / "booted.json").unlink(missing_ok=True)
    (path / "boot.json").write_text(json.dumps(document))


def read_booted(disk):
    try:
        return json.loads((pathlib.Path(disk) / "booted.json").read_text())
    except (OSError, ValueError):
        return None
