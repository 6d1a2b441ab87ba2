"""Calls to AWS through boto3: one place for credentials, time limits and repetition.

Credentials come from the standard chain of AWS only and are never shown. A call that is throttled,
meets a fault of the service or does not reach it is repeated, with growing pauses and jitter, at most
MAX_ATTEMPTS times and CALL_LIMIT_S long. A create that takes a client token may be repeated whatever
happened; one that takes none is not when its answer was lost: the caller looks by tag whether it
happened (LostAnswer).
Threads: `call` may be used from several.
"""

import hashlib
import os
import random
import threading
import time

from errors import ProviderError

MAX_ATTEMPTS = 8
CALL_LIMIT_S = 120
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 8
CONNECT_LIMIT_S = 5
READ_LIMIT_S = 30
MAX_PAGES = 200
_THROTTLED = {
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException",
    "RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
    "EC2ThrottledException", "SlowDown",
}  # fmt: skip
_FAULTS = {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"}


class LostAnswer(ProviderError):
    """A create without a client token may or may not have happened."""


class CallError(ProviderError):
    """AWS refused; `code` is its word for why."""

    def __init__(self, code, text, command):
        super().__init__(f"{code}: {text}", command=command)
        self.code = code


class NoCredentials(ProviderError):
    """Nothing to sign a call with."""


def load_boto3():
    try:
        import boto3  # noqa: PLC0415: a machine without it can still ask `check` and `price`
    except ImportError as error:
        mend = f"boto3 is not installed ({error}); apt-get install python3-boto3"
        raise ProviderError(mend, command="import boto3") from None
    return boto3


def _session(boto3, options):
    import botocore.exceptions  # noqa: PLC0415: comes with boto3

    # boto3 reads AWS_DEFAULT_REGION by itself, and not the name that other tools use too.
    region = options.region or os.environ.get("AWS_REGION") or None
    try:
        return boto3.session.Session(region_name=region)
    except botocore.exceptions.BotoCoreError as error:
        raise ProviderError(str(error), command="aws settings") from None


def region_of(options):
    """Where a Cloud would be, or '' if nothing says so. Needs no credentials, nor boto3 where the region is
    named outside of the files of the AWS chain."""
    if named := options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        return named
    try:
        boto3 = load_boto3()
    except ProviderError:
        return ""
    return _session(boto3, options).region_name or ""


class Cloud:
    def __init__(self, options):
        self._boto3 = load_boto3()
        import botocore  # noqa: PLC0415
        import botocore.config  # noqa: PLC0415
        import botocore.exceptions as exceptions  # noqa: PLC0415
        import botocore.parsers  # noqa: PLC0415

        self._exceptions, self._method = exceptions, botocore.xform_name
        self._lost = (exceptions.HTTPClientError, exceptions.SSLError,
                      botocore.parsers.ResponseParserError)  # fmt: skip
        self._unsent = (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError,
                        exceptions.ProxyConnectionError)  # fmt: skip
        self._endpoint = options.endpoint_url or None
        self._config = botocore.config.Config(
            connect_timeout=CONNECT_LIMIT_S, read_timeout=READ_LIMIT_S, max_pool_connections=16,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )  # fmt: skip
        style = "path" if self._endpoint else "virtual"  # an emulation has no name for each bucket
        self._config_of = {"s3": self._config.merge(
            botocore.config.Config(signature_version="s3v4", s3={"addressing_style": style}))}  # fmt: skip
        self._clients, self._lock = {}, threading.Lock()
        self._session = _session(self._boto3, options)
        self.region = self._session.region_name
        if not self.region:
            raise ProviderError("no region: set options.region or AWS_REGION", command="aws settings")

    def _client(self, service, region):
        with self._lock:  # making one is not safe from several threads; using it is
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service, region_name=region, endpoint_url=self._endpoint,
                    config=self._config_of.get(service, self._config),
                )  # fmt: skip
            return self._clients[key]

    # --- calls ----------------------------------------------------------------------------------

    def call(self, operation, service="ec2", region=None, **parameters):
        """`operation` in the words of the service's interface, such as RunInstances."""
        client = self._client(service, region or self.region)
        lost_is_lost = "TagSpecifications" in parameters and "ClientToken" not in parameters
        end = time.monotonic() + CALL_LIMIT_S
        words = f"{service} {operation}"
        for attempt in range(MAX_ATTEMPTS):
            try:
                return getattr(client, self._method(operation))(**parameters)
            except self._exceptions.ClientError as error:
                code = error.response.get("Error", {}).get("Code", "Unknown")
                text = error.response.get("Error", {}).get("Message", "")
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                problem = CallError(code, text, words)
                fault = code in _FAULTS or status >= 500
                if fault and code not in _THROTTLED and lost_is_lost:
                    raise LostAnswer(str(problem), command=words) from None
                if code not in _THROTTLED and not fault:
                    raise problem from None
            except self._lost as error:  # cut off, timed out, or no answer of AWS
                problem = ProviderError(str(error), command=words)
                if lost_is_lost:
                    raise LostAnswer(str(error), command=words) from None
            except self._unsent as error:  # there was no connection: nothing can have happened
                problem = ProviderError(str(error), command=words)
            except self._exceptions.NoCredentialsError as error:
                raise NoCredentials(str(error), command=words) from None
            except self._exceptions.BotoCoreError as error:  # credentials, parameters: no use again
                raise ProviderError(str(error), command=words) from None
            pause = random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))
            if attempt + 1 == MAX_ATTEMPTS or time.monotonic() + pause > end:
                break
            time.sleep(pause)
        raise ProviderError(f"{problem} (after {attempt + 1} attempts)", command=words)

    def account(self):
        return self.call("GetCallerIdentity", "sts")["Account"]

    def pages(self, operation, field, **parameters):
        """All of a list that comes in pages."""
        found, token = [], {}
        for _ in range(MAX_PAGES):
            answer = self.call(operation, **parameters, **token)
            found += answer.get(field, [])
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}
        raise ProviderError(f"over {MAX_PAGES} pages", command=operation)

    def create(self, operation, token, **parameters):
        """With the client token, where the operation takes one."""
        if self.knows("ec2", operation, "ClientToken"):
            parameters["ClientToken"] = token
        return self.call(operation, **parameters)

    def knows(self, service, operation, parameter):
        """Debian's boto3 is older than some of them."""
        model = self._client(service, self.region).meta.service_model.operation_model(operation)
        return parameter in model.input_shape.members

    def address_of(self, bucket, key, valid_s):
        """With which whoever has it may read this object, so long."""
        which = {"Bucket": bucket, "Key": key}
        try:
            return self._client("s3", self.region).generate_presigned_url("get_object", which, valid_s)
        except self._exceptions.BotoCoreError as error:
            raise ProviderError(str(error), command="s3 GetObject") from None

    def refused_dry(self, operation, **parameters):
        """Why this caller may not do it, or ''. What is only not found may be done."""
        try:
            self.call(operation, DryRun=True, **parameters)
        except CallError as error:
            return str(error) if error.code in ("UnauthorizedOperation", "AuthFailure") else ""
        return ""


def token_of(*words):
    """The same for the same words: a repeated create is the same create."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:40]
