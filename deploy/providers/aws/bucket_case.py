"""What S3 refuses and moto lets pass: addresses that are not signed, or no longer good. And what the
provider must not do there: anything outside the prefix of a run."""

import datetime
import hashlib
import hmac
import re
import urllib.parse

_OWN = re.compile(r"baiwan/[a-z0-9-]{1,20}/[A-Za-z0-9._+-]+")
_PREFIX = re.compile(r"baiwan/[a-z0-9-]{1,20}/")
_HOP_BY_HOP = ("connection", "transfer-encoding", "date", "server")
MAX_VALID_S = 604800


def rights_of(method, target):
    path, _, query = target.partition("?")
    if not path.lstrip("/").partition("/")[2] and method == "GET":
        return ["s3:GetBucketLocation" if "location" in query else "s3:ListBucket"]
    if method in ("POST", "DELETE"):
        return ["s3:DeleteObject"]
    return ["s3:PutObject" if method == "PUT" else "s3:GetObject"]


class Bucket:
    """`forward`: as Emulation's. `secrets`: {key id: secret} of who may sign an address."""

    def __init__(self, forward, secrets):
        self._forward, self._secrets = forward, secrets
        self.fetched = []  # keys that were read by an address
        self.refused = []  # (method, path, why)

    def answer(self, method, target, headers, body, only_addresses=False):
        """(status, headers, bytes). `only_addresses`: as from a host that has no keys."""
        path, _, query = target.partition("?")
        parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        key = urllib.parse.unquote(path).lstrip("/").partition("/")[2]
        by_address = "X-Amz-Signature" in parameters
        why = self._why_not_by(headers, method, path, parameters) if by_address else ""
        if not by_address and (only_addresses or "Authorization" not in headers):
            why = "nobody signed this"
        why = why or self._why_not_there(method, key, parameters, headers, body)
        if why:
            self.refused.append((method, path, why))
            text = f"<Error><Code>AccessDenied</Code><Message>{why}</Message></Error>"
            return 403, {"Content-Type": "application/xml"}, text.encode()
        passed = {k: v for k, v in headers.items() if k.lower() != "host"}
        status, given, data = self._forward(method, target, body, passed)
        if by_address and status in (200, 206):
            self.fetched.append(key)
        return status, {k: v for k, v in given.items() if k.lower() not in _HOP_BY_HOP}, data

    @staticmethod
    def _why_not_there(method, key, parameters, headers, body):
        lowered = {k.lower() for k in headers}
        if any(k.startswith("x-amz-grant") or k == "x-amz-acl" for k in lowered):
            return "it would be for others too"
        if method == "PUT" and "x-amz-checksum-sha256" not in lowered:
            return "it could arrive altered"
        if method == "POST" and "delete" in parameters:
            keys = re.findall(r"<Key>([^<]*)</Key>", body.decode())
            return "" if keys and all(map(_OWN.fullmatch, keys)) else f"not of a run: {keys}"
        if not key and method == "GET":
            listed = _PREFIX.fullmatch(parameters.get("prefix", ""))
            return "" if "location" in parameters or listed else "more than a run's is listed"
        return "" if _OWN.fullmatch(key) else f"not of a run: {key}"

    def _why_not_by(self, headers, method, path, parameters):
        key_id, _, scope = parameters.get("X-Amz-Credential", "").partition("/")
        when, valid_s = parameters.get("X-Amz-Date", ""), int(parameters.get("X-Amz-Expires", 0))
        began = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        age_s = (datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()
        if not 0 < valid_s <= MAX_VALID_S or age_s > valid_s:
            return "Request has expired"
        if method != "GET" or key_id not in self._secrets or parameters.get("X-Amz-SignedHeaders") != "host":
            return "not what was signed"
        rest = sorted((k, v) for k, v in parameters.items() if k != "X-Amz-Signature")
        query = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in rest)
        canonical = "\n".join(["GET", path, query, f"host:{headers['Host']}", "", "host", "UNSIGNED-PAYLOAD"])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", when, scope, digest])
        secret = ("AWS4" + self._secrets[key_id]).encode()
        for word in [*scope.split("/"), text]:
            secret = hmac.new(secret, word.encode(), hashlib.sha256).digest()
        good = hmac.compare_digest(secret.hex(), parameters["X-Amz-Signature"])
        return "" if good else "SignatureDoesNotMatch"


def _quoted(text):
    return urllib.parse.quote(text, safe="-_.~")
