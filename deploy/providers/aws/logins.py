"""How to log in: from the operator's machine through the first `outside` host, on a host of the run
straight. Hosts are known by the run's signature on their key, under their name: a public address may
change, and the name does not."""

import shlex

LOGIN_LIMIT_S = 10


def options(key, known_hosts, name):
    chosen = (
        f"IdentityFile={key}", "IdentitiesOnly=yes", f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "BatchMode=yes",
        f"ConnectTimeout={LOGIN_LIMIT_S}", "ServerAliveInterval=15", "ServerAliveCountMax=3",
        "LogLevel=ERROR", f"HostKeyAlias={name}",
    )  # fmt: skip
    return [word for option in chosen for word in ("-o", option)]


def straight(key, known_hosts, name, address, config=""):
    """`config`: the operator's own file for the way there. What is said here goes before what it says."""
    return ["ssh", "-F", config or "/dev/null", *options(key, known_hosts, name), f"root@{address}"]


def through(key, known_hosts, name, address, door):
    """`door`: the argv that logs in to the host that leads in."""
    command = shlex.join([*door[:-1], "-W", "%h:%p", door[-1]])
    proxied = ["-o", f"ProxyCommand={command}"]
    return ["ssh", "-F", "/dev/null", *options(key, known_hosts, name), *proxied, f"root@{address}"]
