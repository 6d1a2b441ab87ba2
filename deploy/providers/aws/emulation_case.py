"""EC2 for the tests: moto behind a proxy of ours on loopback.

moto lets much pass that EC2 refuses. The proxy refuses it as EC2 does: creates without tags or client
token, one token for two different creates, addresses in use, images and types that do not exist or do
not fit, removal while something still hangs on it. It also answers dry runs (with moto some of them
create), the price list and the quotas, and does on request what clouds do: throttle, refuse, fail, lose
an answer, or tell the test that a call is on its way.
"""

import contextlib
import http.client
import http.server
import json
import logging
import os
import re
import sys
import tempfile
import threading
import time
import urllib.parse

import boto3
import bucket_case
import policy_case
import rules_case
import schedule_case

ACCOUNT = {"AWS_ACCESS_KEY_ID": "dummy-key-id", "AWS_SECRET_ACCESS_KEY": "dummy-secret-of-the-tests"}
OWN_ACCOUNT = "123456789012"  # moto's
IMAGES = [
    {
        "ami_id": f"ami-0{number:016x}", "architecture": arch, "name": f"debian-12-{word}-2025010{day}-1",
        "owner_id": "136693071363", "creation_date": f"2025-01-0{day}T00:00:00.000Z",
        "description": "Debian 12", "public": True, "virtualization_type": "hvm", "state": "available",
        "hypervisor": "xen", "root_device_name": "/dev/xvda", "root_device_type": "ebs",
        "image_location": "amazon/debian", "image_type": "machine", "sriov": "simple", "platform": None,
    }
    for number, (arch, word, day) in enumerate(
        (("arm64", "arm64", 1), ("arm64", "arm64", 2), ("x86_64", "amd64", 1)), 1
    )
]  # fmt: skip
_LIMIT_S = 60


class _Fresh(list):
    """moto changes the images that it reads, and then cannot read them again for another region."""

    def __iter__(self):
        return (dict(image) for image in super().__iter__())


class Emulation:
    """`faults`: functions (action, parameters) that answer None or what to do instead: ("error",
    status, code, text), or ("lose",): perform it, and close the connection without an answer.
    `each_anew`: a connection is good for one call."""

    def __init__(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(IMAGES, file)
        os.environ.update(ACCOUNT, MOTO_AMIS_PATH=file.name, AWS_EC2_METADATA_DISABLED="true")
        import moto.ec2.models.amis  # noqa: PLC0415: reads the variables above
        from moto.server import ThreadedMotoServer  # noqa: PLC0415

        moto.ec2.models.amis.AMIS = _Fresh(moto.ec2.models.amis.AMIS)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        os.unlink(file.name)
        self.moto = "127.0.0.1", self._moto.get_host_and_port()[1]
        self._servers = []
        self.url = f"http://127.0.0.1:{self._serve(_Handler)}"
        self.gateway_port = self._serve(_GatewayHandler)
        self.lock, self._at_work = threading.Lock(), 0
        self.reset()

    def _serve(self, handler):
        """Returns the port."""
        server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"emulation": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return server.server_address[1]

    def reset(self):
        """Forgets faults and tokens; what moto holds stays, since runs do not see each other."""
        self.rules = rules_case.Rules(self.client("ec2"))
        secrets = {ACCOUNT["AWS_ACCESS_KEY_ID"]: ACCOUNT["AWS_SECRET_ACCESS_KEY"]}
        self.bucket = bucket_case.Bucket(self.forward, secrets)
        self.schedules = schedule_case.Schedules(self.forward, self.client("ec2"))
        self.policies = policy_case.Policies()
        self.faults, self.denied, self.actions, self.quota = [], set(), [], 1000.0
        self.each_anew = False
        self.account = OWN_ACCOUNT  # whose keys the caller has
        self.prices, self.callers = {}, {}  # {type: price}; {action: ids of the keys it was signed with}

    def client(self, service):
        """Straight to moto, behind the proxy's back."""
        url = f"http://{self.moto[0]}:{self.moto[1]}"
        return boto3.client(service, region_name=rules_case.REGION, endpoint_url=url)

    def stop(self):
        for server in self._servers:
            server.shutdown()
        self._moto.stop()

    def forward(self, method, path, body, headers):
        link = http.client.HTTPConnection(*self.moto, timeout=_LIMIT_S)
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            link.close()

    @contextlib.contextmanager
    def work(self):
        with self.lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self.lock:
                self._at_work -= 1

    def wait_idle(self):
        """Until what a caller that was killed had asked for has happened."""
        end, quiet = time.monotonic() + _LIMIT_S, 0
        while quiet < 3:  # looks: what was sent may not yet have been taken
            if time.monotonic() > end:
                raise AssertionError(f"{self._at_work} calls go on after {_LIMIT_S} s")
            time.sleep(0.1)
            quiet = 0 if self._at_work else quiet + 1

    # --- one request ----------------------------------------------------------------------------

    def answer(self, handler, body):
        """(status, content type, bytes), or None to close without a word."""
        target = handler.headers.get("X-Amz-Target", "")
        if target:
            return self._json(handler.headers, target.split(".")[-1], json.loads(body or b"{}"))
        parameters = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action = parameters.get("Action", "")
        signed = re.search(r"Credential=([^/]+)/", handler.headers.get("Authorization", ""))
        key = signed.group(1) if signed else ""
        with self.lock:
            self.actions.append(action)
            self.callers.setdefault(action, set()).add(key)
        if key.startswith("ASIA") and not handler.headers.get("X-Amz-Security-Token"):
            return _error(403, "AuthFailure", "AWS was not able to validate the provided access credentials")
        done = [d for fault in self.faults if (d := fault(action, parameters))]
        if done and done[0][0] == "error":
            return _error(*done[0][1:])
        if action in self.denied or self._forbidden(handler.headers, action, parameters):
            return _error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        if parameters.get("DryRun") == "true":
            return _error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "host"}

        def perform():
            status, more, data = self.forward("POST", handler.path, body, headers)
            if action == "GetCallerIdentity":
                data = data.replace(OWN_ACCOUNT.encode(), self.account.encode())
            return status, more.get("Content-Type", "text/xml"), data

        answer = self.rules.guarded(action, parameters, perform)
        if isinstance(answer[1], Refused):
            answer = _error(*answer[1].words)
        return None if done and done[0][0] == "lose" else answer

    def _forbidden(self, headers, action, parameters):
        """By the policies that are written down for people."""
        needed = ["sts:GetCallerIdentity" if action == "GetCallerIdentity" else f"ec2:{action}"]
        if "TagSpecification.1.ResourceType" in parameters:
            needed.append("ec2:CreateTags")
        if "IamInstanceProfile.Name" in parameters:
            needed.append("iam:PassRole")
        return any([self.policies.forbids(headers, right) for right in needed])

    def _json(self, headers, action, document):
        with self.lock:
            self.actions.append(action)
        service = {"GetServiceQuota": "servicequotas", "GetProducts": "pricing"}.get(action, "unknown")
        if self.policies.forbids(headers, f"{service}:{action}"):
            return 400, "application/x-amz-json-1.1", b'{"__type": "AccessDeniedException"}'
        if action == "GetServiceQuota":
            return _json({"Quota": {"QuotaCode": document["QuotaCode"], "Value": self.quota}})
        if action == "GetProducts":
            wanted = {f["Field"]: f["Value"] for f in document["Filters"]}
            price = self.prices.get(wanted.get("instanceType") or wanted.get("volumeApiName"))
            dimensions = {"d": {"pricePerUnit": {"USD": str(price)}, "beginRange": "0"}}
            product = {"terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}}}
            good = price is not None and wanted["regionCode"] == "eu-central-1"
            return _json({"PriceList": [json.dumps(product)] if good else []})
        return 400, "application/x-amz-json-1.1", b'{"__type": "UnknownOperationException"}'


Refused = rules_case.Refused


def _json(document):
    return 200, "application/x-amz-json-1.1", json.dumps(document).encode()


def _error(status, code, text):
    body = (f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
            "<RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>")  # fmt: skip
    return status, "text/xml", body.encode()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the caller was killed
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _LIMIT_S

    def do_POST(self):  # noqa: N802: the name is the base class's
        if self.path != "/":
            return self.do_GET()
        body = self._body()
        with self.emulation.work():
            answer = self.emulation.answer(self, body)
        if answer is None:
            self.close_connection = True
        else:
            close = {"Connection": "close"} if self.emulation.each_anew else {}
            self._send(answer[0], {"Content-Type": answer[1], **close}, answer[2])

    def do_GET(self):  # noqa: N802: S3 has all of them
        body, emulation = self._body(), self.emulation
        of_schedules = self.path.partition("?")[0].startswith("/schedules")
        case = schedule_case if of_schedules else bucket_case
        needed = case.rights_of(self.command, self.path)
        signed = "Authorization" in self.headers
        if signed and any([emulation.policies.forbids(self.headers, right) for right in needed]):
            self._send(403, {"x-amzn-ErrorType": "AccessDeniedException"}, b"{}" if of_schedules else b"")
        elif of_schedules:
            self._send(*emulation.schedules.answer(self.command, self.path, self.headers, body))
        else:
            self._send(*self._of_bucket(body))

    do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _of_bucket(self, body):
        return self.emulation.bucket.answer(self.command, self.path, self.headers, body)

    def _body(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status, headers, data):
        headers = {"Content-Length": str(len(data)), **headers}
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        except OSError:  # the caller was killed
            self.close_connection = True

    def log_message(self, *_):
        pass


class _GatewayHandler(_Handler):
    """What the gateway endpoint of a network leads to: S3 and nothing else, for hosts without keys."""

    def do_POST(self):  # noqa: N802
        self._send(403, {}, b"")

    def do_GET(self):  # noqa: N802
        self._send(*self._of_bucket(self._body()))

    def _of_bucket(self, body):
        return self.emulation.bucket.answer(self.command, self.path, self.headers, body, only_addresses=True)
