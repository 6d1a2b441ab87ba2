"""What can go wrong, as the contract tells it: a wrong request (exit 2) or a failure (exit 1)."""

LOG_TAIL_LINES = 20


class RequestError(Exception):
    """The request is wrong; nothing was changed."""


class ProviderError(Exception):
    """Something failed: which host, which command, and the last lines that it wrote."""

    def __init__(self, text, host="", command="", log_tail=""):
        super().__init__(text)
        self.host = host
        self.command = command
        self.log_tail = "\n".join(log_tail.splitlines()[-LOG_TAIL_LINES:])

    def answer(self):
        return {
            "error": str(self),
            "host": self.host,
            "command": self.command,
            "log_tail": self.log_tail,
        }
