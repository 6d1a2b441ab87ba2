"""What cloud-init, systemd and apt make of the boot data of a host, in test hosts of netns that have
none of them, or only systemd."""

import json
import subprocess

_LIMIT_S = 60

# What cloud-init does with `write_files` before sshd starts.
_WRITE = """
import json, os, sys
for file in json.load(sys.stdin):
    os.makedirs(os.path.dirname(file["path"]), exist_ok=True)
    with open(file["path"], "a" if file.get("append") else "w") as out:
        out.write(file["content"])
    os.chmod(file["path"], int(file["permissions"], 8))
"""

# Stand for systemd's tools and for apt: they note how they were called. The timer is `every_second`.
_TOOLS = {
    "systemctl": 'echo "systemctl $*" >> /tmp/calls\n'
    'case "$*" in *enable*baiwan-deadman.timer) every_second > /dev/null 2>&1 & ;; esac\n',
    "every_second": "while sleep 1; do baiwan-deadman; done\n",
    "shutdown": 'echo "shutdown $*" >> /tmp/calls\ncase "$*" in *now) kill -TERM 1; sleep 5 ;; esac\n',
}
_APT = {
    "apt-get": 'echo "apt-get $*" >> /tmp/calls\n'
    'case "$*" in *update) [ -e /tmp/once ] || { touch /tmp/once; exit 100; } ;; esac\n',
}
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin"


def boot(enter, text, systemd=False):
    """`enter`: the beginning of a command line as root of the host. Goes on until the first boot is done.
    With `systemd` the host has a real one."""
    first, _, document = text.partition("\n")
    if first != "#cloud-config":
        raise AssertionError(f"no cloud-config: {first!r}")
    document = json.loads(document)
    files = list(document["write_files"])
    for name, lines in (_APT if systemd else {**_TOOLS, **_APT}).items():
        content = "#!/bin/sh\n" + lines
        files.append({"path": f"/usr/local/bin/{name}", "content": content, "permissions": "0755"})
    _must([*enter, "/usr/bin/python3", "-c", _WRITE], json.dumps(files))
    restart = "systemctl restart ssh" if systemd else "sv restart /etc/service/sshd"
    # As Debian's own configuration: it includes the folder, and names no key of its own.
    sshd = "sed -i '/^HostKey/d; 1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config"
    _must([*enter, "sh", "-c", sshd + " && " + restart])
    (command,) = document["runcmd"]
    _must([*enter, "env", f"PATH={_PATH}", "BAIWAN_PAUSE=0", *command])


def _must(argv, text=""):
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: {done.returncode} {done.stdout} {done.stderr}")
