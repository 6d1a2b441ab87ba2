"""A program that takes everything it started with it when it ends, and that ends with us.

It runs in a process namespace of its own: whatever leaves its process group, changes its user or is
killed half-way, the kernel ends it with the namespace's first process. That is a shell which gets
SIGKILL when `unshare` ends, which gets it when we do.
"""

_FIRST = 'trap "" TERM INT HUP; "$@" & wait $!'


def contained(argv):
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL",
            "--mount-proc", "sh", "-c", _FIRST, "sh", *argv]  # fmt: skip
